package postgres_test

import (
	"testing"

	"github.com/keyturn/keyturn/internal/store/postgres"
	"github.com/keyturn/keyturn/internal/testpg"
)

// A server that is frozen in a transaction holds the row that every writer needs; the database must end such a session.
func TestTheWritersSessionsEndWhenTheySleepInATransaction(t *testing.T) {
	e, err := postgres.Open(t.Context(), testpg.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	var timeout string
	if err := e.Writer.QueryRow("SHOW idle_in_transaction_session_timeout").Scan(&timeout); err != nil || timeout != "10s" {
		t.Errorf("the writer's session may sleep for %s: %v", timeout, err)
	}
}

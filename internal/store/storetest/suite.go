// Package storetest is the contract of a store: what must hold on every engine. The tests of the subpackages sqlite and
// postgres run it, each with its own database.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// Place is one database, empty at first. Each call opens an engine on it, as another server would.
type Place func(ctx context.Context) (*store.Engine, error)

// Fresh makes a place that lives as long as the test.
type Fresh func(tb testing.TB) Place

// Run runs every test of the contract as a subtest.
func Run(t *testing.T, fresh Fresh) {
	for _, part := range [...]struct {
		name string
		run  func(*testing.T, Fresh)
	}{
		{"Schema", schema},
		{"Rows", rows},
		{"Digests", digests},
		{"Names", names},
		{"History", history},
		{"Writing", writing},
		{"Log", log},
		{"Feed", feed},
		{"Snapshots", snapshots},
		{"Passkeys", passkeys},
		{"Followers", followers},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, fresh) })
	}
}

// foundedAt is the time at which the test databases were founded, unix milliseconds.
const foundedAt = 1_700_000_000_000

// patience bounds the wait for what must happen; it is far above what a loaded machine needs.
const patience = time.Minute

// Open opens a place as a server does. It is closed with the test, if not before, and no failure of the engine is expected.
func Open(tb testing.TB, place Place) *store.DB {
	tb.Helper()
	e, err := place(tb.Context())
	if err != nil {
		tb.Fatalf("open the engine: %v", err)
	}
	db, err := store.Open(tb.Context(), e, func(err error) { tb.Errorf("the engine failed for good: %v", err) })
	if err != nil {
		_ = e.Close()
		tb.Fatalf("open the store: %v", err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Found opens a fresh place and starts a world in it.
func Found(tb testing.TB, place Place) *store.DB {
	tb.Helper()
	db := Open(tb, place)
	if err := db.Found(tb.Context(), domain.NewID[string](), foundedAt); err != nil {
		tb.Fatalf("found: %v", err)
	}
	return db
}

// shut closes a database that is opened again.
func shut(tb testing.TB, db *store.DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatalf("close: %v", err)
	}
}

// edit changes rows behind the server's back. No server may be open on SQLite meanwhile.
func edit(tb testing.TB, place Place, statements ...string) {
	tb.Helper()
	e, err := place(tb.Context())
	if err != nil {
		tb.Fatalf("open the engine: %v", err)
	}
	for _, s := range statements {
		if _, err := e.Writer.ExecContext(tb.Context(), s); err != nil {
			tb.Errorf("%s: %v", s, err)
		}
	}
	if err := e.Close(); err != nil {
		tb.Fatalf("close the engine: %v", err)
	}
}

// Want checks the kind of an error.
func Want(tb testing.TB, err error, kind fault.Kind) {
	tb.Helper()
	if !errors.Is(err, kind) {
		tb.Errorf("error %v (%s), want %s", err, fault.KindOf(err), kind)
	}
}

// must stops the test at the first unexpected error.
func must(tb interface {
	Helper()
	Fatalf(string, ...any)
}, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("unexpected error: %v", err)
	}
}

// need is [must] inside a change: it runs on the writer's goroutine, which a test must not end. The writer recovers.
func need(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Errorf("unexpected error: %v", err)
		panic("the change cannot go on")
	}
}

// eventually waits for what another goroutine or server brings about.
func eventually(tb testing.TB, what string, within time.Duration, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !holds(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("not within %s: %s", within, what)
		}
	}
}

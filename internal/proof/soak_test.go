//go:build soak

package proof

import (
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

func long(seed uint64) lives { return lives{cycles: 300, deepEvery: 10, seed: seed} }

func TestSoakKill(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { dieOften(t, onSQLite(t), nil, long(seeded(t))) })
	t.Run("PostgreSQL", func(t *testing.T) {
		database := testpg.Private(t)
		dieOften(t, onPostgres(t, database), database, long(seeded(t)))
	})
}

// longSimulation is how long each server of the long form is worked on.
const longSimulation = 2 * time.Minute

func TestSoakSimulation(t *testing.T) {
	for range 10 {
		t.Run("SQLite", func(t *testing.T) { simulate(t, keyturntest.Start(t), longSimulation) })
		t.Run("PostgreSQL", func(t *testing.T) {
			simulate(t, keyturntest.Start(t, keyturntest.WithPostgres(testpg.Database(t))), longSimulation)
		})
	}
}

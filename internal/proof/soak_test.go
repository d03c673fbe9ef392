//go:build soak

package proof

import (
	"testing"

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

// longRuns is how many runs of the simulation the long form makes, on a server each hundred.
const longRuns = 100

func TestSoakSimulation(t *testing.T) {
	for range 50 {
		t.Run("SQLite", func(t *testing.T) { simulate(t, keyturntest.Start(t), longRuns) })
		t.Run("PostgreSQL", func(t *testing.T) {
			simulate(t, keyturntest.Start(t, keyturntest.WithPostgres(testpg.Database(t))), longRuns)
		})
	}
}

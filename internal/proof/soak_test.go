//go:build soak

package proof

import (
	"testing"

	"github.com/keyturn/keyturn/internal/testpg"
)

func long(seed uint64) lives { return lives{cycles: 300, deepEvery: 10, seed: seed} }

func TestSoakKill(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { dieOften(t, onSQLite(t), nil, long(seeded(t))) })
	t.Run("PostgreSQL", func(t *testing.T) {
		database := testpg.Private(t)
		dieOften(t, onPostgres(t, database), database, long(seeded(t)))
	})
}

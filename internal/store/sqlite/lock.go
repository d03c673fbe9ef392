package sqlite

import "github.com/keyturn/keyturn/internal/fault"

func errTaken(err error) error {
	return fault.Wrap(fault.Conflict, err, "another server uses this data folder").
		WithHint("stop it first, or use PostgreSQL for several servers on the same data")
}

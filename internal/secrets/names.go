package secrets

import "github.com/keyturn/keyturn/internal/store"

// What surfaces see of stored rows. They import this package and never the store.
type (
	// Env is an environment.
	Env = store.Environment
	// CommitRow is one commit of the history.
	CommitRow = store.Commit
)

package secrets

import "github.com/keyturn/keyturn/internal/store"

// What surfaces see of stored rows. They import this package and never the store.
type (
	// Env is an environment.
	Env = store.Environment
	// CommitRow is one commit of the history.
	CommitRow = store.Commit
	// ChangeRow is a change set as it is stored.
	ChangeRow = store.ChangeSet
	// ChangeItem is one thing that a change set does.
	ChangeItem = store.ChangeItem
	// ChangeReview is what one reviewer said.
	ChangeReview = store.ChangeReview
	// Approver names who may approve.
	Approver = store.Approver
)

// Package store keeps everything in SQL: the rows, the queries and the one writer.
//
// All changes of one server go through one goroutine that takes whatever waits into one synced transaction (group
// commit, no timer), appends the audit entries of all of it to the log in that same transaction, and releases each caller
// only after the commit. Reads of data need no transaction; their audit entries join the same queue. On PostgreSQL the
// transaction begins by locking the instance row, so that the writers of several servers take turns and a server whose
// keys are out of date is fenced off. Subpackages sqlite and postgres open the engines.
package store

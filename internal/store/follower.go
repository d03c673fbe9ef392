package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/fault"
)

// Follower is the bookmark of one follower of the log.
type Follower struct {
	Name string `db:"name,key"`
	// Position is the index of the first entry that is not known to be handled.
	Position int64 `db:"position"`
	// LeaseHolder names the server whose follower works, "" for none; LeaseUntil is unix milliseconds by the clock of that
	// server.
	LeaseHolder string `db:"lease_holder"`
	LeaseUntil  int64  `db:"lease_until"`
	Problem     string `db:"problem"`
	UpdatedAt   int64  `db:"updated_at"`
}

var followers = newTable[Follower]("follower", false)

// Followers lists all bookmarks by name.
func (q Queries) Followers(ctx context.Context) ([]Follower, error) {
	return followers.list(ctx, q.q, "ORDER BY name")
}

// Follower finds one by name.
func (q Queries) Follower(ctx context.Context, name string) (Follower, error) {
	return followers.one(ctx, q.q, "WHERE name = ?", name)
}

// Derived is a change of rows that decide nothing and are good for as long as nobody lost them: it leaves no entry in the log.
type Derived struct {
	Queries
	tx *Tx
}

// Derive runs a change of derived rows in the transaction of the writer, beside the changes of others, under the same fence.
// When run fails, its changes are undone and its error is returned.
func (db *DB) Derive(ctx context.Context, run func(*Derived) error) error {
	return db.writer.submit(&job{ctx: ctx, quiet: true, run: func(tx *Tx) error {
		if err := run(&Derived{tx.Queries, tx}); err != nil {
			return err
		}
		if len(tx.rows) > 0 || len(tx.feeds) > 0 {
			return fault.New(fault.Internal, "a change without an entry wrote what needs one")
		}
		return nil
	}})
}

// Now is the one timestamp of the transaction, unix milliseconds.
func (d *Derived) Now() int64 { return d.tx.now }

// BeginFollower makes a bookmark unless there is one.
func (d *Derived) BeginFollower(ctx context.Context, name string, position int64) error {
	_, err := d.tx.exec(ctx, "INSERT INTO follower (name, position, lease_holder, lease_until, problem, updated_at) VALUES (?, ?, '', 0, '', ?) ON CONFLICT (name) DO NOTHING",
		name, position, d.tx.now)
	return err
}

// TakeFollower gives the work to holder if the lease is still as seen, and tells whether it did.
func (d *Derived) TakeFollower(ctx context.Context, seen Follower, holder string, until int64) (bool, error) {
	return d.changed(ctx, "UPDATE follower SET lease_holder = ?, lease_until = ?, updated_at = ? WHERE name = ? AND lease_holder = ? AND lease_until = ?",
		holder, until, d.tx.now, seen.Name, seen.LeaseHolder, seen.LeaseUntil)
}

// MoveFollower saves the bookmark of whoever holds the lease, and tells whether that was row.LeaseHolder. A bookmark never
// goes back. A LeaseUntil of 0 gives the lease back.
func (d *Derived) MoveFollower(ctx context.Context, row Follower) (bool, error) {
	next := row.LeaseHolder
	if row.LeaseUntil == 0 {
		next = ""
	}
	return d.changed(ctx, "UPDATE follower SET position = CASE WHEN position > ? THEN position ELSE ? END, lease_holder = ?, lease_until = ?, problem = ?, updated_at = ? WHERE name = ? AND lease_holder = ?",
		row.Position, row.Position, next, row.LeaseUntil, row.Problem, d.tx.now, row.Name, row.LeaseHolder)
}

// RemoveFollower forgets a bookmark; one that is not there is no error.
func (d *Derived) RemoveFollower(ctx context.Context, name string) error {
	_, err := d.tx.exec(ctx, "DELETE FROM follower WHERE name = ?", name)
	return err
}

func (d *Derived) changed(ctx context.Context, text string, args ...any) (bool, error) {
	res, err := d.tx.exec(ctx, text, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, d.tx.classify(err)
}

// Grew registers a listener for entries of this server: it is called with the size of the log by the goroutine that has just
// committed them, so it must not wait. It may be called at any time.
func (db *DB) Grew(listen func(size int64)) {
	for {
		old := db.grew.Load()
		var all []func(int64)
		if old != nil {
			all = append(all, *old...)
		}
		all = append(all, listen)
		if db.grew.CompareAndSwap(old, &all) {
			return
		}
	}
}

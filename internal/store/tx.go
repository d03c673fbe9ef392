package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// Tx is one change inside the writer's transaction. It ends when the function that got it returns, and belongs to the
// goroutine that runs it. After the first statement that fails, every other one fails the same way and the change is
// undone, whatever its function returns.
type Tx struct {
	Queries
	w      *writer
	ctx    context.Context // of the batch: statements run under it
	now    int64
	rows   []audit.Row
	after  []func()
	feeds  []Feed
	broken error // of the first statement that failed
	over   bool
}

func (tx *Tx) run(j *job) (err error) {
	defer func() {
		tx.over = true
		if r := recover(); r != nil { // a defect in one change must not take the writer down
			err = fault.New(fault.Internal, "a change failed inside the server")
			tx.w.db.panicked(r)
		}
	}()
	if j.ctx.Err() != nil {
		return tx.classify(j.ctx.Err())
	}
	err = j.run(tx)
	if tx.broken != nil && (err == nil || errors.Is(err, ErrUndo)) {
		return tx.broken
	}
	return err
}

// ready refuses statements of a change that is over, has failed, or whose caller has left. The caller's context is asked
// before each statement only: an engine that gives up in the middle of one undoes the changes of the others as well.
func (tx *Tx) ready(ctx context.Context) error {
	switch {
	case tx.over:
		return fault.New(fault.Internal, "a change went on after its end")
	case tx.broken != nil:
		return tx.broken
	}
	return tx.classify(ctx.Err())
}

// Now is the one timestamp of the transaction, unix milliseconds.
func (tx *Tx) Now() int64 { return tx.now }

// After calls f when the transaction is durable and before its caller goes on: this is where caches are moved on.
func (tx *Tx) After(f func()) { tx.after = append(tx.after, f) }

func (tx *Tx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := tx.ready(ctx); err != nil {
		return nil, err
	}
	rows, err := tx.w.query(tx.ctx, query, args...)
	return rows, tx.classify(err)
}

func (tx *Tx) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := tx.ready(ctx); err != nil {
		return nil, err
	}
	res, err := tx.w.exec(tx.ctx, query, args...)
	return res, tx.classify(err)
}

func (tx *Tx) classify(err error) error {
	if err == nil {
		return nil
	}
	err = tx.w.db.classify(err)
	if tx.broken == nil {
		tx.broken = err
	}
	return err
}

// Announce tells other servers and listeners.
func (tx *Tx) Announce(ctx context.Context, f Feed) error {
	tx.w.inst.FeedSeq++
	f.Seq, f.At = tx.w.inst.FeedSeq, tx.now
	if err := feedRows.put(ctx, tx, &f); err != nil {
		return err
	}
	tx.feeds = append(tx.feeds, f)
	if f.Seq%1000 == 0 {
		_, err := tx.exec(ctx, "DELETE FROM feed WHERE seq < ?", f.Seq-feedKept)
		return err
	}
	return nil
}

// Epoch is the fencing epoch that the transaction runs under.
func (tx *Tx) Epoch() int64 { return tx.w.inst.Epoch }

// MoveEpoch begins the next fencing epoch with this change and gives its number: every server that writes after it must know
// the keys as they are now.
func (tx *Tx) MoveEpoch() int64 {
	tx.w.inst.Epoch++
	return tx.w.inst.Epoch
}

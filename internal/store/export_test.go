package store

import (
	"context"
	"database/sql"
)

// Exec runs a statement inside a change, as no caller can.
func Exec(ctx context.Context, tx *Tx, text string, args ...any) error {
	_, err := tx.exec(ctx, text, args...)
	return err
}

// watched passes every query on and tells it.
type watched struct {
	querier
	tell func(text string, args []any)
}

func (w watched) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	w.tell(text, args)
	return w.querier.query(ctx, text, args...)
}

// Watch gives the queries of a database and tells the text of each one that is asked.
func Watch(db *DB, tell func(text string, args []any)) Queries { return Queries{watched{db, tell}} }

// WatchedTx does the same inside a change.
func WatchedTx(tx *Tx, tell func(text string, args []any)) Queries { return Queries{watched{tx, tell}} }

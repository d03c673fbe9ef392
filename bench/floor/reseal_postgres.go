package main

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// handPostgres sends arrays: one UPDATE for each transaction.
type handPostgres struct{ conn *pgx.Conn }

func openHandPostgres(ctx context.Context, address string) (handStore, error) {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	return handPostgres{conn}, nil
}

func (s handPostgres) close(ctx context.Context) error { return s.conn.Close(ctx) }

func (s handPostgres) page(ctx context.Context, last string, change func([]byte) ([]byte, error)) (handPage, error) {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return handPage{}, err
	}
	defer tx.Rollback(ctx)
	rows, err := tx.Query(ctx, "SELECT id, value FROM secret WHERE id > $1 AND value IS NOT NULL ORDER BY id LIMIT $2", last, handRows)
	if err != nil {
		return handPage{}, err
	}
	var ids []string
	var values [][]byte
	for rows.Next() {
		var id string
		var value []byte
		if err := rows.Scan(&id, &value); err != nil {
			return handPage{}, err
		}
		fresh, err := change(value)
		if err != nil {
			return handPage{}, err
		}
		ids, values = append(ids, id), append(values, fresh)
	}
	if err := rows.Err(); err != nil || len(ids) == 0 {
		return handPage{}, err
	}
	const update = "UPDATE secret SET value = u.value FROM unnest($1::text[], $2::bytea[]) AS u(id, value) WHERE secret.id = u.id"
	if _, err := tx.Exec(ctx, update, ids, values); err != nil {
		return handPage{}, err
	}
	return handPage{len(ids), ids[len(ids)-1]}, tx.Commit(ctx)
}

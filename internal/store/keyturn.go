package store

import "context"

// KeyTurn finds one turn.
func (q Queries) KeyTurn(ctx context.Context, id string) (KeyTurn, error) {
	return keyTurns.one(ctx, q.q, "WHERE id = ?", id)
}

// RunningKeyTurns lists the turns that are not over, oldest first.
func (q Queries) RunningKeyTurns(ctx context.Context) ([]KeyTurn, error) {
	return keyTurns.list(ctx, q.q, "WHERE ended_at = 0 ORDER BY started_at, id")
}

// KeyTurns lists turns, newest first.
func (q Queries) KeyTurns(ctx context.Context, limit int64) ([]KeyTurn, error) {
	return keyTurns.list(ctx, q.q, "ORDER BY started_at DESC, id DESC LIMIT ?", limit)
}

// LogHandovers lists the signed changes of the log's key, oldest first.
func (q Queries) LogHandovers(ctx context.Context) ([]KeyTurn, error) {
	return keyTurns.list(ctx, q.q, "WHERE layer = ? ORDER BY started_at, id", "log")
}

// LastCensus tells when the last turn ended that a census says nothing is left of, unix milliseconds; 0 for never.
func (q Queries) LastCensus(ctx context.Context) (int64, error) {
	rows, err := keyTurns.list(ctx, q.q, "WHERE ended_at > 0 AND census <> ? ORDER BY ended_at DESC LIMIT 1", "")
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].EndedAt, nil
}

// PutKeyTurn stores one. A second turn of a key whose turn runs is fault.Exists.
func (tx *Tx) PutKeyTurn(ctx context.Context, row *KeyTurn) error { return keyTurns.put(ctx, tx, row) }

// AdvanceKeyTurn counts what a slice of a turn has done.
func (tx *Tx) AdvanceKeyTurn(ctx context.Context, id string, moved int64) error {
	_, err := tx.exec(ctx, "UPDATE key_turn SET done = done + ? WHERE id = ?", moved, id)
	return err
}

// NoteKeyTurnProblem says what keeps a turn from going on. The row's digest in the log stays as it is.
func (tx *Tx) NoteKeyTurnProblem(ctx context.Context, id, problem string) error {
	_, err := tx.exec(ctx, "UPDATE key_turn SET problem = ? WHERE id = ?", problem, id)
	return err
}

package store

import "context"

// Stream is one place where entries of the log are sent on.
type Stream struct {
	ID        string            `db:"id,key"`
	Name      string            `db:"name"`
	Kind      string            `db:"kind"`
	Settings  map[string]string `db:"settings,json"`
	Actions   []string          `db:"actions,json"`
	Paused    bool              `db:"paused"`
	FromStart bool              `db:"from_start"`
	CreatedAt int64             `db:"created_at"`
	CreatedBy string            `db:"created_by"`
}

var streams = newTable[Stream]("stream", true)

// Streams lists all by name.
func (q Queries) Streams(ctx context.Context) ([]Stream, error) {
	return streams.list(ctx, q.q, "ORDER BY name")
}

// StreamByName finds one.
func (q Queries) StreamByName(ctx context.Context, name string) (Stream, error) {
	return streams.one(ctx, q.q, "WHERE name = ?", name)
}

// PutStream stores one. A second one of a name is fault.Exists.
func (tx *Tx) PutStream(ctx context.Context, row *Stream) error { return streams.put(ctx, tx, row) }

// RemoveStream removes one.
func (tx *Tx) RemoveStream(ctx context.Context, row *Stream) error {
	return streams.remove(ctx, tx, row)
}

package store

import (
	"context"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// logSource reads the stored log, inside the writer's transaction or outside of it.
type logSource struct{ q querier }

var _ audit.ArchivedSource = logSource{}

// Log gives the stored log for proofs and verification.
func (db *DB) Log() audit.Source { return logSource{db} }

func readInstance(ctx context.Context, q querier, lock string) (Instance, error) {
	var i Instance
	rows, err := q.query(ctx, "SELECT id, created_at, epoch, log_size, log_root, feed_seq FROM instance WHERE one = ?"+lock, int64(1))
	if err != nil {
		return i, err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return i, q.classify(err)
		}
		return i, fault.New(fault.NotFound, "the database holds no instance")
	}
	var root []byte
	if err := rows.Scan(&i.ID, &i.CreatedAt, &i.Epoch, &i.LogSize, &root, &i.FeedSeq); err != nil {
		return i, q.classify(err)
	}
	if len(root) != len(i.LogRoot) {
		return i, fault.New(fault.Internal, "the instance row is damaged: the log's root has %d bytes", len(root))
	}
	copy(i.LogRoot[:], root)
	return i, nil
}

// Head implements audit.Source.
func (s logSource) Head(ctx context.Context) (int64, tlog.Hash, error) {
	i, err := readInstance(ctx, s.q, "")
	return i.LogSize, tlog.Hash(i.LogRoot), err
}

// chunkPage bounds how many chunks are held in memory at once while the log is walked.
const chunkPage = 32

// Chunks implements audit.Source.
func (s logSource) Chunks(ctx context.Context, from, to int64) iter.Seq2[audit.Chunk, error] {
	return func(yield func(audit.Chunk, error) bool) {
		next, err := s.holding(ctx, from)
		for err == nil && next < to {
			var page []audit.Chunk
			if page, err = s.page(ctx, next, to); len(page) == 0 {
				break
			}
			for _, c := range page {
				next = c.First + 1 // not c.Count: the row may be damaged, and the walk must end all the same
				if c.First+int64(c.Count) > from && !yield(c, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(audit.Chunk{}, err)
		}
	}
}

// holding finds the beginning of the chunk that holds an entry.
func (s logSource) holding(ctx context.Context, index int64) (int64, error) {
	rows, err := s.q.query(ctx, "SELECT first FROM audit_chunk WHERE first <= ? ORDER BY first DESC LIMIT 1", index)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	first := index
	if rows.Next() {
		if err := rows.Scan(&first); err != nil {
			return 0, s.q.classify(err)
		}
	}
	return first, s.q.classify(rows.Err())
}

// page reads the next chunks that begin in [from, to).
func (s logSource) page(ctx context.Context, from, to int64) ([]audit.Chunk, error) {
	rows, err := s.q.query(ctx, "SELECT first, count, from_ms, to_ms, data FROM audit_chunk WHERE first >= ? AND first < ? ORDER BY first LIMIT ?",
		from, to, int64(chunkPage))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []audit.Chunk
	for rows.Next() {
		var c audit.Chunk
		if err := rows.Scan(&c.First, &c.Count, &c.FromMS, &c.ToMS, &c.Data); err != nil {
			return nil, s.q.classify(err)
		}
		out = append(out, c)
	}
	return out, s.q.classify(rows.Err())
}

// Tile implements audit.Source.
func (s logSource) Tile(ctx context.Context, level int, index int64) (audit.Tile, bool, error) {
	t := audit.Tile{Level: level, Index: index}
	rows, err := s.q.query(ctx, "SELECT hashes FROM audit_tile WHERE level = ? AND idx = ?", int64(level), index)
	if err != nil {
		return t, false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return t, false, s.q.classify(rows.Err())
	}
	err = rows.Scan(&t.Hashes)
	return t, err == nil, s.q.classify(err)
}

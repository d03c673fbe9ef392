package audit

import (
	"context"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// Source is a stored log. The store offers one; [audittest.MemorySource] is one for tests.
//
// [audittest.MemorySource]: https://pkg.go.dev/github.com/keyturn/keyturn/internal/audit/audittest
type Source interface {
	// Head gives the size and root that were stored with the last batch; 0 and the hash of nothing for an empty log.
	Head(ctx context.Context) (size int64, root tlog.Hash, err error)

	// Chunks yields in order every chunk that holds an entry of [from, to); the first and the last may reach beyond. It
	// passes over missing chunks in silence, since finding them is the reader's task. Data is not reused after the yield.
	// After an error it stops.
	Chunks(ctx context.Context, from, to int64) iter.Seq2[Chunk, error]

	// Tile gives a complete tile, or false where none is stored.
	Tile(ctx context.Context, level int, index int64) (Tile, bool, error)
}

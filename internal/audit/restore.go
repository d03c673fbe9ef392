package audit

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

// Restore rebuilds the right edge of a stored log and checks it against the stored head. It reads the entries of the
// last, incomplete tile and at most 255 tiles per level, however long the log is. A log that is damaged there is
// [fault.Internal]: a server must not append to it.
func Restore(ctx context.Context, src Source) (*Tree, error) {
	size, root, err := src.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read audit head: %w", err)
	}
	if size < 0 || size > maxLogSize {
		return nil, damaged("the stored size is impossible")
	}
	t := EmptyTree()
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		end := size >> (tileHeight * level)
		begin := end &^ (tileWidth - 1)
		var hashes []byte
		if level == 0 {
			hashes, err = leafHashes(ctx, src, begin, end)
		} else {
			hashes, err = tileRoots(ctx, src, level-1, begin, end)
		}
		if err != nil {
			return nil, err
		}
		t.tiles[level] = hashes
		for bit := tileHeight - 1; bit >= 0; bit-- {
			if (end-begin)>>bit&1 == 1 {
				part := tlog.HashSize << bit
				t.edge[tileHeight*level+bit] = subtree(hashes[:part])
				hashes = hashes[part:]
			}
		}
	}
	t.size = size
	if t.Root() != root {
		return nil, damaged("its end does not give the stored root at %d entries", size)
	}
	return t, nil
}

func damaged(format string, args ...any) *fault.Error {
	return fault.New(fault.Internal, "the audit log is damaged: %s", fmt.Sprintf(format, args...)).
		WithHint("run keyturn audit verify to see what is wrong")
}

// leafHashes computes the leaf hashes of the entries [begin, end), at most one tile of them.
func leafHashes(ctx context.Context, src Source, begin, end int64) ([]byte, error) {
	hashes := make([]byte, 0, tileBytes)
	if begin == end {
		return hashes, nil
	}
	next := begin
	var scratch []byte
	for c, err := range src.Chunks(ctx, begin, end) {
		if err != nil {
			return nil, fmt.Errorf("read audit entries: %w", err)
		}
		if err := c.Check(); err != nil {
			return nil, err
		}
		for i, e := range c.Entries() {
			if i < begin || i >= end {
				continue
			}
			if i != next {
				return nil, damaged("entry %d is missing", next)
			}
			scratch = leafInput(scratch, e)
			h := leafHash(scratch)
			hashes = append(hashes, h[:]...)
			next++
		}
	}
	if next != end {
		return nil, damaged("entry %d is missing", next)
	}
	return hashes, nil
}

// tileRoots computes the roots of the complete tiles [begin, end) of a level, at most one tile of them.
func tileRoots(ctx context.Context, src Source, level int, begin, end int64) ([]byte, error) {
	hashes := make([]byte, 0, tileBytes)
	for i := begin; i < end; i++ {
		tile, err := mustTile(ctx, src, level, i)
		if err != nil {
			return nil, err
		}
		h := subtree(tile)
		hashes = append(hashes, h[:]...)
	}
	return hashes, nil
}

// mustTile reads a complete tile that has to exist.
func mustTile(ctx context.Context, src Source, level int, index int64) ([]byte, error) {
	tile, ok, err := src.Tile(ctx, level, index)
	if err != nil {
		return nil, fmt.Errorf("read audit tile: %w", err)
	}
	if !ok {
		return nil, damaged("tile %d of level %d is missing", index, level)
	}
	if len(tile.Hashes) != tileBytes {
		return nil, damaged("tile %d of level %d has %d bytes, not %d", index, level, len(tile.Hashes), tileBytes)
	}
	return tile.Hashes, nil
}

package audit

import (
	"context"
	"fmt"
)

// RowKey names a deciding row: table and row id.
type RowKey struct{ T, K string }

// LastRows gives the last recorded digest of every deciding row over the whole log; all zero means that the row was
// removed and must not exist. It trusts the log: run [Verify] before. Entries that cannot be read are [fault.Invalid]. Of what
// is archived (see [ArchivedSource]) it takes the carry, and refuses one that the rest of the log does not know of with
// [fault.Internal].
func LastRows(ctx context.Context, src Source) (map[RowKey][32]byte, error) {
	size, _, err := src.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read audit head: %w", err)
	}
	archive, next, err := archivedOf(ctx, src)
	if err != nil {
		return nil, err
	}
	archived := next
	rows := make(map[RowKey][32]byte)
	for c, err := range src.Chunks(ctx, next, size) {
		if err != nil {
			return nil, fmt.Errorf("read audit entries: %w", err)
		}
		if c.First != next {
			return nil, damaged("entry %d is missing", next)
		}
		if err := rowsOf(c, rows); err != nil {
			return nil, err
		}
		next += int64(c.Count)
	}
	if next < size {
		return nil, damaged("entry %d is missing", next)
	}
	if archived > 0 {
		return rows, carried(ctx, archive, archived, rows)
	}
	return rows, nil
}

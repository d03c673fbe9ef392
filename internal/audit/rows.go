package audit

import (
	"bytes"
	"context"
	"fmt"
)

// RowKey names a deciding row: table and row id.
type RowKey struct{ T, K string }

// LastRows gives the last recorded digest of every deciding row over the whole log; all zero means that the row was
// removed and must not exist. It trusts the log: run [Verify] before. Entries that cannot be read are [fault.Invalid].
func LastRows(ctx context.Context, src Source) (map[RowKey][32]byte, error) {
	size, _, err := src.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read audit head: %w", err)
	}
	// Reads, which are most entries, write no rows. A canonical entry with rows always holds these bytes.
	mark := []byte(`"rows":[`)
	rows := make(map[RowKey][32]byte)
	next := int64(0)
	for c, err := range src.Chunks(ctx, 0, size) {
		if err != nil {
			return nil, fmt.Errorf("read audit entries: %w", err)
		}
		if err := c.Check(); err != nil {
			return nil, err
		}
		if c.First != next {
			return nil, damaged("entry %d is missing", next)
		}
		next += int64(c.Count)
		for i, b := range c.Entries() {
			if !bytes.Contains(b, mark) {
				continue
			}
			e, err := ParseEntry(b)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i, err)
			}
			for _, r := range e.Rows {
				rows[RowKey{r.T, r.K}] = r.D
			}
		}
	}
	if next < size {
		return nil, damaged("entry %d is missing", next)
	}
	return rows, nil
}

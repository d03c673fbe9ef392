package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/audit"
)

// indexRow is an [audit.IndexBlock] in the form of a row.
type indexRow struct {
	Block   int64  `db:"block,key"`
	FromMS  int64  `db:"from_ms"`
	ToMS    int64  `db:"to_ms"`
	Filters []byte `db:"filters"`
}

var indexRows = newTable[indexRow]("audit_index", false)

// indexPage bounds the blocks that are held in memory at once: 64 KiB each.
const indexPage = 16

// IndexBlocks visits the blocks of the log's index below a block, newest first, those without an entry in [from, to) left out;
// times are unix milliseconds, 0 for no bound. It ends when visit says false.
func (q Queries) IndexBlocks(ctx context.Context, below, from, to int64, visit func(*audit.IndexBlock) (bool, error)) error {
	for {
		where, args := "WHERE block < ? AND to_ms >= ?", []any{below, from}
		if to != 0 {
			where += " AND from_ms < ?"
			args = append(args, to)
		}
		rows, err := indexRows.list(ctx, q.q, where+" ORDER BY block DESC LIMIT ?", append(args, int64(indexPage))...)
		if err != nil || len(rows) == 0 {
			return err
		}
		for i := range rows {
			b := audit.IndexBlock(rows[i])
			if on, err := visit(&b); err != nil || !on {
				return err
			}
			below = b.Block
		}
	}
}

// IndexedBlocks tells how many blocks the index has from the beginning of the log on, without a gap.
func (q Queries) IndexedBlocks(ctx context.Context) (int64, error) {
	rows, err := q.q.query(ctx, "SELECT count(*), coalesce(max(block), -1) + 1 FROM audit_index")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var count, next int64
	if rows.Next() {
		err = rows.Scan(&count, &next)
	}
	if err == nil {
		err = rows.Err()
	}
	return min(count, next), q.q.classify(err)
}

// PutIndexBlock stores a block in place of the one that is there.
func (tx *Tx) PutIndexBlock(ctx context.Context, b *audit.IndexBlock) error {
	row := indexRow(*b)
	return indexRows.put(ctx, tx, &row)
}

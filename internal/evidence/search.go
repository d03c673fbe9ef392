package evidence

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// indexEvery is how often the end of the log is looked at for a block to index. What is not indexed is read by each search.
const indexEvery = 5 * time.Second

// Run keeps the index of the log up to date until the context ends. Every server of a database runs one: they make the same
// blocks.
func (l *Log) Run(ctx context.Context) {
	ctx = guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "evidence", Name: "index of the log"}, Dialect: "cli"})
	for ctx.Err() == nil {
		more, err := l.indexNext(ctx)
		if err != nil && ctx.Err() == nil {
			slog.Warn("the log cannot be indexed, so that searches read all of it", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(indexEvery):
		}
	}
}

// indexNext indexes the next whole block, and tells whether there was one.
func (l *Log) indexNext(ctx context.Context) (bool, error) {
	block, err := l.db.IndexedBlocks(ctx)
	if err != nil {
		return false, err
	}
	size, _, err := l.db.Log().Head(ctx)
	if err != nil || size < (block+1)*audit.IndexEntries {
		return false, err
	}
	b, err := l.indexBlock(ctx, block)
	if err != nil {
		return false, err
	}
	return true, l.putIndex(ctx, b)
}

func (l *Log) putIndex(ctx context.Context, b *audit.IndexBlock) error {
	return l.door.Do(ctx, guard.Op{Action: policy.AuditIndex}, func(tx *store.Tx, _ guard.Permit) error { return tx.PutIndexBlock(ctx, b) })
}

// indexBlock makes a block from the entries.
func (l *Log) indexBlock(ctx context.Context, block int64) (*audit.IndexBlock, error) {
	b := audit.NewIndexBlock(block)
	begin, end, n := block*audit.IndexEntries, (block+1)*audit.IndexEntries, 0
	for chunk, err := range l.db.Log().Chunks(ctx, begin, end) {
		if err != nil {
			return nil, err
		}
		for i, raw := range chunk.Entries() {
			if i < begin || i >= end {
				continue
			}
			e, err := audit.ParseEntry(raw)
			if err != nil {
				return nil, err
			}
			b.Add(i, &e)
			n++
		}
	}
	if n != audit.IndexEntries {
		return nil, fault.New(fault.Internal, "the log lacks entries between %d and %d", begin, end)
	}
	return b, nil
}

// checkIndex compares every block with the entries, and puts right what differs.
func (l *Log) checkIndex(ctx context.Context, out *api.Verification) error {
	archived, err := l.db.ArchivedEntries(ctx)
	if err != nil {
		return err
	}
	return l.db.IndexBlocks(ctx, 1<<40, 0, 0, func(b *audit.IndexBlock) (bool, error) {
		if b.Block*audit.IndexEntries < archived {
			return true, nil // there is nothing left to compare it with
		}
		if (b.Block+1)*audit.IndexEntries > out.Size {
			return true, nil // made while this runs
		}
		want, err := l.indexBlock(ctx, b.Block)
		if err != nil {
			return false, err
		}
		if err := b.Check(want); err != nil {
			out.Problems = append(out.Problems, api.Finding{Index: b.Block * audit.IndexEntries, Text: fault.As(err).Message + "; it was made anew just now"})
			return true, l.putIndex(ctx, want)
		}
		return true, nil
	})
}

// search collects entries that match, newest first, from before an index down, until there are more than the limit. It gives
// where it stopped.
func (l *Log) search(ctx context.Context, f audit.Filter, org string, before int64, limit int) (found []api.Entry, stopped int64, err error) {
	blocks, err := l.db.IndexedBlocks(ctx)
	if err != nil {
		return nil, 0, err
	}
	indexed := min(before, blocks*audit.IndexEntries)
	look := func(begin, end int64) (full bool, err error) {
		some, err := l.matching(ctx, f, org, begin, end)
		slices.Reverse(some)
		found = append(found, some...)
		stopped = begin
		return len(found) > limit, err
	}
	for end := before; end > indexed; {
		begin := max(indexed, end-window)
		if full, err := look(begin, end); full || err != nil {
			return found, stopped, err
		}
		end = begin
	}
	stopped = 0
	q := f.Query()
	last := (indexed + audit.IndexEntries - 1) / audit.IndexEntries
	err = l.db.IndexBlocks(ctx, last, f.FromMS, f.ToMS, func(b *audit.IndexBlock) (bool, error) {
		for _, s := range b.Stretches(q) {
			if s[0] >= indexed {
				continue
			}
			if full, err := look(s[0], min(s[1], indexed)); full || err != nil {
				return false, err
			}
		}
		stopped = 0
		return true, nil
	})
	return found, stopped, err
}

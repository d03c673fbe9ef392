package follow

import (
	"bytes"
	"context"
	"sync"

	"github.com/keyturn/keyturn/internal/audit"
)

const (
	// batchEntries and batchBytes bound what a handler gets at once, and what is lost when it fails half-way.
	batchEntries = 512
	batchBytes   = 1 << 20
	// tailEntries and tailBytes bound the end of the log that is kept for followers that come a little later.
	tailEntries = 4096
	tailBytes   = 4 << 20
)

// item is one entry as it is read; it is parsed once, when the first follower wants it.
type item struct {
	index int64
	raw   []byte
	once  *sync.Once
	got   *audit.Entry
	err   error
}

func (i *item) entry() (*audit.Entry, error) {
	i.once.Do(func() { i.got, i.err = parse(i.index, i.raw) })
	return i.got, i.err
}

var actionMark = []byte(`{"action":"`)

// action is the first field of a canonical entry.
func (i *item) action() string {
	rest, ok := bytes.CutPrefix(i.raw, actionMark)
	end := bytes.IndexByte(rest, '"')
	if !ok || end < 0 {
		return ""
	}
	return string(rest[:end])
}

// tail keeps the last entries that were read, so that followers that walk side by side read and parse them once.
type tail struct {
	log audit.Source

	mu    sync.Mutex // guards the rest, and is held while the log is read: the next follower wants the same
	first int64      // index of the first that is kept
	next  int64      // after the last that is kept; entries between that are not in items are missing
	items []*item    // by index
	bytes int
}

// read gives the entries of [from, next), at most a batch, where next is at most size. Missing entries are passed over.
func (t *tail) read(ctx context.Context, from, size int64) (page []*item, next int64, err error) {
	t.mu.Lock()
	if from < t.first || from > t.next { // far behind, or the first read of all
		if from < t.next {
			t.mu.Unlock()
			return t.load(ctx, from, min(from+batchEntries, size))
		}
		t.first, t.next, t.items, t.bytes = from, from, nil, 0
	}
	defer t.mu.Unlock()
	if from == t.next {
		more, next, err := t.load(ctx, from, min(from+batchEntries, size))
		if err != nil {
			return nil, 0, err
		}
		t.keep(more, next)
	}
	return cut(t.items, from, min(t.next, size))
}

// cut picks one batch that begins at from.
func cut(items []*item, from, end int64) (page []*item, next int64, err error) {
	size := 0
	for _, i := range items {
		if i.index < from || i.index >= end {
			continue
		}
		if len(page) == batchEntries || len(page) > 0 && size+len(i.raw) > batchBytes {
			return page, i.index, nil
		}
		page, size = append(page, i), size+len(i.raw)
	}
	return page, end, nil
}

func (t *tail) keep(more []*item, next int64) {
	for _, i := range more {
		t.bytes += len(i.raw)
	}
	t.items, t.next = append(t.items, more...), next
	drop := 0
	for drop < len(t.items) && (len(t.items)-drop > tailEntries || t.bytes > tailBytes) {
		t.bytes -= len(t.items[drop].raw)
		drop++
	}
	if drop > 0 {
		t.first = t.items[drop-1].index + 1
		t.items = append([]*item(nil), t.items[drop:]...) // not a slice of the old: that would keep what was dropped
	}
}

// load reads entries, up to a batch.
func (t *tail) load(ctx context.Context, from, to int64) ([]*item, int64, error) {
	var out []*item
	size := 0
	for c, err := range t.log.Chunks(ctx, from, to) {
		if err != nil {
			return nil, 0, err
		}
		for i, raw := range c.Entries() {
			if i < from || i >= to {
				continue
			}
			if len(out) > 0 && size+len(raw) > batchBytes {
				return out, i, nil
			}
			out, size = append(out, &item{index: i, raw: raw, once: &sync.Once{}}), size+len(raw)
		}
	}
	return out, to, nil
}

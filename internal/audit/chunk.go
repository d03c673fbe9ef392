package audit

import (
	"encoding/binary"
	"iter"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	prefixBytes     = 2       // big-endian length before each entry (C2SP tlog-tiles, entry bundles)
	maxChunkEntries = 1 << 16 // entries of one group commit; far above what one synced batch gathers
	maxLogSize      = 1 << 53 // entries of one log; keeps all index arithmetic far from overflow and exact in JSON
)

// Chunk is what one group commit stored: Count consecutive entries from index First on, each with a 16-bit big-endian
// length before it. FromMS and ToMS enclose the times of all its entries (unix milliseconds, both inclusive); they serve
// filters and are checked by [Verify], since no hash covers them.
type Chunk struct {
	First        int64
	Count        int
	FromMS, ToMS int64
	Data         []byte
}

// Check tells whether the chunk is well framed: exactly Count entries, none empty or over [MaxEntryBytes], no byte left
// over, bounds in order. It does not look into the entries. The error is [fault.Invalid].
func (c Chunk) Check() error {
	switch {
	case c.First < 0 || c.First > maxLogSize-maxChunkEntries:
		return fault.New(fault.Invalid, "audit chunk begins at an impossible index")
	case c.Count < 1 || c.Count > maxChunkEntries:
		return fault.New(fault.Invalid, "audit chunk at entry %d claims %d entries, not 1 to %d", c.First, c.Count, maxChunkEntries)
	case c.FromMS > c.ToMS:
		return fault.New(fault.Invalid, "audit chunk at entry %d ends before it begins", c.First)
	}
	rest := c.Data
	for i := range int64(c.Count) {
		entry, after, ok := nextEntry(rest)
		if !ok || len(entry) == 0 || len(entry) > MaxEntryBytes {
			return fault.New(fault.Invalid, "audit chunk at entry %d is damaged at entry %d", c.First, c.First+i)
		}
		rest = after
	}
	if len(rest) > 0 {
		return fault.New(fault.Invalid, "audit chunk at entry %d has %d bytes after its last entry", c.First, len(rest))
	}
	return nil
}

// Entries yields each entry's index and canonical bytes, which belong to the chunk. It stops early when the chunk is ill
// formed; call [Chunk.Check] first where that must not pass unseen.
func (c Chunk) Entries() iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		rest := c.Data
		for i := range int64(max(c.Count, 0)) {
			entry, after, ok := nextEntry(rest)
			if !ok || !yield(c.First+i, entry) {
				return
			}
			rest = after
		}
	}
}

// nextEntry cuts the first entry off data.
func nextEntry(data []byte) (entry, rest []byte, ok bool) {
	if len(data) < prefixBytes {
		return nil, nil, false
	}
	end := prefixBytes + int(binary.BigEndian.Uint16(data))
	if end > len(data) {
		return nil, nil, false
	}
	return data[prefixBytes:end:end], data[end:], true
}

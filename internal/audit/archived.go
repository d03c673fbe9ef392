package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

// ArchivedSource is a log whose first entries were moved elsewhere. Their leaf hashes stay, in complete tiles, so that roots,
// proofs and verification need nothing else. What the deep verification needs of them stays as the carry of each segment.
type ArchivedSource interface {
	Source
	// Archived tells how many entries from the beginning on are not here; their tiles are.
	Archived(ctx context.Context) (int64, error)
	// Segments yields the archived stretches, newest first. After an error it stops.
	Segments(ctx context.Context) iter.Seq2[Segment, error]
}

// Segment is what is kept of an archived stretch.
type Segment struct {
	First, Count int64
	// Row is the digest of the row that tells of the segment, as it stands. The log has it too, or the carry of a later
	// segment: that is what makes the carry worth believing.
	Row Row
	// Carry holds the last digest of every row that the stretch writes: see [CarryOf].
	Carry []byte
}

// maxCarryText bounds table and row id in a carry: the log bounds them the same.
const maxCarryText = maxText

// CarryOf gives what the deep verification needs of chunks that are about to leave: for every deciding row that they write its
// last digest, sorted by table and id. Each has table and id with a 16-bit big-endian length before, then 32 bytes.
func CarryOf(chunks []Chunk) ([]byte, error) {
	rows := map[RowKey][32]byte{}
	for _, c := range chunks {
		if err := rowsOf(c, rows); err != nil {
			return nil, err
		}
	}
	keys := make([]RowKey, 0, len(rows))
	for k := range rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareRowKeys)
	out := []byte{} // not nil: a stretch that writes no deciding row has a carry too
	for _, k := range keys {
		d := rows[k]
		out = binary.BigEndian.AppendUint16(out, uint16(len(k.T)))
		out = append(out, k.T...)
		out = binary.BigEndian.AppendUint16(out, uint16(len(k.K)))
		out = append(out, k.K...)
		out = append(out, d[:]...)
	}
	return out, nil
}

func compareRowKeys(a, b RowKey) int { return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.K, b.K)) }

// ParseCarry visits the rows of a carry in order. What [CarryOf] would not have written is [fault.Invalid].
func ParseCarry(b []byte, visit func(Row) error) error {
	bad := func() error {
		return fault.New(fault.Invalid, "the carry of an archived stretch of the audit log is damaged")
	}
	text := func() (string, bool) {
		if len(b) < 2 {
			return "", false
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > maxCarryText || n > len(b) {
			return "", false
		}
		s := string(b[:n])
		b = b[n:]
		return s, true
	}
	var last RowKey
	for n := 0; len(b) > 0; n++ {
		t, ok := text()
		k, ok2 := text()
		if !ok || !ok2 || len(b) < 32 {
			return bad()
		}
		key := RowKey{t, k}
		if n > 0 && compareRowKeys(last, key) >= 0 {
			return bad()
		}
		last = key
		if err := visit(Row{t, k, [32]byte(b[:32])}); err != nil {
			return err
		}
		b = b[32:]
	}
	return nil
}

// rowMark stands in every canonical entry with rows. Reads, which are most entries, write none.
var rowMark = []byte(`"rows":[`)

// rowsOf takes the rows that a chunk writes over those from before it.
func rowsOf(c Chunk, rows map[RowKey][32]byte) error {
	if err := c.Check(); err != nil {
		return err
	}
	for i, b := range c.Entries() {
		if !bytes.Contains(b, rowMark) {
			continue
		}
		e, err := ParseEntry(b)
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		for _, r := range e.Rows {
			rows[RowKey{r.T, r.K}] = r.D
		}
	}
	return nil
}

// archivedOf tells how many entries of a source are archived.
func archivedOf(ctx context.Context, src Source) (ArchivedSource, int64, error) {
	from, ok := src.(ArchivedSource)
	if !ok {
		return nil, 0, nil
	}
	n, err := from.Archived(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read what is archived: %w", err)
	}
	return from, n, nil
}

// carried adds to the rows that the kept entries write those that only archived entries wrote. Each segment must be known to
// what came after it: the newest to the kept entries, each other one to those or to a later carry. So nobody can take entries
// away by saying that they are archived, or change what is carried.
func carried(ctx context.Context, src ArchivedSource, archived int64, rows map[RowKey][32]byte) error {
	end := archived
	for s, err := range src.Segments(ctx) {
		if err != nil {
			return fmt.Errorf("read what is archived: %w", err)
		}
		if s.Count < 1 || s.First+s.Count != end {
			return damaged("what is archived has a gap before entry %d", end)
		}
		if rows[RowKey{s.Row.T, s.Row.K}] != s.Row.D {
			return damaged("the log does not say that entries %d to %d were archived like this", s.First, end-1)
		}
		err := ParseCarry(s.Carry, func(r Row) error {
			if _, later := rows[RowKey{r.T, r.K}]; !later {
				rows[RowKey{r.T, r.K}] = r.D
			}
			return nil
		})
		if err != nil {
			return err
		}
		end = s.First
	}
	if end != 0 {
		return damaged("what is archived has a gap before entry %d", end)
	}
	return nil
}

// leaves gives the leaf hashes of a chunk.
func leaves(c Chunk) []tlog.Hash {
	out := make([]tlog.Hash, 0, c.Count)
	var scratch []byte
	for _, b := range c.Entries() {
		scratch = leafInput(scratch, b)
		out = append(out, leafHash(scratch))
	}
	return out
}

// CheckLeaves tells whether a chunk gives the leaf hashes that the stored tiles have, which must be complete. Otherwise it is
// [fault.Internal]: what is archived must be what was signed.
func CheckLeaves(ctx context.Context, src Source, c Chunk) error {
	if err := c.Check(); err != nil {
		return err
	}
	var tile []byte
	at := int64(-1)
	for i, h := range leaves(c) {
		index := c.First + int64(i)
		if index/tileWidth != at {
			at = index / tileWidth
			var err error
			if tile, err = mustTile(ctx, src, 0, at); err != nil {
				return err
			}
		}
		if hashAt(tile, int(index%tileWidth)) != h {
			return damaged("entry %d does not give the hash that its tile holds", index)
		}
	}
	return nil
}

// AddLeaves appends entries of which only the leaf hashes are left, and gives the tiles that they complete.
func (t *Tree) AddLeaves(hashes []byte) ([]Tile, error) {
	if len(hashes)%tlog.HashSize != 0 || len(hashes) > tileBytes {
		return nil, fault.New(fault.Invalid, "a tile of the audit log has %d bytes", len(hashes))
	}
	var done []Tile
	for i := range len(hashes) / tlog.HashSize {
		t.add(hashAt(hashes, i), &done)
	}
	return done, nil
}

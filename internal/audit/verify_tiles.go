package audit

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// difference is a hash in a stored tile that the entries do not give. Whether entry or tile is to blame shows at the end,
// when it is known which of them agrees with the signed root.
type difference struct {
	level    int
	n        int64 // number of the hash within the tile level
	computed tlog.Hash
	stored   tlog.Hash
}

// first is the first entry under the hash.
func (d difference) first() int64 { return d.n << (tileHeight * d.level) }

// end is the entry after the last under the hash.
func (d difference) end() int64 { return (d.n + 1) << (tileHeight * d.level) }

// compareTile compares a complete tile, as recomputed, with the stored one.
func (v *verifier) compareTile(ctx context.Context, t Tile) error {
	stored, ok, err := v.src.Tile(ctx, t.Level, t.Index)
	if err != nil {
		return fmt.Errorf("read audit tile: %w", err)
	}
	v.compare(t, stored.Hashes, ok)
	return nil
}

// partialSource is a source that stores incomplete tiles too, as the offline form does.
type partialSource interface {
	partialTile(level int, index int64, width int) ([]byte, bool, error)
}

// comparePartials compares the right edge with the stored one where the source has such and the tree reaches so far.
func (v *verifier) comparePartials() error {
	src, ok := v.src.(partialSource)
	if !ok || v.tree.Size() != v.size {
		return nil
	}
	for _, t := range v.tree.partials() {
		stored, ok, err := src.partialTile(t.Level, t.Index, len(t.Hashes)/tlog.HashSize)
		if err != nil {
			return fmt.Errorf("read audit tile: %w", err)
		}
		v.compare(t, stored, ok)
	}
	return nil
}

func (v *verifier) compare(t Tile, stored []byte, ok bool) {
	index := t.Index << (tileHeight * (t.Level + 1))
	if !ok {
		v.problem(index, "tile %d of level %d is missing", t.Index, t.Level)
		return
	}
	if len(stored) != len(t.Hashes) {
		v.problem(index, "tile %d of level %d has %d bytes, not %d", t.Index, t.Level, len(stored), len(t.Hashes))
		return
	}
	for i := range len(stored) / tlog.HashSize {
		if computed, other := hashAt(t.Hashes, i), hashAt(stored, i); computed != other {
			// A log that is wrong everywhere must not fill the memory.
			if len(v.differences) > maxProblems*tileLevels {
				return
			}
			v.differences = append(v.differences, difference{t.Level, t.Index*tileWidth + int64(i), computed, other})
		}
	}
}

// judge turns roots and differences into problems.
func (v *verifier) judge() {
	complete := v.tree.Size() == v.size
	signedRight := v.size >= v.signed.Size && v.tree.Size() >= v.signed.Size && v.rootAtSigned == v.signed.Root
	headRight := complete && v.tree.Root() == v.root

	v.blame(signedRight, headRight)
	explained := v.missing || len(v.differences) > 0
	switch {
	case v.size < v.signed.Size || signedRight: // the one is said already, the other is well
	case explained:
		v.problem(-1, "the entries do not give the root that the checkpoint signs at %d entries", v.signed.Size)
	case headRight && v.signed.Size > 0:
		v.problem(-1, "the log was rewritten: it agrees with itself, but does not continue the %d entries that the checkpoint signs", v.signed.Size)
	default:
		v.problem(v.signed.Size&^(tileWidth-1), "the entries do not give the root that the checkpoint signs at %d entries; those in complete tiles are as stored, so one after them was edited, added or taken away", v.signed.Size)
	}
	switch {
	case headRight || !complete:
	case signedRight && v.signed.Size == v.size:
		v.problem(-1, "the stored head has another root than the checkpoint and the entries")
	case signedRight:
		v.problem(v.signed.Size, "the entries from %d on, which no checkpoint signs yet, do not give the root of the stored head", v.signed.Size)
	default:
		v.problem(-1, "the entries do not give the root of the stored head")
	}
}

// blame names what each difference means. A difference high in the tree that one below it brings about is not repeated.
func (v *verifier) blame(signedRight, headRight bool) {
	trusted := signedRight
	if v.size < v.signed.Size {
		trusted = headRight // of a log with its tail cut off, no more can be known
	}
	recorded := make(map[tlog.Hash]int64) // where a leaf stands in the stored tiles
	for _, d := range v.differences {
		if d.level == 0 {
			recorded[d.stored] = d.n
		}
	}
	for i, d := range v.differences {
		sound := trusted && (headRight || d.end() <= v.signed.Size)
		switch elsewhere, moved := recorded[d.computed]; {
		case sound:
			v.problem(d.first(), "tile %d of level %d was edited at hash %d: the entries give another one, and the right root",
				d.n/tileWidth, d.level, d.n%tileWidth)
		case d.level == 0 && moved:
			v.problem(d.n, "entries were reordered: entry %d is what was recorded as entry %d", d.n, elsewhere)
		case d.level == 0:
			v.problem(d.n, "entry %d was edited: it does not give the hash that its tile holds", d.n)
		case !v.causedBelow(i):
			v.problem(d.first(), "entries %d to %d and their tiles were edited: tile %d of level %d holds another hash for them",
				d.first(), d.end()-1, d.n/tileWidth, d.level)
		}
	}
}

// causedBelow tells whether a difference of a lower level lies under the i-th.
func (v *verifier) causedBelow(i int) bool {
	d := v.differences[i]
	for _, other := range v.differences {
		if other.level < d.level && d.first() <= other.first() && other.first() < d.end() {
			return true
		}
	}
	return false
}

package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// verifyEntries and verifyBytes bound what is in memory at once while a log is verified.
	verifyEntries = 1 << 16
	verifyBytes   = 32 << 20
	// maxGap is how many missing entries are stepped over. Beyond it the rest is not worth reading: whoever deleted a
	// million entries is not to be convicted by the next one.
	maxGap = 1 << 20
	// maxProblems keeps the report of a log that is wrong everywhere readable.
	maxProblems = 100
)

// Problem is one thing that is wrong with a log.
type Problem struct {
	Index int64  // the first entry that it concerns, or -1 for the log as a whole
	Text  string // what is wrong; holds no content of an entry
}

// Report is what a verification found. Size and Root belong to the tree as recomputed from the entries.
type Report struct {
	Size     int64
	Root     tlog.Hash
	Archived int64     // entries from the beginning on that are not here; their hashes were taken from the tiles
	Problems []Problem // by index; at most about a hundred
}

// Sound tells whether nothing is wrong.
func (r Report) Sound() bool { return len(r.Problems) == 0 }

// Verify reads the whole log and checks it against a signed checkpoint: that chunks follow each other without gap, every
// entry is canonical and lies within the times of its chunk, every stored tile is what the entries give, and the
// recomputed roots are those of the checkpoint and of the stored head. The log may have grown since the checkpoint.
//
// Of entries that are archived (see [ArchivedSource]) the stored leaf hashes count, which must give the same roots. Whether the
// log says that they were archived is for [LastRows] to tell.
//
// What is wrong with the log is in the report. The error is for what kept the verification from happening: a checkpoint
// that is not signed by a key of vkey (one or more, one to a line) is [fault.Invalid], and failures of the source.
//
// progress, which may be nil, is called on the caller's goroutine. The checking itself uses all processors.
func Verify(ctx context.Context, src Source, checkpoint []byte, vkey string, progress func(done, total int64)) (Report, error) {
	signed, err := OpenCheckpoint(checkpoint, splitKeys(vkey)...)
	if err != nil {
		return Report{}, err
	}
	v := verifier{src: src, signed: signed, progress: progress, tree: EmptyTree()}
	if v.size, v.root, err = src.Head(ctx); err != nil {
		return Report{}, fmt.Errorf("read audit head: %w", err)
	}
	return v.run(ctx)
}

// verifier is one verification.
type verifier struct {
	src      Source
	signed   Head      // what the checkpoint says
	size     int64     // what the stored head says
	root     tlog.Hash // likewise
	progress func(done, total int64)

	tree         *Tree // from the entries; a missing entry's leaf comes from the stored tile
	rootAtSigned tlog.Hash
	archived     int64
	missing      bool // some entries are not there
	stopped      bool // the gap was too large to go on
	problems     []Problem
	differences  []difference
}

func (v *verifier) run(ctx context.Context) (Report, error) {
	if v.size < 0 || v.size > maxLogSize {
		return Report{}, fault.New(fault.Internal, "the audit log is damaged: the stored size is impossible")
	}
	if v.size < v.signed.Size {
		v.problem(v.size, "the tail was cut: the checkpoint signs %d entries, the log has %d", v.signed.Size, v.size)
	}
	if v.signed.Size == 0 {
		v.rootAtSigned = v.tree.Root()
	}
	if err := v.overArchive(ctx); err != nil {
		return Report{}, err
	}
	for v.tree.Size() < v.size && !v.stopped {
		if err := v.window(ctx); err != nil {
			return Report{}, err
		}
		if v.progress != nil {
			v.progress(v.tree.Size(), v.size)
		}
	}
	if err := v.comparePartials(); err != nil {
		return Report{}, err
	}
	v.judge()
	slices.SortStableFunc(v.problems, func(a, b Problem) int { return cmp.Compare(a.Index, b.Index) })
	return Report{Size: v.tree.Size(), Root: v.tree.Root(), Archived: v.archived, Problems: v.problems}, nil
}

// overArchive takes the hashes of archived entries.
func (v *verifier) overArchive(ctx context.Context) error {
	_, n, err := archivedOf(ctx, v.src)
	if err != nil {
		return err
	}
	if n < 0 || n > v.size&^(tileWidth-1) {
		v.problem(-1, "%d entries are said to be archived, of which not all have complete tiles", n)
		return nil // they count as missing
	}
	var done []Tile
	for v.archived = n; v.tree.Size() < n; {
		begin := v.tree.Size()
		tile, ok, err := v.src.Tile(ctx, 0, begin/tileWidth)
		if err != nil {
			return fmt.Errorf("read audit tile: %w", err)
		}
		if !ok || len(tile.Hashes) != tileBytes {
			v.archived = begin
			v.problem(begin, "entry %d is archived, and the tile with its hash is missing", begin)
			break
		}
		for i := begin; i < min(n, begin+tileWidth); i++ {
			v.add(hashAt(tile.Hashes, int(i%tileWidth)), &done)
		}
		for _, t := range done {
			if t.Level > 0 { // those of level 0 are what was just read
				if err := v.compareTile(ctx, t); err != nil {
					return err
				}
			}
		}
		done = done[:0]
	}
	return nil
}

// window checks the next bounded stretch of the log. Tiles are read after the chunks, so that a source never has to
// answer two queries at once.
func (v *verifier) window(ctx context.Context) error {
	from := v.tree.Size()
	to := min(from+verifyEntries, v.size)
	checks, err := v.readChunks(ctx, from, to)
	if err == nil && len(checks) == 0 && to < v.size {
		// All of the window is missing. See whether the log goes on behind it.
		checks, err = v.readChunks(ctx, to, min(from+maxGap, v.size))
	}
	if err != nil {
		return err
	}
	var done []Tile
	for _, c := range checks {
		v.problems = appendProblems(v.problems, c.problems)
		if err := v.fill(ctx, c.first, &done); err != nil {
			return err
		}
		for _, h := range c.leaves {
			v.add(h, &done)
		}
	}
	if len(checks) == 0 {
		gap := v.size - from
		if v.stopped = gap > maxGap; v.stopped {
			v.missing = true
			v.problem(from, "entry %d and all after it, to %d, are missing; the rest was not read", from, v.size-1)
		} else if err := v.fill(ctx, v.size, &done); err != nil {
			return err
		}
	}
	for _, t := range done {
		if err := v.compareTile(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// add appends a leaf and keeps the root at the signed size.
func (v *verifier) add(h tlog.Hash, done *[]Tile) {
	v.tree.add(h, done)
	if v.tree.Size() == v.signed.Size {
		v.rootAtSigned = v.tree.Root()
	}
}

// fill steps over missing entries up to end. Their leaf hashes come from the stored tiles where there are such, so that
// the rest can still be judged by its root.
func (v *verifier) fill(ctx context.Context, end int64, done *[]Tile) error {
	begin := v.tree.Size()
	if begin >= end {
		return nil
	}
	v.missing = true
	if begin+1 == end {
		v.problem(begin, "entry %d is missing", begin)
	} else {
		v.problem(begin, "entries %d to %d are missing", begin, end-1)
	}
	var tile []byte
	for i := begin; i < end; i++ {
		if i == begin || i%tileWidth == 0 {
			var err error
			if tile, err = v.leafTile(ctx, i/tileWidth); err != nil {
				return err
			}
		}
		var h tlog.Hash
		if tile != nil {
			h = hashAt(tile, int(i%tileWidth))
		}
		v.add(h, done)
	}
	return nil
}

// leafTile reads a stored tile of leaf hashes, incomplete at the end of the log where the source has such; nil when there
// is none of the right length.
func (v *verifier) leafTile(ctx context.Context, index int64) ([]byte, error) {
	width := int(min(v.size-index*tileWidth, tileWidth))
	var hashes []byte
	var err error
	if src, ok := v.src.(partialSource); ok {
		hashes, _, err = src.partialTile(0, index, width)
	} else {
		var stored Tile
		stored, _, err = v.src.Tile(ctx, 0, index)
		hashes = stored.Hashes
	}
	if err != nil {
		return nil, fmt.Errorf("read audit tile: %w", err)
	}
	if len(hashes) != width*tlog.HashSize {
		return nil, nil
	}
	return hashes, nil
}

func (v *verifier) problem(index int64, format string, args ...any) {
	v.problems = appendProblems(v.problems, []Problem{{index, fmt.Sprintf(format, args...)}})
}

// appendProblems adds problems up to the bound, and says so when it is reached. What is known already, because a stretch
// was read twice, is not repeated.
func appendProblems(to, more []Problem) []Problem {
	for _, p := range more {
		if slices.Contains(to, p) {
			continue
		}
		if len(to) < maxProblems {
			to = append(to, p)
		} else if len(to) == maxProblems {
			return append(to, Problem{-1, fmt.Sprintf("more than %d things are wrong; the others are not listed", maxProblems)})
		}
	}
	return to
}

func hashAt(hashes []byte, i int) tlog.Hash {
	return tlog.Hash(hashes[i*tlog.HashSize : (i+1)*tlog.HashSize])
}

package audit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/audit/audittest"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestASoundLogVerifies(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 1000, 70_000} {
		l := makeLog(t, n, 1, 300, 17)
		var last, total int64
		r, err := audit.Verify(context.Background(), l, l.checkpoint, l.vkey, func(done, all int64) {
			if done <= last {
				t.Fatalf("progress stood still at %d", done)
			}
			last, total = done, all
		})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Sound() || r.Size != int64(n) || r.Root != l.Root || last != int64(n) || total != int64(n) {
			t.Fatalf("%d entries: %v %d of %d", n, r, last, total)
		}
	}
}

func TestALogMayGrowAfterItsCheckpoint(t *testing.T) {
	l := makeLog(t, 700, 33)
	young := makeLog(t, 1400, 33)
	young.checkpoint = l.checkpoint // 700 lies within a chunk of the longer log
	if r := young.verify(t); !r.Sound() || r.Size != 1400 {
		t.Fatal(r)
	}
}

// rebuild stores the log anew from its leaves, as someone would who owns the database but not the signing key.
func rebuild(l *stored, leaves [][]byte) {
	fresh, tree := audittest.NewMemorySource(), audit.EmptyTree()
	for i := 0; i < len(leaves); i += 50 {
		to := min(i+50, len(leaves))
		fresh.Append(tree.AddAt(leaves[i:to], startMS, startMS+int64(len(leaves))+10))
	}
	l.MemorySource = fresh
}

// locate finds the chunk that holds the entry and the offset of its first byte.
func locate(l *stored, index int64) (*audit.Chunk, int) {
	for i := range l.Stored {
		c := &l.Stored[i]
		if index >= c.First+int64(c.Count) {
			continue
		}
		at := 0
		for j := c.First; j < index; j++ {
			at += 2 + int(binary.BigEndian.Uint16(c.Data[at:]))
		}
		return c, at + 2
	}
	return nil, 0
}

// rename replaces the actor's name in one entry by another of the same length.
func rename(l *stored, index int64) {
	c, at := locate(l, index)
	copy(c.Data[at+bytes.Index(c.Data[at:], []byte("billing-worker")):], "innocent-party")
}

func swap(l *stored, i, j int64) {
	c, a := locate(l, i)
	d, b := locate(l, j)
	x, y := c.Data[a-2:a+int(binary.BigEndian.Uint16(c.Data[a-2:]))], d.Data[b-2:b+int(binary.BigEndian.Uint16(d.Data[b-2:]))]
	tmp := bytes.Clone(x)
	copy(x, y)
	copy(y, tmp)
}

// widen makes all chunks claim all times, so that an attack on the entries is not found by its times.
func widen(l *stored) {
	for i := range l.Stored {
		l.Stored[i].FromMS, l.Stored[i].ToMS = 0, startMS*2
	}
}

type attack struct {
	do    func(*stored)
	index int64
	text  string
	only  bool // nothing else may be reported
}

// run attacks a copy of the log and wants the attack to be named.
func (c attack) run(t *testing.T, l *stored) {
	t.Helper()
	a := l.copy()
	c.do(a)
	r := a.verify(t)
	found := false
	for _, p := range r.Problems {
		found = found || p.Index == c.index && strings.Contains(p.Text, c.text)
	}
	if !found || c.only && len(r.Problems) > 1 {
		t.Fatalf("got %d problems: %.1500v", len(r.Problems), r.Problems)
	}
}

func TestEveryAttackIsNamed(t *testing.T) {
	l := makeLog(t, 3000, 97) // 11 complete tiles of level 0 and 184 entries behind them
	tile := audittest.TileKey{Level: 0, Index: 3}
	cut := func(n int64) func(*stored) {
		return func(l *stored) { l.Size -= n }
	}
	for name, c := range map[string]attack{
		"entry edited":                  {func(l *stored) { rename(l, 1001) }, 1001, "entry 1001 was edited", false},
		"entry edited behind the tiles": {func(l *stored) { rename(l, 2990) }, 2816, "one after them was edited", false},
		"entry edited with its head":    {func(l *stored) { rename(l, 1001); l.Root = rebuilt(l).Root }, 1001, "entry 1001 was edited", false},
		"entries swapped":               {func(l *stored) { widen(l); swap(l, 1001, 2002) }, 1001, "entry 1001 is what was recorded as entry 2002", false},
		"entries swapped at the end":    {func(l *stored) { widen(l); swap(l, 2901, 2902) }, 2816, "one after them was edited", false},
		"chunk dropped":                 {func(l *stored) { l.Stored = append(l.Stored[:10], l.Stored[11:]...) }, 970, "entries 970 to 1066 are missing", true},
		"first chunk dropped":           {func(l *stored) { l.Stored = l.Stored[1:] }, 0, "entries 0 to 96 are missing", true},
		"last chunk dropped":            {func(l *stored) { l.Stored = l.Stored[:len(l.Stored)-1] }, 2910, "entries 2910 to 2999 are missing", false},
		"all chunks dropped":            {func(l *stored) { l.Stored = nil }, 0, "entries 0 to 2999 are missing", false},
		"chunk doubled":                 {func(l *stored) { l.Stored = append(l.Stored[:11:11], l.Stored[10:]...) }, 970, "which another one holds already", true},
		"chunks exchanged":              {func(l *stored) { l.Stored[10], l.Stored[11] = l.Stored[11], l.Stored[10] }, 970, "are missing", false},
		"chunk renumbered":              {func(l *stored) { l.Stored[10].First++ }, 970, "entry 970 is missing", false},
		"chunk badly framed":            {func(l *stored) { l.Stored[10].Data = l.Stored[10].Data[1:] }, 970, "damaged", false},
		"chunk with another count":      {func(l *stored) { l.Stored[10].Count-- }, 970, "bytes after its last entry", false},
		"times narrowed":                {func(l *stored) { l.Stored[10].FromMS++ }, 970, "outside the times of its chunk", true},
		"times moved":                   {func(l *stored) { l.Stored[10].ToMS-- }, 1066, "outside the times of its chunk", true},
		"tile edited":                   {func(l *stored) { l.Tiles[tile][40] ^= 1 }, 769, "tile 3 of level 0 was edited at hash 1", true},
		"tile dropped":                  {func(l *stored) { delete(l.Tiles, tile) }, 768, "tile 3 of level 0 is missing", true},
		"tile cut":                      {func(l *stored) { l.Tiles[tile] = l.Tiles[tile][:32] }, 768, "has 32 bytes", true},
		"tail cut with its head":        {func(l *stored) { rebuild(l, l.leaves[:2000]) }, 2000, "the tail was cut: the checkpoint signs 3000 entries, the log has 2000", true},
		"head cut":                      {cut(90), 2910, "the tail was cut", false},
		"head cut within a chunk":       {cut(100), 2900, "the stored head counts 2900 entries", false},
		"enormous head":                 {cut(-1 << 50), 3000, "the rest was not read", false},
		"stored root edited":            {func(l *stored) { l.Root[0] ^= 1 }, -1, "the stored head has another root", true},
		"rewritten and rehashed":        {func(l *stored) { forge(l, 1001) }, -1, "the log was rewritten", true},
		"rewritten at the end":          {func(l *stored) { forge(l, 2999) }, -1, "the log was rewritten", true},
		"entry not canonical":           {func(l *stored) { spaced(l, 1001) }, 1001, "not in canonical form", false},
	} {
		t.Run(name, func(t *testing.T) { c.run(t, l) })
	}
}

func TestAttacksHigherInTheTreeAreNamed(t *testing.T) {
	l := makeLog(t, 66_300, 970) // one complete tile of level 1
	higher := audittest.TileKey{Level: 1, Index: 0}
	for name, c := range map[string]attack{
		"higher tile edited":        {func(l *stored) { l.Tiles[higher][40] ^= 1 }, 256, "tile 0 of level 1 was edited at hash 1", true},
		"higher tile dropped":       {func(l *stored) { delete(l.Tiles, higher) }, 0, "tile 0 of level 1 is missing", true},
		"entry and its tile edited": {func(l *stored) { rename(l, 1001); retile(l, 3) }, 768, "entries 768 to 1023 and their tiles were edited", false},
		"entry edited":              {func(l *stored) { rename(l, 1001) }, 1001, "entry 1001 was edited", false},
	} {
		t.Run(name, func(t *testing.T) { c.run(t, l) })
	}
}

// rebuilt is the log as its entries would give it now.
func rebuilt(l *stored) *audittest.MemorySource {
	other, tree := audittest.NewMemorySource(), audit.EmptyTree()
	for _, c := range l.Stored {
		var entries [][]byte
		for _, e := range c.Entries() {
			entries = append(entries, e)
		}
		other.Append(tree.AddAt(entries, 0, 1))
	}
	return other
}

// retile makes a tile of level 0 agree with its entries.
func retile(l *stored, index int64) {
	k := audittest.TileKey{Level: 0, Index: index}
	l.Tiles[k] = rebuilt(l).Tiles[k]
}

func forge(l *stored, index int) {
	leaves := append([][]byte(nil), l.leaves...)
	leaves[index] = bytes.Replace(leaves[index], []byte("billing-worker"), []byte("innocent-party"), 1)
	rebuild(l, leaves)
}

func spaced(l *stored, index int) {
	leaves := append([][]byte(nil), l.leaves...)
	leaves[index] = append(bytes.Clone(leaves[index]), ' ')
	rebuild(l, leaves)
}

func TestNoSingleChangePassesUnseen(t *testing.T) {
	l := makeLog(t, 1200, 1, 90, 300)
	rapid.Check(t, func(rt *rapid.T) {
		a := l.copy()
		pick := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(rt, name) }
		switch rapid.SampledFrom([]string{"byte", "cut", "drop", "swap", "tile", "tile gone", "number", "root", "fork"}).Draw(rt, "attack") {
		case "byte":
			c := &a.Stored[pick("chunk", len(a.Stored))]
			c.Data[pick("offset", len(c.Data))] ^= byte(1 + pick("mask", 255))
		case "cut":
			rebuild(a, a.leaves[:pick("size", len(a.leaves))])
		case "drop":
			i := pick("chunk", len(a.Stored))
			a.Stored = append(a.Stored[:i], a.Stored[i+1:]...)
		case "swap":
			leaves := append([][]byte(nil), a.leaves...)
			i := pick("one", len(leaves)-1)
			j := i + 1 + pick("distance", len(leaves)-1-i)
			leaves[i], leaves[j] = leaves[j], leaves[i]
			rebuild(a, leaves)
		case "tile":
			k := audittest.TileKey{Level: 0, Index: int64(pick("tile", len(a.Tiles)))}
			a.Tiles[k][pick("offset", 8192)] ^= byte(1 + pick("mask", 255))
		case "tile gone":
			delete(a.Tiles, audittest.TileKey{Level: 0, Index: int64(pick("tile", len(a.Tiles)))})
		case "number":
			c := &a.Stored[pick("chunk", len(a.Stored))]
			c.First += int64(1 + pick("distance", 5))
		case "root":
			a.Root[pick("byte", 32)] ^= 1
		case "fork":
			forge(a, pick("entry", len(a.leaves)))
		}
		r, err := audit.Verify(context.Background(), a, a.checkpoint, a.vkey, nil)
		if err == nil && r.Sound() {
			rt.Fatal("passed")
		}
	})
}

func TestALogThatIsWrongEverywhereGivesAShortReport(t *testing.T) {
	l := makeLog(t, 5000, 100)
	for i := range l.Stored {
		for j := range l.Stored[i].Count {
			rename(l, l.Stored[i].First+int64(j))
		}
		l.Stored[i].FromMS = l.Stored[i].ToMS
	}
	if r := l.verify(t); len(r.Problems) < 100 || len(r.Problems) > 110 {
		t.Fatalf("%d problems", len(r.Problems))
	}
}

func TestVerifyNeedsACheckpointOfThisLog(t *testing.T) {
	l := makeLog(t, 10, 3)
	_, strange := signerFor(t, origin, 9)
	for name, c := range map[string]struct {
		checkpoint []byte
		vkey       string
	}{"none": {nil, l.vkey}, "a stranger's key": {l.checkpoint, strange}, "no key": {l.checkpoint, ""}} {
		t.Run(name, func(t *testing.T) {
			if _, err := audit.Verify(context.Background(), l, c.checkpoint, c.vkey, nil); !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
		})
	}
	if r, err := audit.Verify(context.Background(), l, l.checkpoint, strange+"\n"+l.vkey+"\n", nil); err != nil || !r.Sound() {
		t.Fatalf("several keys: %v %v", r, err)
	}
}

// failing is a source that cannot read.
type failing struct {
	*stored
	chunks, tiles error
}

func (f failing) Chunks(ctx context.Context, from, to int64) iter.Seq2[audit.Chunk, error] {
	if f.chunks == nil {
		return f.stored.Chunks(ctx, from, to)
	}
	return func(yield func(audit.Chunk, error) bool) { yield(audit.Chunk{}, f.chunks) }
}

func (f failing) Tile(ctx context.Context, level int, index int64) (audit.Tile, bool, error) {
	if f.tiles == nil {
		return f.stored.Tile(ctx, level, index)
	}
	return audit.Tile{}, false, f.tiles
}

func TestWhatCannotBeReadIsNotCalledMissing(t *testing.T) {
	l := makeLog(t, 1000, 100)
	broken := errors.New("the disk is broken")
	for name, src := range map[string]audit.Source{"chunks": failing{l, broken, nil}, "tiles": failing{l, nil, broken}} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			_, verify := audit.Verify(ctx, src, l.checkpoint, l.vkey, nil)
			_, restore := audit.Restore(ctx, src)
			_, inclusion := audit.InclusionProof(ctx, src, 1000, 999)
			for i, err := range []error{verify, restore, inclusion} {
				if !errors.Is(err, broken) {
					t.Fatalf("%d: %v", i, err)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := audit.Verify(ctx, l, l.checkpoint, l.vkey, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestLastRowsAreTheLastOnes(t *testing.T) {
	ctx := context.Background()
	src, tree := audittest.NewMemorySource(), audit.EmptyTree()
	add := func(rows ...audit.Row) {
		e := sample(0)
		e.Rows = rows
		src.Append(tree.AddAt([][]byte{e.AppendCanonical(nil)}, e.At, e.At))
	}
	add(audit.Row{T: "secret", K: "1", D: [32]byte{1}}, audit.Row{T: "secret", K: "2", D: [32]byte{2}})
	add()
	add(audit.Row{T: "grant", K: "1", D: [32]byte{3}})
	add(audit.Row{T: "secret", K: "1", D: [32]byte{4}}, audit.Row{T: "secret", K: "2"})
	got, err := audit.LastRows(ctx, src)
	if err != nil {
		t.Fatal(err)
	}
	want := map[audit.RowKey][32]byte{{T: "secret", K: "1"}: {4}, {T: "secret", K: "2"}: {}, {T: "grant", K: "1"}: {3}}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for k, d := range want {
		if g, ok := got[k]; !ok || g != d {
			t.Fatalf("%v: got %v", k, g)
		}
	}
	src.Stored = src.Stored[:3]
	if _, err := audit.LastRows(ctx, src); err == nil {
		t.Fatal("a cut log gave rows")
	}
}

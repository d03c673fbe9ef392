package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/audit/audittest"
	"github.com/keyturn/keyturn/internal/fault"
)

func leaves(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "leaf %d", i)
	}
	return out
}

func TestTreeIsTheOneOfTlogHoweverItIsBatched(t *testing.T) {
	const most = 66_000 // completes a tile of level 1
	all := leaves(most)
	ref := newReference(t, all)
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.SampledFrom([]int{1, 3, 255, 256, 257, 700, 1500, 65_536, most}).Draw(t, "total")
		widest := rapid.SampledFrom([]int{1, 7, 256, 300, 5000}).Draw(t, "widest")
		if total > 2000 {
			widest = 5000
		}
		src, tree := audittest.NewMemorySource(), audit.EmptyTree()
		for tree.Size() < int64(total) {
			n := min(rapid.IntRange(1, widest).Draw(t, "count"), total-int(tree.Size()))
			next := tree.Clone()
			first := tree.Size()
			b := next.AddAt(all[first:first+int64(n)], 1, 2)
			if tree.Size() != first {
				t.Fatal("the original moved with its clone")
			}
			if err := b.Chunk.Check(); err != nil {
				t.Fatal(err)
			}
			// A failed transaction: the clone is dropped and another batch takes its place.
			if rapid.Bool().Draw(t, "failed") {
				other := tree.Clone()
				other.AddAt(leaves(3), 1, 2)
				if again := tree.Clone().AddAt(all[first:first+int64(n)], 1, 2); again.Root != b.Root {
					t.Fatal("a dropped clone left a trace")
				}
			}
			src.Append(b)
			tree = next
			if b.Size != tree.Size() || b.Root != tree.Root() || b.Root != ref.root(t, b.Size) {
				t.Fatalf("wrong root at %d entries", b.Size)
			}
		}
		checkTiles(t, src, ref)
		restored, err := audit.Restore(context.Background(), src)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := restored.AddAt(leaves(600), 1, 2), tree.AddAt(leaves(600), 1, 2); a.Root != b.Root || !slices.EqualFunc(a.Tiles, b.Tiles, sameTile) {
			t.Fatal("the restored tree goes on differently")
		}
	})
}

func sameTile(a, b audit.Tile) bool {
	return a.Level == b.Level && a.Index == b.Index && bytes.Equal(a.Hashes, b.Hashes)
}

// checkTiles compares all tiles with those that tlog makes for the same size.
func checkTiles(t *rapid.T, src *audittest.MemorySource, ref *reference) {
	complete := 0
	for _, tile := range tlog.NewTiles(8, 0, src.Size) {
		if tile.W != 256 {
			continue
		}
		complete++
		want, err := tlog.ReadTileData(tile, ref)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, src.Tiles[audittest.TileKey{Level: tile.L, Index: tile.N}]) {
			t.Fatalf("wrong tile %s", tile.Path())
		}
	}
	if complete != len(src.Tiles) {
		t.Fatalf("%d tiles, want %d", len(src.Tiles), complete)
	}
}

func TestRestoreGivesTheTreeAtEverySize(t *testing.T) {
	src, tree := audittest.NewMemorySource(), audit.EmptyTree()
	all := leaves(1100)
	for i := range all {
		restored, err := audit.Restore(context.Background(), src)
		if err != nil {
			t.Fatalf("at %d: %v", i, err)
		}
		if restored.Size() != tree.Size() || restored.Root() != tree.Root() {
			t.Fatalf("differs at %d", i)
		}
		src.Append(tree.AddAt(all[i:i+1], 1, 1))
	}
}

func TestRestoreRefusesADamagedEdge(t *testing.T) {
	l := makeLog(t, 800, 100)
	for name, attack := range map[string]func(*stored){
		"last chunk gone":    func(l *stored) { l.Stored = l.Stored[:7] },
		"entry edited":       func(l *stored) { l.Stored[7].Data[len(l.Stored[7].Data)-50] ^= 1 },
		"tile gone":          func(l *stored) { delete(l.Tiles, audittest.TileKey{Level: 0, Index: 1}) },
		"tile short":         func(l *stored) { l.Tiles[audittest.TileKey{Level: 0, Index: 1}] = make([]byte, 32) },
		"tile edited":        func(l *stored) { l.Tiles[audittest.TileKey{Level: 0, Index: 1}][9] ^= 1 },
		"root edited":        func(l *stored) { l.Root[0] ^= 1 },
		"size edited":        func(l *stored) { l.Size-- },
		"impossible size":    func(l *stored) { l.Size = -1 },
		"enormous size":      func(l *stored) { l.Size = 1 << 60 },
		"enormous real size": func(l *stored) { l.Size = 1 << 50 },
	} {
		t.Run(name, func(t *testing.T) {
			c := l.copy()
			attack(c)
			if _, err := audit.Restore(context.Background(), c); err == nil {
				t.Fatal("restored")
			}
		})
	}
}

func TestAnotherServersChunksAreCaughtUpWith(t *testing.T) {
	l := makeLog(t, 1000, 70)
	mine := audit.EmptyTree()
	for i, c := range l.Stored {
		if i+1 < len(l.Stored) {
			if err := mine.CatchUp(l.Stored[i+1]); !errors.Is(err, fault.Conflict) {
				t.Fatalf("a later chunk was taken: %v", err)
			}
		}
		if err := mine.CatchUp(c); err != nil {
			t.Fatal(err)
		}
	}
	if mine.Size() != l.Size || mine.Root() != l.Root {
		t.Fatal("the trees differ")
	}
	broken := l.Stored[0]
	broken.First, broken.Data = mine.Size(), broken.Data[1:]
	if err := mine.CatchUp(broken); !errors.Is(err, fault.Invalid) || mine.Size() != l.Size {
		t.Fatalf("a broken chunk was taken: %v", err)
	}
}

func TestBatchesThatCannotBeStoredPanic(t *testing.T) {
	for name, entries := range map[string][][]byte{
		"no entries":     {},
		"empty entry":    {{}},
		"entry too long": {make([]byte, audit.MaxEntryBytes+1)},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("accepted")
				}
			}()
			audit.EmptyTree().AddAt(entries, 1, 1)
		})
	}
}

func TestProofsAreThoseOfTlog(t *testing.T) {
	const total = 66_100
	all := leaves(total)
	ref := newReference(t, all)
	src, tree := audittest.NewMemorySource(), audit.EmptyTree()
	for i := 0; i < total; i += 661 {
		src.Append(tree.AddAt(all[i:i+661], 1, 1))
	}
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.Int64Range(1, total), rapid.Int64Range(1, 600), rapid.Just(int64(total))).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		oldSize := rapid.Int64Range(0, size).Draw(t, "old size")
		root := ref.root(t, size)

		record, err := audit.InclusionProof(ctx, src, size, index)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckInclusion(record, size, root, index, all[index]); err != nil {
			t.Fatal(err)
		}
		if audit.CheckInclusion(record, size, root, index, []byte("something else")) == nil {
			t.Fatal("another entry was proved")
		}
		growth, err := audit.ConsistencyProof(ctx, src, oldSize, size)
		if err != nil {
			t.Fatal(err)
		}
		old := audit.Head{Origin: origin, Size: oldSize, Root: audit.EmptyTree().Root()}
		if oldSize > 0 {
			old.Root = ref.root(t, oldSize)
		}
		now := audit.Head{Origin: origin, Size: size, Root: root}
		if err := audit.CheckConsistency(growth, old, now); err != nil {
			t.Fatal(err)
		}
		forked := old
		forked.Root[3] ^= 1
		if err := audit.CheckConsistency(growth, forked, now); !errors.Is(err, audit.Forked) || !errors.Is(err, fault.Conflict) {
			t.Fatalf("a fork was accepted: %v", err)
		}
		if oldSize < size {
			if err := audit.CheckConsistency(growth, now, old); !errors.Is(err, audit.Shrank) {
				t.Fatalf("a log that shrank was accepted: %v", err)
			}
		}
		now.Origin = "another.example/log"
		if err := audit.CheckConsistency(growth, old, now); !errors.Is(err, fault.Invalid) {
			t.Fatalf("another log was accepted: %v", err)
		}
	})
	for _, c := range [][2]int64{{total + 1, 0}, {-1, 0}, {10, 10}, {10, -1}} {
		if _, err := audit.InclusionProof(ctx, src, c[0], c[1]); !errors.Is(err, fault.NotFound) {
			t.Fatalf("%v: %v", c, err)
		}
	}
	for _, c := range [][2]int64{{11, 10}, {-1, 10}, {1, total + 1}} {
		if _, err := audit.ConsistencyProof(ctx, src, c[0], c[1]); !errors.Is(err, fault.NotFound) {
			t.Fatalf("%v: %v", c, err)
		}
	}
}

func TestChunkFramingIsChecked(t *testing.T) {
	good := audit.EmptyTree().AddAt([][]byte{[]byte("one"), []byte("two")}, 5, 6).Chunk
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, attack := range map[string]func(*audit.Chunk){
		"negative index":    func(c *audit.Chunk) { c.First = -1 },
		"enormous index":    func(c *audit.Chunk) { c.First = 1 << 62 },
		"no entries":        func(c *audit.Chunk) { c.Count = 0 },
		"negative count":    func(c *audit.Chunk) { c.Count = -1 },
		"fewer entries":     func(c *audit.Chunk) { c.Count = 1 },
		"more entries":      func(c *audit.Chunk) { c.Count = 3 },
		"too many entries":  func(c *audit.Chunk) { c.Count = 1 << 20 },
		"cut":               func(c *audit.Chunk) { c.Data = c.Data[:len(c.Data)-1] },
		"no data":           func(c *audit.Chunk) { c.Data = nil },
		"a byte left over":  func(c *audit.Chunk) { c.Data = append(slices.Clone(c.Data), 0) },
		"an empty entry":    func(c *audit.Chunk) { c.Count, c.Data = 1, []byte{0, 0} },
		"an entry too long": func(c *audit.Chunk) { c.Count, c.Data = 1, append([]byte{0xff, 0xff}, make([]byte, 0xffff)...) },
		"times reversed":    func(c *audit.Chunk) { c.FromMS, c.ToMS = 6, 5 },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			attack(&c)
			if err := c.Check(); !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v", err)
			}
			for range c.Entries() { // must end without harm
			}
		})
	}
}

func FuzzChunkCheck(f *testing.F) {
	good := audit.EmptyTree().AddAt([][]byte{[]byte("one"), []byte("two")}, 5, 6).Chunk
	f.Add(good.First, good.Count, good.Data)
	f.Add(int64(-1), 1<<40, []byte{0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, first int64, count int, data []byte) {
		c := audit.Chunk{First: first, Count: count, Data: data}
		n, size := 0, 0
		for i, e := range c.Entries() {
			if i != first+int64(n) {
				t.Fatal("wrong index")
			}
			n, size = n+1, size+2+len(e)
		}
		if c.Check() == nil && (n != count || size != len(data)) {
			t.Fatal("a sound chunk did not yield all its entries")
		}
	})
}

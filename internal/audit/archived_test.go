package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/audit/audittest"
	"github.com/keyturn/keyturn/internal/fault"
)

// growing is a log that grows and is archived from its beginning on, beside a copy that keeps everything.
type growing struct {
	*audittest.MemorySource
	whole *audittest.MemorySource
	tree  *audit.Tree
	n     int
}

func newGrowing() *growing {
	return &growing{audittest.NewMemorySource(), audittest.NewMemorySource(), audit.EmptyTree(), 0}
}

func (g *growing) add(entries ...audit.Entry) {
	var leaves [][]byte
	for _, e := range entries {
		e.At = startMS + int64(g.n)
		g.n++
		leaves = append(leaves, e.AppendCanonical(nil))
	}
	b := g.tree.AddAt(leaves, startMS+int64(g.n-len(entries)), startMS+int64(g.n-1))
	g.Append(b)
	g.whole.Append(b)
}

// archive moves chunks that end at or before a place, as the store does, and says so in the log.
func (g *growing) archive(t interface{ Fatal(...any) }, upTo int64) (moved []audit.Chunk) {
	from, _ := g.Archived(context.Background())
	upTo = min(upTo, g.Size&^255)
	keep := g.Stored
	for len(keep) > 0 && keep[0].First+int64(keep[0].Count) <= upTo {
		moved, keep = append(moved, keep[0]), keep[1:]
	}
	if len(moved) == 0 {
		return nil
	}
	for _, c := range moved {
		if err := audit.CheckLeaves(context.Background(), g, c); err != nil {
			t.Fatal(err)
		}
	}
	carry, err := audit.CarryOf(moved)
	if err != nil {
		t.Fatal(err)
	}
	end := moved[len(moved)-1].First + int64(moved[len(moved)-1].Count)
	row := audit.Row{T: "audit_segment", K: fmt.Sprint(from), D: sha256.Sum256(append(carry, byte(end)))}
	g.Stored = slices.Clone(keep)
	g.Gone = append(g.Gone, audit.Segment{First: from, Count: end - from, Row: row, Carry: carry})
	e := sample(g.n)
	e.Action, e.Rows = "audit.manage", []audit.Row{row}
	g.add(e)
	return moved
}

func (g *growing) verify(t testing.TB) audit.Report {
	t.Helper()
	l := stored{MemorySource: g.MemorySource}
	l.checkpoint, l.vkey = l.sign(t)
	return l.verify(t)
}

func TestNothingThatVerificationNeedsLeavesWithArchivedEntries(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		g := newGrowing()
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			if rapid.IntRange(0, 3).Draw(r, "step") == 0 {
				g.archive(r, rapid.Int64Range(0, g.Size).Draw(r, "up to"))
				continue
			}
			for range rapid.IntRange(1, 20).Draw(r, "chunks") {
				var batch []audit.Entry
				for range rapid.IntRange(1, 60).Draw(r, "entries") {
					e := sample(g.n)
					if rapid.IntRange(0, 4).Draw(r, "writes") == 0 {
						row := audit.Row{T: rapid.SampledFrom([]string{"secret", "token", ""}).Draw(r, "t"), K: fmt.Sprint(rapid.IntRange(0, 30).Draw(r, "k"))}
						if rapid.IntRange(0, 5).Draw(r, "removed") > 0 {
							row.D = sha256.Sum256(fmt.Append(nil, g.n, len(batch)))
						}
						e.Rows = append(e.Rows, row)
					}
					batch = append(batch, e)
				}
				g.add(batch...)
			}
		}
		want, err := audit.LastRows(t.Context(), g.whole)
		if err != nil {
			r.Fatal(err)
		}
		got, err := audit.LastRows(t.Context(), g.MemorySource)
		if err != nil {
			r.Fatal(err)
		}
		if !maps.Equal(got, want) {
			r.Fatalf("%d rows are known with the archive, %d without", len(got), len(want))
		}
		archived, _ := g.Archived(t.Context())
		report := g.verify(t)
		if !report.Sound() || report.Archived != archived || report.Root != g.whole.Root || report.Size != g.Size {
			r.Fatalf("report %+v, want %d archived", report, archived)
		}
		if g.Size > 1 { // proofs need the hashes only
			size := g.Size
			for _, index := range []int64{0, archived / 2, size - 1} {
				a, err := audit.InclusionProof(t.Context(), g.MemorySource, size, index)
				b, err2 := audit.InclusionProof(t.Context(), g.whole, size, index)
				if err != nil || err2 != nil || !slices.Equal(a, b) {
					r.Fatalf("the proof of entry %d is another one: %v %v", index, err, err2)
				}
			}
			a, err := audit.ConsistencyProof(t.Context(), g.MemorySource, max(1, archived/2), size)
			b, err2 := audit.ConsistencyProof(t.Context(), g.whole, max(1, archived/2), size)
			if err != nil || err2 != nil || !slices.Equal(a, b) {
				r.Fatalf("the proof of consistency is another one: %v %v", err, err2)
			}
		}
	})
}

// archivedLog is one with two archived segments, and rows that only archived entries wrote.
func archivedLog(t *testing.T) *growing {
	t.Helper()
	g := newGrowing()
	fill := func(n int, prefix string) {
		for i := range n {
			e := sample(g.n)
			if i%7 == 0 {
				e.Rows = []audit.Row{{T: "secret", K: prefix + fmt.Sprint(i), D: sha256.Sum256([]byte(prefix))}}
			}
			g.add(e)
		}
	}
	fill(600, "a")
	g.archive(t, 500)
	fill(600, "b")
	g.archive(t, 1000)
	fill(100, "c")
	return g
}

func TestNobodyTakesEntriesAwayBySayingThatTheyAreArchived(t *testing.T) {
	clean := archivedLog(t)
	if r := clean.verify(t); !r.Sound() || r.Archived != 1000 {
		t.Fatalf("report %+v", r)
	}
	if _, err := audit.LastRows(t.Context(), clean.MemorySource); err != nil {
		t.Fatal(err)
	}
	for name, attack := range map[string]func(g *growing){
		"more entries are said to be archived": func(g *growing) {
			for len(g.Stored) > 0 && g.Stored[0].First < 1100 {
				g.Stored = g.Stored[1:]
			}
			g.Gone[1].Count = 100
			g.Gone = append(g.Gone, audit.Segment{First: 1000, Count: 100, Row: audit.Row{T: "audit_segment", K: "1000", D: [32]byte{1}}})
			g.Gone[1].Count = 500
		},
		"a carry is changed": func(g *growing) {
			g.Gone[0].Carry = bytes.Replace(g.Gone[0].Carry, []byte("a0"), []byte("x0"), 1)
			g.Gone[0].Row.D = sha256.Sum256(g.Gone[0].Carry) // as the store would compute it
		},
		"the newest carry is emptied": func(g *growing) { g.Gone[1].Carry, g.Gone[1].Row.D = nil, sha256.Sum256(nil) },
		"the first segment is gone":   func(g *growing) { g.Gone = g.Gone[1:] },
		"two segments trade places": func(g *growing) {
			g.Gone[0].Carry, g.Gone[1].Carry = g.Gone[1].Carry, g.Gone[0].Carry
			g.Gone[0].Row.D[0]++
		},
		"a carry is cut short":          func(g *growing) { g.Gone[1].Carry = g.Gone[1].Carry[:len(g.Gone[1].Carry)-1] },
		"the entry that told is edited": func(g *growing) { g.Gone[1].Row.K = "501" },
	} {
		g := archivedLog(t)
		attack(g)
		if _, err := audit.LastRows(t.Context(), g.MemorySource); !errors.Is(err, fault.Internal) && !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerificationSeesWhatIsWrongWithTheHashesOfArchivedEntries(t *testing.T) {
	for name, attack := range map[string]func(g *growing){
		"a hash is changed": func(g *growing) { g.Tiles[audittest.TileKey{Level: 0, Index: 1}][77]++ },
		"a tile is gone":    func(g *growing) { delete(g.Tiles, audittest.TileKey{Level: 0, Index: 2}) },
		"too much is said to be archived": func(g *growing) {
			g.Gone[1].Count = 5000
		},
		"nothing is said to be archived": func(g *growing) { g.Gone = nil },
	} {
		g := archivedLog(t)
		for k, v := range g.Tiles {
			g.Tiles[k] = slices.Clone(v)
		}
		attack(g)
		if r := g.verify(t); r.Sound() {
			t.Errorf("%s, and the log is called sound", name)
		}
	}
}

func TestASegmentComesBackAsItWasAndNotOtherwise(t *testing.T) {
	l := makeLog(t, 700, 1, 30, 7)
	signer, vkey := signerFor(t, origin, 7)
	chunks := l.Stored[:20]
	var file bytes.Buffer
	head, err := audit.WriteSegment(&file, origin, chunks, signer)
	if err != nil {
		t.Fatal(err)
	}
	again, back, err := audit.ReadSegment(bytes.NewReader(file.Bytes()), vkey)
	if err != nil || again != head || len(back) != len(chunks) {
		t.Fatalf("read back: %v", err)
	}
	for i := range back {
		if back[i].First != chunks[i].First || !bytes.Equal(back[i].Data, chunks[i].Data) || back[i].FromMS != chunks[i].FromMS {
			t.Fatalf("chunk %d came back otherwise", i)
		}
	}
	_, stranger := signerFor(t, origin, 8)
	if _, _, err := audit.ReadSegment(bytes.NewReader(file.Bytes()), stranger); !errors.Is(err, fault.Invalid) {
		t.Errorf("a stranger's key: %v", err)
	}
	if _, _, err := audit.ReadSegment(bytes.NewReader(file.Bytes())); err != nil {
		t.Errorf("without keys: %v", err)
	}
	if _, err := audit.WriteSegment(&bytes.Buffer{}, origin, []audit.Chunk{l.Stored[0], l.Stored[2]}, signer); !errors.Is(err, fault.Internal) {
		t.Errorf("chunks with a gap: %v", err)
	}
	for i := range file.Len() { // each byte counts, but those of the compression that say nothing
		b := bytes.Clone(file.Bytes())
		b[i] ^= 1
		h, c, err := audit.ReadSegment(bytes.NewReader(b), vkey)
		if err == nil && (h != head || len(c) != len(chunks)) {
			t.Fatalf("byte %d is changed, and another segment comes out", i)
		}
		if err != nil && !errors.Is(err, fault.Invalid) {
			t.Fatalf("byte %d is changed: %v", i, err)
		}
		if _, _, err := audit.ReadSegment(bytes.NewReader(file.Bytes()[:i]), vkey); !errors.Is(err, fault.Invalid) {
			t.Fatalf("cut at byte %d: %v", i, err)
		}
	}
}

func FuzzParseCarry(f *testing.F) {
	l := archivedCarry(f)
	f.Add(l)
	f.Add([]byte{})
	f.Add([]byte{0, 1, 'a', 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var rows []audit.Row
		if audit.ParseCarry(b, func(r audit.Row) error { rows = append(rows, r); return nil }) != nil {
			return
		}
		var last string
		for _, r := range rows {
			if k := r.T + "\x00" + r.K; strings.Compare(r.T, "") >= 0 && k == last {
				t.Fatal("a row comes twice")
			} else {
				last = k
			}
		}
	})
}

func archivedCarry(tb testing.TB) []byte {
	tb.Helper()
	carry, err := audit.CarryOf(makeLog(tb, 50, 10).Stored)
	if err != nil {
		tb.Fatal(err)
	}
	return carry
}

func FuzzReadSegment(f *testing.F) {
	l := makeLog(f, 20, 5)
	signer, vkey := signerFor(f, origin, 7)
	var file bytes.Buffer
	if _, err := audit.WriteSegment(&file, origin, l.Stored, signer); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte("keyturn audit segment v1\n\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, chunks, err := audit.ReadSegment(bytes.NewReader(b), vkey); err == nil && (h.Count != 20 || len(chunks) != 4) {
			t.Fatal("a segment that was never signed is read")
		}
		_, _, _ = audit.ReadSegment(bytes.NewReader(b)) // must only not panic
	})
}

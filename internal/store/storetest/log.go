package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Verify checks the whole log as an auditor does and gives its size.
func Verify(tb testing.TB, db *store.DB) int64 {
	tb.Helper()
	const origin = "storetest"
	seed := sha256.Sum256([]byte("test-value seed"))
	signer, vkey, err := audit.NewSigner(origin, sensitive.New(seed[:]))
	must(tb, err)
	size, root, err := db.Log().Head(tb.Context())
	must(tb, err)
	checkpoint, err := audit.Checkpoint(origin, size, root, signer)
	must(tb, err)
	report, err := audit.Verify(tb.Context(), db.Log(), checkpoint, vkey, nil)
	must(tb, err)
	for _, p := range report.Problems {
		tb.Errorf("the log is wrong at %d: %s", p.Index, p.Text)
	}
	return size
}

func verify(tb testing.TB, db *store.DB, want int64) {
	tb.Helper()
	if got := Verify(tb, db); got != want {
		tb.Errorf("the log has %d entries, want %d", got, want)
	}
}

// Entries reads the whole log.
func Entries(tb testing.TB, db *store.DB) []audit.Entry {
	tb.Helper()
	size, _, err := db.Log().Head(tb.Context())
	must(tb, err)
	return between(tb, db, 0, size)
}

func between(tb testing.TB, db *store.DB, from, to int64) []audit.Entry {
	tb.Helper()
	var out []audit.Entry
	for c, err := range db.Log().Chunks(tb.Context(), from, to) {
		must(tb, err)
		for i, b := range c.Entries() {
			if i < from || i >= to {
				continue
			}
			e, err := audit.ParseEntry(b)
			must(tb, err)
			out = append(out, e)
		}
	}
	return out
}

func log(t *testing.T, fresh Fresh) {
	t.Run("entries keep their order and content, and get a time", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		const n = 700 // more than two tiles of 256
		for i := range n {
			if i == n/2 { // a restart in the middle restores the tree
				shut(t, db)
				db = Open(t, place)
			}
			e := Entry("log.append")
			e.Request = fmt.Sprint(i)
			must(t, db.Record(e))
		}
		verify(t, db, n)
		got := Entries(t, db)
		if len(got) != n {
			t.Fatalf("%d entries, want %d", len(got), n)
		}
		for i, e := range got {
			if e.Request != fmt.Sprint(i) || e.At == 0 || e.Actor.ID != "storetest" {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
		for _, from := range []int64{0, 1, 255, 256, 300, n - 1} {
			if part := between(t, db, from, min(from+50, n)); len(part) == 0 || part[0].Request != fmt.Sprint(from) {
				t.Errorf("the walk from %d does not begin there", from)
			}
		}
		if tile, ok, err := db.Log().Tile(t.Context(), 0, 1); err != nil || !ok || len(tile.Hashes) != 256*32 {
			t.Errorf("tile 1: %d bytes, %t, %v", len(tile.Hashes), ok, err)
		}
		if _, ok, err := db.Log().Tile(t.Context(), 0, 2); err != nil || ok {
			t.Errorf("the incomplete tile is stored: %t, %v", ok, err)
		}
	})

	t.Run("an entry too long for one is stored in parts that share its id", func(t *testing.T) {
		db := Found(t, fresh(t))
		e := Entry("secret.list")
		for i := range 20_000 {
			e.Keys = append(e.Keys, fmt.Sprintf("/backend/KEY_WITH_A_RATHER_LONG_NAME_%06d", i))
		}
		must(t, db.Record(e))
		got := Entries(t, db)
		if len(got) < 2 {
			t.Fatalf("%d parts", len(got))
		}
		verify(t, db, int64(len(got)))
		var keys []string
		for i, part := range got {
			if part.ID == "" || part.ID != got[0].ID || part.Part != i+1 || part.Parts != len(got) {
				t.Errorf("part %d: id %q, part %d of %d", i, part.ID, part.Part, part.Parts)
			}
			keys = append(keys, part.Keys...)
		}
		if !slices.Equal(keys, e.Keys) {
			t.Errorf("%d keys came back, want %d in order", len(keys), len(e.Keys))
		}
	})

	t.Run("times of entries that waited longer than others stay inside their chunk", func(t *testing.T) {
		db := Found(t, fresh(t))
		open := gate(t, db) // so that all come into one chunk
		var wg sync.WaitGroup
		for _, at := range []int64{foundedAt, 5, foundedAt + 1, 0} {
			record, change := Entry("late"), Entry("late.change")
			record.At, change.At = at, at
			wg.Go(func() { must(t, db.Record(record)) })
			wg.Go(func() { must(t, db.Write(t.Context(), change, func(*store.Tx) error { return nil })) })
		}
		open()
		wg.Wait()
		verify(t, db, 9)
	})

	t.Run("a write of many rows leaves all digests in one log that verifies", func(t *testing.T) {
		db := Found(t, fresh(t))
		w := Settle(t, db)
		entry := put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutSecrets(ctx, nil, w.Secrets(10_000)) })
		size := Verify(t, db)
		logged, err := audit.LastRows(t.Context(), db.Log())
		must(t, err)
		for _, r := range entry.Rows {
			if logged[audit.RowKey{T: r.T, K: r.K}] != r.D {
				t.Fatalf("row %s %s is not in the log as it was written", r.T, r.K)
			}
		}
		if len(entry.Rows) != 10_000 || size < 10 {
			t.Errorf("%d rows in %d entries", len(entry.Rows), size)
		}
		chunks := 0
		for c, err := range db.Log().Chunks(t.Context(), 0, size) {
			must(t, err)
			chunks++
			if len(c.Data) > 1<<20+1<<16 {
				t.Errorf("a chunk has %d bytes: a walk over the log needs as much memory as the largest import", len(c.Data))
			}
		}
		if chunks < 3 {
			t.Errorf("%d chunks, want the import in several", chunks)
		}
	})

	t.Run("a walk over a log with missing and damaged chunks ends and passes over what is missing", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		for range 100 {
			must(t, db.Record(Entry("gap")))
		}
		shut(t, db)
		edit(t, place, "DELETE FROM audit_chunk WHERE first >= 20 AND first < 60", "UPDATE audit_chunk SET count = 0 WHERE first = 70")
		e, err := place(t.Context())
		must(t, err)
		db, err = store.Peek(t.Context(), e)
		must(t, err)
		defer shut(t, db)
		for _, walk := range []struct{ from, to, want int64 }{{0, 100, 60}, {30, 50, 0}, {19, 61, 2}, {69, 72, 3}, {69, 71, 2}, {99, 100, 1}} {
			got := int64(0)
			for _, err := range db.Log().Chunks(t.Context(), walk.from, walk.to) {
				must(t, err)
				got++
			}
			if got != walk.want {
				t.Errorf("%d chunks in [%d, %d), want %d", got, walk.from, walk.to, walk.want)
			}
		}
	})

	t.Run("a server does not append to a log whose end was changed", func(t *testing.T) {
		for name, change := range map[string]string{
			"entry cut off": "UPDATE instance SET log_size = log_size - 1",
			"root changed":  "UPDATE instance SET log_root = (SELECT hashes FROM audit_tile LIMIT 1)",
			"chunk removed": "DELETE FROM audit_chunk WHERE first = (SELECT max(first) FROM audit_chunk)",
		} {
			t.Run(name, func(t *testing.T) {
				place := fresh(t)
				db := Found(t, place)
				for range 260 {
					must(t, db.Record(Entry("end")))
				}
				shut(t, db)
				edit(t, place, change)
				db = Open(t, place)
				if err := db.Record(Entry("more")); err == nil {
					t.Error("the entry was appended")
				}
			})
		}
	})
}

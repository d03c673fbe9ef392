package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/audit/audittest"
	"github.com/keyturn/keyturn/internal/sensitive"
)

var update = flag.Bool("update", false, "write the golden files anew")

const origin = "keyturn.example/log"

// startMS is when the logs of these tests begin.
const startMS = 1_767_225_600_000

// sample is an ordinary read of one key, the entry that matters for speed.
func sample(i int) audit.Entry {
	return audit.Entry{
		ID: fmt.Sprintf("019b76da-a800-7000-8000-%012x", i), At: startMS + int64(i), Action: "secret.read", Outcome: audit.Allowed,
		Actor:   audit.Actor{Kind: "identity", ID: "019b76da-0001-7000-8000-000000000001", Name: "billing-worker", Token: "019b76da-0002-7000-8000-000000000002"},
		Org:     "019b76da-0003-7000-8000-000000000003",
		Project: "019b76da-0004-7000-8000-000000000004",
		Env:     "019b76da-0005-7000-8000-000000000005",
		Path:    "/backend", Keys: []string{"/backend/DATABASE_URL"}, Revision: 17,
		Address: "192.0.2.7", Agent: "keyturn/1.0 (linux)", Request: "01JGXK2Q", Dialect: "keyturn",
	}
}

func signerFor(t testing.TB, name string, seed byte) (note.Signer, string) {
	t.Helper()
	s, vkey, err := audit.NewSigner(name, sensitive.New(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

// stored is a log with the checkpoint of its head.
type stored struct {
	*audittest.MemorySource
	checkpoint []byte
	vkey       string
	leaves     [][]byte
}

// makeLog stores n entries in chunks of the given sizes, used in turn.
func makeLog(t testing.TB, n int, sizes ...int) *stored {
	t.Helper()
	l := &stored{MemorySource: audittest.NewMemorySource()}
	tree := audit.EmptyTree()
	for i := 0; len(l.leaves) < n; i++ {
		count := min(sizes[i%len(sizes)], n-len(l.leaves))
		from := len(l.leaves)
		for range count {
			e := sample(len(l.leaves))
			if len(l.leaves)%5 == 0 {
				e.Action = "secret.write"
				e.Rows = []audit.Row{{T: "secret", K: fmt.Sprint(len(l.leaves) % 20), D: sha256.Sum256([]byte{byte(len(l.leaves))})}}
			}
			l.leaves = append(l.leaves, e.AppendCanonical(nil))
		}
		l.Append(tree.AddAt(l.leaves[from:], startMS+int64(from), startMS+int64(len(l.leaves)-1)))
	}
	l.checkpoint, l.vkey = l.sign(t)
	return l
}

func (l *stored) sign(t testing.TB) (checkpoint []byte, vkey string) {
	t.Helper()
	s, vkey := signerFor(t, origin, 7)
	checkpoint, err := audit.Checkpoint(origin, l.Size, l.Root, s)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint, vkey
}

// copy gives a log that can be attacked without harm to l.
func (l *stored) copy() *stored {
	c := *l
	c.MemorySource = l.Clone()
	return &c
}

func (l *stored) verify(t testing.TB) audit.Report {
	t.Helper()
	r, err := audit.Verify(context.Background(), l, l.checkpoint, l.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reference is the tree as the tlog package computes it.
type reference struct{ hashes []tlog.Hash }

func (r *reference) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = r.hashes[x]
	}
	return out, nil
}

func newReference(t interface{ Fatal(...any) }, leaves [][]byte) *reference {
	r := &reference{}
	for i, b := range leaves {
		more, err := tlog.StoredHashes(int64(i), b, r)
		if err != nil {
			t.Fatal(err)
		}
		r.hashes = append(r.hashes, more...)
	}
	return r
}

func (r *reference) root(t interface{ Fatal(...any) }, size int64) tlog.Hash {
	h, err := tlog.TreeHash(size, r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// golden compares with a file under testdata, which -update writes.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has changed\n got: %s\nwant: %s", name, got, want)
	}
}

// anyText draws texts with all that JSON and UTF-8 find hard.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9/_.-]{0,40}`),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 60), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(1000, 5000), func(n int) string { return string(bytes.Repeat([]byte("\x01é\"\U0001F511"), n/8)) }),
		rapid.SampledFrom([]string{"", "\U00010000", "\uE000", "\uFFFD", "\u2028", "\x7f", "\\", "\xff", "..."}),
	)
}

func anyEntry() *rapid.Generator[audit.Entry] {
	return rapid.Custom(func(t *rapid.T) audit.Entry {
		text := func(name string) string { return anyText().Draw(t, name) }
		e := audit.Entry{
			ID: text("id"), At: rapid.Int64().Draw(t, "at"), Action: text("action"), Outcome: text("outcome"), Reason: text("reason"),
			Actor: audit.Actor{Kind: text("kind"), ID: text("actor"), Name: text("name"), Token: text("token")},
			Org:   text("org"), Project: text("project"), Env: text("env"), Path: text("path"),
			Keys: rapid.SliceOfN(anyText(), 0, 5).Draw(t, "keys"), Revision: rapid.Int64().Draw(t, "revision"),
			Detail:  rapid.MapOfN(anyText(), anyText(), 0, 20).Draw(t, "detail"),
			Address: text("address"), Agent: text("agent"), Request: text("request"), Dialect: text("dialect"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "rows") {
			r := audit.Row{T: text("t"), K: text("k")}
			if rapid.Bool().Draw(t, "kept") {
				r.D = sha256.Sum256([]byte(r.K))
			}
			e.Rows = append(e.Rows, r)
		}
		return e
	})
}

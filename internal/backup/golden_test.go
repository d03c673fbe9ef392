package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
)

var update = flag.Bool("update", false, "write testdata/v1.age anew; only a new format may need that, and then under a new name")

// testdata/schema1.db.gz is the database of a server of the first schema, under goldenRoot. testdata/v1.age is a backup of it,
// sealed to goldenKit. Both must be readable for ever.
const (
	goldenRoot = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	goldenKit  = "AGE-SECRET-KEY-1QQJFAM2GX324MQ0AC2FP3GFMHPR7YKV6PJM5C6Q9AAYXSQZFV5YQEKL0DV"
	goldenFile = "testdata/v1.age"
)

// oldDatabase unpacks the database of the first schema and peeks into it.
func oldDatabase(t *testing.T) (*store.DB, *keyring.Ring, string) {
	t.Helper()
	folder := t.TempDir()
	packed, err := os.Open("testdata/schema1.db.gz")
	must(t, err)
	defer func() { _ = packed.Close() }()
	z, err := gzip.NewReader(packed)
	must(t, err)
	b, err := io.ReadAll(z)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, sqlite.FileName), b, 0o600))
	e, err := sqlite.Open(t.Context(), folder)
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	db, err := store.Peek(t.Context(), e)
	must(t, err)
	i, err := db.Instance(t.Context())
	must(t, err)
	rows, err := keys.Load(t.Context(), db.Queries)
	must(t, err)
	root, err := keyring.ParseRoot([]byte(goldenRoot))
	must(t, err)
	ring, err := keyring.Unlock(root, i.ID, rows)
	must(t, err)
	return db, ring, i.ID
}

func goldenIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	kit, err := age.ParseX25519Identity(goldenKit)
	must(t, err)
	return kit
}

// What is in the database of the first schema, see [oldDatabase].
func checkGolden(t *testing.T, file []byte) {
	t.Helper()
	kit := goldenIdentity(t)
	check := Check{Identities: []age.Identity{kit}}
	r, err := Verify(t.Context(), bytes.NewReader(file), check)
	must(t, err)
	if !r.Sound() || r.Values != 6 || r.Manifest.Schema != 1 {
		t.Errorf("schema %d, %d values, problems %v", r.Manifest.Schema, r.Values, r.Problems)
	}
	got, _, err := Select(t.Context(), bytes.NewReader(file), check, "demo", "dev")
	must(t, err)
	want := map[string]string{"DATABASE_URL": "postgres://db/two", "GREETING": "hello", "REF": "${GREETING} there"}
	for _, s := range got[0].Secrets {
		if want[string(s.Name)] != string(s.Value.Reveal()) || (s.Name == "DATABASE_URL") != (string(s.Comment.Reveal()) == "moved") {
			t.Errorf("%s is another value", s.Name)
		}
		delete(want, string(s.Name))
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
	d, err := Drill(t.Context(), bytes.NewReader(file), check, t.TempDir())
	must(t, err)
	if !d.Report.Sound() || d.Report.Values != 6 {
		t.Errorf("drill: %d values, problems %v", d.Report.Values, d.Report.Problems)
	}
	for name, fresh := range engines {
		restoreGolden(t, name, fresh(t), file, check)
	}
}

// restoreGolden brings the first schema back: its rows are filled in as they were, then migrated.
func restoreGolden(t *testing.T, name string, at place, file []byte, check Check) {
	t.Helper()
	e, err := at(t.Context())
	must(t, err)
	root := keyring.NewRoot()
	out, err := Restore(t.Context(), Restoring{Check: check, Engine: e,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil },
		Slot: func(string) (keyring.SlotDraft, error) {
			return keyring.SlotDraft{Kind: keyring.SlotFile, Root: root.Public()}, nil
		},
		Actor: audit.Actor{Kind: "system"}})
	must(t, err)
	db, err := store.Open(t.Context(), e, func(err error) { t.Errorf("%s: the engine failed: %v", name, err) })
	must(t, err)
	defer func() { _ = db.Close() }()
	m := out.Plan.Report.Manifest
	c := newChecker(&m)
	must(t, c.database(t.Context(), db, root))
	if len(c.problems) > 0 || c.values.Load() != 6 {
		t.Errorf("%s: %d values, problems %v", name, c.values.Load(), c.problems)
	}
	snap, err := db.Snapshot(t.Context())
	must(t, err)
	defer func() { _ = snap.Close() }()
	if snap.Schema != store.NewestSchema() {
		t.Errorf("%s: schema %d after the restore", name, snap.Schema)
	}
}

func TestABackupOfTheFirstSchemaOpensForEver(t *testing.T) {
	if *update {
		db, ring, id := oldDatabase(t)
		var out bytes.Buffer
		_, err := Write(t.Context(), &out, Source{DB: db, Ring: ring, Origin: audit.Origin(id, 1), Program: "golden",
			Recipients: []string{goldenIdentity(t).Recipient().String()}})
		must(t, err)
		must(t, os.WriteFile(goldenFile, out.Bytes(), 0o644))
	}
	file, err := os.ReadFile(goldenFile)
	must(t, err)
	checkGolden(t, file)
}

// Before it migrates, a newer program makes a backup of the schema that it finds.
func TestADatabaseOfAnOlderSchemaIsBackedUpBeforeItIsMigrated(t *testing.T) {
	db, ring, id := oldDatabase(t)
	var out bytes.Buffer
	w, err := Write(context.Background(), &out, Source{DB: db, Ring: ring, Origin: audit.Origin(id, 1), Recipients: []string{goldenIdentity(t).Recipient().String()}})
	must(t, err)
	if w.Manifest.Schema != 1 || w.Manifest.Count("audit_chunk") == 0 {
		t.Errorf("manifest %+v", w.Manifest)
	}
	checkGolden(t, out.Bytes())
}

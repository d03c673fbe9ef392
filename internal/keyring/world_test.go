package keyring_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	instance = "0197a000-0000-7000-8000-00000000aaaa"
	projectA = "0197a000-0000-7000-8000-00000000000a"
	projectB = "0197a000-0000-7000-8000-00000000000b"
	nowMS    = 1_750_000_000_000
	planted  = "planted-test-value"
)

var place = keyring.Place{Project: projectA, Record: "0197a000-0000-7000-8000-000000000001", Field: "value", Version: 3}

// world is an instance with one key for each of two projects, and the rows that a store would hold.
type world struct {
	root keyring.Root
	ring *keyring.Ring
	rows keyring.Rows
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{root: keyring.NewRoot()}
	var err error
	if w.ring, w.rows, err = keyring.Create(w.root, keyring.SlotEnvironment, instance, nowMS); err != nil {
		t.Fatal(err)
	}
	w.addProject(t, projectA)
	w.addProject(t, projectB)
	return w
}

// addProject makes the next key of a project, stores and adds it.
func (w *world) addProject(t testing.TB, project string) keyring.KeyRow {
	t.Helper()
	row := must(w.ring.NewProjectKey(project, nowMS))(t)
	if err := w.ring.Add(row); err != nil {
		t.Fatal(err)
	}
	w.rows.Keys = append(w.rows.Keys, row)
	return row
}

// row finds the stored row of a layer and project, its highest generation.
func (w *world) row(t testing.TB, layer keyring.Layer, project string) *keyring.KeyRow {
	t.Helper()
	var found *keyring.KeyRow
	for i := range w.rows.Keys {
		if k := &w.rows.Keys[i]; k.Layer == layer && k.Project == project {
			found = k
		}
	}
	if found == nil {
		t.Fatalf("no %s key", layer)
	}
	return found
}

func (w *world) reopen(t testing.TB) *keyring.Ring {
	t.Helper()
	return must(keyring.Unlock(w.root, instance, w.rows))(t)
}

func seal(t testing.TB, r *keyring.Ring, p keyring.Place, text string) []byte {
	t.Helper()
	return must(r.Seal(p, sensitive.FromString(text)))(t)
}

func wantOpen(t testing.TB, r *keyring.Ring, p keyring.Place, envelope []byte, text string) {
	t.Helper()
	v, err := r.Open(p, envelope)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Equal(sensitive.FromString(text)) {
		t.Fatal("opened to something else than was sealed")
	}
}

func wantDamaged(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, keyring.ErrDamaged) || fault.KindOf(err) != fault.Internal {
		t.Fatalf("got %v, want damage", err)
	}
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got %v, want kind %s", err, kind)
	}
	if errors.Is(err, keyring.ErrDamaged) {
		t.Fatalf("%v is told as damage", err)
	}
}

func wantText(t testing.TB, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("%q does not name %q", err, part)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

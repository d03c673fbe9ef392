package audit_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

func export(t testing.TB, l *stored) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	if err := audit.Export(context.Background(), l, dir, l.checkpoint, l.vkey); err != nil {
		t.Fatal(err)
	}
	return dir
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		if !d.IsDir() {
			rel, err := filepath.Rel(dir, name)
			names = append(names, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestAnExportHasTheLayoutOfTheSpecification(t *testing.T) {
	dir := export(t, makeLog(t, 600, 77))
	want := []string{
		"checkpoint", "key",
		"tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2",
		"tile/entries/000", "tile/entries/001", "tile/entries/002.p/88",
	}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
}

func TestATreeOfSeventyThousandHasTheTilesThatTheSpecificationCounts(t *testing.T) {
	dir := export(t, makeLog(t, 70_000, 1000))
	got := files(t, dir)
	for _, name := range []string{"tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"} {
		if !slices.Contains(got, name) {
			t.Errorf("%s is missing", name)
		}
	}
	if want := 2 + 274 + 2 + 1 + 274; len(got) != want {
		t.Fatalf("%d files, want %d", len(got), want)
	}
	if r, err := audit.VerifyDir(dir, ""); err != nil || !r.Sound() || r.Size != 70_000 {
		t.Fatalf("%v %v", r, err)
	}
}

func TestAnExportVerifiesByItself(t *testing.T) {
	for _, n := range []int{0, 1, 256, 700} {
		l := makeLog(t, n, 77)
		dir := export(t, l)
		for _, vkey := range []string{"", l.vkey} {
			r, err := audit.VerifyDir(dir, vkey)
			if err != nil || !r.Sound() || r.Size != int64(n) || r.Root != l.Root {
				t.Fatalf("%d: %v %v", n, r, err)
			}
		}
	}
}

func TestAnExportEndsAtItsCheckpoint(t *testing.T) {
	old, young := makeLog(t, 300, 33), makeLog(t, 900, 33)
	young.checkpoint = old.checkpoint
	if r, err := audit.VerifyDir(export(t, young), old.vkey); err != nil || !r.Sound() || r.Size != 300 {
		t.Fatalf("%v %v", r, err)
	}
}

func TestNoByteOfAnExportCanBeChanged(t *testing.T) {
	l := makeLog(t, 300, 77)
	dir := export(t, l)
	for _, name := range files(t, dir) {
		file := filepath.Join(dir, name)
		sound, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(sound)/60) // every byte of the short files, a good many of the long ones
		for i := 0; i < len(sound); i += step {
			write(t, file, slices.Concat(sound[:i], []byte{sound[i] ^ 1<<(i%8)}, sound[i+1:]))
			refused(t, dir, "", name)
		}
		if name != "key" { // a key that is named twice is the same key
			write(t, file, append(bytes.Clone(sound), sound...))
			refused(t, dir, "", name+" doubled")
		}
		write(t, file, sound[:len(sound)-1])
		refused(t, dir, "", name+" cut")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "", name+" removed")
		write(t, file, sound)
	}
	if r, err := audit.VerifyDir(dir, l.vkey); err != nil || !r.Sound() {
		t.Fatalf("the export was not put back: %v %v", r, err)
	}
}

func write(t testing.TB, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func refused(t testing.TB, dir, vkey, what string) {
	t.Helper()
	if r, err := audit.VerifyDir(dir, vkey); err == nil && r.Sound() {
		t.Fatalf("%s passed", what)
	}
}

func TestAnEditedBundleOfAnExportIsNamed(t *testing.T) {
	dir := export(t, makeLog(t, 300, 77))
	file := filepath.Join(dir, "tile/entries/001.p/44")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, bytes.Replace(b, []byte("billing-worker"), []byte("innocent-party"), 1))
	r, err := audit.VerifyDir(dir, "")
	if err != nil || len(r.Problems) == 0 || !slices.ContainsFunc(r.Problems, func(p audit.Problem) bool {
		return p.Index == 256 && strings.Contains(p.Text, "entry 256 was edited")
	}) {
		t.Fatalf("%v %v", r, err)
	}
}

func TestAnExportSignedByAnotherKeyIsRefused(t *testing.T) {
	l := makeLog(t, 20, 7)
	_, strange := signerFor(t, origin, 9)
	if _, err := audit.VerifyDir(export(t, l), strange); !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
}

func TestAnExportCannotReachOutOfItsFolder(t *testing.T) {
	l := makeLog(t, 20, 7)
	dir := export(t, l)
	outside := filepath.Join(t.TempDir(), "bundle")
	file := filepath.Join(dir, "tile/entries/000.p/20")
	if err := os.Rename(file, outside); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, file); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.VerifyDir(dir, ""); err == nil {
		t.Fatal("a link out of the folder was followed")
	}
}

func TestExportWantsAnEmptyFolder(t *testing.T) {
	l := makeLog(t, 20, 7)
	dir := export(t, l)
	if err := audit.Export(context.Background(), l, dir, l.checkpoint, l.vkey); !errors.Is(err, fault.Exists) {
		t.Fatalf("got %v", err)
	}
}

func TestADamagedLogIsNotExported(t *testing.T) {
	l := makeLog(t, 600, 77)
	for name, attack := range map[string]func(*stored){
		"entry edited":  func(l *stored) { rename(l, 5) },
		"chunk dropped": func(l *stored) { l.Stored = l.Stored[1:] },
		"tail cut":      func(l *stored) { l.Stored = l.Stored[:3] },
		"chunk damaged": func(l *stored) { l.Stored[2].Data = l.Stored[2].Data[3:] },
	} {
		t.Run(name, func(t *testing.T) {
			a := l.copy()
			attack(a)
			dir := t.TempDir()
			if err := audit.Export(context.Background(), a, dir, a.checkpoint, a.vkey); err == nil {
				t.Fatal("exported")
			}
			if _, err := os.Stat(filepath.Join(dir, "checkpoint")); !errors.Is(err, fs.ErrNotExist) {
				t.Fatal("the failed export has a checkpoint")
			}
			refused(t, dir, "", "a failed export")
		})
	}
}

func FuzzVerifyDirBundle(f *testing.F) {
	l := makeLog(f, 3, 3)
	dir := export(f, l)
	file := filepath.Join(dir, "tile/entries/000.p/3")
	sound, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add(sound[:len(sound)-1])
	f.Add([]byte{0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		write(t, file, b)
		r, err := audit.VerifyDir(dir, l.vkey)
		if err != nil {
			t.Fatal(err)
		}
		if r.Sound() != bytes.Equal(b, sound) {
			t.Fatal("a false bundle passed")
		}
	})
}

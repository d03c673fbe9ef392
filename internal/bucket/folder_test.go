package bucket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/bucket"
	"github.com/keyturn/keyturn/internal/fault"
)

// What this very test program does as a child, to be killed: childStuck puts half of an object and waits; childBusy
// replaces one object over and over.
const (
	childFolder = "KEYTURN_BUCKET_TEST_FOLDER"
	childBusy   = "KEYTURN_BUCKET_TEST_BUSY"
	busySize    = 1 << 20
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childFolder); path != "" {
		if err := child(path, os.Getenv(childBusy) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // a child ends by being killed
	}
	os.Exit(m.Run())
}

func child(path string, busy bool) error {
	place, err := bucket.Open(path, bucket.Environment{})
	if err != nil {
		return err
	}
	if !busy {
		wait := readFunc(func([]byte) (int, error) {
			fmt.Println("half")
			_, err := io.Copy(io.Discard, os.Stdin) // until the parent is gone
			return 0, errors.Join(errors.New("the parent has gone"), err)
		})
		_, err = place.Put(context.Background(), "d/x", io.MultiReader(io.LimitReader(zeros{}, busySize), wait))
		return err
	}
	for i := 0; ; i++ {
		content := bytes.Repeat([]byte{byte(i)}, busySize)
		if _, err := place.Put(context.Background(), "d/x", bytes.NewReader(content)); err != nil {
			return err
		}
		if _, err := fmt.Println("put"); err != nil {
			return err
		}
	}
}

// kill starts a child, waits for so many lines from it, and kills it.
func kill(t *testing.T, path string, lines int, more ...string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), append(more, childFolder+"="+path)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for range lines {
		if !scanner.Scan() {
			t.Error("the child ended by itself")
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
}

func TestAKilledPutLeavesNoNameAndItsRestIsSweptADayLater(t *testing.T) {
	path := t.TempDir()
	place := open(t, path, bucket.Environment{})
	kill(t, path, 1)
	absent(t, place, "d/x")
	if n := partials(t, path); n != 1 {
		t.Fatalf("%d files are left over, want the half written one", n)
	}

	put(t, place, "other/y", nil)
	if partials(t, path) != 1 {
		t.Error("a file that may be of a living writer is gone")
	}
	found, err := filepath.Glob(filepath.Join(path, "d", ".partial-*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(found[0], old, old); err != nil {
		t.Fatal(err)
	}
	put(t, place, "other/y", nil)
	if partials(t, path) != 0 {
		t.Error("the left over file is not swept")
	}
}

func TestAKilledReplacementLeavesTheOldOrTheNewContent(t *testing.T) {
	path := t.TempDir()
	place := open(t, path, bucket.Environment{})
	for lines := range 6 {
		kill(t, path, lines+1, childBusy+"=1")
		got := get(t, place, "d/x")
		if len(got) != busySize || len(bytes.TrimLeft(got, string(got[:1]))) != 0 {
			t.Fatal("the content is neither old nor new")
		}
	}
}

func TestFoldersAndFilesAreForTheirOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // access lists are inherited there
	}
	path := filepath.Join(t.TempDir(), "new")
	put(t, open(t, path, bucket.Environment{}), "d/x", []byte("x"))
	for name, want := range map[string]os.FileMode{"": os.ModeDir | 0o700, "d": os.ModeDir | 0o700, "d/x": 0o600} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%q has mode %v, error %v", name, info.Mode(), err)
		}
	}
}

func TestSymbolicLinksLeadNowhere(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	place := open(t, path, bucket.Environment{})
	put(t, place, "real/x", []byte("x"))
	for link, to := range map[string]string{
		"out": outside, "up": "../" + filepath.Base(outside), "in": "real", "file": filepath.Join(outside, "secret"), "loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(path, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"out/secret", "up/secret", "in/x", "loop/x"} {
		_, putErr := place.Put(t.Context(), name, strings.NewReader("attack"))
		_, getErr := place.Get(t.Context(), name)
		for _, err := range []error{putErr, getErr, place.Delete(t.Context(), name)} {
			if !errors.Is(err, fault.Denied) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if objects, err := place.List(t.Context(), name); !errors.Is(err, fault.Denied) {
			t.Errorf("list %s: %v, error %v", name, objects, err)
		}
	}
	absent(t, place, "file")
	if got := names(t, place, ""); len(got) != 1 || got[0] != "real/x" {
		t.Errorf("the list follows links: %q", got)
	}
	// A link in the place of an object is replaced itself.
	put(t, place, "file", []byte("new"))
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(b) != "outside" {
		t.Errorf("the file outside holds %q, error %v", b, err)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("outside there are %v, error %v", entries, err)
	}
}

func TestTroublesOfFoldersHaveTheirKinds(t *testing.T) {
	path := t.TempDir()
	place := open(t, path, bucket.Environment{})
	put(t, place, "a", []byte("x"))
	put(t, place, "d/x", []byte("x"))
	for _, name := range []string{"a/b", "d"} {
		if _, err := place.Put(t.Context(), name, strings.NewReader("x")); !errors.Is(err, fault.Exists) {
			t.Errorf("put %s: %v", name, err)
		}
	}
	absent(t, place, "a/b")
	absent(t, place, "d")
	if err := place.Delete(t.Context(), "d"); err != nil {
		t.Error(err)
	}
	if string(get(t, place, "d/x")) != "x" || partials(t, path) != 0 {
		t.Error("something else changed")
	}

	blocked := open(t, filepath.Join(path, "a", "below"), bucket.Environment{})
	if _, err := blocked.Put(t.Context(), "x", strings.NewReader("x")); err == nil || errors.Is(err, fault.Internal) {
		t.Errorf("a folder below a file: %v", err)
	}
}

func TestAFileThatShrinksWhileItIsReadIsAnError(t *testing.T) {
	path := t.TempDir()
	place := open(t, path, bucket.Environment{})
	put(t, place, "x", make([]byte, 1000))
	r, err := place.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(path, "x"), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

//go:build unix

package runner

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

func TestCacheIsForTheUserAlone(t *testing.T) {
	c, path := saved(t)
	for p, want := range map[string]os.FileMode{path: 0o600, c.Dir: 0o700} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v", p, info.Mode(), err)
		}
		if untrusted(info, os.Geteuid()) != "" || untrusted(info, os.Geteuid()+1) == "" {
			t.Errorf("%s: the owner does not count", p)
		}
		for _, open := range []os.FileMode{0o040, 0o020, 0o004, 0o001} {
			if err := os.Chmod(p, want|open); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Load(cacheKey(), cacheToken(), fetched); !errors.Is(err, fault.Denied) {
				t.Errorf("%s with %v: got %v", p, want|open, err)
			}
		}
		if err := os.Chmod(p, want); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(c.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(cacheKey(), cacheToken(), cacheSnapshot()); !errors.Is(err, fault.Denied) {
		t.Errorf("saved into an open folder: %v", err)
	}
}

func TestCacheReadsPlainFilesOnly(t *testing.T) {
	c, path := saved(t)
	elsewhere := filepath.Join(t.TempDir(), "file")
	if err := os.Rename(path, elsewhere); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func() error{
		"link":   func() error { return os.Symlink(elsewhere, path) },
		"pipe":   func() error { return syscall.Mkfifo(path, 0o600) },
		"folder": func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Load(cacheKey(), cacheToken(), fetched); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiskErrorIsNotNotFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Cache{Dir: filepath.Join(file, "cache")}
	if _, err := c.Load(cacheKey(), cacheToken(), fetched); !errors.Is(err, fault.Unavailable) {
		t.Errorf("load: got %v", err)
	}
	if err := c.Save(cacheKey(), cacheToken(), cacheSnapshot()); !errors.Is(err, fault.Unavailable) {
		t.Errorf("save: got %v", err)
	}
}

package testpg

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSweepRemovesAbandonedFoldersOnly(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	makeAged := func(name string, age time.Duration) string {
		t.Helper()
		path := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		return path
	}
	abandoned := makeAged("keyturn-testpg-1", time.Hour)
	young := makeAged("keyturn-testpg-2", time.Minute)
	foreign := makeAged("somebody-else", time.Hour)
	used, err := makeFolder(parent, account{})
	if err != nil {
		t.Fatal(err)
	}

	// In the future the folder in use is old as well, and only its lock protects it.
	sweep(parent, time.Now().Add(5*time.Minute))
	if _, err := os.Stat(abandoned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the abandoned folder is still there: %v", err)
	}
	sweep(parent, time.Now().Add(time.Hour))
	if _, err := os.Stat(used.path); err != nil {
		t.Errorf("a folder in use is gone: %v", err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a foreign folder is gone: %v", err)
	}
	if _, err := os.Stat(young); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that has grown old is still there: %v", err)
	}
	if err := used.remove(); err != nil {
		t.Error(err)
	}
}

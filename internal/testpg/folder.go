package testpg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	folderPattern = "keyturn-testpg-*"
	lockName      = "in-use"
	// abandonedAfter keeps the sweep away from a folder that another process has just made and not yet locked.
	abandonedAfter = 10 * time.Minute
)

// errInUse says that another process uses a folder.
var errInUse = errors.New("in use by another process")

// workFolder is the temporary folder of one server: the cluster in data/, the log beside it.
type workFolder struct {
	path string
	lock *os.File
}

// makeFolder makes a folder under parent that belongs to the account.
func makeFolder(parent string, as account) (workFolder, error) {
	path, err := os.MkdirTemp(parent, folderPattern)
	if err != nil {
		return workFolder{}, fmt.Errorf("make a folder for postgresql: %w", err)
	}
	lock, err := lockFolder(filepath.Join(path, lockName))
	if err == nil {
		err = as.own(path)
	}
	if err != nil {
		return workFolder{}, errors.Join(fmt.Errorf("prepare %s: %w", path, err), os.RemoveAll(path))
	}
	return workFolder{path, lock}, nil
}

func (f workFolder) data() string { return filepath.Join(f.path, "data") }
func (f workFolder) log() string  { return filepath.Join(f.path, "server.log") }

func (f workFolder) remove() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

// sweep removes the folders under parent that killed test binaries left behind. It is a courtesy to the disk: what cannot
// be looked at or removed is left alone.
func sweep(parent string, now time.Time) {
	folders, err := filepath.Glob(filepath.Join(parent, folderPattern))
	if err != nil {
		return
	}
	for _, folder := range folders {
		info, err := os.Lstat(folder)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < abandonedAfter {
			continue
		}
		lock, err := lockFolder(filepath.Join(folder, lockName))
		if err != nil {
			continue
		}
		_ = os.RemoveAll(folder)
		_ = lock.Close()
	}
}

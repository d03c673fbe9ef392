//go:build windows

package sqlite

import (
	"os"

	"golang.org/x/sys/windows"

	"github.com/keyturn/keyturn/internal/fault"
)

// takeLock holds an exclusive lock on the file until it is closed; the system gives it up when the process ends.
func takeLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the data folder cannot be written")
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		_ = f.Close()
		return nil, errTaken(err)
	}
	return f, nil
}

func syncFolder(string) error { return nil } // NTFS logs its metadata; folders cannot be synced

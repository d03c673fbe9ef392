//go:build unix

package sqlite

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/keyturn/keyturn/internal/fault"
)

// takeLock holds an exclusive lock on the file until it is closed; the system gives it up when the process ends.
func takeLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the data folder cannot be written")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if err != unix.EWOULDBLOCK {
			return nil, fault.Wrap(fault.Unavailable, err, "the data folder cannot be locked").
				WithHint("use a folder on a local disk")
		}
		return nil, errTaken(err)
	}
	return f, nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the data folder cannot be read")
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the data folder cannot be synced")
	}
	return nil
}

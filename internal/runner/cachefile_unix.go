//go:build unix

package runner

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openOwn opens a file for reading. It follows no link at the end of path and does not wait for the writer of a pipe.
func openOwn(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// untrusted gives the reason why a file or folder may hold another user's bytes or show ours, or "".
func untrusted(info fs.FileInfo, user int) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != user:
		return "belongs to another user"
	case info.Mode().Perm()&0o077 != 0:
		return "can be reached by other users"
	}
	return ""
}

// syncDir makes a rename durable. Some file systems cannot sync a folder and need not.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

package runner

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Cache keeps the last fetch of each [CacheKey] for the time when the server cannot be reached. Each lies in one file,
// sealed under the token that fetched it; nothing is on disk in clear. Folder and files belong to the user alone: on unix
// others are refused, on Windows they inherit that from the user's profile.
type Cache struct{ Dir string }

const (
	fileSuffix = ".sealed"
	tempPrefix = "new-"
	// maxFile bounds what is read into memory: far more than an environment can carry (2 MiB on Linux).
	maxFile = 16 << 20
	// maxSkew is how far the clock may run behind the time of the fetch. More means that it was set back, which would let a
	// snapshot live for ever.
	maxSkew = time.Minute
)

// ErrDamaged is in the chain of the fault when a cache file does not open: it was altered or cut, or sealed under another
// token. The two cannot be told apart.
var ErrDamaged = errors.New("cache file does not open")

// Save replaces what is kept for key. With a MaxAge under a millisecond the server forbids keeping: then what is there is
// removed. The file is complete or not there at all, also after a power cut. It fails with [fault.Invalid] for an empty
// token or a snapshot too large, [fault.Denied] for a folder that others can reach, [fault.Unavailable] for the disk.
func (c Cache) Save(key CacheKey, token sensitive.Value, s Snapshot) error {
	if s.MaxAge < time.Millisecond {
		return c.remove(key.fileName())
	}
	if token.Empty() {
		return fault.New(fault.Invalid, "a cache needs a token to be sealed under")
	}
	if s.FetchedMS < 0 {
		return fault.New(fault.Invalid, "the time of the fetch lies before 1970")
	}
	plain := appendSnapshot(nil, s)
	defer clear(plain)
	if len(plain) > maxFile-headerSize-sealedExtra {
		return fault.New(fault.Invalid, "the secrets are too large to be kept: at most %d MiB", maxFile>>20)
	}
	file, err := seal(key, token, plain)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "couldn't seal the cache")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return c.diskFault(err, "make")
	}
	if err := c.checkDir(); err != nil {
		return err
	}
	if err := c.replace(key.fileName(), file); err != nil {
		return c.diskFault(err, "write")
	}
	return nil
}

// Load gives what is kept for key. It fails with [fault.NotFound] if there is nothing, [fault.Expired] if it is older than
// its MaxAge or from the future, [fault.Invalid] around [ErrDamaged] for a file that does not open, [fault.Denied] if
// others can reach the file or own it, and [fault.Unavailable] for the disk.
func (c Cache) Load(key CacheKey, token sensitive.Value, nowMS int64) (Snapshot, error) {
	file, err := c.read(key.fileName())
	if err != nil {
		return Snapshot{}, err
	}
	plain, err := open(key, token, file)
	if err != nil {
		return Snapshot{}, damaged(err)
	}
	defer clear(plain)
	s, err := parseSnapshot(plain)
	if err != nil {
		return Snapshot{}, damaged(err)
	}
	// Neither number is negative, so the difference fits.
	switch age := max(nowMS, 0) - s.FetchedMS; {
	case age > s.MaxAge.Milliseconds():
		return Snapshot{}, fault.New(fault.Expired, "the offline copy is older than the %s that the server allows", s.MaxAge).
			WithHint("connect to the server once")
	case age < -maxSkew.Milliseconds():
		return Snapshot{}, fault.New(fault.Expired, "the offline copy is from the future: was the clock set back?").
			WithHint("set the clock, or connect to the server once")
	}
	return s, nil
}

// Forget removes all that is kept, and nothing else that lies in the folder.
func (c Cache) Forget() error {
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return c.diskFault(err, "list")
	}
	for _, e := range entries {
		if e.Type().IsRegular() && ownName(e.Name()) {
			if err := c.remove(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownName tells whether Save makes files of this name.
func ownName(name string) bool {
	stem, sealed := strings.CutSuffix(name, fileSuffix)
	if !sealed {
		return false
	}
	if strings.HasPrefix(stem, tempPrefix) {
		return true
	}
	return len(stem) == 64 && strings.Trim(stem, "0123456789abcdef") == ""
}

func (c Cache) read(name string) ([]byte, error) {
	f, err := openOwn(filepath.Join(c.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "there is no offline copy of these secrets").
			WithHint("connect to the server once")
	}
	if errors.Is(err, syscall.ELOOP) {
		return nil, fault.Wrap(fault.Denied, err, "the offline copy in %s is a link", c.Dir).WithHint("remove it")
	}
	if err != nil {
		return nil, c.diskFault(err, "read")
	}
	defer f.Close()
	if err := c.checkDir(); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, c.diskFault(err, "read")
	}
	if reason := untrusted(info, os.Geteuid()); reason != "" || !info.Mode().IsRegular() {
		if reason == "" {
			reason = "is not a file"
		}
		return nil, fault.New(fault.Denied, "the offline copy %s %s", f.Name(), reason).WithHint("remove it")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, c.diskFault(err, "read")
	}
	if len(b) > maxFile {
		return nil, damaged(errSealed)
	}
	return b, nil
}

func (c Cache) checkDir() error {
	info, err := os.Stat(c.Dir)
	if err != nil {
		return c.diskFault(err, "read")
	}
	if reason := untrusted(info, os.Geteuid()); reason != "" {
		return fault.New(fault.Denied, "the cache folder %s %s", c.Dir, reason).WithHint("chmod 700 %s", c.Dir)
	}
	return nil
}

// replace writes to a new file first, so that a crash leaves the old one or the new one.
func (c Cache) replace(name string, b []byte) (err error) {
	f, err := os.CreateTemp(c.Dir, tempPrefix+"*"+fileSuffix) // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the write's own error is the one to tell
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), filepath.Join(c.Dir, name)); err != nil {
		return err
	}
	return syncDir(c.Dir)
}

func (c Cache) remove(name string) error {
	if err := os.Remove(filepath.Join(c.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c.diskFault(err, "remove")
	}
	return nil
}

func (c Cache) diskFault(err error, verb string) error {
	return fault.Wrap(fault.Unavailable, err, "couldn't %s the offline copy in %s", verb, c.Dir)
}

func damaged(cause error) error {
	return fault.Wrap(fault.Invalid, errors.Join(ErrDamaged, cause),
		"the offline copy does not open: it is damaged or was sealed under another token").
		WithHint("connect to the server once; it is then written anew")
}

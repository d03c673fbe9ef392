package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// partialAge is how long a half written file stays untouched before it counts as left over. A writer that is alive
	// writes more often than once a day.
	partialAge = 24 * time.Hour

	folderMode = 0o700 // backups are sealed, but their names and times say something too
	fileMode   = 0o600
)

// folder is a Place in a file system. Each method opens the root anew, so that there is nothing to close and a mount that
// comes back is found again. [os.Root] keeps every access inside, also while somebody swaps folders for symbolic links.
type folder struct{ path string }

func openFolder(p string) (Place, error) {
	if !filepath.IsAbs(p) || strings.ContainsRune(p, 0) {
		return nil, badAddress("the path of the folder is not absolute")
	}
	return folder{filepath.Clean(p)}, nil
}

func (f folder) String() string { return f.path }

// Put writes beside the target, makes the bytes durable, and only then gives them their name.
func (f folder) Put(ctx context.Context, name string, r io.Reader) (size int64, err error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, interrupted(err, name)
	}
	root, err := f.make()
	if err != nil {
		return 0, err
	}
	defer root.Close()
	if err := noLinks(root, name); err != nil {
		return 0, err
	}
	dir := path.Dir(name)
	if err := root.MkdirAll(dir, folderMode); err != nil {
		return 0, folderFault(err, name, "write")
	}
	sweep(root, time.Now().Add(-partialAge))

	temp := path.Join(dir, partial+strings.ToLower(rand.Text()))
	file, err := root.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return 0, folderFault(err, name, "write")
	}
	defer func() {
		if temp != "" { // also when r panics; what stays all the same is swept a day later
			_ = file.Close()
			_ = root.Remove(temp)
		}
	}()
	in := &source{ctx: ctx, r: r}
	size, err = io.Copy(file, in)
	if in.err != nil {
		return 0, in.fault(name)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = file.Close()
	}
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		return 0, folderFault(err, name, "write")
	}
	temp = ""
	// The name, and the folders that may be new, are entries of the folders above.
	for ; ; dir = path.Dir(dir) {
		if err := syncFolder(root, dir); err != nil {
			return 0, folderFault(err, name, "write")
		}
		if dir == "." {
			return size, nil
		}
	}
}

func (f folder) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, interrupted(err, name)
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, folderFault(err, name, "read")
	}
	defer root.Close()
	if err := noLinks(root, name); err != nil {
		return nil, err
	}
	info, err := root.Lstat(name)
	if err != nil {
		return nil, folderFault(err, name, "read")
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, missing(name)
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, folderFault(err, name, "read")
	}
	return &content{name: name, body: file, left: info.Size()}, nil
}

func (f folder) List(ctx context.Context, prefix string) ([]Object, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was put yet
	}
	if err != nil {
		return nil, folderFault(err, prefix, "list")
	}
	defer root.Close()
	start, _ := cutPrefix(prefix)
	if start == "" {
		start = "."
	} else if err := noLinks(root, start+"/"); err != nil {
		return nil, err
	}
	var out []Object
	err = fs.WalkDir(root.FS(), start, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return nil // removed meanwhile, or never there
		case err != nil:
			return err
		case !entry.Type().IsRegular(), !strings.HasPrefix(name, prefix), nameProblem(name) != "":
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(out) == maxObjects {
			return tooMany()
		}
		out = append(out, Object{Name: name, Size: info.Size(), ModifiedMS: info.ModTime().UnixMilli()})
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, interrupted(ctx.Err(), "the list")
		}
		return nil, folderFault(err, prefix, "list")
	}
	slices.SortFunc(out, byName)
	return out, nil
}

func (f folder) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return interrupted(err, name)
	}
	root, err := os.OpenRoot(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return folderFault(err, name, "delete")
	}
	defer root.Close()
	if err := noLinks(root, name); err != nil {
		return err
	}
	info, err := root.Lstat(name)
	if err == nil && info.IsDir() {
		return nil // the folder of other names is no object
	}
	if err == nil {
		err = root.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err == nil {
		err = syncFolder(root, path.Dir(name))
	}
	if err != nil {
		return folderFault(err, name, "delete")
	}
	return nil
}

// make opens the folder, after making it when it is missing.
func (f folder) make() (*os.Root, error) {
	root, err := os.OpenRoot(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(f.path, folderMode); err == nil {
			root, err = os.OpenRoot(f.path)
		}
		if err == nil {
			if above, openErr := os.OpenRoot(filepath.Dir(f.path)); openErr == nil {
				_ = syncFolder(above, ".") // best effort: the folder above may forbid it, and it is seldom needed
				_ = above.Close()
			}
		}
	}
	if err != nil {
		return nil, folderFault(err, "the folder", "write")
	}
	return root, nil
}

// noLinks refuses a name whose folders are symbolic links, even such as stay inside: one object would have two names. It
// gives a clear error for what os.Root would refuse, and does not need to be free of races, since os.Root is.
func noLinks(root *os.Root, name string) error {
	for i, b := range []byte(name) {
		if b != '/' {
			continue
		}
		info, err := root.Lstat(name[:i])
		if err != nil {
			return nil // the caller finds out what that means
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return fault.New(fault.Denied, "%s leads through a symbolic link", strings.TrimSuffix(name, "/")).
				WithHint("the folder for backups must hold real folders only: replace the link, or give its target as the place")
		}
	}
	return nil
}

// sweep removes what killed writers left before the given time. It is best effort: nobody reads such files, and the next
// Put tries again.
func sweep(root *os.Root, before time.Time) {
	_ = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasPrefix(path.Base(name), partial) {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.ModTime().Before(before) {
			_ = root.Remove(name)
		}
		return nil
	})
}

// syncFolder makes the entries of a folder durable, as far as the system can: Windows journals renames by itself, and some
// network file systems refuse.
func syncFolder(root *os.Root, dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// folderFault names what a system call did not do. The system's text, which names paths, is the cause.
func folderFault(err error, name, verb string) error {
	if errors.As(err, new(*fault.Error)) {
		return err
	}
	what := fmt.Sprintf("couldn't %s %s", verb, name)
	switch {
	case verb == "read" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
		return missing(name)
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Denied, err, "%s: no permission in the folder for backups", what).
			WithHint("the user that runs keyturn needs to read and write there")
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrExist):
		return fault.Wrap(fault.Exists, err, "%s: a name cannot be an object and the folder of others at once", what)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Wrap(fault.Exhausted, err, "%s: no space is left in the folder for backups", what).
			WithHint("make room, or give another place")
	}
	return fault.Wrap(fault.Unavailable, err, "%s: the folder for backups does not work", what).
		WithHint("look whether it is mounted and writable")
}

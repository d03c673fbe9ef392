package cli

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// maxKeyFile bounds a file with a root key, a share or an identity, in bytes. Comments of an identity file fit in.
const maxKeyFile = 64 << 10

// writeNew writes a file that must not be there: a key that is written over is lost. A write that fails leaves nothing.
func writeNew(file string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fault.New(fault.Exists, "%s exists already", file).WithHint("name another file; nothing is written over")
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "there is no folder for %s", file).WithHint("make it first")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Denied, "%s may not be written", file).WithHint("name a file in a folder of your own")
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "couldn't write %s", file).WithHint("is the disk full?")
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync() // the key must be there when the server relies on it
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(file)
		return fault.Wrap(fault.Unavailable, err, "couldn't write %s", file).WithHint("is the disk full?")
	}
	return nil
}

// readBounded reads a file, with "-" standard input. What is longer is refused.
func readBounded(file string, limit int64, stdin io.Reader) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, openFault(err, file)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "couldn't read %s", file)
	case int64(len(b)) > limit:
		clear(b)
		return nil, fault.New(fault.Invalid, "%s is longer than %d KiB", file, limit>>10)
	}
	return b, nil
}

// readRoot reads a root key of 64 hex characters.
func (a *app) readRoot(file string) (keyring.Root, error) {
	b, err := readBounded(file, maxKeyFile, a.in)
	if err != nil {
		return keyring.Root{}, err
	}
	defer clear(b)
	return keyring.ParseRoot(b)
}

// writeRoot writes a root key as the server reads it.
func writeRoot(file string, root keyring.Root) error {
	text := root.Hex()
	defer text.Wipe()
	return writeSecret(file, text)
}

// writeSecret writes a secret with a line end, for its owner only.
func writeSecret(file string, secret sensitive.Value) error {
	line := append(bytes.Clone(secret.Reveal()), '\n')
	defer clear(line)
	return writeNew(file, line, privateMode)
}

package keyring

import (
	"errors"
	"io/fs"
	"runtime"

	"github.com/keyturn/keyturn/internal/fault"
)

// Where a root key may be given. Exactly one of the two.
const (
	EnvRoot     = "KEYTURN_ROOT_KEY"      // the 64 hex characters themselves
	EnvRootFile = "KEYTURN_ROOT_KEY_FILE" // path of a file that holds them
)

// LoadRoot takes the root key from the environment or from a file; env and readFile are os.Getenv and os.ReadFile outside
// tests, and what readFile gives is wiped. source is the slot kind, [SlotEnvironment] or [SlotFile]. ok is false without error when neither is set; an empty
// variable counts as not set. Both set, or a key that [ParseRoot] refuses, is [fault.Invalid]; a file that cannot be read is
// [fault.Sealed]. No error shows the content of either variable: people put the key where the path belongs.
func LoadRoot(env func(string) string, readFile func(string) ([]byte, error)) (root Root, source string, ok bool, err error) {
	text, path := env(EnvRoot), env(EnvRootFile)
	switch {
	case text != "" && path != "":
		return Root{}, "", false, fault.New(fault.Invalid, "both %s and %s are set", EnvRoot, EnvRootFile).
			WithHint("unset one of them, so that it is certain which root key is used")
	case text != "":
		root, err = parseRoot("root key in "+EnvRoot, []byte(text))
		return root, SlotEnvironment, err == nil, err
	case path != "":
		root, err = readRoot(path, readFile)
		return root, SlotFile, err == nil, err
	}
	return Root{}, "", false, nil
}

func readRoot(path string, readFile func(string) ([]byte, error)) (Root, error) {
	text, err := readFile(path)
	if err == nil {
		defer clear(text)
		return parseRoot("root key in the file of "+EnvRootFile, text)
	}
	if r, err := ParseRoot([]byte(path)); err == nil {
		r.key.Wipe()
		return Root{}, fault.New(fault.Invalid, "%s holds a key where the path of a file belongs", EnvRootFile).
			WithHint("put the key into %s, or into a file that %s names", EnvRoot, EnvRootFile)
	}
	// The cause keeps the reason and loses the path.
	failed := fault.New(fault.Sealed, "couldn't read the file of %s", EnvRootFile)
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		failed = fault.Wrap(fault.Sealed, at.Err, "couldn't read the file of %s", EnvRootFile)
	}
	return Root{}, failed.WithHint("check that the path in %s exists and that the server's user may read it", EnvRootFile)
}

// othersMay are the permission bits by which every user of the machine can read or replace the root key.
const othersMay fs.FileMode = 0o006

// RootFileWarning is one sentence when the file of [EnvRootFile] is open to every user of the machine, else empty. stat is
// os.Stat outside tests. It is a warning and not an error, because some orchestrators mount secrets that way and a refusal
// would only keep the server down; what cannot be examined is left to [LoadRoot]. Windows has no such bits.
func RootFileWarning(env func(string) string, stat func(string) (fs.FileInfo, error)) string {
	path := env(EnvRootFile)
	if path == "" || runtime.GOOS == "windows" {
		return ""
	}
	info, err := stat(path)
	if err != nil || info.Mode().Perm()&othersMay == 0 {
		return ""
	}
	return "the file of " + EnvRootFile + " is open to every user of this machine; restrict it with: chmod 600"
}

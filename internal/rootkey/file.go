package rootkey

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// maxRootFile bounds what is read for a root key of 64 characters and a line end. It is generous, so that the wrong file is
// told by the parser of root keys, and small, so that a device or a disk image is not read.
const maxRootFile = 4 << 10

// Cautious is a source that can be kept in a way worth a warning.
type Cautious interface {
	Source
	// Warning is one sentence about how the source is kept now, or empty. A source that cannot be examined has no warning.
	Warning() string
}

// file holds a root key in a file, which is read at each call: an orchestrator may swap it. Links are followed, since that is
// how Kubernetes and systemd mount secrets.
type file struct {
	kind, name string
	path       func() (string, error)
	read       func(string) ([]byte, error)
}

// parseFile reads "/abs/path".
func parseFile(rest string, env Environment) (Source, error) {
	if !filepath.IsAbs(rest) || filepath.Clean(rest) != rest {
		return nil, fault.New(fault.Invalid, "the path of a root key file is not absolute and plain").
			WithHint("write file: and a path from the root, without .. and without doubled slashes: file:/etc/keyturn/root.key")
	}
	return file{"file", "file:" + rest, func() (string, error) { return rest, nil }, env.ReadFile}, nil
}

// credentialName is what systemd takes for a credential, less the names that would leave the folder. Source: systemd.exec(5).
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$`)

// credentialsVariable is set by systemd for services that load credentials. Source: systemd.exec(5).
const credentialsVariable = "CREDENTIALS_DIRECTORY"

// parseCredential reads the name of a systemd credential.
func parseCredential(rest string, env Environment) (Source, error) {
	if !credentialName.MatchString(rest) {
		return nil, fault.New(fault.Invalid, "the name of a credential is not plain").
			WithHint("name it as LoadCredential= does, without a path: credential:root.key")
	}
	place := func() (string, error) {
		folder := getenv(env, credentialsVariable)
		if !path.IsAbs(folder) {
			return "", fault.New(fault.Sealed, "the service manager has given no credentials").
				WithHint("add LoadCredential= or LoadCredentialEncrypted= to the unit of the server, or run it under systemd")
		}
		return filepath.Join(folder, rest), nil
	}
	return file{"credential", "credential:" + rest, place, env.ReadFile}, nil
}

func (f file) Kind() string { return f.kind }
func (f file) Name() string { return f.name }

// Root reads the file. One that is not there or may not be read is [fault.Sealed], since a person must mend it; one that is
// too large is [fault.Invalid].
func (f file) Root(ctx context.Context) (sensitive.Value, error) {
	if err := ctx.Err(); err != nil {
		return sensitive.Value{}, fault.Wrap(fault.Unavailable, err, "reading %s was given up", f.name)
	}
	where, err := f.path()
	if err != nil {
		return sensitive.Value{}, err
	}
	read := f.read
	if read == nil {
		read = readSmall
	}
	text, err := read(where)
	if err != nil {
		clear(text)
		// The reason stays for the log, the path goes: it may be from a variable.
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			err = at.Err
		}
		return sensitive.Value{}, fault.Wrap(fault.Sealed, err, "couldn't read the root key at %s", f.name).
			WithHint("check that the file exists and that the server's user may read it")
	}
	if len(text) > maxRootFile {
		clear(text)
		return sensitive.Value{}, fault.New(fault.Invalid, "the root key at %s has more than %d KiB", f.name, maxRootFile>>10).
			WithHint("the file must hold 64 hex characters; this is another file")
	}
	return sensitive.New(text), nil
}

// readSmall reads one byte more than is allowed, so that the caller sees that there is too much.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text := make([]byte, maxRootFile+1)
	n, err := io.ReadFull(f, text)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return text[:n], err
}

// othersMay are the permission bits by which every user of the machine can read or replace a file.
const othersMay fs.FileMode = 0o006

// Warning tells when every user of the machine may read or replace the file. It is no refusal, because some orchestrators
// mount secrets that way.
func (f file) Warning() string {
	where, err := f.path()
	if err != nil {
		return ""
	}
	return openToAll(where, "the root key at "+f.name)
}

func openToAll(where, what string) string {
	if runtime.GOOS == "windows" { // no such bits there
		return ""
	}
	info, err := os.Stat(where)
	if err != nil || info.Mode().Perm()&othersMay == 0 {
		return ""
	}
	return what + " is open to every user of this machine; restrict it with: chmod 600"
}

// variableName is a name in the sense of POSIX (Base Definitions 8.1), in either case.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)

// variable holds a root key in an environment variable.
type variable struct {
	name string
	env  Environment
}

// parseEnv reads the name of a variable.
func parseEnv(rest string, env Environment) (Source, error) {
	if !variableName.MatchString(rest) {
		return nil, fault.New(fault.Invalid, "the name of an environment variable is not plain").
			WithHint("write env: and the name, without $ and without the value: env:KEYTURN_ROOT_KEY")
	}
	return variable{rest, env}, nil
}

func (v variable) Kind() string { return "env" }
func (v variable) Name() string { return "env:" + v.name }

// Root gives the variable; one that is empty or not set is [fault.Sealed].
func (v variable) Root(context.Context) (sensitive.Value, error) {
	text := getenv(v.env, v.name)
	switch {
	case text == "":
		return sensitive.Value{}, fault.New(fault.Sealed, "the variable of %s is not set", v.Name()).
			WithHint("set it in the environment of the server and restart")
	case len(text) > maxRootFile:
		return sensitive.Value{}, fault.New(fault.Invalid, "the variable of %s has more than %d KiB", v.Name(), maxRootFile>>10)
	case strings.HasPrefix(text, "/"):
		return sensitive.Value{}, fault.New(fault.Invalid, "the variable of %s holds a path where a key belongs", v.Name()).
			WithHint("name the file itself as the source: file:/path")
	}
	return sensitive.FromString(text), nil
}

func getenv(env Environment, name string) string {
	if env.Getenv == nil {
		return ""
	}
	return env.Getenv(name)
}

package runner

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/keyturn/keyturn/internal/fault"
)

// Exit statuses that are not the child's own, as POSIX shells, env(1) and timeout(1) use them.
const (
	StatusFailure       = 125 // we failed before the command was reached
	StatusNotExecutable = 126 // the command was found and cannot be executed
	StatusNotFound      = 127 // there is no such command
	statusSignal        = 128 // plus the number of the signal that killed the child
)

// StartError says that the command could not be started. It wraps a fault: [fault.NotFound], [fault.Denied] or
// [fault.Invalid].
type StartError struct {
	Status int // StatusNotFound or StatusNotExecutable
	Fault  *fault.Error
}

// Error implements error.
func (e *StartError) Error() string { return e.Fault.Error() }

// Unwrap gives the fault.
func (e *StartError) Unwrap() error { return e.Fault }

// resolve finds the program in the PATH of this process, never in an injected one. The error is a [*StartError], or
// [fault.Invalid] without a command.
func resolve(args []string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", fault.New(fault.Invalid, "no command is given").WithHint("write it after --, as in: keyturn run -- printenv")
	}
	name := args[0]
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, exec.ErrDot):
		return "", &StartError{StatusNotFound, fault.Wrap(fault.NotFound, err,
			"command %q is found only through a relative folder in PATH, which is not trusted", name).
			WithHint("write its path, as in: ./%s", name)}
	case errors.Is(err, exec.ErrNotFound) && !liesInPath(name), errors.Is(err, fs.ErrNotExist):
		return "", &StartError{StatusNotFound, fault.Wrap(fault.NotFound, err, "command %q is not found", name).
			WithHint("no shell is involved: for built-ins, pipes and && write sh -c '...'")}
	default:
		return "", notExecutable(name, err)
	}
}

// liesInPath tells whether PATH holds a plain file of that name: found, but not executable, is another status.
func liesInPath(name string) bool {
	if filepath.Base(name) != name {
		return false
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// startFailure turns what the system said about a resolved program into a [*StartError].
func startFailure(name string, err error) error {
	if errors.Is(err, syscall.E2BIG) {
		return &StartError{StatusNotExecutable, fault.Wrap(fault.Invalid, err,
			"command %q: its arguments and environment are larger than the system allows", name).
			WithHint("ask for less with --only or --path")}
	}
	return notExecutable(name, err)
}

func notExecutable(name string, err error) *StartError {
	f := fault.Wrap(fault.Denied, err, "command %q cannot be executed", name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		f = f.WithHint("make it executable: chmod +x")
	case errors.Is(err, fs.ErrNotExist):
		f = f.WithHint("it exists, but the interpreter in its first line or its loader does not")
	case errors.Is(err, syscall.ENOEXEC):
		f = f.WithHint("no shell is involved: a script needs a first line such as #!/bin/sh")
	}
	return &StartError{StatusNotExecutable, f}
}

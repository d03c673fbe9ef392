//go:build windows

package runner

import (
	"context"
	"os"
	"syscall"

	"github.com/keyturn/keyturn/internal/fault"
)

// Exec runs the command and exits with its status, since Windows cannot replace a process. It returns only on failure: a
// [*StartError], or the fault of [Environ]. With o.Mask it refuses, as on other systems.
func Exec(o Options) error {
	if o.Mask {
		return fault.New(fault.Internal, "masking needs a process that stays")
	}
	o.Stdin, o.Stdout, o.Stderr = os.Stdin, os.Stdout, os.Stderr
	status, err := Run(context.Background(), o)
	if err != nil {
		return err
	}
	os.Exit(status)
	return nil
}

// Raise does nothing: Windows has no death by signal.
func Raise(syscall.Signal) {}

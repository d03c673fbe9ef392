//go:build unix

package runner

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Exec replaces this process with the command: signals, status, terminal and process id are then exactly its own. It
// returns only on failure: a [*StartError], or the fault of [Environ]. The streams of o are not looked at, the command
// inherits the real ones. With o.Mask it refuses, since nobody would be left to mask.
//
// Windows cannot replace a process; there Exec is [Run] followed by [os.Exit] with the status.
func Exec(o Options) error {
	if o.Mask {
		return fault.New(fault.Internal, "masking needs a process that stays")
	}
	env, err := Environ(o)
	if err != nil {
		return err
	}
	path, err := resolve(o.Args)
	if err != nil {
		return err
	}
	return startFailure(o.Args[0], syscall.Exec(path, o.Args, env))
}

// raiseTime is more than the kernel needs to hand a signal to one of our threads.
const raiseTime = time.Second

// Raise ends this process by the signal that killed the child, so that a shell which waits for us sees the same and
// stops its loop after Ctrl-C. It returns if that cannot be had: for signals at which the Go runtime prints its stacks
// instead of dying, and in process 1, which the kernel shields. The caller then exits with 128 + n.
func Raise(sig syscall.Signal) {
	switch sig {
	case syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL:
	default:
		return
	}
	pid := os.Getpid()
	if pid == 1 {
		return
	}
	signal.Reset(sig)
	if syscall.Kill(pid, sig) == nil {
		time.Sleep(raiseTime)
	}
}

package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Run runs the command as a child and returns its exit status: its own, or 128+n when signal n killed it (see
// [Options.Died]). Until then all signals that can be caught and are not about ourselves are passed on to it.
//
// The status is that of the child if err is nil. Otherwise it is what we should exit with: 127 and 126 with a
// [*StartError], 125 with the fault of [Environ] or of the system. When ctx ends, the child gets SIGTERM, and SIGKILL
// after [DefaultGrace]; its status comes with the cause of ctx. Do not tie ctx to signals: they would count twice.
func Run(ctx context.Context, o Options) (status int, err error) {
	return Watch(ctx, o, nil, DefaultGrace)
}

// Watch is [Run] with restarts: when changes delivers variables that differ from those of the running child, its process
// group gets SIGTERM, SIGKILL after grace (0 means [DefaultGrace]), and the command starts anew. If the child ends by
// itself, Watch ends with its status.
//
// A change that [Environ] refuses is told through o.Logf and leaves the child running. Just after a signal that asks to
// end (SIGINT, SIGTERM, ...) a change waits for grace, since the child may be ending; and such a signal during a restart
// ends Watch instead. A closed channel means that no more changes come.
func Watch(ctx context.Context, o Options, changes <-chan []Var, grace time.Duration) (status int, err error) {
	if grace <= 0 {
		grace = DefaultGrace
	}
	env, err := Environ(o)
	if err != nil {
		return StatusFailure, err
	}
	path, err := resolve(o.Args)
	if err != nil {
		return failureStatus(err), err
	}
	stdin, done, err := input(o.Stdin)
	if err != nil {
		return StatusFailure, err
	}
	defer done()
	s := &supervisor{
		path: path, stdin: stdin, grace: grace, changes: changes, cancelled: ctx.Done(), platform: openPlatform(),
		hide: masking{on: o.Mask, values: o.secrets()},
	}
	defer s.platform.closePlatform()
	s.signals, s.release = catch()
	defer s.release()
	end, err := s.run(o, env)
	if err != nil {
		return failureStatus(err), err
	}
	if end.err != nil {
		return end.status, fault.Wrap(fault.Internal, end.err, "couldn't wait for command %q", o.Args[0])
	}
	if end.signal != 0 && o.Died != nil {
		o.Died(end.signal)
	}
	if s.gaveUp {
		return end.status, context.Cause(ctx)
	}
	return end.status, nil
}

func failureStatus(err error) int {
	if e, ok := errors.AsType[*StartError](err); ok {
		return e.Status
	}
	return StatusFailure
}

// input makes a file of r that serves one child after the other, so that nobody reads on for a child that is gone.
func input(r io.Reader) (*os.File, func(), error) {
	if r == nil {
		return nil, func() {}, nil
	}
	if f, ok := r.(*os.File); ok {
		return f, func() {}, nil
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, fault.Wrap(fault.Unavailable, err, "couldn't make a pipe for the command's input")
	}
	go func() {
		_, _ = io.Copy(ours, r) // a child that stops reading breaks the pipe, as it may
		_ = ours.Close()
	}()
	return theirs, func() { _ = theirs.Close() }, nil
}

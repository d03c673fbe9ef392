//go:build unix

package runner

import (
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is the controlling terminal; nil when there is none, and all methods work on nil.
//
// It is handed to the child's group only when the child asks by reading from it or by changing its mode. Handing it over
// at once would take it from the rest of a pipeline, such as a pager behind us.
type terminal struct {
	fd    int
	group int // our process group
}

func openTerminal() *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &terminal{fd, unix.Getpgrp()}
}

func (t *terminal) close() {
	if t != nil {
		_ = unix.Close(t.fd)
	}
}

// belongsTo tells whether group is the terminal's foreground group.
func (t *terminal) belongsTo(group int) bool {
	if t == nil {
		return false
	}
	owner, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && owner == group
}

// ours tells whether our group is in the foreground.
func (t *terminal) ours() bool { return t != nil && t.belongsTo(t.group) }

// give hands the terminal to group if it is ours to give. From then on our own output must not stop us, should the
// terminal be set to stop background writers.
func (t *terminal) give(group int) bool {
	if !t.ours() {
		return false
	}
	signal.Ignore(syscall.SIGTTOU)
	if unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group) != nil {
		signal.Reset(syscall.SIGTTOU)
		return false
	}
	return true
}

// takeBack undoes give when group has ended.
func (t *terminal) takeBack(group int) {
	if !t.belongsTo(group) {
		return
	}
	signal.Ignore(syscall.SIGTTOU) // a background group that sets the foreground is stopped otherwise
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, t.group)
	signal.Reset(syscall.SIGTTOU) // the next child must not inherit it ignored
}

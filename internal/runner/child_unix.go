//go:build unix

package runner

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The child gets a process group of its own. So a signal for us alone can be told from one for both, a terminal's Ctrl-C
// reaches the child once (through us, or from the terminal when it was handed over), and a restart can end all that the
// child started.

// platform is what a child needs on unix.
type platform struct{ tty *terminal }

func openPlatform() platform      { return platform{openTerminal()} }
func (p platform) closePlatform() { p.tty.close() }

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// maxSignal is the highest number on Linux; other systems know fewer and ignore the rest.
const maxSignal = 64

// catch delivers all signals that are to be passed on. Signals that we were started to ignore (nohup, background jobs)
// stay ignored, for the child too. The returned function ends it.
func catch() (<-chan os.Signal, func()) {
	// A burst of all signals at once fits.
	ch := make(chan os.Signal, 2*maxSignal)
	for n := syscall.Signal(1); n <= maxSignal; n++ {
		if passedOn(n) && !signal.Ignored(n) {
			signal.Notify(ch, n)
		}
	}
	return ch, func() { signal.Stop(ch) }
}

// passedOn tells whether a signal that reaches us is meant for the child.
func passedOn(sig syscall.Signal) bool {
	switch sig {
	case syscall.SIGKILL, syscall.SIGSTOP: // cannot be caught
		return false
	case syscall.SIGCHLD, syscall.SIGPIPE: // about our child, our pipe
		return false
	case syscall.SIGTTIN, syscall.SIGTTOU: // about our use of the terminal
		return false
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL: // a defect of ours
		return false
	case syscall.SIGURG, syscall.SIGPROF: // the Go runtime sends them to itself
		return false
	case 32, 33, 34: // the C library's own on Linux; names of nothing elsewhere
		return false
	}
	return true
}

// forward passes sig on. What the keyboard sends goes to a whole group, so while our group has the terminal the child's
// group gets it; everything else was sent to one process and goes to one.
func (c *child) forward(sig os.Signal) {
	n, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	c.whileAlive(func(pid int) {
		switch n {
		case syscall.SIGCONT:
			pid = -pid
		case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH:
			if c.tty.ours() {
				pid = -pid
			}
		}
		_ = syscall.Kill(pid, n) // it may be a zombie by now, which is no failure
	})
}

// asksToEnd tells whether the sender wants the command to end rather than to be restarted.
func (c *child) asksToEnd(sig os.Signal) bool {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM:
		return true
	case syscall.SIGHUP: // a lost terminal; for services a wish to reload
		return c.tty != nil
	}
	return false
}

// terminate asks the child and all that it started to end. A stopped process must run to hear it.
func (c *child) terminate() {
	c.whileAlive(func(pid int) {
		_ = syscall.Kill(-pid, syscall.SIGTERM)
		_ = syscall.Kill(-pid, syscall.SIGCONT)
	})
}

// kill ends the child and all that it started.
func (c *child) kill() {
	c.whileAlive(func(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) })
}

// leftovers tells whether processes of the child's group still run after it has ended. As process 1 of a container we
// inherit them and must collect the dead.
func (c *child) leftovers() bool {
	group := c.cmd.Process.Pid
	for {
		pid, err := syscall.Wait4(-group, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			break
		}
	}
	return syscall.Kill(-group, 0) == nil
}

// killLeftovers ends them. A group's number is not given away while it has members.
func (c *child) killLeftovers() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

// leftoverPoll is how often leftovers are looked at: no event tells of the end of a group.
const leftoverPoll = 10 * time.Millisecond

// wait waits for the child's end and mirrors its stops.
func (c *child) wait() ending {
	pid := c.cmd.Process.Pid
	for {
		var ws syscall.WaitStatus
		_, err := syscall.Wait4(pid, &ws, syscall.WUNTRACED, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err == nil && !ws.Exited() && !ws.Signaled() {
			if ws.Stopped() {
				c.stopped(pid, ws.StopSignal())
			}
			continue
		}
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
		c.tty.takeBack(pid)
		switch {
		case err != nil:
			return ending{status: StatusFailure, err: err}
		case ws.Signaled():
			return ending{status: statusSignal + int(ws.Signal()), signal: ws.Signal()}
		default:
			return ending{status: ws.ExitStatus()}
		}
	}
}

// stopped answers a stop of the child: a wish for the terminal is granted if it is ours to give; else we stop too, so that
// the shell sees its job stopped. A plain SIGSTOP is between the child and its debugger.
func (c *child) stopped(pid int, sig syscall.Signal) {
	handedOver := c.tty.belongsTo(pid)
	switch sig {
	case syscall.SIGTTIN, syscall.SIGTTOU:
		if handedOver || c.tty.give(pid) {
			_ = syscall.Kill(-pid, syscall.SIGCONT)
			return
		}
	case syscall.SIGTSTP:
	default:
		return
	}
	us := os.Getpid()
	if handedOver {
		us = 0 // the keyboard stopped only the child's group; ours is the one that the shell watches
	}
	_ = syscall.Kill(us, syscall.SIGSTOP) // SIGCONT wakes us and is passed on
}

//go:build windows

package runner

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// platform is what a child needs on Windows: nothing. Console events reach all processes of a console, so the child hears
// Ctrl-C without us.
type platform struct{}

func openPlatform() platform    { return platform{} }
func (platform) closePlatform() {}

func attributes() *syscall.SysProcAttr { return nil }

// catch swallows Ctrl-C and the console's close event, so that the child decides what follows.
func catch() (<-chan os.Signal, func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	return ch, func() { signal.Stop(ch) }
}

func (c *child) forward(os.Signal) {}

func (c *child) asksToEnd(os.Signal) bool { return true }

// terminate kills: Windows has no request to end that every program hears.
func (c *child) terminate() { c.kill() }

func (c *child) kill() {
	c.whileAlive(func(int) { _ = c.cmd.Process.Kill() })
}

func (c *child) leftovers() bool { return false }
func (c *child) killLeftovers()  {}

const leftoverPoll = 10 * time.Millisecond

func (c *child) wait() ending {
	err := c.cmd.Wait()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return ending{status: StatusFailure, err: err}
	}
	return ending{status: c.cmd.ProcessState.ExitCode()}
}

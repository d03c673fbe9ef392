package runner

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// ending is how a child ended.
type ending struct {
	status int
	signal syscall.Signal // 0 unless a signal killed it
	err    error          // the wait itself failed
}

// child is one started command. Its owner receives from exited once and then calls close.
type child struct {
	cmd    *exec.Cmd
	output *output
	exited chan ending // buffered; one value

	mu   sync.Mutex
	over bool // its process id may belong to somebody else; guarded by mu

	platform
}

// start starts the program at path. A nil stdin is the null device.
func start(o Options, path string, env []string, stdin *os.File, hide masking, p platform) (*child, error) {
	c := &child{exited: make(chan ending, 1), platform: p, output: &output{}}
	c.cmd = &exec.Cmd{Path: path, Args: o.Args, Env: env, SysProcAttr: attributes()}
	if stdin != nil {
		c.cmd.Stdin = stdin
	}
	if err := c.output.attach(c.cmd, o, hide); err != nil {
		c.output.abandon()
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		c.output.abandon()
		return nil, startFailure(o.Args[0], err)
	}
	c.output.pump()
	go func() { c.exited <- c.wait() }()
	return c, nil
}

// whileAlive calls f unless the child has been waited for.
func (c *child) whileAlive(f func(pid int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		f(c.cmd.Process.Pid)
	}
}

// close passes on the last output and frees what the child held.
func (c *child) close() {
	c.output.drain()
	_ = c.cmd.Process.Release() // the process is gone; there is nobody to tell
}

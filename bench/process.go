package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	serverCPU = "0" // all servers run here, one busy at a time
	loadCPU   = "1" // the load generator runs here

	// serverProcs is GOMAXPROCS of every server. With one processor a
	// goroutine in fsync holds it until the runtime notices, and the server
	// idles meanwhile.
	serverProcs = "4"

	stopWithin = 15 * time.Second // then the process is killed
)

// pinned is a command that runs on one CPU where taskset and a second CPU are
// there, and anywhere otherwise.
func pinned(ctx context.Context, cpu, program string, args ...string) *exec.Cmd {
	if taskset, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > 1 {
		// taskset executes the program in its own place: the process id stays.
		return exec.CommandContext(ctx, taskset, append([]string{"-c", cpu, program}, args...)...)
	}
	return exec.CommandContext(ctx, program, args...)
}

// process is one server process and the files of its output.
type process struct {
	cmd    *exec.Cmd
	dir    string // holds stdout and stderr
	stdout *os.File
	stderr *os.File
	ended  chan struct{} // closed when the process is gone
	err    error         // set before ended is closed
}

// startServer runs a server on the server CPU. Its output goes to files in
// dir, so that a full pipe can never slow it down.
func startServer(ctx context.Context, dir string, env []string, program string, args ...string) (*process, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &process{dir: dir, ended: make(chan struct{})}
	var err error
	if p.stdout, err = os.Create(filepath.Join(dir, "stdout")); err != nil {
		return nil, err
	}
	if p.stderr, err = os.Create(filepath.Join(dir, "stderr")); err != nil {
		return nil, errors.Join(err, p.stdout.Close())
	}
	p.cmd = pinned(ctx, serverCPU, program, args...)
	p.cmd.Env = append(append(os.Environ(), "GOMAXPROCS="+serverProcs), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// firstLine waits for the server's first line and decodes it.
func (p *process) firstLine(ctx context.Context, into any) error {
	return p.poll(ctx, func() (bool, error) {
		f, err := os.Open(p.stdout.Name())
		if err != nil {
			return false, err
		}
		defer f.Close()
		line, err := bufio.NewReader(f).ReadBytes('\n')
		if err != nil {
			return false, nil
		}
		return true, json.Unmarshal(line, into)
	})
}

// pollEvery is the grain of start-up times.
const pollEvery = 2 * time.Millisecond

// poll repeats check until it says true or fails, or the process ends.
func (p *process) poll(ctx context.Context, check func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := check(); ok || err != nil {
			return err
		}
		select {
		case <-p.ended:
			return fmt.Errorf("server ended before it was ready: %w: %s", p.err, p.complaint())
		case <-ctx.Done():
			return fmt.Errorf("server did not become ready: %w: %s", ctx.Err(), p.complaint())
		case <-tick.C:
		}
	}
}

// complaint is the end of what the server wrote to its error output.
func (p *process) complaint() string {
	b, err := os.ReadFile(p.stderr.Name())
	if err != nil {
		return err.Error()
	}
	const most = 600
	return strings.TrimSpace(string(b[max(0, len(b)-most):]))
}

// kill ends the process at once, as kill -9 does.
func (p *process) kill() error {
	defer p.stdout.Close()
	defer p.stderr.Close()
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	defer p.stdout.Close()
	defer p.stderr.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopWithin):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return fmt.Errorf("server had to be killed after %s", stopWithin)
}

package testpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// stopTimeout bounds a shutdown: a fast one writes a checkpoint, which takes seconds on a slow disk.
	stopTimeout = time.Minute
	// logTail is how much of the server's log an error shows.
	logTail = 2 << 10
)

// process is one life of the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the server and all its children are gone
}

// spawn starts the server. Every process of the server inherits the write end of a pipe, so that the end of the last one
// can be seen: after a kill the children notice their parent's death a little later, and until then a new server would
// refuse to use the same data.
func spawn(cmd *exec.Cmd) (*process, error) {
	witness, held, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, held)

	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal is tied to the thread, not to the process (prctl(2)): the thread must live as long as the
		// server. The goroutine ends without unlocking, so the thread ends with it.
		runtime.LockOSThread()
		err := cmd.Start()
		_ = held.Close()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the status says nothing that the log does not
			_, _ = io.Copy(io.Discard, witness)
		}
		_ = witness.Close()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end sends a signal to the server and waits until all of it is gone. Ending what has ended is no error.
func (p *process) end(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgresql: %w", err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("postgresql (process %d) still runs %s after %s", p.cmd.Process.Pid, stopTimeout, signal)
	}
}

// initdb makes a cluster in the folder, with a superuser and its password.
func initdb(in installation, as account, folder workFolder, password string) error {
	passwordFile := folder.path + "/password"
	if err := os.WriteFile(passwordFile, []byte(password), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(passwordFile) }()
	if err := as.own(passwordFile); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, in.program("initdb"),
		"--pgdata="+folder.data(),
		"--username="+superuser,
		"--pwfile="+passwordFile,
		"--auth=scram-sha-256",
		"--encoding=UTF8",
		"--locale=C", // the one libc locale that every machine has; text itself sorts by ICU
		"--locale-provider=icu",
		"--icu-locale=en-US",
		"--data-checksums",
		"--no-sync", // a template that nobody has written to needs no power-cut safety
	)
	prepare(cmd, as, folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// prepare gives a program of PostgreSQL its user, a folder that this user may enter, and an environment without the
// caller's PG* variables and locale.
func prepare(cmd *exec.Cmd, as account, folder workFolder) {
	as.dress(cmd)
	cmd.Dir = folder.path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "HOME=" + folder.path}
}

// tail gives the end of a log file for an error text.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(b) > logTail {
		b = b[len(b)-logTail:]
	}
	return strings.TrimSpace(string(b))
}

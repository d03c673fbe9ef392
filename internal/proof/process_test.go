package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startWithin and exitWithin bound waiting for a process on a busy machine; they are no measurement.
	startWithin = time.Minute
	exitWithin  = time.Minute
)

// crashAt names the point at which a server shall die, see package crashpoint.
const crashAt = "KEYTURN_CRASH_AT="

// place is where a server keeps its data across its lives, and the environment it gets.
type place struct {
	folder string
	env    []string
	args   []string
	// careless starts the server with a umask that hides nothing.
	careless bool
	// fileBlocks limits the size of files, in blocks of 512 bytes; 0 for no limit.
	fileBlocks int
}

// with gives the same place with one variable of the environment set, or with another value.
func (p place) with(name, value string) place {
	env := []string{name + value}
	for _, variable := range p.env {
		if !strings.HasPrefix(variable, name) {
			env = append(env, variable)
		}
	}
	p.env = env
	return p
}

// data is the folder of the embedded database.
func (p place) data() string { return filepath.Join(p.folder, "data") }

// command makes a command line of the program with nothing of the tester's own environment.
func (p place) command(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	which := &shipped
	for _, variable := range p.env {
		if strings.HasPrefix(variable, crashAt) {
			which = &crashing
		}
	}
	cmd := exec.Command(which.executable(tb), args...)
	cmd.Dir = p.folder
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.folder, "TMPDIR=" + os.TempDir()}, p.env...)
	return cmd
}

func (p place) server(tb testing.TB) *exec.Cmd {
	tb.Helper()
	cmd := p.command(tb, append([]string{"server", "--data", p.data(), "--listen", "127.0.0.1:0"}, p.args...)...)
	if p.careless {
		cmd = shell(cmd, "umask 0")
	}
	if p.fileBlocks > 0 {
		cmd = shell(cmd, fmt.Sprintf("ulimit -f %d", p.fileBlocks))
	}
	return cmd
}

// process is one life of a server.
type process struct {
	cmd   *exec.Cmd
	out   *output
	url   string
	ended chan struct{}
	err   error // of the end; read after ended
}

// output keeps what a process prints. It may be read while the process runs.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan string // gets the address once
}

var readyLine = regexp.MustCompile(`is ready: (https?://\S+)`)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if o.ready != nil {
		if m := readyLine.FindSubmatch(o.text.Bytes()); m != nil && bytes.HasSuffix(o.text.Bytes(), []byte("\n")) {
			o.ready <- string(m[1])
			o.ready = nil
		}
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start runs the server and waits until it says that it is ready. It is killed with the test.
func (p place) start(tb testing.TB) *process {
	tb.Helper()
	s, up := p.tryStart(tb)
	if !up {
		tb.Fatalf("the server ended instead of serving: %v\n%s", s.err, s.out)
	}
	return s
}

// tryStart is start for a server that may refuse instead.
func (p place) tryStart(tb testing.TB) (s *process, up bool) {
	tb.Helper()
	ready := make(chan string, 1)
	s = &process{cmd: p.server(tb), out: &output{ready: ready}, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	tb.Cleanup(func() { _ = s.signal(syscall.SIGKILL) })
	select {
	case s.url = <-ready:
		s.greeted(tb)
		return s, true
	case <-s.ended:
	case <-time.After(startWithin):
		tb.Fatalf("the server is not ready after %v:\n%s", startWithin, s.out)
	}
	return s, false
}

// greeted waits for the first answer: the greeting is printed as a whole before.
func (s *process) greeted(tb testing.TB) {
	tb.Helper()
	resp, err := http.Get(s.url + "/healthz")
	if err != nil {
		tb.Fatalf("the server says that it is ready and does not answer: %v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("a fresh server is not live: %d", resp.StatusCode)
	}
}

// signal sends a signal and waits for the end.
func (s *process) signal(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(exitWithin):
		return fmt.Errorf("the server still runs %v after %v", exitWithin, sig)
	}
}

func (s *process) kill(tb testing.TB) {
	tb.Helper()
	if err := s.signal(syscall.SIGKILL); err != nil {
		tb.Fatal(err)
	}
}

// stop ends the server in good order.
func (s *process) stop(tb testing.TB) {
	tb.Helper()
	if err := s.signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	if s.err != nil {
		tb.Errorf("the server did not stop in good order: %v\n%s", s.err, tail(s.out.String()))
	}
}

// ending is how a program that should not run for long ended.
type ending struct {
	code int
	out  string
	took time.Duration
}

// refused runs the server where it should refuse to start.
func (p place) refused(tb testing.TB) ending {
	tb.Helper()
	return finish(tb, p.server(tb))
}

func finish(tb testing.TB, cmd *exec.Cmd) ending {
	tb.Helper()
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	ctx, cancel := context.WithTimeout(context.Background(), exitWithin)
	defer cancel()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := cmd.Wait()
	took := time.Since(began)
	if ctx.Err() != nil {
		tb.Fatalf("%s runs on:\n%s", strings.Join(cmd.Args, " "), out)
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		tb.Fatal(err)
	}
	return ending{cmd.ProcessState.ExitCode(), out.String(), took}
}

func tail(s string) string {
	const most = 4 << 10
	if len(s) > most {
		return "..." + s[len(s)-most:]
	}
	return s
}

// shell wraps a command with a setting that only a shell can make.
func shell(cmd *exec.Cmd, setting string) *exec.Cmd {
	out := exec.Command("sh", append([]string{"-c", setting + ` && exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)...)
	out.Dir, out.Env = cmd.Dir, cmd.Env
	return out
}

//go:build unix

package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestExitStatusIsPassedThrough(t *testing.T) {
	for _, n := range []int{0, 1, 2, 42, 125, 130, 255} {
		status, err := Run(context.Background(), self("exit", strconv.Itoa(n)))
		if err != nil || status != n {
			t.Errorf("exit %d: got %d, %v", n, status, err)
		}
		if ws := play(t, nil, "exec", "exit", strconv.Itoa(n)).end(); ws.ExitStatus() != n {
			t.Errorf("exec, exit %d: got %v", n, ws)
		}
	}
}

func TestDeathBySignalIsToldApartFromItsStatus(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		var died syscall.Signal
		o := self("die", strconv.Itoa(int(sig)))
		o.Died = func(s syscall.Signal) { died = s }
		status, err := Run(context.Background(), o)
		if err != nil || status != 128+int(sig) || died != sig {
			t.Errorf("%v: got %d, %v, died %v", sig, status, err, died)
		}
		// The caller dies by it too.
		ws := play(t, nil, "run", "die", strconv.Itoa(int(sig))).end()
		if !ws.Signaled() || ws.Signal() != sig {
			t.Errorf("raise %v: got %v", sig, ws)
		}
	}
	o := self("exit", "130")
	o.Died = func(syscall.Signal) { t.Error("exit(130) taken for a signal") }
	if status, err := Run(context.Background(), o); status != 130 || err != nil {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestSignalsAreForwarded(t *testing.T) {
	sigs := []syscall.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
		syscall.SIGWINCH, syscall.SIGABRT, syscall.SIGCONT, syscall.SIGIO,
	}
	for _, role := range []string{"run", "mask", "exec"} {
		p := play(t, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }, role, "listen")
		p.expect("ready")
		for _, sig := range sigs {
			p.signal(sig)
			p.expect(fmt.Sprintf("signal %d", int(sig)))
		}
		p.signal(syscall.SIGTERM)
		p.expect("signal 15")
		if ws := p.end(); ws.ExitStatus() != 7 {
			t.Errorf("%s: got %v", role, ws)
		}
	}
}

func TestSignalForOneProcessReachesOneProcess(t *testing.T) {
	p := play(t, func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }, "run", "elder")
	p.expect("ready")
	p.signal(syscall.SIGINT)
	p.expect("elder 2")
	p.signal(syscall.SIGTERM)
	p.expect("elder 15")
	p.expect("signal 15") // and no signal 2 before
	p.end()
}

func TestIgnoredSignalsStayIgnoredAsNohupNeedsIt(t *testing.T) {
	p := play(t, func(cmd *exec.Cmd) {
		// A shell that ignores SIGHUP, then becomes the runner.
		cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}, "run", "polite")
	p.expect("pid")
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGTERM)
	if ws := p.end(); ws.ExitStatus() != 0 {
		t.Errorf("got %v", ws)
	}
}

func TestStartFailuresHaveTheShellsStatus(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("PATH", dir)
	write("plain", "x", 0o600)
	for _, c := range []struct {
		name   string
		arg    string
		status int
		kind   fault.Kind
	}{
		{"no such name", "no-such-command", 127, fault.NotFound},
		{"no such path", dir + "/missing", 127, fault.NotFound},
		{"not executable in PATH", "plain", 126, fault.Denied},
		{"not executable by path", dir + "/plain", 126, fault.Denied},
		{"a folder", dir, 126, fault.Denied},
		{"no interpreter line", write("script", "exit 0\n", 0o700), 126, fault.Denied},
		{"missing interpreter", write("orphan", "#!/no/such/interpreter\n", 0o700), 126, fault.Denied},
	} {
		o := Options{Args: []string{c.arg}}
		status, err := Run(context.Background(), o)
		start, ok := errors.AsType[*StartError](err)
		if status != c.status || !ok || start.Status != c.status || !errors.Is(err, c.kind) {
			t.Errorf("%s: got %d, %v", c.name, status, err)
		}
		if start, ok = errors.AsType[*StartError](Exec(o)); !ok || start.Status != c.status {
			t.Errorf("%s: exec got %v", c.name, start)
		}
	}
	if status, err := Run(context.Background(), Options{}); status != StatusFailure || !errors.Is(err, fault.Invalid) {
		t.Errorf("no command: got %d, %v", status, err)
	}
}

func TestInjectedPathDoesNotChooseTheProgram(t *testing.T) {
	good, evil := t.TempDir(), t.TempDir()
	for dir, word := range map[string]string{good: "good", evil: "evil"} {
		script := "#!/bin/sh\necho " + word + " $PATH\n"
		if err := os.WriteFile(filepath.Join(dir, "tool"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", good)
	var out bytes.Buffer
	o := Options{
		Args: []string{"tool"}, Base: os.Environ(), Stdout: &out,
		Vars: []Var{{Name: "PATH", Value: sensitive.FromString(evil)}},
	}
	status, err := Run(context.Background(), o)
	if f := fault.As(err); status != StatusFailure || f.Kind != fault.Denied || !strings.Contains(f.Hint, "--allow PATH") {
		t.Fatalf("not allowed: got %d, %v", status, err)
	}
	if o.Allow = []string{"PATH"}; true {
		status, err = Run(context.Background(), o)
	}
	if want := "good " + evil + "\n"; status != 0 || err != nil || out.String() != want {
		t.Fatalf("allowed: got %d, %v, %q", status, err, out.String())
	}
}

func TestChildSeesTheVariablesAndOutputIsMasked(t *testing.T) {
	o := self("print", "KEY", "KEEP", "ENV", "MODE")
	o.Base = append(o.Base, "KEY=old", "KEEP=kept")
	o.Vars = []Var{
		{Name: "KEY", Value: sensitive.FromString("test-value with = and\nline")},
		{Name: "ENV", Value: sensitive.FromString("test-value-env")},
		{Name: "MODE", Value: sensitive.FromString("production"), Public: true},
	}
	var out bytes.Buffer
	o.Stdout = &out
	if status, err := Run(context.Background(), o); status != 0 || err != nil {
		t.Fatal(status, err)
	}
	want := "KEY=test-value with = and\nline true\nKEEP=kept true\nENV=test-value-env true\nMODE=production true\n"
	if out.String() != want {
		t.Fatalf("got %q", out.String())
	}
	out.Reset()
	o.Mask = true
	if status, err := Run(context.Background(), o); status != 0 || err != nil {
		t.Fatal(status, err)
	}
	want = "KEY=[masked] true\nKEEP=kept true\nENV=[masked] true\nMODE=production true\n"
	if out.String() != want {
		t.Fatalf("got %q", out.String())
	}
}

func TestLargeStreamsPassUnharmed(t *testing.T) {
	text := bytes.Repeat([]byte("all work and no play\n"), 200_000)
	for _, mask := range []bool{false, true} {
		o := self("cat")
		var out bytes.Buffer
		o.Stdin, o.Stdout, o.Stderr, o.Mask = bytes.NewReader(text), &out, &out, mask
		if status, err := Run(context.Background(), o); status != 0 || err != nil || !bytes.Equal(out.Bytes(), text) {
			t.Fatalf("mask %t: got %d, %v, %d of %d bytes", mask, status, err, out.Len(), len(text))
		}
	}
}

func TestBackgroundProcessDoesNotHoldTheRun(t *testing.T) {
	var out bytes.Buffer
	o := Options{Args: []string{"/bin/sh", "-c", "sleep 60 & echo $!"}, Base: os.Environ(), Stdout: &out}
	status, err := Run(context.Background(), o)
	pid, numErr := strconv.Atoi(strings.TrimSpace(out.String()))
	if status != 0 || err != nil || numErr != nil {
		t.Fatal(status, err, numErr)
	}
	if !alive(pid) {
		t.Error("a background process was killed")
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestCancellingEndsTheChild(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	o := self("listen")
	stdout := newLines()
	o.Stdout = stdout
	go func() { stdout.wait("ready"); cancel(errors.New("enough")) }()
	status, err := Run(ctx, o)
	if status != 7 || err == nil || err.Error() != "enough" {
		t.Fatal(status, err)
	}
}

func TestExecRefusesToMask(t *testing.T) {
	if err := Exec(Options{Args: []string{"true"}, Mask: true}); !errors.Is(err, fault.Internal) {
		t.Fatal(err)
	}
}

//go:build unix

package runner

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// roleVar tells the test binary to play a part instead of running tests.
const roleVar = "RUNNER_TEST_ROLE"

func TestMain(m *testing.M) {
	role, found := os.LookupEnv(roleVar)
	if !found {
		os.Exit(m.Run())
	}
	args := os.Args[1:]
	switch role {
	case "run", "exec", "mask": // ROLE ARGS...: run ourselves in that role
		o := Options{
			Args: append([]string{os.Args[0]}, args[1:]...), Base: os.Environ(),
			Vars:  []Var{{Name: roleVar, Value: sensitive.FromString(args[0])}},
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Mask: role == "mask", Died: Raise,
		}
		if role == "exec" {
			fmt.Println(Exec(o))
			os.Exit(99)
		}
		status, err := Run(context.Background(), o)
		if err != nil {
			fmt.Println("error:", err)
		}
		if tty := openTerminal(); tty != nil {
			fmt.Println("terminal is ours:", tty.ours())
		}
		os.Exit(status)
	case "exit":
		n, _ := strconv.Atoi(args[0])
		os.Exit(n)
	case "print":
		for _, name := range args {
			value, found := os.LookupEnv(name)
			fmt.Printf("%s=%s %t\n", name, value, found)
		}
	case "die":
		n, _ := strconv.Atoi(args[0])
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
		signal.Reset()
		resetAndKill(syscall.Signal(n))
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "listen":
		listen()
	case "stubborn": // prints its variable and ignores SIGTERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("pid", os.Getpid(), os.Getenv("COLOUR"))
		time.Sleep(time.Hour) // a bare select would be reported as a deadlock
	case "polite": // ends with 0 on SIGTERM
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGTERM)
		fmt.Println("pid", os.Getpid(), os.Getenv("COLOUR"), os.Getenv("LAST"))
		<-ch
	case "parent": // leaves a stubborn child behind
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleVar+"=stubborn")
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		_ = cmd.Wait()
	case "elder": // says what it hears, and passes only SIGTERM on to a listening child
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleVar+"=listen")
		cmd.Stdout = os.Stdout
		ch := make(chan os.Signal, 8)
		signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM)
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		for sig := range ch {
			fmt.Println("elder", int(sig.(syscall.Signal)))
			if sig == syscall.SIGTERM {
				_ = cmd.Process.Signal(sig)
				_ = cmd.Wait()
				os.Exit(0)
			}
		}
	case "ask": // reads a line from the terminal first
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Println("read", strings.TrimSpace(line), err)
		listen()
	}
	os.Exit(0)
}

// resetAndKill dies by sig; where the Go runtime would dump its stacks instead, SIGKILL must do.
func resetAndKill(sig syscall.Signal) {
	_ = syscall.Kill(os.Getpid(), sig)
	time.Sleep(10 * time.Second)
	os.Exit(98)
}

// listen prints the number of every signal and ends with 7 after SIGTERM. SIGTSTP keeps its effect.
func listen() {
	ch := make(chan os.Signal, 64)
	for n := syscall.Signal(1); n <= 64; n++ {
		if n != syscall.SIGTSTP && n != syscall.SIGTTIN && n != syscall.SIGTTOU && n != syscall.SIGURG {
			signal.Notify(ch, n)
		}
	}
	fmt.Println("ready", os.Getpid(), unix.Getpgrp())
	for sig := range ch {
		fmt.Println("signal", int(sig.(syscall.Signal)))
		if sig == syscall.SIGTERM {
			os.Exit(7)
		}
	}
}

// player is a running copy of the test binary.
type player struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// play starts the test binary in a role, with its standard output to be read line by line.
func play(t *testing.T, set func(*exec.Cmd), role string, args ...string) *player {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	if set != nil {
		set(cmd)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &player{t, cmd, bufio.NewScanner(out)}
}

func (p *player) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("output ended: %v", p.lines.Err())
	}
	return p.lines.Text()
}

func (p *player) expect(want string) {
	p.t.Helper()
	if got := p.line(); got != want && !strings.HasPrefix(got, want+" ") {
		p.t.Fatalf("got line %q, want %q", got, want)
	}
}

func (p *player) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// end waits and gives the wait status.
func (p *player) end() syscall.WaitStatus {
	p.t.Helper()
	for p.lines.Scan() {
		p.t.Logf("output: %s", p.lines.Text())
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// self gives options that run the test binary in a role.
func self(role string, args ...string) Options {
	return Options{
		Args: append([]string{os.Args[0]}, args...),
		Base: append(os.Environ(), roleVar+"="+role),
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return os.IsNotExist(err) && exec.Command("ps", "-p", strconv.Itoa(pid)).Run() == nil
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return fields[0] != "Z"
}

// until polls for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

package runner

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openPTY gives both sides of a new terminal.
func openPTY(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keyboard, tty
}

// onTerminal plays a role in a session of its own whose terminal is tty.
func onTerminal(tty *os.File) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Stdin = tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
}

func press(t *testing.T, keyboard *os.File, keys string) {
	t.Helper()
	if _, err := keyboard.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func TestCtrlCReachesTheChildOnce(t *testing.T) {
	for _, role := range []string{"run", "mask"} {
		keyboard, tty := openPTY(t)
		p := play(t, onTerminal(tty), role, "listen")
		p.expect("ready")
		for range 3 {
			press(t, keyboard, "\x03")
			p.expect("signal 2")
			p.signal(syscall.SIGUSR1) // a second SIGINT would come before it
			p.expect("signal 10")
		}
		p.signal(syscall.SIGTERM)
		p.expect("signal 15")
		p.expect("terminal is ours: true")
		if ws := p.end(); ws.ExitStatus() != 7 {
			t.Fatal(ws)
		}
	}
}

func TestChildThatReadsTheTerminalGetsIt(t *testing.T) {
	keyboard, tty := openPTY(t)
	p := play(t, onTerminal(tty), "run", "ask")
	press(t, keyboard, "hello\n")
	p.expect("read hello <nil>")
	p.expect("ready")
	press(t, keyboard, "\x03")
	p.expect("signal 2")
	p.signal(syscall.SIGUSR1)
	p.expect("signal 10")
	p.signal(syscall.SIGTERM)
	p.expect("signal 15")
	p.expect("terminal is ours: true")
	if ws := p.end(); ws.ExitStatus() != 7 {
		t.Fatal(ws)
	}
}

func TestCtrlZStopsBothAndContinueWakesBoth(t *testing.T) {
	for _, role := range []string{"listen", "ask"} { // in the background, and with the terminal handed over
		keyboard, tty := openPTY(t)
		p := play(t, onTerminal(tty), "run", role)
		if role == "ask" {
			press(t, keyboard, "x\n")
			p.expect("read x <nil>")
		}
		p.expect("ready")
		press(t, keyboard, "\x1a")
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(p.cmd.Process.Pid, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
			t.Fatal(ws, err)
		}
		p.signal(syscall.SIGCONT)
		p.expect("signal 18")
		p.signal(syscall.SIGTERM)
		p.expect("signal 15")
		p.end()
	}
}

func TestCtrlCReachesAllThatTheChildStarted(t *testing.T) {
	keyboard, tty := openPTY(t)
	p := play(t, onTerminal(tty), "run", "elder")
	p.expect("ready")
	press(t, keyboard, "\x03")
	heard := []string{p.line(), p.line()}
	slices.Sort(heard)
	if !slices.Equal(heard, []string{"elder 2", "signal 2"}) {
		t.Fatal(heard)
	}
	p.signal(syscall.SIGTERM)
	p.end()
}

func TestCtrlZStopsTheScriptAroundUsToo(t *testing.T) {
	keyboard, tty := openPTY(t)
	p := play(t, func(cmd *exec.Cmd) {
		onTerminal(tty)(cmd)
		cmd.Args = append([]string{"sh", "-c", `"$0" "$@"; exit $?`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}, "run", "ask")
	press(t, keyboard, "x\n")
	p.expect("read x <nil>") // the terminal is handed over
	var child, childGroup int
	if _, err := fmt.Sscanf(p.line(), "ready %d %d", &child, &childGroup); err != nil || child != childGroup {
		t.Fatal(child, childGroup, err)
	}
	t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) })
	press(t, keyboard, "\x1a")
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(p.cmd.Process.Pid, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
		t.Fatal(ws, err)
	}
	group := -p.cmd.Process.Pid
	if err := syscall.Kill(group, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.expect("signal 18")
	press(t, keyboard, "\x1c") // the terminal is back with the child or with us: it hears the keyboard
	p.expect("signal 3")
	if err := syscall.Kill(child, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.expect("signal 15")
	p.expect("terminal is ours: true")
	if ws := p.end(); ws.ExitStatus() != 7 {
		t.Fatal(ws)
	}
}

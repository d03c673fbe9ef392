//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serverProcess is "keyturn server" as a process of its own.
type serverProcess struct {
	cmd    *exec.Cmd
	url    string
	banner string
	rest   chan string // what it said after the banner
}

// cleanEnv is the environment of a person who has set nothing.
func cleanEnv(home string) []string {
	return []string{"HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
}

func startServer(t *testing.T, home, data string) *serverProcess {
	t.Helper()
	p := &serverProcess{cmd: exec.Command("keyturn", "server", "--dev", "--data", data, "--listen", "127.0.0.1:0"), rest: make(chan string, 1)}
	p.cmd.Env = cleanEnv(home)
	p.cmd.Dir = home
	said, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	lines := bufio.NewScanner(said)
	address := regexp.MustCompile(`is ready: (http://127\.0\.0\.1:[0-9]+)`)
	for p.url == "" && lines.Scan() {
		p.banner += lines.Text() + "\n"
		if m := address.FindStringSubmatch(lines.Text()); m != nil {
			p.url = m[1]
		}
	}
	if p.url == "" {
		t.Fatalf("the server said no address:\n%s", p.banner)
	}
	go func() {
		var b strings.Builder
		for lines.Scan() {
			b.WriteString(lines.Text() + "\n")
		}
		p.rest <- b.String()
	}()
	return p
}

// stop ends the server as a service manager does and gives all that it said.
func (p *serverProcess) stop(t *testing.T) string {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() { ended <- p.banner + <-p.rest }()
	select {
	case said := <-ended:
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v:\n%s", err, said)
		}
		return said
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not stop")
		return ""
	}
}

func TestAServerServesStopsAndGoesOn(t *testing.T) {
	home := t.TempDir()
	data := filepath.Join(home, "data")
	password := filepath.Join(home, "password")
	write(t, password, "a long test-value\n")
	keyturn := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("keyturn", args...)
		cmd.Env, cmd.Dir = cleanEnv(home), home
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("keyturn %s: %v\n%s", strings.Join(args, " "), err, said.String())
		}
		return out.String()
	}

	first := startServer(t, home, data)
	keyturn("bootstrap", "--server", first.url, "--email", "you@example.test", "--password-file", password)
	keyturn("--server", first.url, "set", "A=test-value", "-p", firstProject, "-e", "dev")
	said := first.stop(t)
	for _, want := range []string{"DEVELOPMENT MODE", "root key", "keyturn bootstrap --server"} {
		if !strings.Contains(said, want) {
			t.Errorf("the banner lacks %q:\n%s", want, said)
		}
	}
	for _, unwanted := range []string{"a long test-value", "kts_"} {
		if strings.Contains(said, unwanted) {
			t.Errorf("the server's output holds %q", unwanted)
		}
	}

	second := startServer(t, home, data)
	keyturn("login", "--server", second.url, "--email", "you@example.test", "--password-file", password)
	if got := keyturn("--server", second.url, "get", "A", "-p", firstProject, "-e", "dev"); got != "test-value" {
		t.Errorf("after a restart the value is %q", got)
	}
	if said := second.stop(t); strings.Contains(said, "keyturn bootstrap") {
		t.Errorf("a server with an admin still asks for one:\n%s", said)
	}
}

package proof

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keyturn/keyturn/api"
)

// bulk makes the vault larger by states that a turn must move, so that it takes a few slices.
func bulk(t *testing.T, s *site, token string, secrets int) {
	t.Helper()
	var r api.CommitRequest
	for i := range secrets {
		value := fmt.Sprintf("test-value %d %s", i, strings.Repeat("b", 700))
		r.Changes = append(r.Changes, api.Change{Op: "set", Path: "/bulk", Name: fmt.Sprintf("B%d", i), Value: &value})
	}
	must[api.Committed](t, s, token, "POST", at(vaulted, "dev", "commits"), r)
}

// slowTurn begins a turn that takes a second or two, and waits until it is in the middle.
func slowTurn(t *testing.T, s *site, token string) api.KeyTurn {
	t.Helper()
	const rate = 150 // a slice of 64, then a rest of half a second
	turn := rotate(t, s, token, api.KeyRotation{Layer: "project", Project: vaulted, Rate: rate})[0]
	eventually(t, turnsWithin, "the first slice", func() bool {
		turn = must[api.KeyTurn](t, s, token, "GET", "/keys/turns/"+turn.ID, nil)
		return turn.Done > 0
	})
	if turn.Stage != "moving" {
		t.Fatalf("the turn is %s before anything could happen to it", turn.Stage)
	}
	return turn
}

const bulky = 250

// roomy is a disk on which a whole turn has room: the rows twice, in the file and in its write-ahead log.
const roomy = "16m"

func TestATurnOnAFullDiskGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	folder, ok := smallDisk(t, roomy)
	if !ok {
		t.Log("this user may not mount a small disk")
		return
	}
	p := onSQLite(t)
	p.folder = folder
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	bulk(t, s, v.token, bulky)
	slowTurn(t, s, v.token)
	ballast := filepath.Join(folder, "ballast")
	fill(t, ballast)
	eventually(t, turnsWithin, "the disk is full", func() bool {
		a := s.call(v.token, "GET", at(vaulted, "dev", "secrets", "V03"), nil)
		if a.ok() {
			return false
		}
		if a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "the disk is full") {
			t.Fatalf("a full disk: %s", a)
		}
		return true
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// An open file keeps its file system writable, so that nobody can make it read-only under a server that runs; what happens is
// that it comes back read-only after a crash.
func TestATurnGoesOnAfterAReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	folder, ok := smallDisk(t, roomy)
	if !ok {
		t.Log("this user may not mount a small disk")
		return
	}
	p := onSQLite(t)
	p.folder = folder
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	bulk(t, s, v.token, bulky)
	slowTurn(t, s, v.token)
	server.kill(t)
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("none", folder, "tmpfs", unix.MS_REMOUNT|flags, "size="+roomy); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	const codeUnavailable = 10
	if e := p.refused(t); e.code != codeUnavailable || !strings.Contains(e.out, "cannot be written") {
		t.Errorf("a read-only file system: exit code %d:\n%s", e.code, e.out)
	}
	remount(0)
	server = p.start(t)
	s = siteAt(t, server.url)
	v.unchanged(t, s)
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// leftService waits for a server to end by itself after an error of its disk.
func leftService(t *testing.T, server *process) {
	t.Helper()
	select {
	case <-server.ended:
	case <-time.After(exitWithin):
		t.Fatalf("the server does not leave service:\n%s", tail(server.out.String()))
	}
	const codeUnavailable = 10
	if code := server.cmd.ProcessState.ExitCode(); code != codeUnavailable || !strings.Contains(server.out.String(), "leaves service") {
		t.Errorf("exit code %d:\n%s", code, tail(server.out.String()))
	}
}

func TestATurnGoesOnAfterAWriteError(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	bulk(t, s, v.token, bulky)
	server.stop(t)
	info, err := os.Stat(filepath.Join(p.data(), "keyturn.db"))
	if err != nil {
		t.Fatal(err)
	}
	// The write-ahead log of the turn grows beyond what the file itself needs: there the limit cuts it.
	limited := p
	limited.fileBlocks = int(info.Size()/512) + 1
	server = limited.start(t)
	s = siteAt(t, server.url)
	for range 3 { // some turns of all that there is; one of them meets the limit
		if a := s.call(v.token, "POST", "/keys/rotations", rotationOf("project")); !a.ok() && a.status != http.StatusConflict {
			break
		}
		eventually(t, turnsWithin, "a turn or the end", func() bool {
			a := s.call(v.token, "GET", "/keys", nil)
			return !a.ok() || len(decoded[api.KeysStatus](t, a).Running) == 0
		})
	}
	leftService(t, server)
	server = p.start(t)
	s = siteAt(t, server.url)
	v.unchanged(t, s)
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

// A sync that fails: strace makes the system call fail in the running server.
func TestATurnGoesOnAfterAFailedSync(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	bulk(t, s, v.token, bulky)
	slowTurn(t, s, v.token)
	words := &output{}
	tracer := exec.Command("strace", "-f", "-p", strconv.Itoa(server.cmd.Process.Pid), "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO")
	tracer.Stdout, tracer.Stderr = words, words
	if err := tracer.Start(); err != nil {
		t.Fatalf("strace is missing, run scripts/testdeps.sh: %v", err)
	}
	gone := make(chan error, 1)
	go func() { gone <- tracer.Wait() }()
	defer func() { _ = tracer.Process.Signal(syscall.SIGTERM) }()
	eventually(t, turnsWithin, "the tracer is attached", func() bool {
		return strings.Contains(words.String(), "attached") || strings.Contains(words.String(), "ptrace")
	})
	if !strings.Contains(words.String(), "attached") {
		if err := <-gone; errors.Is(err, unix.EPERM) || os.Geteuid() != 0 {
			t.Logf("this user may not trace the server: %s", words) // it allows nobody but root to look into it
			return
		}
		t.Fatalf("strace: %s", words)
	}
	leftService(t, server)
	<-gone
	if !strings.Contains(words.String(), "INJECTED") {
		t.Errorf("no sync failed: %s", tail(words.String()))
	}
	server = p.start(t)
	s = siteAt(t, server.url)
	v.unchanged(t, s)
	settleTurns(t, s, v.token)
	v.unchanged(t, s)
	turned(t, s, v.token)
	server.stop(t)
}

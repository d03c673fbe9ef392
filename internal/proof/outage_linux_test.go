package proof

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk gives a folder on a disk of a few MiB, or false when this user may not mount; the test above this one needs no
// such right.
func smallDisk(t *testing.T, size string) (string, bool) {
	t.Helper()
	folder := t.TempDir()
	err := unix.Mount("none", folder, "tmpfs", 0, "size="+size)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return "", false
	}
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return folder, true
}

// fill writes a file until the disk is full to the last byte.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOnAFullDiskNothingIsToldAndNothingIsDone(t *testing.T) {
	folder, ok := smallDisk(t, "3m")
	if !ok {
		t.Log("this user may not mount a small disk")
		return
	}
	place := onSQLite(t)
	place.folder = folder
	server := place.start(t)
	p := newPatient(t, server)
	for range 3 {
		ballast := filepath.Join(folder, "ballast")
		fill(t, ballast)
		const most = 1000
		for i := 0; ; i++ { // the WAL may hold room from before
			a := p.site.call(p.token, "GET", "/whoami", nil)
			if !a.ok() {
				if a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "the disk is full") {
					t.Errorf("a full disk: %s", a)
				}
				break
			}
			if i == most {
				t.Fatal("the disk never was full")
			}
		}
		p.suffers(t)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		p.recovers(t)
	}
	server.stop(t)
}

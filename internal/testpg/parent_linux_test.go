package testpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAServerEndsWithItsKilledTestBinary(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var folder string
	_, scanErr := fmt.Fscanln(out, &folder)
	killErr := cmd.Process.Kill()
	_ = cmd.Wait()
	if err := errors.Join(scanErr, killErr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })

	// The server removes its pid file as its last act, also in an immediate shutdown.
	eventually(t, "the end of the orphaned server", func() bool {
		_, err := os.Stat(filepath.Join(folder, "data", "postmaster.pid"))
		return errors.Is(err, os.ErrNotExist)
	})
}

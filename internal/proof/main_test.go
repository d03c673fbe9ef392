package proof

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/testpg"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	code := testpg.Run(m)
	if folder, _ := built(false); folder != "" {
		if err := os.RemoveAll(folder); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// program is the binary under test. It is package state on purpose: building it costs seconds, and a test binary is a process.
var program struct {
	sync.Mutex
	folder string
	err    error
}

// built gives the folder of the binary, and builds it first when it is wanted.
func built(wanted bool) (string, error) {
	program.Lock()
	defer program.Unlock()
	if program.folder == "" && program.err == nil && wanted {
		program.folder, program.err = build()
	}
	return program.folder, program.err
}

func build() (string, error) {
	folder, err := os.MkdirTemp("", "keyturn-proof-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(folder, "keyturn"), "./cmd/keyturn")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build the program: %w\n%s", err, out), os.RemoveAll(folder))
	}
	return folder, nil
}

// executable gives the path of the program as it is shipped.
func executable(tb testing.TB) string {
	tb.Helper()
	folder, err := built(true)
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(folder, "keyturn")
}

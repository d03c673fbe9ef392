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
	for _, p := range []*program{&shipped, &crashing} {
		if folder, _ := p.built(false); folder != "" {
			if err := os.RemoveAll(folder); err != nil && code == 0 {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	return code
}

// program is a binary under test. It is package state on purpose: building it costs seconds, and a test binary is a process.
type program struct {
	tags string
	sync.Mutex
	folder string
	err    error
}

// The program as it is shipped, and the one that dies where it is told to.
var (
	shipped  program
	crashing = program{tags: "crashpoints"}
)

// built gives the folder of the binary, and builds it first when it is wanted.
func (p *program) built(wanted bool) (string, error) {
	p.Lock()
	defer p.Unlock()
	if p.folder == "" && p.err == nil && wanted {
		p.folder, p.err = p.build()
	}
	return p.folder, p.err
}

func (p *program) build() (string, error) {
	folder, err := os.MkdirTemp("", "keyturn-proof-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-tags", p.tags, "-o", filepath.Join(folder, "keyturn"), "./cmd/keyturn")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build the program: %w\n%s", err, out), os.RemoveAll(folder))
	}
	return folder, nil
}

// executable gives the path of the program.
func (p *program) executable(tb testing.TB) string {
	tb.Helper()
	folder, err := p.built(true)
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(folder, "keyturn")
}

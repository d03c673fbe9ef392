// Package testvault starts the core of HashiCorp Vault 1.14.0 for tests, on loopback, for as long as the test runs: what our
// Vault dialect answers is compared with it, and secrets are moved out of it. The program is bench/vaultpeer, a module of its
// own, and is built once into the user's cache.
package testvault

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Vault is a running one, unsealed and empty.
type Vault struct {
	URL   string
	Token string // of root
}

// Start starts one; it ends with the test.
func Start(tb testing.TB) Vault {
	tb.Helper()
	program, err := build()
	if err != nil {
		tb.Fatalf("testvault: %v", err)
	}
	cmd := exec.Command(program, "-empty")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		tb.Fatalf("testvault: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready struct {
		Address   string `json:"address"`
		RootToken string `json:"root_token"`
	}
	if err = errors.Join(err, json.Unmarshal(line, &ready)); err != nil {
		tb.Fatalf("testvault: %v %s", err, problems.String())
	}
	return Vault{ready.Address, ready.RootToken}
}

// build gives the path of the program. Several test binaries may ask at once: each builds beside, and the first to finish wins.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("where the source lies is not known")
	}
	from := filepath.Join(filepath.Dir(here), "..", "..", "bench", "vaultpeer")
	h := sha256.New()
	h.Write([]byte(runtime.Version()))
	for _, name := range []string{"main.go", "core.go", "setup.go", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return "", err
		}
		h.Write(content)
	}
	folder := filepath.Join(cache, "keyturn-test")
	program := filepath.Join(folder, "vaultpeer-"+hex.EncodeToString(h.Sum(nil)[:8]))
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(folder, "vaultpeer-build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	// A name that a dependency of Vault takes out of the standard library is one that today's linker refuses by itself.
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -checklinkname=0", "-o", filepath.Join(work, "vaultpeer"), ".")
	cmd.Dir = from
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build vaultpeer: %w\n%s", err, text)
	}
	return program, os.Rename(filepath.Join(work, "vaultpeer"), program)
}

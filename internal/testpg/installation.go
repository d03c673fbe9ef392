package testpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// oldestMajor is the oldest PostgreSQL that the product supports.
	oldestMajor = 15
	// debianFolders is where Debian and its derivatives put one folder of programs per major version, outside PATH.
	debianFolders = "/usr/lib/postgresql/*/bin"
	// programTimeout bounds the programs that only print or prepare. initdb is the slow one: a second or two on an idle
	// machine, much more where many test binaries start at once.
	programTimeout = 2 * time.Minute
)

// installHint is what a person must type when no server is found.
const installHint = "apt-get install --no-install-recommends postgresql"

// installation is one PostgreSQL on this machine.
type installation struct {
	folder string // holds the programs postgres and initdb
	major  int
}

func (i installation) program(name string) string { return filepath.Join(i.folder, name) }

// findInstallation takes the newest usable PostgreSQL among the folders that match pattern and those of the search path.
// The error of a fruitless search says how to install one.
func findInstallation(pattern, searchPath string) (installation, error) {
	folders, err := filepath.Glob(pattern)
	if err != nil {
		return installation{}, fmt.Errorf("look for postgres in %s: %w", pattern, err)
	}
	folders = append(folders, filepath.SplitList(searchPath)...)

	var best installation
	var refused []string
	for _, folder := range folders {
		folder, ok := programFolder(folder)
		if !ok {
			continue
		}
		major, err := majorVersion(filepath.Join(folder, "postgres"))
		switch {
		case err != nil:
			refused = append(refused, fmt.Sprintf("%s: %v", folder, err))
		case major < oldestMajor:
			refused = append(refused, fmt.Sprintf("%s: version %d is too old", folder, major))
		case major > best.major:
			best = installation{folder, major}
		}
	}
	if best.major == 0 {
		text := fmt.Sprintf("these tests need PostgreSQL %d or newer; install it with: %s", oldestMajor, installHint)
		if len(refused) > 0 {
			text += " (found but not usable: " + strings.Join(refused, "; ") + ")"
		}
		return installation{}, errors.New(text)
	}
	return best, nil
}

// programFolder follows a link to postgres to the folder where its companions lie; initdb insists on finding the server
// beside itself.
func programFolder(folder string) (string, bool) {
	if folder == "" {
		return "", false
	}
	real, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres"))
	if err != nil {
		return "", false
	}
	folder = filepath.Dir(real)
	if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil {
		return "", false
	}
	return folder, true
}

func majorVersion(postgres string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, postgres, "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("ask for its version: %w", err)
	}
	return parseMajor(string(out))
}

// parseMajor reads lines such as "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)" and "postgres (PostgreSQL) 18beta1".
func parseMajor(line string) (int, error) {
	found := regexp.MustCompile(`\(PostgreSQL\) (\d{1,3})`).FindStringSubmatch(line)
	if found == nil {
		return 0, fmt.Errorf("no version in %q", strings.TrimSpace(line))
	}
	return strconv.Atoi(found[1])
}

package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of the survey: a checklist must end in a second, also in a folder that is no checkout at all.
const (
	maxEntries  = 50_000
	maxFileSize = 1 << 20 // larger files are data, not configuration
	maxReadAll  = 64 << 20
	gitPatience = 10 * time.Second
)

// checkout is what was found in a folder. Names are relative to it, with slashes.
type checkout struct {
	dir     string
	files   []string // regular files, in order, without what is never part of a project
	cut     bool     // there were more than maxEntries
	problem string   // why the folder could not be read
	tracked []string // by git
	noGit   string   // why git could not be asked
}

// passedOver are folders that hold other people's files.
var passedOver = [...]string{".git", ".hg", ".svn", "node_modules", "vendor", ".venv", "venv", "__pycache__", ".terraform", ".cache"}

func survey(ctx context.Context, dir string) *checkout {
	c := &checkout{dir: dir}
	if err := filepath.WalkDir(dir, c.visit); err != nil && !errors.Is(err, errEnough) {
		c.problem = "couldn't read the folder " + dir
	}
	out, problem := c.git(ctx, "", "ls-files", "-z", "--cached")
	c.noGit = problem
	for name := range strings.SplitSeq(string(out), "\x00") {
		if name != "" {
			c.tracked = append(c.tracked, name)
		}
	}
	return c
}

var errEnough = errors.New("enough entries")

func (c *checkout) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		if name == c.dir {
			return err
		}
		return nil // one unreadable folder must not hide the others
	}
	if d.IsDir() {
		if name != c.dir && slices.Contains(passedOver[:], d.Name()) {
			return fs.SkipDir
		}
		return nil
	}
	if !d.Type().IsRegular() {
		return nil
	}
	if len(c.files) == maxEntries {
		c.cut = true
		return errEnough
	}
	rel, err := filepath.Rel(c.dir, name)
	if err != nil {
		return err
	}
	c.files = append(c.files, filepath.ToSlash(rel))
	return nil
}

// git asks git about the folder. What a repository may configure to be run is switched off: it may be somebody else's.
func (c *checkout) git(ctx context.Context, input string, args ...string) ([]byte, string) {
	ctx, stop := context.WithTimeout(ctx, gitPatience)
	defer stop()
	args = append([]string{"-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull, "-c", "core.excludesFile=" + os.DevNull}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = c.dir, strings.NewReader(input)
	for _, entry := range os.Environ() { // a hook's GIT_DIR would answer for another repository
		if !strings.HasPrefix(entry, "GIT_") && !strings.HasPrefix(entry, "KEYTURN_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	cmd.Env = append(cmd.Env, "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return stdout.Bytes(), ""
	case errors.Is(err, exec.ErrNotFound):
		return nil, "git isn't installed"
	case errors.As(err, &exit) && strings.Contains(stderr.String(), "not a git repository"):
		return nil, "the folder is not in a git repository"
	case errors.As(err, &exit) && exit.ExitCode() == 1 && stderr.Len() == 0:
		return stdout.Bytes(), "" // check-ignore found nothing
	case strings.Contains(stderr.String(), "dubious ownership"):
		return nil, "git refuses the repository because it belongs to another user"
	}
	return nil, "git did not answer"
}

// read gives a file that is small and text, or nothing.
func (c *checkout) read(name string) ([]byte, bool) {
	f, err := os.OpenInRoot(c.dir, filepath.FromSlash(name))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFileSize {
		return nil, false
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil || len(b) > maxFileSize || bytes.IndexByte(b, 0) >= 0 {
		return nil, false
	}
	return b, true
}

// matching gives the files whose name satisfies want.
func (c *checkout) matching(want func(string) bool) []string {
	var out []string
	for _, name := range c.files {
		if want(name) {
			out = append(out, name)
		}
	}
	return out
}

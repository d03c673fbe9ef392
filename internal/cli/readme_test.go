package cli

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/keyturntest"
)

var update = flag.Bool("update", false, "write what the commands print into the README")

// volatile is what differs from run to run: times, ids, tokens, hashes, addresses.
var volatile = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`), "2026-11-23T12:00:00Z"},
	{regexp.MustCompile(`("expires_at": ")2026-11-23`), "${1}2026-12-23"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`), "2026-11-23 12:00 UTC"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d\b([^T ]|  )`), "2027-02-21$1"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "0198c0de-0000-7000-8000-000000000000"},
	{regexp.MustCompile(`kt[a-z]_[0-9A-Za-z]{49}`), "ktk_0123456789abcdefTESTVALUE0123456789abcdef01234567"},
	{regexp.MustCompile(`(0198c0de-0000-7000-8000-000000000000)\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+`), "$1+819110e6+AQtestkey"},
	{regexp.MustCompile(`root [A-Za-z0-9+/]{43}=`), "root qcJgf6g8CojkBMb25volvqdqbXZemkJvVULhVxbGEKY="},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://127.0.0.1:8420"},
}

func settle(out string) string {
	for _, v := range volatile {
		out = v.pattern.ReplaceAllString(out, v.stands)
	}
	return strings.TrimRight(out, "\n") + "\n"
}

// TestReadmeTour runs the commands of the README, in order, against a fresh server, and compares what they print.
func TestReadmeTour(t *testing.T) {
	readme := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	server := keyturntest.Bare(t)
	folder := t.TempDir()
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(folder, ".bin")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink(examples, filepath.Join(folder, "examples")),
		os.Mkdir(bin, 0o755),
		// This very test program is the command line when it is called by that name.
		os.WriteFile(filepath.Join(bin, "keyturn"), []byte("#!/bin/sh\nKEYTURN_TEST_AS_PROGRAM=1 exec "+self+" \"$@\"\n"), 0o755),
		os.WriteFile(filepath.Join(folder, "password.txt"), []byte("a test-value of your choice\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(command string) string {
		c := exec.Command("sh", "-c", command)
		c.Dir = folder
		c.Env = []string{"HOME=" + folder, "XDG_CONFIG_HOME=" + folder + "/.config", "XDG_CACHE_HOME=" + folder + "/.cache",
			"PATH=" + bin + ":" + os.Getenv("PATH"), "KEYTURN_SERVER=" + server.URL, "GORACE=atexit_sleep_ms=0"}
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		if err := c.Run(); err != nil {
			t.Errorf("$ %s: %v\n%s", command, err, errs.String())
		}
		return settle(out.String())
	}
	block := regexp.MustCompile("(?s)```console\n(.*?)```\n")
	ran := 0
	fresh := block.ReplaceAllStringFunc(string(text), func(b string) string {
		var out strings.Builder
		for line := range strings.Lines(block.FindStringSubmatch(b)[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				ran++
				out.WriteString(line + run(strings.TrimSuffix(command, "\n")))
			}
		}
		return "```console\n" + out.String() + "```\n"
	})
	if ran < 10 {
		t.Fatalf("only %d commands were found in the README", ran)
	}
	if *update {
		if err := os.WriteFile(readme, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if fresh != string(text) {
		t.Errorf("the README does not show what its commands print; look at the difference and run: go test ./internal/cli -run Readme -update\n%s", firstDifference(string(text), fresh))
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "README: " + a[i] + "\nprinted: " + b[i]
		}
	}
	return "one is longer than the other"
}

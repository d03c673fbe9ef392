package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/keyturntest"
)

// tour runs the commands in the console blocks of a page, in order, against a server, and compares what they print. Ids and
// fingerprints stand for real ones, each for the one that came up in its place; commands of the page may use them.
type tour struct {
	t       *testing.T
	page    string
	folder  string
	env     []string
	settled map[string]string // what stands in the page for what was printed
	real    []string          // pairs for the way back
	counts  map[string]int
}

func newTour(t *testing.T, page string, server *keyturntest.Server) *tour {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	bin := filepath.Join(folder, ".bin")
	for _, err := range []error{
		os.Mkdir(bin, 0o755),
		// This very test program is the command line when it is called by that name.
		os.WriteFile(filepath.Join(bin, "keyturn"), []byte("#!/bin/sh\nKEYTURN_TEST_AS_PROGRAM=1 exec "+self+" \"$@\"\n"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	x := &tour{t: t, page: filepath.Join("..", "..", filepath.FromSlash(page)), folder: folder, settled: map[string]string{}, counts: map[string]int{}}
	x.env = []string{"HOME=" + folder, "XDG_CONFIG_HOME=" + folder + "/.config", "XDG_CACHE_HOME=" + folder + "/.cache", "PATH=" + bin + ":" + os.Getenv("PATH"),
		"KEYTURN_SERVER=" + server.URL, "KEYTURN_TOKEN=" + server.Token, "GORACE=atexit_sleep_ms=0"}
	x.stand(server.Data, "/var/lib/keyturn")
	x.stand(server.URL, "http://127.0.0.1:8420")
	return x
}

func (x *tour) stand(printed, stands string) {
	x.settled[printed] = stands
	x.real = append(x.real, stands, printed)
}

// numbered are values of which several come up, and each is another one.
var numbered = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "0198c0de-0000-7000-8000-%012d"},
	{regexp.MustCompile(`\b[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}\b`), "f00d-0000-0000-%04d"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "%064d"},
}

// passing is what differs from run to run and is the same everywhere.
var passing = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`), "2026-11-25 12:00 UTC"},
	{regexp.MustCompile(`(\+)[0-9a-f]{8}\+[A-Za-z0-9+/=]+`), "${1}819110e6+AQtestkey"},
	{regexp.MustCompile(`\d+ counted`), "30 counted"}, // kept answers are among them, and come when they come
	{regexp.MustCompile(`sound \d+ envelopes`), "sound 31 envelopes"},
	{regexp.MustCompile(`counted \d+ at`), "counted 30 at"},
	{regexp.MustCompile(`(idempotency\.\w+ .*?)\d+\n`), "${1}5\n"},
	{regexp.MustCompile(`log of \d+ entries, epoch \d+`), "log of 60 entries, epoch 9"},
}

func (x *tour) settle(out string) string {
	for printed, stands := range x.settled {
		out = strings.ReplaceAll(out, printed, stands)
	}
	for _, v := range numbered {
		out = v.pattern.ReplaceAllStringFunc(out, func(value string) string {
			if strings.HasPrefix(value, "0198c0de-0000-7000-8000-") || strings.HasPrefix(value, "f00d-0000-0000-") || strings.HasPrefix(value, "000000000000") {
				return value // it stands already
			}
			if stands, known := x.settled[value]; known {
				return stands
			}
			x.counts[v.stands]++
			stands := fmt.Sprintf(v.stands, x.counts[v.stands])
			x.stand(value, stands)
			return stands
		})
	}
	for _, v := range passing {
		out = v.pattern.ReplaceAllString(out, v.stands)
	}
	return strings.TrimRight(out, "\n") + "\n"
}

func (x *tour) run(command string) string {
	x.t.Helper()
	c := exec.Command("sh", "-c", strings.NewReplacer(x.real...).Replace(command))
	c.Dir, c.Env = x.folder, x.env
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		x.t.Errorf("$ %s: %v\n%s", command, err, errs.String())
	}
	if out.Len() == 0 {
		return ""
	}
	return x.settle(out.String())
}

// walk runs the page, and with -update writes what came of it.
func (x *tour) walk(least int) {
	x.t.Helper()
	text, err := os.ReadFile(x.page)
	if err != nil {
		x.t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```console\n(.*?)```\n")
	ran := 0
	fresh := block.ReplaceAllStringFunc(string(text), func(b string) string {
		var out strings.Builder
		for line := range strings.Lines(block.FindStringSubmatch(b)[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				ran++
				out.WriteString(line + x.run(strings.TrimSuffix(command, "\n")))
			}
		}
		return "```console\n" + out.String() + "```\n"
	})
	if ran < least {
		x.t.Fatalf("only %d commands were found in %s", ran, x.page)
	}
	if *update {
		if err := os.WriteFile(x.page, []byte(fresh), 0o644); err != nil {
			x.t.Fatal(err)
		}
		return
	}
	if fresh != string(text) {
		x.t.Errorf("%s does not show what its commands print; look at the difference and run: go test ./internal/cli -run %s -update\n%s", x.page, x.t.Name(), firstDifference(string(text), fresh))
	}
}

func TestTheGuideToTurningKeysShowsWhatIsPrinted(t *testing.T) {
	x := newTour(t, "docs/guides/rotating-keys.md", keyturntest.Start(t))
	x.run("keyturn project create shop >/dev/null 2>&1 && keyturn set --project shop --env dev A=test-value B=test-value /backend/C=test-value >/dev/null 2>&1")
	x.walk(10)
}

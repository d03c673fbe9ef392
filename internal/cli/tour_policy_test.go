package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/keyturn/keyturn/keyturntest"
)

// TestPolicyTour runs the guide to roles and rules, with the files that stand in it.
func TestPolicyTour(t *testing.T) {
	t.Parallel()
	x := newTour(t, "docs/guides/policy.md", keyturntest.Start(t))
	text, err := os.ReadFile(x.page)
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("(?s)```yaml\n# file: ([a-z.-]+)\n(.*?)```\n").FindAllStringSubmatch(string(text), -1)
	if len(files) != 3 {
		t.Fatalf("%d files stand in the guide", len(files))
	}
	files = append(files, []string{"", "first", "a first test-value\n"})
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(x.folder, f[1]), []byte(f[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x.walk(15)
}

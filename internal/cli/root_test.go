package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// eachCommand calls f for every command of the tree.
func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, f)
	}
}

func TestEveryCommandSaysWhatItDoes(t *testing.T) {
	eachCommand(newApp("test").rootCommand(), func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
		if c.Run != nil {
			t.Errorf("%s has Run: its failures would be lost, it wants RunE", c.CommandPath())
		}
		if c.PersistentPreRun != nil || c.PersistentPreRunE != nil {
			t.Errorf("%s has a hook of the library, of which only the nearest runs", c.CommandPath())
		}
	})
}

func TestEveryCommandHasAScene(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	eachCommand(newApp("test").rootCommand(), func(c *cobra.Command) {
		if !c.Runnable() || c.HasSubCommands() {
			return
		}
		// Global flags may stand between the words.
		pattern := strings.ReplaceAll(regexp.QuoteMeta(c.CommandPath()), " ", `( -\S+( \S+)?)* `)
		if !regexp.MustCompile(`(?m)\b` + pattern + `\b`).MatchString(all.String()) {
			t.Errorf("no scene in testdata runs %q", c.CommandPath())
		}
	})
}

func TestGlobalFlagsStandBeforeOrAfterTheCommand(t *testing.T) {
	for _, args := range [][]string{
		{"--project", "shop", "--json", "version"}, {"version", "--json", "-p", "shop"}, {"-p=shop", "version", "--json"},
	} {
		a := testApp(t)
		if code := a.execute(t.Context(), args); code != 0 || a.flags.project != "shop" || !a.flags.json {
			t.Errorf("%q: code %d, %+v", args, code, a.flags)
		}
	}
}

func TestAPathJoinsAFolder(t *testing.T) {
	for _, tt := range []struct{ folder, path, want string }{
		{"/", "", "/"}, {"/a", "", "/a"}, {"/a", ".", "/a"}, {"/", "b", "/b"}, {"/a", "b/c", "/a/b/c"}, {"/a", "/b", "/b"}, {"/a", "/", "/"}, {"/a", "b/", "/a/b"},
		{"/a", "../b", "/a/../b"}, // refused by the server, not guessed at here
	} {
		if got := joinFolder(tt.folder, tt.path); got != tt.want {
			t.Errorf("%s and %s give %s, want %s", tt.folder, tt.path, got, tt.want)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	for _, seed := range []string{"/a", "dev:/a", "shop/dev:/a", "", ":", "a/b/c:/", "dev:a", "/a:/b", "/:/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseSource(text)
		if err != nil {
			return
		}
		again := p.Path
		if p.Env != "" {
			again = p.Env + ":" + again
		}
		if p.Project != "" {
			again = p.Project + "/" + again
		}
		if again != text || !strings.HasPrefix(p.Path, "/") || p.Project != "" && p.Env == "" {
			t.Fatalf("%q became %+v", text, p)
		}
	})
}

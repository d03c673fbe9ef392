package reference

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/internal/cli"
)

// written lists the pages for readers, from the root of the repository.
func written(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, filepath.ToSlash(rel))
		}
	}
	if len(out) < 20 {
		t.Fatalf("found only %d pages", len(out))
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title   = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	unsaid  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	fence   = regexp.MustCompile("(?ms)^```[a-z]*\n.*?^```$")
	shell   = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	inline  = regexp.MustCompile("`(keyturn [^`]+)`")
	nameOf  = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]+\b`)
	comment = regexp.MustCompile(`\s#.*$`)
)

// anchors lists what a link into a page may name, as GitHub makes it of its headings.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for _, m := range title.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out[strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return out
}

func TestEveryLinkOfTheDocumentationLeadsSomewhere(t *testing.T) {
	count := 0
	headings := map[string]map[string]bool{}
	for _, file := range written(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, file), ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			count++
			path, anchor, _ := strings.Cut(m[1], "#")
			to := file
			if path != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(file), path))
			}
			info, err := os.Stat(filepath.Join(root, to))
			if err != nil {
				t.Errorf("%s: there is no %s", file, m[1])
				continue
			}
			if anchor == "" || info.IsDir() {
				continue
			}
			if headings[to] == nil {
				headings[to] = anchors(read(t, to))
			}
			if !headings[to][anchor] {
				t.Errorf("%s: %s has no heading for #%s", file, to, anchor)
			}
		}
	}
	if count < 100 {
		t.Errorf("found only %d links", count)
	}
}

// commands gives the lines of a page that call keyturn.
func commands(text string) []string {
	var out []string
	for _, block := range shell.FindAllStringSubmatch(text, -1) {
		for line := range strings.SplitSeq(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
			for part := range strings.SplitSeq(comment.ReplaceAllString(line, ""), "|") {
				words := strings.Fields(part)
				for len(words) > 0 && strings.Contains(words[0], "=") { // variables before the program
					words = words[1:]
				}
				if len(words) > 1 && words[0] == "keyturn" {
					out = append(out, strings.Join(words, " "))
				}
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		out = append(out, m[1])
	}
	return out
}

// wrong tells what a command line gets wrong, or nothing.
func wrong(top *cobra.Command, line string) string {
	words := strings.Fields(line)[1:]
	for i, w := range words {
		if w == "--" || w == ">" || w == "<" {
			words = words[:i]
			break
		}
	}
	c, rest, err := top.Find(words)
	if err != nil || c == top && !strings.HasPrefix(words[0], "-") {
		return "there is no such command"
	}
	if c.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "there is no such command"
	}
	for _, w := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case strings.HasPrefix(w, "--") && c.Flags().Lookup(name) == nil && c.InheritedFlags().Lookup(name) == nil:
			return "there is no flag --" + name
		case len(w) == 2 && w[0] == '-' && w[1] >= 'a' && w[1] <= 'z' && c.Flags().ShorthandLookup(name) == nil && c.InheritedFlags().ShorthandLookup(name) == nil:
			return "there is no flag " + w
		}
	}
	return ""
}

func TestEveryCommandInTheDocumentationExists(t *testing.T) {
	count := 0
	for _, file := range written(t) {
		for _, line := range commands(read(t, file)) {
			count++
			if problem := wrong(cli.Command(), line); problem != "" {
				t.Errorf("%s: %s: %s", file, line, problem)
			}
		}
	}
	if count < 60 {
		t.Errorf("found only %d commands", count)
	}
}

func TestTheCheckOfCommandsSeesWhatIsWrong(t *testing.T) {
	for line, good := range map[string]bool{
		"keyturn audit verify --deep":               true,
		"keyturn set A=test-value -m why --env dev": true,
		"keyturn run --env dev -- ls --no-such":     true,
		"keyturn audit verfy":                       false,
		"keyturn sett A=test-value":                 false,
		"keyturn set A=test-value --no-such":        false,
		"keyturn set A=test-value -z":               false,
	} {
		if problem := wrong(cli.Command(), line); (problem == "") != good {
			t.Errorf("%s: %q", line, problem)
		}
	}
}

func TestEveryTestThatTheDocumentationNamesIsThere(t *testing.T) {
	tests := map[string]bool{}
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file, "_test.go") && !strings.Contains(file, "storetest/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[fn.Name.Name] = true
			}
		}
	}
	count := 0
	for _, file := range written(t) {
		for _, name := range nameOf.FindAllString(read(t, file), -1) {
			count++
			if !tests[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
	if count < 20 {
		t.Errorf("found only %d names", count)
	}
}

func TestDecisionsAreNumberedWithoutGapsAndHaveTheirParts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/decisions/*.md"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no decisions", err)
	}
	number := regexp.MustCompile(`^(\d{4})-[a-z0-9-]+\.md$`)
	for i, f := range files {
		m := number.FindStringSubmatch(filepath.Base(f))
		if m == nil || m[1] != string([]byte{'0' + byte((i+1)/1000), '0' + byte((i+1)/100%10), '0' + byte((i+1)/10%10), '0' + byte((i+1)%10)}) {
			t.Errorf("%s: want NNNN-title.md with number %d", filepath.Base(f), i+1)
			continue
		}
		text := read(t, "docs/decisions/"+filepath.Base(f))
		if !strings.HasPrefix(text, "# "+m[1]+" ") {
			t.Errorf("%s does not begin with its number", filepath.Base(f))
		}
		for _, part := range []string{"Context", "Choice", "Alternatives", "Consequence"} {
			if !strings.Contains(text, "\n## "+part+"\n") {
				t.Errorf("%s has no part %q", filepath.Base(f), part)
			}
		}
	}
}

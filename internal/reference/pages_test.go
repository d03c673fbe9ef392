package reference

import (
	"bytes"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

var update = flag.Bool("update", false, "write the pages anew, as make docs does")

const root = "../.."

func pages(t *testing.T) []Page {
	t.Helper()
	all, err := Pages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheCommittedPagesAreWhatTheSourceGives(t *testing.T) {
	again := pages(t)
	for i, p := range pages(t) {
		if !bytes.Equal(p.Text, again[i].Text) {
			t.Errorf("%s differs from one run to the next", p.Name)
		}
		file := filepath.Join(root, Folder, p.Name)
		if *update {
			if err := os.WriteFile(file, p.Text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, p.Text) {
			t.Errorf("%s/%s is out of date: make docs", Folder, p.Name)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, Folder))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(again) {
		t.Errorf("%s holds %d files, want the %d pages and nothing else", Folder, len(entries), len(again))
	}
}

func TestEveryKindOfFaultIsExplained(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "internal/fault/fault.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Kind" {
				s, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, s)
			}
		}
		return true
	})
	if len(want) < 5 {
		t.Fatalf("found only %d kinds", len(want))
	}
	var got []string
	for _, a := range advice {
		got = append(got, string(a.kind))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page explains %v, the kinds are %v", got, want)
	}
	if advice[0].kind != fault.Invalid {
		t.Error("the page begins with another kind than the source")
	}
}

var variable = regexp.MustCompile(`\bKEYTURN_[A-Z]+(?:_[A-Z]+)*\b`)

func TestEveryVariableThatTheProgramReadsIsOnThePage(t *testing.T) {
	var page []byte
	for _, p := range pages(t) {
		if p.Name == "config.md" {
			page = p.Text
		}
	}
	seen := 0
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "/testpg/") || strings.Contains(file, "/proof/") || strings.Contains(file, "/crashpoint/") || !strings.HasPrefix(file, "internal/") && !strings.HasPrefix(file, "client/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			seen++
			name = strings.TrimSuffix(name, "_FILE") // described for all at once
			if name != "KEYTURN_X" && !bytes.Contains(page, []byte("`"+name)) {
				t.Errorf("%s reads %s, which config.md does not name", file, name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("found only %d variables in the source", seen)
	}
}

// goFiles lists the Go files of the module, from its root; modules within it are left out.
func goFiles(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			_, own := os.Stat(filepath.Join(path, "go.mod"))
			if path != root && (own == nil || name == "testdata" || strings.HasPrefix(name, ".") && name != "..") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTablesSurviveBarsAndLineBreaks(t *testing.T) {
	var p page
	p.table([]string{"a", "b"}, [][]string{{"x|y", "one\n  two"}})
	if got, want := p.String(), "| a | b |\n|---|---|\n| x\\|y | one two |\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHelpTextsKeepTheirLayout(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"One line.\n\nAnother <one>.", "One line.\n\nAnother &lt;one>."},
		{"Codes:\n\n    0  good\n   12  bad\n", "Codes:\n\n```\n 0  good\n12  bad\n```"},
	} {
		if got := paragraphs(c.text); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

package reference

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// direct lists the modules that a file of ours imports, tests included, as go mod tidy would call direct.
func direct(t *testing.T) []string {
	t.Helper()
	mod, err := modfile.Parse("go.mod", []byte(read(t, "go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, file := range goFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			best := ""
			for _, r := range mod.Require {
				if (path == r.Mod.Path || strings.HasPrefix(path, r.Mod.Path+"/")) && len(r.Mod.Path) > len(best) {
					best = r.Mod.Path
				}
			}
			used[best] = true
		}
	}
	var out []string
	for _, r := range mod.Require {
		if used[r.Mod.Path] {
			out = append(out, r.Mod.Path)
		}
	}
	if len(out) < 5 {
		t.Fatalf("found only %d direct modules", len(out))
	}
	return out
}

// ofHelper lists the direct modules of the PKCS #11 helper, which is a module of its own.
func ofHelper(t *testing.T) []string {
	t.Helper()
	mod, err := modfile.Parse("go.mod", []byte(read(t, "cmd/keyturn-pkcs11/go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range mod.Require {
		if !r.Indirect {
			out = append(out, r.Mod.Path)
		}
	}
	return out
}

var dependencyLine = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)\\|$")

func TestEveryDirectDependencyHasItsLineAndTheReverse(t *testing.T) {
	const page = "docs/dependencies.md"
	text, _, _ := strings.Cut(read(t, page), "\n## What they bring along")
	var listed []string
	for _, m := range dependencyLine.FindAllStringSubmatch(text, -1) {
		if slices.Contains(listed, m[1]) {
			t.Errorf("%s has two lines on %s", page, m[1])
		}
		listed = append(listed, m[1])
		for cell := range strings.SplitSeq(m[2], "|") {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: the line on %s has an empty cell", page, m[1])
			}
		}
	}
	want := append(direct(t), ofHelper(t)...)
	for _, m := range want {
		if !slices.Contains(listed, m) {
			t.Errorf("%s says nothing of %s: why, who keeps it, its licence, what would replace it", page, m)
		}
	}
	for _, m := range listed {
		if !slices.Contains(want, m) {
			t.Errorf("%s has a line on %s, which nothing imports", page, m)
		}
	}
}

func TestEveryOtherRequiredModuleIsNamed(t *testing.T) {
	_, text, found := strings.Cut(read(t, "docs/dependencies.md"), "\n## What they bring along")
	if !found {
		t.Fatal("the part on modules that others need is gone")
	}
	mod, err := modfile.Parse("go.mod", []byte(read(t, "go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	own := direct(t)
	for _, r := range mod.Require {
		if !slices.Contains(own, r.Mod.Path) && !strings.Contains(text, "`"+r.Mod.Path+"`") {
			t.Errorf("docs/dependencies.md does not name %s", r.Mod.Path)
		}
	}
}

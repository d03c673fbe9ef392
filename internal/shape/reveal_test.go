package shape

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"slices"
	"strings"
	"testing"
)

const revealList = "testdata/reveal.txt"

var update = flag.Bool("update", false, "write the list of places that see plaintext")

const revealHeader = `# The files that call Reveal, and how often: every place where a secret leaves its wrapper.
# A new line or a higher number is a decision that a reviewer makes. After the decision:
#   go test ./internal/shape -run Reveal -update
`

// reveals counts the mentions of a Reveal method, called or passed on as a function.
func reveals(syntax *ast.File) int {
	n := 0
	ast.Inspect(syntax, func(node ast.Node) bool {
		if s, ok := node.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
			n++
		}
		return true
	})
	return n
}

func TestEveryPlaceThatCallsRevealIsOnTheList(t *testing.T) {
	var now []string
	for _, f := range files(t) {
		if n := reveals(f.syntax); n > 0 {
			now = append(now, fmt.Sprintf("%s %d", f.path, n))
		}
	}
	slices.Sort(now)
	if *update {
		if err := os.WriteFile(revealList, []byte(revealHeader+strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	b, err := os.ReadFile(revealList)
	if err != nil {
		t.Fatal(err)
	}
	var pinned []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			pinned = append(pinned, line)
		}
	}
	var diff []string
	for _, line := range pinned {
		if !slices.Contains(now, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range now {
		if !slices.Contains(pinned, line) {
			diff = append(diff, "+ "+line)
		}
	}
	if len(diff) > 0 {
		t.Errorf("the places that see plaintext have changed:\n%s\nif each is meant: go test ./internal/shape -run Reveal -update",
			strings.Join(diff, "\n"))
	}
}

package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

// importResult is what an import did, or would do. It has names and never values.
type importResult struct {
	File     string   `json:"file"`
	Format   string   `json:"format"`
	Project  string   `json:"project"`
	Env      string   `json:"env"`
	DryRun   bool     `json:"dry_run"`
	ID       string   `json:"id,omitempty"` // of the commit; absent when nothing changed
	Revision int64    `json:"revision"`
	Added    []string `json:"added"`
	Changed  []string `json:"changed"`
	Same     []string `json:"same"`
	Removed  []string `json:"removed"`
	Folders  []string `json:"folders"` // that are made, or get another list of required names
}

// take sorts effects by outcome. What happens to a folder itself is no secret and counts apart.
func (r *importResult) take(effects []api.Effect) {
	r.Added, r.Changed, r.Same, r.Removed, r.Folders = []string{}, []string{}, []string{}, []string{}, []string{}
	for _, e := range effects {
		to := &r.Same
		switch {
		case e.Name == "" && e.Outcome != "same":
			to = &r.Folders
		case e.Name == "":
			continue
		case e.Outcome == "added":
			to = &r.Added
		case e.Outcome == "changed":
			to = &r.Changed
		case e.Outcome == "removed":
			to = &r.Removed
		}
		*to = append(*to, keyOf(e.Path, e.Name))
	}
}

func (r *importResult) changes() int {
	return len(r.Added) + len(r.Changed) + len(r.Removed) + len(r.Folders)
}

// summary counts in words.
func (r *importResult) summary() string {
	text := fmt.Sprintf("%d added, %d changed, %d the same", len(r.Added), len(r.Changed), len(r.Same))
	if n := len(r.Removed); n > 0 {
		text += fmt.Sprintf(", %d removed", n)
	}
	return text
}

// maxPreview is how many names of a group are shown; --json has them all.
const maxPreview = 30

func (r *importResult) preview(w io.Writer) {
	for _, g := range []struct {
		title string
		keys  []string
	}{{"added", r.Added}, {"changed", r.Changed}, {"removed", r.Removed}, {"same", r.Same}, {"folders", r.Folders}} {
		if len(g.keys) == 0 {
			continue
		}
		names, more := g.keys, ""
		if len(names) > maxPreview {
			names, more = names[:maxPreview], fmt.Sprintf(" and %d more", len(g.keys)-maxPreview)
		}
		_, _ = fmt.Fprintf(w, "%-8s %4d  %s%s\n", g.title, len(g.keys), term.Clean(strings.Join(names, " ")), more)
	}
}

package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/migrate"
	"github.com/keyturn/keyturn/internal/term"
)

// verified is what came of comparing both sides.
type verified struct {
	Same    int      `json:"same"`
	Differ  []string `json:"differ"`
	Missing []string `json:"missing"`
	Kept    []string `json:"kept"` // changed here since, and left so
}

// verify reads what is here and compares it with a second reading of the source, by digests under a key of this moment.
func (m *migration) verify(ctx context.Context, again *migrate.Plan) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fault.Wrap(fault.Internal, err, "no random bytes")
	}
	out := &verified{Differ: []string{}, Missing: []string{}, Kept: []string{}}
	kept := map[string]map[migrate.Key]bool{}
	for _, p := range m.projects {
		for _, e := range p.envs {
			kept[p.plan.Slug+"/"+e.plan.Slug] = e.keeps
		}
	}
	for i := range again.Projects {
		p := &again.Projects[i]
		project, err := m.find(ctx, p)
		if err != nil {
			return err
		}
		for _, e := range p.Envs {
			have := &here{}
			if project != nil {
				found, err := m.list(ctx, client.Place{Project: project.ID, Env: e.Slug, Path: "/"})
				if err != nil && !errors.Is(err, client.NotFound) {
					return err
				}
				if err == nil {
					have = found
				}
			}
			if err := out.env(e, have, kept[p.Slug+"/"+e.Slug], p.Slug, key); err != nil {
				return err
			}
		}
	}
	m.lost(again, out)
	m.verified = out
	return nil
}

// lost counts as missing what was planned and what the second reading of the source does not show any more: nothing was compared there.
func (m *migration) lost(again *migrate.Plan, out *verified) {
	seen := map[string]bool{}
	for i := range again.Projects {
		for _, e := range again.Projects[i].Envs {
			for _, s := range e.Now() {
				seen[again.Projects[i].Slug+"/"+e.Slug+":"+s.Key.String()] = true
			}
		}
	}
	for _, p := range m.projects {
		for _, e := range p.envs {
			for _, s := range e.plan.Now() {
				if name := p.plan.Slug + "/" + e.plan.Slug + ":" + s.Key.String(); !seen[name] {
					out.Missing = append(out.Missing, name)
				}
			}
		}
	}
}

// env compares one environment.
func (v *verified) env(e *migrate.Env, have *here, kept map[migrate.Key]bool, project string, key []byte) error {
	for _, s := range e.Now() {
		name := project + "/" + e.Slug + ":" + s.Key.String()
		there, ok := have.secrets[s.Key]
		if !ok {
			v.Missing = append(v.Missing, name)
			continue
		}
		ours, err := ofOurs(there)
		if err != nil {
			return err
		}
		switch {
		case ours.Digest(key) == s.Digest(key):
			v.Same++
		case kept[s.Key]:
			v.Kept = append(v.Kept, name)
		default:
			v.Differ = append(v.Differ, name)
		}
	}
	return nil
}

// difference is the fault of a move after which both sides do not say the same.
func (m *migration) difference() error {
	v := m.verified
	n := len(v.Differ) + len(v.Missing)
	if n == 0 {
		return nil
	}
	f := fault.New(fault.Conflict, "%s differ between %s and here", count(n, "secret", "secrets"), m.plan.Source).
		WithHint("the source may have changed meanwhile: run the same again, it moves only what is missing")
	for _, name := range append(slices.Clone(v.Differ), v.Missing...) {
		if len(f.Fields) < maxShownNotes {
			f = f.WithField(name, "is not the same")
		}
	}
	return f
}

// migrateResult is what --json prints. It has names and never values.
type migrateResult struct {
	Source   string              `json:"source"`
	Where    string              `json:"where"`
	DryRun   bool                `json:"dry_run"`
	Projects []migratedProject   `json:"projects"`
	Notes    []migrate.Note      `json:"notes"`
	Warnings []string            `json:"warnings"`
	Verified *verified           `json:"verified,omitempty"`
	Next     []string            `json:"next"`
	Mounts   []string            `json:"mounts"` // the commands that make the paths of Vault
	Size     map[string]int      `json:"size"`
	Kept     map[string][]string `json:"kept"`
}

type migratedProject struct {
	Slug string        `json:"slug"`
	ID   string        `json:"id,omitempty"`
	From string        `json:"from,omitempty"` // what the source calls it, where that differs
	Envs []migratedEnv `json:"envs"`
}

type migratedEnv struct {
	Slug    string `json:"slug"`
	Folders int    `json:"folders"`
	Added   int    `json:"added"`
	Changed int    `json:"changed"`
	Same    int    `json:"same"`
	Kept    int    `json:"kept"`
	Commits int    `json:"commits"`
}

func (m *migration) result() migrateResult {
	size := m.plan.Size()
	out := migrateResult{Source: m.plan.Source, Where: m.plan.Where, DryRun: m.flags.plan, Projects: []migratedProject{}, Notes: m.plan.Notes, Warnings: m.warnings,
		Verified: m.verified, Next: m.next(), Kept: map[string][]string{}, Mounts: []string{}, Size: map[string]int{"projects": size.Projects, "environments": size.Envs, "folders": size.Folders,
			"secrets": size.Secrets, "states": size.Versions, "imports": size.Imports, "references": size.References, "comments": size.Comments, "tags": size.Tags}}
	if out.Notes == nil {
		out.Notes = []migrate.Note{}
	}
	for _, mount := range m.plan.Mounts {
		out.Mounts = append(out.Mounts, mountLine(mount))
	}
	if out.Warnings == nil {
		out.Warnings = []string{}
	}
	for _, p := range m.projects {
		q := migratedProject{Slug: p.plan.Slug, From: p.plan.From, ID: p.plan.ID, Envs: []migratedEnv{}}
		if p.here != nil {
			q.ID = p.here.ID
		}
		for _, e := range p.envs {
			q.Envs = append(q.Envs, migratedEnv{e.plan.Slug, len(e.plan.Folders), e.added, e.changed + e.gone, e.same, len(e.kept), e.commits})
			if len(e.kept) > 0 {
				out.Kept[p.plan.Slug+"/"+e.plan.Slug] = e.kept
			}
		}
		out.Projects = append(out.Projects, q)
	}
	return out
}

// next says what to change in each client, with our own names in place of the source's.
func (m *migration) next() []string {
	out := []string{}
	words := []string{"{server}", m.client.Server()}
	for i := range m.plan.Projects {
		p := &m.plan.Projects[i]
		words = append(words, "{project:"+first(p.From, p.Slug)+"}", p.Slug)
	}
	if len(m.plan.Mounts) > 0 {
		out = append(out, "VAULT_ADDR="+m.client.Server()+" for every client; paths stay as they are (keyturn mount list)",
			"a token from here in VAULT_TOKEN, or an identity's client id and client secret as role id and secret id of AppRole")
	}
	r := strings.NewReplacer(words...)
	for _, line := range m.plan.Advice {
		out = append(out, r.Replace(line))
	}
	return out
}

// showDone tells people what was done and what is left to do.
func (m *migration) showDone(w io.Writer) {
	commits, added, changed := 0, 0, 0
	for _, p := range m.projects {
		for _, e := range p.envs {
			commits += e.commits
			added += e.added
			changed += e.changed + e.gone
		}
	}
	if commits == 0 {
		_, _ = fmt.Fprintln(w, "nothing to move: all is here")
	} else {
		_, _ = fmt.Fprintf(w, "moved from %s: %d new, %d changed, in %s\n", m.plan.Source, added, changed, count(commits, "commit", "commits"))
	}
	v := m.verified
	_, _ = fmt.Fprintf(w, "compared: %d the same, %d differ, %d missing, %d kept as they are here\n", v.Same, len(v.Differ), len(v.Missing), len(v.Kept))
	for _, name := range v.Kept {
		_, _ = fmt.Fprintf(w, "  kept: %s\n", term.Clean(name))
	}
	for _, text := range m.warnings {
		_, _ = fmt.Fprintf(w, "warning: %s\n", term.Clean(text))
	}
	next := m.next()
	if len(next) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "\nnext, in each client:")
	for _, line := range next {
		_, _ = fmt.Fprintf(w, "  %s\n", term.Clean(line))
	}
}

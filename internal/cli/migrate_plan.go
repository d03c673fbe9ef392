package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/migrate"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/term"
)

// causeMigration marks the commits of this command, so that a later run knows its own states from those of people.
const causeMigration = "migration"

// maxLogPages bounds how much of an environment's history is looked at: a hundred thousand commits.
const maxLogPages = 500

// compare finds what of the plan is here already.
func (m *migration) compare(ctx context.Context) error {
	for i := range m.plan.Projects {
		p := &movedProject{plan: &m.plan.Projects[i]}
		here, err := m.find(ctx, p.plan)
		if err != nil {
			return err
		}
		p.here = here
		for _, e := range p.plan.Envs {
			env := &movedEnv{project: p, plan: e, fresh: true, from: map[migrate.Key]int{}, keeps: map[migrate.Key]bool{}, folders: map[string]bool{"/": true}}
			if here != nil && slices.ContainsFunc(here.Envs, func(x api.Env) bool { return x.Slug == e.Slug }) {
				env.fresh = false
			}
			if err := m.compareEnv(ctx, env); err != nil {
				return err
			}
			p.envs = append(p.envs, env)
		}
		m.projects = append(m.projects, p)
	}
	return m.compareMounts(ctx)
}

// find looks for a project of ours: by the id that it would keep, since it may have been renamed here, then by its slug.
func (m *migration) find(ctx context.Context, p *migrate.Project) (*api.Project, error) {
	for _, name := range []string{p.ID, p.Slug} {
		if name == "" {
			continue
		}
		here, err := m.client.Project(ctx, name)
		if err == nil {
			if p.ID != "" && here.ID != p.ID {
				m.warn(fmt.Sprintf("project %s is here already under the id %s: applications that carry the id %s must be told", here.Slug, here.ID, p.ID))
			}
			return &here, nil
		}
		if !errors.Is(err, client.NotFound) {
			return nil, err
		}
	}
	return nil, nil
}

func (m *migration) warn(text string) {
	if !slices.Contains(m.warnings, text) {
		m.warnings = append(m.warnings, text)
	}
}

// here is what an environment holds already.
type here struct {
	secrets  map[migrate.Key]api.Secret
	folders  map[string]bool
	revision int64
}

// list reads an environment with values, as they are written.
func (m *migration) list(ctx context.Context, place client.Place) (*here, error) {
	list, err := m.client.List(ctx, place, client.ListOptions{Recursive: true, Reveal: true, Raw: true})
	if err != nil {
		return nil, err
	}
	out := &here{secrets: map[migrate.Key]api.Secret{}, folders: map[string]bool{"/": true}, revision: list.Revision}
	for _, s := range list.Secrets {
		if s.From == "" {
			out.secrets[migrate.Key{Path: s.Path, Name: s.Name}] = s
		}
	}
	for _, f := range list.Folders {
		out.folders["/"+strings.Trim(f, "/")] = true
	}
	return out, nil
}

// compareEnv finds for each secret how many of its states are here.
func (m *migration) compareEnv(ctx context.Context, e *movedEnv) error {
	now := e.plan.Now()
	states := statesOf(e.plan)
	have := &here{secrets: map[migrate.Key]api.Secret{}, folders: map[string]bool{"/": true}}
	if !e.fresh {
		var err error
		if have, err = m.list(ctx, e.place()); err != nil {
			return err
		}
	}
	e.folders, e.revision = have.folders, have.revision
	var causes map[int64]string
	live := map[migrate.Key]bool{}
	for i := range now {
		s := &now[i]
		live[s.Key] = true
		there, ok := have.secrets[s.Key]
		if !ok {
			e.added++
			continue
		}
		all := states[s.Key]
		reached, err := reachedState(all, there)
		if err != nil {
			return err
		}
		if reached == len(all) {
			e.same++
			e.from[s.Key] = reached
			if there.Literal && pointing(s) {
				e.pendingReferences = true
			}
			continue
		}
		if !m.flags.overwrite { // also where it has a state that the source had before: somebody may have gone back to it
			if causes == nil {
				if causes, err = m.causes(ctx, e.place()); err != nil {
					return err
				}
			}
			if causes[there.Revision] != causeMigration {
				e.kept = append(e.kept, s.Key.String())
				e.keeps[s.Key], e.from[s.Key] = true, len(all)
				continue
			}
		}
		e.changed++
		if reached == 0 {
			reached = len(all) - 1 // of what differs, only the present state
		}
		e.from[s.Key] = reached
	}
	if err := m.compareGone(ctx, e, states, live, have); err != nil {
		return err
	}
	e.occupied = map[string]bool{}
	for k := range have.secrets {
		if _, ours := states[k]; !ours || e.keeps[k] {
			e.occupied[k.Path] = true
		}
	}
	return m.compareImports(ctx, e)
}

// compareGone looks after secrets that exist no more at the source: their history comes along with the first run only, since a
// deleted secret does not show whether it is there.
func (m *migration) compareGone(ctx context.Context, e *movedEnv, states map[migrate.Key][]migrate.Secret, live map[migrate.Key]bool, have *here) error {
	moved, asked := false, e.fresh
	for k, all := range states {
		if live[k] {
			continue
		}
		if !asked {
			causes, err := m.causes(ctx, e.place())
			if err != nil {
				return err
			}
			asked = true
			for _, c := range causes {
				moved = moved || c == causeMigration
			}
		}
		if there, ok := have.secrets[k]; ok {
			reached, err := reachedState(all, there)
			if err != nil {
				return err
			}
			if reached == 0 {
				e.kept = append(e.kept, k.String())
				e.keeps[k], e.from[k] = true, len(all)
				continue
			}
			e.from[k] = reached
			e.gone++
			continue
		}
		if moved {
			e.keeps[k], e.from[k] = true, len(all) // it came with an earlier run, and is deleted here too
			continue
		}
		e.gone++
	}
	slices.Sort(e.kept)
	return nil
}

// compareImports tells whether a folder shows something else than it shall.
func (m *migration) compareImports(ctx context.Context, e *movedEnv) error {
	for _, f := range e.plan.Folders {
		if len(f.Imports) == 0 {
			continue
		}
		if e.fresh || !e.folders[f.Path] {
			e.pendingImports = true
			return nil
		}
	}
	if e.fresh || !slices.ContainsFunc(e.plan.Folders, func(f migrate.Folder) bool { return len(f.Imports) > 0 }) {
		return nil
	}
	would, err := m.client.Commit(ctx, e.place(), api.CommitRequest{Cause: causeMigration, DryRun: true, Changes: importChanges(e.plan)})
	if err != nil {
		e.pendingImports = true // what they show may not be here yet
		return nil
	}
	e.pendingImports = slices.ContainsFunc(would.Effects, func(f api.Effect) bool { return f.Outcome != "same" })
	return nil
}

// statesOf lists the states of each secret, oldest first.
func statesOf(e *migrate.Env) map[migrate.Key][]migrate.Secret {
	out := map[migrate.Key][]migrate.Secret{}
	for _, st := range e.Steps {
		for _, s := range st.Sets {
			out[s.Key] = append(out[s.Key], s)
		}
	}
	return out
}

// reachedState gives the number of the latest state that a secret of ours is in, counted from 1, and 0 for none.
func reachedState(all []migrate.Secret, there api.Secret) (int, error) {
	s, err := ofOurs(there)
	if err != nil {
		return 0, err
	}
	var key [32]byte // nothing leaves this function
	want := s.Digest(key[:])
	for n := len(all); n > 0; n-- {
		if all[n-1].Digest(key[:]) == want {
			return n, nil
		}
	}
	return 0, nil
}

// ofOurs makes a state out of what the server says.
func ofOurs(there api.Secret) (migrate.Secret, error) {
	s := migrate.Secret{Key: migrate.Key{Path: there.Path, Name: there.Name}, Comment: there.Comment, Tags: there.Tags, Meta: there.Metadata, JSON: there.JSON}
	if there.Value == nil {
		return s, fault.New(fault.Denied, "you may not read %s here, so it cannot be compared", s.Key).WithHint("use a token that may read and write all of the project")
	}
	b, err := there.Bytes()
	if err != nil {
		return s, fault.Wrap(fault.Internal, err, "the value of %s is not readable", s.Key)
	}
	s.Value = sensitive.New(b)
	return s, nil
}

// causes tells which commit was made by what.
func (m *migration) causes(ctx context.Context, place client.Place) (map[int64]string, error) {
	out := map[int64]string{}
	o := client.LogOptions{}
	for range maxLogPages {
		page, err := m.client.Log(ctx, place, o)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Commits {
			out[c.Revision] = c.Cause
		}
		if page.Next == 0 {
			break
		}
		o.Below = page.Next
	}
	return out, nil
}

// showPlan tells people what would be done.
func (m *migration) showPlan(w io.Writer) {
	size := m.plan.Size()
	_, _ = fmt.Fprintf(w, "%s at %s: %s, %s, %s, %s (%s), %s, %s\n\n", m.plan.Source, term.Clean(m.plan.Where), count(size.Projects, "project", "projects"), count(size.Envs, "environment", "environments"),
		count(size.Folders, "folder", "folders"), count(size.Secrets, "secret", "secrets"), count(size.Versions, "state", "states"), count(size.Imports, "import", "imports"), count(size.References, "reference", "references"))
	t := term.NewTable("PROJECT", "ENVIRONMENT", "FOLDERS", "NEW", "CHANGED", "THE SAME", "KEPT AS HERE")
	for _, p := range m.projects {
		name := p.plan.Slug
		if p.here == nil {
			name += " (new)"
		}
		for _, e := range p.envs {
			env := e.plan.Slug
			if e.fresh {
				env += " (new)"
			}
			t.Row(name, env, fmt.Sprint(len(e.plan.Folders)), fmt.Sprint(e.added), fmt.Sprint(e.changed+e.gone), fmt.Sprint(e.same), fmt.Sprint(len(e.kept)))
		}
	}
	m.app.table(w, t)
	for _, mount := range m.mounts {
		_, _ = fmt.Fprintf(w, "\nmount %s/ is laid over %s/%s:%s\n", term.Clean(mount.Name), mount.Project, mount.Env, mount.Path)
	}
	m.showNotes(w)
}

// maxShownNotes is how many notes of a kind people see; --json has them all.
const maxShownNotes = 20

func (m *migration) showNotes(w io.Writer) {
	titles := []struct {
		kind  migrate.Kind
		title string
	}{
		{migrate.Unfit, "cannot be held here as it is"}, {migrate.Renamed, "gets another name"}, {migrate.Changed, "is held in another way"},
		{migrate.Unread, "may not be read"}, {migrate.Skipped, "stays where it is"}, {migrate.Identity, "to be made anew"},
	}
	for _, t := range titles {
		var notes []migrate.Note
		for _, n := range m.plan.Notes {
			if n.Kind == t.kind {
				notes = append(notes, n)
			}
		}
		if len(notes) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s: %d\n", t.title, len(notes))
		for i, n := range notes {
			if i == maxShownNotes {
				_, _ = fmt.Fprintf(w, "  and %d more (--json has them all)\n", len(notes)-i)
				break
			}
			_, _ = fmt.Fprintf(w, "  %s: %s\n", term.Clean(n.Where), term.Clean(n.Text))
		}
	}
	for _, text := range m.warnings {
		_, _ = fmt.Fprintf(w, "\nwarning: %s\n", term.Clean(text))
	}
}

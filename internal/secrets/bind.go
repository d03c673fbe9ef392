package secrets

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// maxImports bounds how many folders one folder shows, and maxImportDepth how far imports of imports are followed.
const (
	maxImports     = 32
	maxImportDepth = 16
)

// resolve finds what a reference in a folder points to: nil when nothing.
func (d *draft) resolve(ctx context.Context, e *envDraft, f *folderDraft, ref domain.Reference) (*envDraft, *secretDraft, error) {
	if ref.Local() {
		return d.visible(ctx, e, f, ref.Name, 0)
	}
	target, err := d.namedEnv(ctx, e, ref)
	if err != nil || target == nil {
		return nil, nil, err
	}
	tf := target.byPath[ref.Folder]
	if tf == nil {
		return nil, nil, nil
	}
	s, err := d.secret(ctx, target, tf, ref.Name)
	return target, s, err
}

// visible finds a name in a folder or in what it imports; its own secrets win, then the last import.
func (d *draft) visible(ctx context.Context, e *envDraft, f *folderDraft, name domain.SecretName, depth int) (*envDraft, *secretDraft, error) {
	s, err := d.secret(ctx, e, f, name)
	if err != nil || s != nil || depth >= maxImportDepth {
		return e, s, err
	}
	for _, imp := range slices.Backward(f.row.Settings.Imports) {
		ie, err := d.env(ctx, imp.Env)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if inner := ie.byID[imp.Folder]; inner != nil && inner.row.Deleted == 0 {
			if te, s, err := d.visible(ctx, ie, inner, name, depth+1); err != nil || s != nil {
				return te, s, err
			}
		}
	}
	return nil, nil, nil
}

func missing(err error) bool { return err != nil && fault.KindOf(err) == fault.NotFound }

// namedEnv finds the environment that a reference names, seen from e; nil when there is none.
func (d *draft) namedEnv(ctx context.Context, e *envDraft, ref domain.Reference) (*envDraft, error) {
	project := e.place.project
	if ref.Project != "" && ref.Project != project.Slug {
		var err error
		if project, err = d.tx.ProjectBySlug(ctx, d.p.Org(), ref.Project); err != nil {
			if missing(err) {
				return nil, nil
			}
			return nil, err
		}
	}
	row, err := d.tx.EnvironmentBySlug(ctx, project.ID, ref.Env)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return d.env(ctx, row.ID)
}

// bind remembers, before names and places change, what the references of everybody concerned point to.
func (d *draft) bind(ctx context.Context, changes []Change) error {
	for i := range changes {
		c := &changes[i]
		var moved []*secretDraft
		switch c.Verb {
		case Rename, Move:
			f := d.home.byPath[c.Path]
			if f == nil {
				continue
			}
			s, err := d.secret(ctx, d.home, f, c.Name)
			if err != nil {
				return err
			}
			if s != nil {
				moved = append(moved, s)
			}
		case FolderMove:
			for _, f := range d.home.below(c.Path) {
				all, err := d.live(ctx, d.home, f)
				if err != nil {
					return err
				}
				moved = append(moved, all...)
			}
		}
		for _, s := range moved {
			if err := d.bindAround(ctx, d.home, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindAround binds a secret that will move and all that point to it.
func (d *draft) bindAround(ctx context.Context, e *envDraft, s *secretDraft) error {
	if err := d.bindOne(ctx, e, s); err != nil {
		return err
	}
	return d.bindReferrers(ctx, s.row.ID)
}

func (d *draft) bindReferrers(ctx context.Context, id domain.SecretID) error {
	edges, err := d.tx.ReferencesTo(ctx, id)
	if err != nil {
		return err
	}
	for _, edge := range edges {
		re, r, err := d.byID(ctx, edge.From)
		if missing(err) {
			continue
		}
		if err == nil && r.row.Deleted == 0 {
			err = d.bindOne(ctx, re, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *draft) bindOne(ctx context.Context, e *envDraft, s *secretDraft) error {
	if d.bindings[s.row.ID] != nil {
		return nil
	}
	text, ok, err := d.text(s)
	if err != nil || !ok {
		return err
	}
	bound := map[domain.Reference]domain.SecretID{}
	for _, ref := range domain.References(text) {
		_, target, err := d.resolve(ctx, e, e.byID[s.row.Folder], ref)
		if err != nil {
			return err
		}
		if target != nil {
			bound[ref] = target.row.ID
		}
	}
	d.bindings[s.row.ID] = bound
	return nil
}

// respell writes the references of bound values anew where they no longer reach what they pointed to.
func (d *draft) respell(ctx context.Context) error {
	for id, bound := range d.bindings {
		e, s, err := d.byID(ctx, id)
		if err != nil {
			return err
		}
		if s.row.Deleted != 0 || s.value != nil {
			continue // gone, or given a new value by this very commit
		}
		text, ok, err := d.text(s)
		if err != nil || !ok {
			return err
		}
		spelled := map[domain.Reference]domain.Reference{}
		for ref, target := range bound {
			_, now, err := d.resolve(ctx, e, e.byID[s.row.Folder], ref)
			if err != nil {
				return err
			}
			if now != nil && now.row.ID == target {
				continue
			}
			to, err := d.spell(ctx, e, s, target)
			if err != nil {
				return err
			}
			spelled[ref] = to
		}
		if len(spelled) == 0 {
			continue
		}
		fresh := sensitive.FromString(domain.RewriteReferences(text, func(r domain.Reference) (domain.Reference, bool) {
			to, ok := spelled[r]
			return to, ok
		}))
		s.value = &fresh
		e.change(s, d.tx.Now())
	}
	return nil
}

// spell gives the reference by which s reaches the target as things stand now.
func (d *draft) spell(ctx context.Context, e *envDraft, s *secretDraft, target domain.SecretID) (domain.Reference, error) {
	te, t, err := d.byID(ctx, target)
	if err != nil {
		return domain.Reference{}, err
	}
	f := te.byID[t.row.Folder]
	if strings.Contains(string(t.row.Name), ".") {
		return domain.Reference{}, fault.New(fault.Invalid, "%s is referenced by %s, so its name must hold no '.'", d.key(te, t), d.key(e, s))
	}
	if te == e && t.row.Folder == s.row.Folder {
		return domain.Reference{Name: t.row.Name}, nil
	}
	ref := domain.Reference{Env: te.place.env.Slug, Folder: f.row.Path, Name: t.row.Name}
	if te.place.project.ID != e.place.project.ID {
		ref.Project = te.place.project.Slug
	}
	return ref, nil
}

// connect resolves the references of every value that this commit wrote or brought into another place. A dangling one or a
// cycle refuses the commit and shows the path that makes it.
func (d *draft) connect(ctx context.Context) error {
	var problems []fault.Field
	for _, e := range d.envs {
		for _, s := range e.order {
			if s.row.Deleted != 0 {
				d.refs[s.row.ID] = []domain.SecretID{}
				continue
			}
			if s.old != nil && s.value == nil && s.old.Folder == s.row.Folder && s.old.Deleted == 0 && s.old.Attrs.Literal == s.row.Attrs.Literal {
				continue // neither value nor place changed
			}
			dangling, err := d.edges(ctx, e, s)
			if err != nil {
				return err
			}
			for _, ref := range dangling {
				problems = append(problems, fault.Field{Where: d.key(e, s), Problem: "${" + ref.String() + "} points to nothing"})
			}
		}
	}
	if len(problems) > 0 {
		f := fault.New(fault.Invalid, "a reference points to nothing: %s: %s", problems[0].Where, problems[0].Problem).
			WithHint("set the missing secret in the same commit, write $${ for a plain ${, or mark the secret as literal")
		f.Fields = problems
		return f
	}
	if err := d.refuseDangling(ctx); err != nil {
		return err
	}
	for _, e := range d.envs {
		for _, s := range e.order {
			if len(d.refs[s.row.ID]) > 0 {
				if err := d.refuseCycle(ctx, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// edges finds what the value of s points to and gives the references that point to nothing. What the author may not see
// counts as nothing, so that a commit cannot be used to feel for names.
func (d *draft) edges(ctx context.Context, e *envDraft, s *secretDraft) ([]domain.Reference, error) {
	d.refs[s.row.ID] = []domain.SecretID{}
	text, ok, err := d.text(s)
	if err != nil || !ok {
		return nil, err
	}
	var dangling []domain.Reference
	for _, ref := range domain.References(text) {
		te, t, err := d.resolve(ctx, e, e.byID[s.row.Folder], ref)
		if err != nil {
			return nil, err
		}
		if t == nil || !d.p.Can(policy.SecretList, te.place.resource(te.byID[t.row.Folder].row.Path)) && d.bindings[s.row.ID] == nil {
			dangling = append(dangling, ref)
			continue
		}
		if !slices.Contains(d.refs[s.row.ID], t.row.ID) {
			d.refs[s.row.ID] = append(d.refs[s.row.ID], t.row.ID)
		}
	}
	return dangling, nil
}

// refuseDangling refuses to delete what others point to.
func (d *draft) refuseDangling(ctx context.Context) error {
	for _, e := range d.envs {
		for _, s := range e.order {
			if s.row.Deleted == 0 {
				continue
			}
			edges, err := d.tx.ReferencesTo(ctx, s.row.ID)
			if err != nil {
				return err
			}
			for _, edge := range edges {
				if fresh, ok := d.refs[edge.From]; ok && !slices.Contains(fresh, s.row.ID) {
					continue
				}
				re, r, err := d.byID(ctx, edge.From)
				if missing(err) {
					continue
				}
				if err != nil {
					return err
				}
				if r.row.Deleted == 0 {
					return fault.New(fault.Conflict, "%s is referenced by %s", d.key(e, s), d.key(re, r)).
						WithHint("change that value first, or in the same commit")
				}
			}
		}
	}
	return nil
}

// refuseCycle follows the references of s and shows the way when it leads back.
func (d *draft) refuseCycle(ctx context.Context, s *secretDraft) error {
	var way []string
	seen := map[domain.SecretID]bool{}
	var follow func(id domain.SecretID) (bool, error)
	follow = func(id domain.SecretID) (bool, error) {
		targets, ok := d.refs[id]
		if !ok {
			rows, err := d.tx.ReferencesFrom(ctx, id)
			if err != nil {
				return false, err
			}
			for _, row := range rows {
				targets = append(targets, row.To)
			}
		}
		for _, t := range targets {
			if t != s.row.ID && seen[t] {
				continue
			}
			seen[t] = true
			te, ts, err := d.byID(ctx, t)
			if missing(err) {
				continue
			}
			if err != nil {
				return false, err
			}
			way = append(way, d.key(te, ts))
			if t == s.row.ID {
				return true, nil
			}
			if back, err := follow(t); back || err != nil {
				return back, err
			}
			way = way[:len(way)-1]
		}
		return false, nil
	}
	back, err := follow(s.row.ID)
	if err == nil && back {
		return fault.New(fault.Invalid, "references form a circle: %s -> %s", way[len(way)-1], strings.Join(way, " -> "))
	}
	return err
}

// setImports replaces what a folder shows of others. Values that used an import are looked at again.
func (d *draft) setImports(ctx context.Context, c *Change) (Effect, error) {
	if len(c.Imports) > maxImports {
		return Effect{}, fault.New(fault.Invalid, "too many imports in one folder: at most %d", maxImports)
	}
	f, err := d.home.folder(c.Path, true)
	if err != nil {
		return Effect{}, err
	}
	var imports []store.Import
	for _, src := range c.Imports {
		e, err := d.elsewhere(ctx, src.EnvRef)
		if err != nil {
			return Effect{}, err
		}
		if err := d.allowed(policy.SecretList, e, src.Path); err != nil {
			return Effect{}, err
		}
		from, err := e.folder(src.Path, false)
		if err != nil {
			return Effect{}, err
		}
		imports = append(imports, store.Import{Project: from.row.Project, Env: from.row.Env, Folder: from.row.ID})
	}
	if slices.Equal(imports, f.row.Settings.Imports) {
		return Effect{Path: c.Path, Outcome: Same}, nil
	}
	f.row.Settings.Imports = imports
	d.home.changeFolder(f)
	if err := d.refuseImportCycle(ctx, f); err != nil {
		return Effect{}, err
	}
	all, err := d.live(ctx, d.home, f)
	if err != nil {
		return Effect{}, err
	}
	for _, s := range all {
		dangling, err := d.edges(ctx, d.home, s)
		if err != nil {
			return Effect{}, err
		}
		if len(dangling) > 0 {
			return Effect{}, fault.New(fault.Invalid, "without that import ${%s} in %s points to nothing", dangling[0], d.key(d.home, s))
		}
	}
	return Effect{Path: c.Path, Outcome: Changed}, nil
}

func (d *draft) refuseImportCycle(ctx context.Context, start *folderDraft) error {
	var way []string
	var follow func(f *folderDraft) (bool, error)
	follow = func(f *folderDraft) (bool, error) {
		if len(way) > maxImportDepth {
			return false, fault.New(fault.Invalid, "imports of imports go deeper than %d", maxImportDepth)
		}
		for _, imp := range f.row.Settings.Imports {
			e, err := d.env(ctx, imp.Env)
			if missing(err) {
				continue
			}
			if err != nil {
				return false, err
			}
			inner := e.byID[imp.Folder]
			if inner == nil {
				continue
			}
			way = append(way, fmt.Sprintf("%s:%s", e.place, inner.row.Path))
			if inner == start {
				return true, nil
			}
			if back, err := follow(inner); back || err != nil {
				return back, err
			}
			way = way[:len(way)-1]
		}
		return false, nil
	}
	back, err := follow(start)
	if err == nil && back {
		return fault.New(fault.Invalid, "imports form a circle: %s:%s -> %s", d.home.place, start.row.Path, strings.Join(way, " -> "))
	}
	return err
}

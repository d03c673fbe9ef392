package secrets

import (
	"context"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// resolve finds what a reference in a folder points to: nil when nothing.
func (d *draft) resolve(ctx context.Context, e *envDraft, f *folderDraft, ref domain.Reference) (*envDraft, *secretDraft, error) {
	if f == nil {
		return nil, nil, nil
	}
	if ref.Local() {
		return d.visible(ctx, e, f, ref.Name, seenFolders{})
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

// bind remembers, before a change of names or places, what the references of everybody concerned point to.
func (d *draft) bind(ctx context.Context, c *Change) error {
	switch c.Verb {
	case Rename:
		return d.bindMove(ctx, c, c.Path, c.To)
	case Move:
		return d.bindMove(ctx, c, c.ToPath, c.Name)
	case FolderMove:
		return d.bindFolder(ctx, c.Path)
	}
	return nil
}

func (d *draft) bindMove(ctx context.Context, c *Change, to domain.Path, name domain.SecretName) error {
	f := d.home.byPath[c.Path]
	if f == nil {
		return nil
	}
	s, err := d.secret(ctx, d.home, f, c.Name)
	if err != nil || s == nil {
		return err
	}
	if err := d.bindAround(ctx, d.home, s); err != nil {
		return err
	}
	return d.bindShadowed(ctx, d.home.byPath[to], name)
}

// bindFolder binds all that a folder that moves takes with it.
func (d *draft) bindFolder(ctx context.Context, path domain.Path) error {
	for _, f := range d.home.below(path) {
		all, err := d.live(ctx, d.home, f)
		if err != nil {
			return err
		}
		for _, s := range all {
			if err := d.bindAround(ctx, d.home, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindShadowed binds those who reach another secret of a name through an import: a secret that takes the name in the folder
// will stand before it.
func (d *draft) bindShadowed(ctx context.Context, f *folderDraft, name domain.SecretName) error {
	if f == nil {
		return nil
	}
	all, err := d.seers(ctx, d.home, f)
	if err != nil {
		return err
	}
	for _, g := range all {
		_, t, err := d.visible(ctx, g.env, g.folder, name, seenFolders{})
		if err != nil {
			return err
		}
		if t != nil {
			if err := d.bindReferrers(ctx, t.row.ID); err != nil {
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

package secrets

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// allowed asks the door for a folder as such. A caller who may not see the folder learns nothing of it.
func (d *draft) allowed(action policy.Action, e *envDraft, path domain.Path) error {
	return d.may(action, e, e.place.resource(path))
}

// may asks the door for one folder or secret.
func (d *draft) may(action policy.Action, e *envDraft, r policy.Resource) error {
	if d.p.Can(action, r) {
		return nil
	}
	return d.refused(action, e, r)
}

func (d *draft) refused(action policy.Action, e *envDraft, r policy.Resource) error {
	if err := d.p.Halted(action, r); err != nil {
		return err
	}
	what := string(r.Path)
	if r.Name != "" {
		what = r.Path.Key(r.Name)
	}
	if d.p.Can(policy.SecretList, r) {
		return fault.New(fault.Denied, "you may see %s in %s but not do this: %s", what, e.place, action).
			WithHint("ask an admin of the project for a role that allows it")
	}
	return guard.Missing()
}

// mayTouch asks for a secret as it stands in the draft, or for its name when it is not there.
func (d *draft) mayTouch(action policy.Action, e *envDraft, path domain.Path, name domain.SecretName, s *secretDraft) error {
	if s == nil {
		return d.may(action, e, e.place.secret(path, name, nil))
	}
	return d.may(action, e, e.place.secret(path, name, s.row.Attrs.Tags))
}

// mayAll asks for a folder, all below it and every secret in them; then, for a move, for the same under the new path.
func (d *draft) mayAll(ctx context.Context, action policy.Action, from, to domain.Path) error {
	for _, f := range d.home.below(from) {
		places := []domain.Path{f.row.Path, f.row.Path.Rebase(from, to)}
		for _, path := range places {
			if err := d.allowed(action, d.home, path); err != nil {
				return err
			}
		}
		if !policy.AsksSecrets(d.p.Principal()) {
			continue
		}
		all, err := d.live(ctx, d.home, f)
		if err != nil {
			return err
		}
		for _, s := range all {
			for _, path := range places {
				if err := d.mayTouch(action, d.home, path, s.row.Name, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// apply does one change.
func (d *draft) apply(ctx context.Context, c *Change) (Effect, error) {
	action := policy.SecretWrite
	switch c.Verb {
	case Delete, Restore, FolderDelete, FolderRestore:
		action = policy.SecretDelete
	}
	if err := d.mayApply(ctx, action, c); err != nil {
		return Effect{}, err
	}
	if err := d.bind(ctx, c); err != nil {
		return Effect{}, err
	}
	switch c.Verb {
	case Set:
		return d.set(ctx, c)
	case Delete:
		return d.delete(ctx, c)
	case Restore:
		return d.restore(ctx, c)
	case Rename:
		return d.move(ctx, c, c.Path, c.To)
	case Move:
		return d.move(ctx, c, c.ToPath, c.Name)
	case Copy:
		return d.copy(ctx, c)
	case FolderCreate:
		return d.createFolder(c)
	case FolderMove:
		return d.moveFolder(ctx, c)
	case FolderDelete:
		return d.deleteFolder(ctx, c)
	case FolderRestore:
		return d.restoreFolder(ctx, c)
	case FolderImports:
		return d.setImports(ctx, c)
	case FolderNote:
		return d.setNote(c)
	case FolderRequired:
		return d.setRequired(c)
	}
	return Effect{}, fault.New(fault.Invalid, "no such change: want set, delete, restore, rename, move, copy or one of folder.*")
}

// mayApply asks for what a change names. Rules on tags are asked again where the secret is known.
func (d *draft) mayApply(ctx context.Context, action policy.Action, c *Change) error {
	switch c.Verb {
	case FolderCreate, FolderImports, FolderNote, FolderRequired, FolderRestore:
		return d.allowed(action, d.home, c.Path)
	case FolderDelete, FolderMove:
		to := c.Path
		if c.ToPath != "" {
			to = c.ToPath
			if err := d.allowed(action, d.home, to); err != nil {
				return err
			}
		}
		if err := d.allowed(action, d.home, c.Path); err != nil {
			return err
		}
		return d.mayAll(ctx, action, c.Path, to)
	}
	if at := d.home.place.resource(c.Path); !d.p.In(action, at).Some() {
		return d.refused(action, d.home, at)
	}
	if to := d.home.place.resource(c.ToPath); c.ToPath != "" && !d.p.In(policy.SecretWrite, to).Some() {
		return d.refused(policy.SecretWrite, d.home, to)
	}
	if action != policy.SecretWrite || c.Verb == Copy {
		return nil
	}
	f := d.home.byPath[c.Path] // before anything is looked up for the sake of references
	if f == nil {
		if c.Verb == Set {
			return nil // asked when it is made
		}
		return d.mayTouch(action, d.home, c.Path, c.Name, nil)
	}
	s, err := d.secret(ctx, d.home, f, c.Name)
	if err != nil || s == nil && c.Verb == Set {
		return err
	}
	return d.mayTouch(action, d.home, c.Path, c.Name, s)
}

func (d *draft) set(ctx context.Context, c *Change) (Effect, error) {
	f, err := d.home.folder(c.Path, c.If == "")
	if err != nil {
		return Effect{}, err
	}
	s, err := d.secret(ctx, d.home, f, c.Name)
	if err != nil {
		return Effect{}, err
	}
	if c.If == Absent && s != nil {
		if err := d.mayTouch(policy.SecretList, d.home, c.Path, c.Name, s); err != nil {
			return Effect{}, err
		}
		return Effect{}, fault.New(fault.Exists, "%s exists already in %s", c.Path.Key(c.Name), d.home.place)
	}
	switch {
	case s != nil:
	case c.If == Present:
		return Effect{}, d.notThere(c.Path, c.Name)
	case c.If == PresentOrSkip:
		return Effect{Path: c.Path, Name: c.Name, Outcome: Skipped}, nil
	}
	value := c.Value
	if c.Generate > 0 && value == nil {
		fresh := generate(c.Generate)
		value = &fresh
		if d.pin {
			c.Value = value
		}
	}
	effect := Effect{Path: c.Path, Name: c.Name, Outcome: Same}
	if s == nil {
		if value == nil {
			if err := d.mayTouch(policy.SecretWrite, d.home, c.Path, c.Name, nil); err != nil {
				return Effect{}, err
			}
			return Effect{}, d.notThere(c.Path, c.Name)
		}
		s = d.create(f, c.Name)
		effect.Outcome = Added
	}
	attrs := s.row.Attrs
	if err := checkTyped(&attrs, value, c.Attrs.JSON); err != nil {
		return Effect{}, fmt.Errorf("%s: %w", c.Path.Key(c.Name), err)
	}
	attrs.JSON = attrs.JSON && value == nil
	if err := c.Attrs.apply(&attrs); err != nil {
		return Effect{}, fmt.Errorf("%s: %w", c.Path.Key(c.Name), err)
	}
	// What it becomes must be the caller's to write as well: a tag takes a secret out of one rule and into another.
	if err := d.may(policy.SecretWrite, d.home, d.home.place.secret(c.Path, c.Name, attrs.Tags)); err != nil {
		return Effect{}, err
	}
	if value != nil && (s.old == nil && s.value == nil || !d.sameValue(s, *value)) {
		s.value, s.authored = value, true
		attrs.Generated, attrs.RotatedAt = c.Generate > 0, d.tx.Now()
		if effect.Outcome == Same {
			effect.Outcome = Changed
		}
	}
	if err := d.setComment(s, c, &attrs, &effect); err != nil {
		return Effect{}, err
	}
	if !attrs.Equal(s.row.Attrs) && effect.Outcome == Same {
		effect.Outcome = Changed
	}
	if effect.Outcome != Same {
		s.row.Attrs = attrs
		d.home.change(s, d.tx.Now())
	}
	effect.Version, effect.made = s.version(), s
	return effect, nil
}

// create makes a secret in the draft. Its first version is 1.
func (d *draft) create(f *folderDraft, name domain.SecretName) *secretDraft {
	s := &secretDraft{}
	s.row.ID = domain.NewID[domain.SecretID]()
	s.row.Org, s.row.Project, s.row.Env, s.row.Folder, s.row.Name = f.row.Org, f.row.Project, f.row.Env, f.row.ID, name
	d.home.secrets[s.row.ID] = s
	f.named[name] = s
	return s
}

// version tells the number that the value will have.
func (s *secretDraft) version() int64 {
	if s.value != nil {
		return s.row.Version + 1
	}
	return s.row.Version
}

// sameValue compares by digest, without opening what is stored.
func (d *draft) sameValue(s *secretDraft, v sensitive.Value) bool {
	if s.value != nil {
		return s.value.Equal(v)
	}
	return s.row.Digest != nil && d.s.ring.DigestFits(v, s.row.Digest)
}

func (d *draft) setComment(s *secretDraft, c *Change, attrs *domain.Attributes, effect *Effect) error {
	if c.Comment == nil {
		return nil
	}
	now, err := d.s.openComment(d.p, &s.row)
	if err != nil {
		return err
	}
	if string(now.Reveal()) == *c.Comment {
		return nil
	}
	if effect.Outcome == Same {
		effect.Outcome = Changed
	}
	s.row.Comment, attrs.CommentRev = nil, 0
	if *c.Comment == "" {
		return nil
	}
	attrs.CommentRev = d.home.nextRevision()
	row := s.row
	row.Attrs = *attrs
	s.row.Comment, err = d.s.ring.Seal(commentPlace(&row), sensitive.FromString(*c.Comment))
	return err
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// generate makes a random value. Letters and digits only: it must survive URLs, shells and connection strings.
func generate(n int) sensitive.Value {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		_, _ = rand.Read(buf[:])
		for _, b := range buf {
			if int(b) < 256/len(alphabet)*len(alphabet) && len(out) < n { // no bias from the remainder
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return sensitive.New(out)
}

func (d *draft) find(ctx context.Context, path domain.Path, name domain.SecretName) (*folderDraft, *secretDraft, error) {
	f, err := d.home.folder(path, false)
	if err != nil {
		return nil, nil, err
	}
	s, err := d.secret(ctx, d.home, f, name)
	if err == nil && s == nil {
		err = d.notThere(path, name)
	}
	return f, s, err
}

// notThere says that there is no secret, in words that somebody from whom tags hide some cannot tell from a refusal.
func (d *draft) notThere(path domain.Path, name domain.SecretName) error {
	if policy.AsksTags(d.p.Principal()) || !d.p.Can(policy.SecretList, d.home.place.secret(path, name, nil)) {
		return guard.Missing()
	}
	return fault.New(fault.NotFound, "no secret %s in %s", path.Key(name), d.home.place)
}

func (d *draft) delete(ctx context.Context, c *Change) (Effect, error) {
	f, s, err := d.find(ctx, c.Path, c.Name)
	if err != nil {
		return Effect{}, err
	}
	if err := d.mayTouch(policy.SecretDelete, d.home, c.Path, c.Name, s); err != nil {
		return Effect{}, err
	}
	d.remove(d.home, f, s)
	return Effect{Path: c.Path, Name: c.Name, Outcome: Removed, Version: s.row.Version, made: s}, nil
}

func (d *draft) remove(e *envDraft, f *folderDraft, s *secretDraft) {
	e.change(s, d.tx.Now())
	s.row.Deleted = e.nextRevision()
	f.named[s.row.Name] = nil
}

func (d *draft) restore(ctx context.Context, c *Change) (Effect, error) {
	f, err := d.home.folder(c.Path, false)
	if err != nil {
		return Effect{}, err
	}
	if !policy.AsksTags(d.p.Principal()) { // else the name alone does not tell
		if err := d.mayTouch(policy.SecretDelete, d.home, c.Path, c.Name, nil); err != nil {
			return Effect{}, err
		}
	}
	if taken, err := d.secret(ctx, d.home, f, c.Name); err != nil {
		return Effect{}, err
	} else if taken != nil {
		return Effect{}, fault.New(fault.Exists, "%s is not deleted", c.Path.Key(c.Name))
	}
	gone, err := d.tx.DeletedSecrets(ctx, d.home.place.env.ID)
	if err != nil {
		return Effect{}, err
	}
	folders, err := d.tx.AllFolders(ctx, d.home.place.env.ID)
	if err != nil {
		return Effect{}, err
	}
	here := map[domain.FolderID]bool{f.row.ID: true} // and deleted folders of this path: the present one may be a later one
	for i := range folders {
		if folders[i].Deleted != 0 && folders[i].Path == c.Path {
			here[folders[i].ID] = true
		}
	}
	for _, row := range gone { // newest deletion first
		if here[row.Folder] && row.Name == c.Name {
			if err := d.may(policy.SecretDelete, d.home, d.home.place.row(c.Path, &row)); err != nil {
				return Effect{}, err
			}
			s := d.home.adopt(row)
			s.row.Folder = f.row.ID
			d.revive(f, s)
			return Effect{Path: c.Path, Name: c.Name, Outcome: Added, Version: s.row.Version, made: s}, nil
		}
	}
	return Effect{}, fault.New(fault.NotFound, "no deleted secret %s in %s", c.Path.Key(c.Name), d.home.place)
}

func (d *draft) revive(f *folderDraft, s *secretDraft) {
	s.row.Deleted = 0
	d.home.change(s, d.tx.Now())
	f.named[s.row.Name] = s
}

// move gives a secret another folder or name. References to it were bound before and are spelled anew afterwards.
func (d *draft) move(ctx context.Context, c *Change, to domain.Path, name domain.SecretName) (Effect, error) {
	f, s, err := d.find(ctx, c.Path, c.Name)
	if missing(err) && c.If == PresentOrSkip {
		return Effect{Path: c.Path, Name: c.Name, Outcome: Skipped}, nil
	}
	if err != nil {
		return Effect{}, err
	}
	if err := d.mayTouch(policy.SecretWrite, d.home, to, name, s); err != nil {
		return Effect{}, err
	}
	target, err := d.home.folder(to, true)
	if err != nil {
		return Effect{}, err
	}
	if taken, err := d.secret(ctx, d.home, target, name); err != nil {
		return Effect{}, err
	} else if taken != nil {
		if taken == s {
			return Effect{Path: to, Name: name, Outcome: Same, Version: s.row.Version, made: s}, nil
		}
		return Effect{}, fault.New(fault.Exists, "%s exists already in %s", to.Key(name), d.home.place)
	}
	f.named[c.Name] = nil
	d.home.touched[f.row.ID] = true
	s.row.Folder, s.row.Name = target.row.ID, name
	target.named[name] = s
	d.home.change(s, d.tx.Now())
	return Effect{Path: to, Name: name, Outcome: Changed, Version: s.version(), made: s}, nil
}

// copy takes value, comment and attributes of a secret that the caller may read.
func (d *draft) copy(ctx context.Context, c *Change) (Effect, error) {
	from, err := d.elsewhere(ctx, c.From.EnvRef)
	if err != nil {
		return Effect{}, err
	}
	if !d.p.In(policy.SecretRead, from.place.resource(c.From.Path)).Some() {
		return Effect{}, d.refused(policy.SecretRead, from, from.place.resource(c.From.Path))
	}
	f, err := from.folder(c.From.Path, false)
	if err != nil {
		return Effect{}, err
	}
	src, err := d.secret(ctx, from, f, c.From.Name)
	if err != nil {
		return Effect{}, err
	}
	if err := d.mayTouch(policy.SecretRead, from, c.From.Path, c.From.Name, src); err != nil && (src != nil || !policy.AsksTags(d.p.Principal())) {
		return Effect{}, err
	}
	if src == nil && policy.AsksTags(d.p.Principal()) {
		return Effect{}, guard.Missing()
	}
	if src == nil {
		return Effect{}, fault.New(fault.NotFound, "no secret %s in %s", c.From.Path.Key(c.From.Name), from.place)
	}
	d.p.Names(d.key(from, src))
	d.s.shown(d.p, src.row.ID)
	value, err := d.plaintext(src)
	if err != nil {
		return Effect{}, err
	}
	comment, err := d.s.openComment(d.p, &src.row)
	if err != nil {
		return Effect{}, err
	}
	name := c.To
	if name == "" {
		name = c.From.Name
	}
	a := src.row.Attrs
	text := string(comment.Reveal())
	if d.pin && a.Tags == nil { // written down, a pointer to nothing is no pointer, which leaves things as they are
		a.Tags = []domain.Tag{}
	}
	if d.pin && a.Meta == nil {
		a.Meta = map[string]string{}
	}
	made := Change{Verb: Set, Path: c.Path, Name: name, Value: &value, Comment: &text, Attrs: AttributeChange{
		Owner: &a.Owner, Tags: &a.Tags, Meta: &a.Meta, Public: &a.Public, Cadence: &a.Cadence, ExpiresAt: &a.ExpiresAt, Required: &a.Required, Literal: &a.Literal, JSON: &a.JSON,
		OneLine: &a.OneLine, Reminder: &a.Reminder}}
	if d.pin {
		*c = made
		return d.set(ctx, c)
	}
	return d.set(ctx, &made)
}

// elsewhere finds an environment by words inside the transaction.
func (d *draft) elsewhere(ctx context.Context, ref EnvRef) (*envDraft, error) {
	project := d.home.place.project
	if ref.Project != "" && ref.Project != string(project.Slug) && ref.Project != string(project.ID) {
		var err error
		if domain.IsID(ref.Project) {
			project, err = d.tx.Project(ctx, domain.ProjectID(ref.Project))
		} else {
			project, err = d.tx.ProjectBySlug(ctx, d.p.Org(), domain.Slug(ref.Project))
		}
		if err != nil {
			return nil, hidden(err)
		}
	}
	if home := d.home.place; project.ID == home.project.ID && (ref.Env == "" || ref.Env == string(home.env.Slug) || ref.Env == string(home.env.ID)) {
		return d.home, nil
	}
	var row store.Environment
	var err error
	if domain.IsID(ref.Env) {
		row, err = d.tx.Environment(ctx, domain.EnvID(ref.Env))
	} else {
		slug := domain.Slug(ref.Env)
		if slug == "" { // the environment of the same name in the other project
			slug = d.home.place.env.Slug
		}
		row, err = d.tx.EnvironmentBySlug(ctx, project.ID, slug)
	}
	if err != nil {
		return nil, hidden(err)
	}
	if row.Project != project.ID {
		return nil, guard.Missing()
	}
	return d.env(ctx, row.ID)
}

func (d *draft) createFolder(c *Change) (Effect, error) {
	if d.home.byPath[c.Path] != nil {
		return Effect{Path: c.Path, Outcome: Same}, nil
	}
	_, err := d.home.folder(c.Path, true)
	return Effect{Path: c.Path, Outcome: Added}, err
}

// below lists the folder and all under it, the deepest last.
func (e *envDraft) below(path domain.Path) []*folderDraft {
	var out []*folderDraft
	for p, f := range e.byPath {
		if path.Contains(p) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *folderDraft) int { return strings.Compare(string(a.row.Path), string(b.row.Path)) })
	return out
}

func (d *draft) moveFolder(ctx context.Context, c *Change) (Effect, error) {
	if _, err := d.home.folder(c.Path, false); err != nil {
		return Effect{}, err
	}
	switch {
	case c.Path == domain.Root || c.ToPath == domain.Root || c.ToPath == "":
		return Effect{}, fault.New(fault.Invalid, "the root folder cannot be moved or replaced")
	case c.Path == c.ToPath:
		return Effect{Path: c.Path, Outcome: Same}, nil
	case c.Path.Contains(c.ToPath):
		return Effect{}, fault.New(fault.Invalid, "folder %s cannot move below itself", c.Path)
	case d.home.byPath[c.ToPath] != nil:
		return Effect{}, fault.New(fault.Exists, "folder %s exists already in %s", c.ToPath, d.home.place)
	}
	if _, err := d.home.folder(c.ToPath.Parent(), true); err != nil {
		return Effect{}, err
	}
	for _, f := range d.home.below(c.Path) {
		to, err := domain.ParsePath(string(f.row.Path.Rebase(c.Path, c.ToPath)))
		if err != nil {
			return Effect{}, err
		}
		delete(d.home.byPath, f.row.Path)
		f.row.Path = to
		d.home.byPath[to] = f
		d.home.changeFolder(f)
	}
	return Effect{Path: c.ToPath, Outcome: Changed}, nil
}

func (d *draft) deleteFolder(ctx context.Context, c *Change) (Effect, error) {
	if c.Path == domain.Root {
		return Effect{}, fault.New(fault.Invalid, "the root folder cannot be deleted").WithHint("delete what is in it, or the environment")
	}
	if _, err := d.home.folder(c.Path, false); err != nil {
		return Effect{}, err
	}
	all := d.home.below(c.Path)
	for _, f := range slices.Backward(all) {
		shown, err := d.seers(ctx, d.home, f)
		if err != nil {
			return Effect{}, err
		}
		for _, g := range shown {
			if imports(g.folder, f.row.ID) && !(g.env == d.home && c.Path.Contains(g.folder.row.Path)) {
				return Effect{}, fault.New(fault.Conflict, "folder %s is imported by folder %s", f.row.Path, d.folderKey(g.env, g.folder)).WithHint("remove the import first")
			}
		}
		secrets, err := d.live(ctx, d.home, f)
		if err != nil {
			return Effect{}, err
		}
		for _, s := range secrets {
			d.remove(d.home, f, s)
		}
		f.row.Deleted = d.home.nextRevision()
		d.home.changeFolder(f)
		delete(d.home.byPath, f.row.Path)
	}
	return Effect{Path: c.Path, Outcome: Removed}, nil
}

func (d *draft) restoreFolder(ctx context.Context, c *Change) (Effect, error) {
	if d.home.byPath[c.Path] != nil {
		return Effect{}, fault.New(fault.Exists, "folder %s is not deleted", c.Path)
	}
	all, err := d.tx.AllFolders(ctx, d.home.place.env.ID)
	if err != nil {
		return Effect{}, err
	}
	var when int64
	for _, f := range all {
		if f.Path == c.Path {
			when = max(when, f.Deleted)
		}
	}
	if when == 0 {
		return Effect{}, fault.New(fault.NotFound, "no deleted folder %s in %s", c.Path, d.home.place)
	}
	if _, err := d.home.folder(c.Path.Parent(), true); err != nil {
		return Effect{}, err
	}
	gone, err := d.tx.DeletedSecrets(ctx, d.home.place.env.ID)
	if err != nil {
		return Effect{}, err
	}
	for i := range all {
		if all[i].Deleted != when || !c.Path.Contains(all[i].Path) || d.home.byPath[all[i].Path] != nil {
			continue
		}
		f := &folderDraft{old: &all[i], row: all[i], named: map[domain.SecretName]*secretDraft{}, all: true}
		f.row.Deleted = 0
		d.home.byPath[f.row.Path], d.home.byID[f.row.ID] = f, f
		d.home.changeFolder(f)
		if err := d.allowed(policy.SecretDelete, d.home, f.row.Path); err != nil {
			return Effect{}, err
		}
		for _, row := range gone {
			if row.Folder == f.row.ID && row.Deleted == when {
				if err := d.may(policy.SecretDelete, d.home, d.home.place.row(f.row.Path, &row)); err != nil {
					return Effect{}, err
				}
				d.revive(f, d.home.adopt(row))
			}
		}
	}
	return Effect{Path: c.Path, Outcome: Added}, nil
}

// maxRequired bounds the schema of one folder.
const maxRequired = 1000

func (d *draft) setRequired(c *Change) (Effect, error) {
	f, err := d.home.folder(c.Path, true)
	if err != nil {
		return Effect{}, err
	}
	names := slices.Clone(c.Required)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxRequired {
		return Effect{}, fault.New(fault.Invalid, "too many required names: at most %d", maxRequired)
	}
	if slices.Equal(names, f.row.Settings.Required) {
		return Effect{Path: c.Path, Outcome: Same}, nil
	}
	f.row.Settings.Required = names
	d.home.changeFolder(f)
	return Effect{Path: c.Path, Outcome: Changed}, nil
}

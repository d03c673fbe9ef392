package secrets

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// rollback puts the states of a revision back, by id: a secret or folder that was renamed or moved since gets its old name
// and place. It covers what lies in the chosen place now and what lay there then.
type rollback struct {
	d    *draft
	o    RollbackOptions
	was  map[domain.FolderID]store.Folder
	back []putBack
	gone []*secretDraft // did not exist then
}

// putBack is one secret that changes.
type putBack struct {
	s     *secretDraft
	cur   store.Secret // before
	old   store.Secret // the state to go back to
	attrs domain.Attributes
	value bool // the value changes too
}

func (r *rollback) run(ctx context.Context) ([]Effect, error) {
	d, e := r.d, r.d.home
	if r.o.To < 0 || r.o.To >= e.place.env.Revision {
		f := fault.New(fault.Invalid, "cannot roll back to revision %d: the environment stands at %d", r.o.To, e.place.env.Revision)
		return nil, f.WithField("/to", "want a revision before the current one")
	}
	for _, action := range []policy.Action{policy.SecretWrite, policy.SecretDelete} {
		at := e.place.resource(r.o.Path)
		if r.o.Name == "" {
			if err := d.allowed(action, e, r.o.Path); err != nil {
				return nil, err
			}
		} else if !d.p.In(action, at).Some() {
			return nil, d.refused(action, e, at)
		}
	}
	if err := r.plan(ctx); err != nil {
		return nil, err
	}
	if err := r.bind(ctx); err != nil {
		return nil, err
	}
	if r.o.Name == "" {
		if err := r.folders(ctx); err != nil {
			return nil, err
		}
	}
	effects := r.remove()
	back, err := r.putBack(ctx)
	if err != nil {
		return nil, err
	}
	effects = append(effects, back...)
	if r.o.Name == "" {
		if err := r.removeFolders(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(effects, func(a, b Effect) int { return strings.Compare(a.Path.Key(a.Name), b.Path.Key(b.Name)) })
	for _, effect := range effects {
		d.p.Names(effect.Path.Key(effect.Name))
	}
	return effects, nil
}

func (r *rollback) covers(path domain.Path, name domain.SecretName) bool {
	if r.o.Name != "" {
		return path == r.o.Path && name == r.o.Name
	}
	return r.o.Path.Contains(path)
}

// plan compares then and now and finds what changes. Nothing is changed yet.
func (r *rollback) plan(ctx context.Context) error {
	d, e := r.d, r.d.home
	folders, err := d.tx.FoldersAt(ctx, e.place.env.ID, r.o.To)
	if err != nil {
		return err
	}
	r.was = map[domain.FolderID]store.Folder{}
	for _, f := range folders {
		r.was[f.ID] = f
	}
	rows, err := d.tx.SecretsAt(ctx, e.place.env.ID, r.o.To)
	if err != nil {
		return err
	}
	then := map[domain.SecretID]store.Secret{}
	for _, row := range rows {
		then[row.ID] = row
	}
	live, err := d.tx.LiveSecrets(ctx, e.place.env.ID)
	if err != nil {
		return err
	}
	chosen := map[domain.SecretID]bool{}
	for _, row := range live {
		f := e.byID[row.Folder]
		if f == nil || !r.covers(f.row.Path, row.Name) {
			continue
		}
		if _, existed := then[row.ID]; existed {
			chosen[row.ID] = true
		} else {
			if err := d.may(policy.SecretDelete, e, e.place.row(f.row.Path, &row)); err != nil {
				return err
			}
			r.gone = append(r.gone, e.adopt(row))
		}
	}
	for id, row := range then {
		if f, ok := r.was[row.Folder]; ok && r.covers(f.Path, row.Name) {
			chosen[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(chosen)) {
		if err := r.planOne(ctx, then[id]); err != nil {
			return err
		}
	}
	if r.o.Name != "" && len(chosen)+len(r.gone) == 0 && (policy.AsksTags(d.p.Principal()) || !d.p.Can(policy.SecretList, e.place.secret(r.o.Path, r.o.Name, nil))) {
		return guard.Missing()
	}
	if r.o.Name != "" && len(chosen)+len(r.gone) == 0 {
		return fault.New(fault.NotFound, "no secret %s now or at revision %d", r.o.Path.Key(r.o.Name), r.o.To)
	}
	return nil
}

func (r *rollback) planOne(ctx context.Context, old store.Secret) error {
	d, e := r.d, r.d.home
	_, s, err := d.byID(ctx, old.ID)
	if err != nil {
		return err
	}
	p := putBack{s: s, cur: s.row, old: old, attrs: old.Attrs}
	path := r.was[old.Folder].Path
	if old.Value == nil {
		return fault.New(fault.NotFound, "version %d of %s was purged", old.Version, path.Key(old.Name)).
			WithHint("what was purged cannot come back: roll back other folders or secrets by themselves")
	}
	p.value = p.cur.Version != old.Version && (p.cur.Digest == nil || string(p.cur.Digest) != string(old.Digest))
	if p.value {
		p.attrs.RotatedAt = d.tx.Now() // the value changes now, whatever it was before
	} else {
		p.attrs.RotatedAt, p.attrs.Generated = p.cur.Attrs.RotatedAt, p.cur.Attrs.Generated
	}
	f := e.byID[p.cur.Folder]
	moved := p.cur.Deleted != 0 || p.cur.Folder != old.Folder || p.cur.Name != old.Name || f == nil || f.row.Path != path
	if !moved && !p.value && p.cur.Attrs.Equal(p.attrs) {
		return nil
	}
	// The author may touch what he chose; a secret that comes from elsewhere or goes there needs the right there too.
	if err := d.may(policy.SecretWrite, e, e.place.row(path, &old)); err != nil {
		return err
	}
	now := path
	if f != nil {
		now = f.row.Path
	}
	if p.cur.Deleted == 0 && f != nil || policy.AsksSecrets(d.p.Principal()) {
		if err := d.may(policy.SecretWrite, e, e.place.row(now, &p.cur)); err != nil {
			return err
		}
	}
	r.back = append(r.back, p)
	return nil
}

// bind remembers what references point to before anything moves.
func (r *rollback) bind(ctx context.Context) error {
	d, e := r.d, r.d.home
	for _, p := range r.back {
		if p.cur.Deleted == 0 {
			if err := d.bindAround(ctx, e, p.s); err != nil {
				return err
			}
		}
		if err := d.bindShadowed(ctx, e.byPath[r.was[p.old.Folder].Path], p.old.Name); err != nil {
			return err
		}
	}
	return nil
}

// folderBack is one folder that changes.
type folderBack struct {
	f   *folderDraft // nil: deleted now
	cur store.Folder
	to  store.Folder
}

// folders puts folders back where they were. Where another folder has the place by now, their secrets go there.
func (r *rollback) folders(ctx context.Context) error {
	d, e := r.d, r.d.home
	back, err := r.planFolders(ctx)
	if err != nil {
		return err
	}
	for _, b := range back {
		if b.f == nil || b.cur.Path == b.to.Path {
			continue
		}
		if err := d.bindFolder(ctx, b.cur.Path); err != nil {
			return err
		}
	}
	for _, b := range back {
		if b.f != nil {
			delete(e.byPath, b.cur.Path)
		}
	}
	for _, b := range back {
		f := b.f
		if f == nil {
			old := b.cur
			f = &folderDraft{old: &old, row: b.cur, named: map[domain.SecretName]*secretDraft{}}
			e.byID[b.cur.ID] = f
		}
		kept := f.row.Settings.Document // is about its versions, which go on
		f.row.Path, f.row.Deleted, f.row.Settings = b.to.Path, 0, b.to.Settings
		f.row.Settings.Document = kept
		e.byPath[f.row.Path] = f
		e.changeFolder(f)
	}
	clear(d.importers)
	for _, path := range slices.Sorted(maps.Keys(e.byPath)) {
		if _, err := e.folder(path.Parent(), true); err != nil {
			return err
		}
	}
	return nil
}

func (r *rollback) planFolders(ctx context.Context) ([]folderBack, error) {
	d, e := r.d, r.d.home
	all, err := d.tx.AllFolders(ctx, e.place.env.ID)
	if err != nil {
		return nil, err
	}
	var back []folderBack
	moving := map[domain.FolderID]bool{}
	for _, cur := range all {
		to, existed := r.was[cur.ID]
		if !existed || !r.o.Path.Contains(to.Path) && (cur.Deleted != 0 || !r.o.Path.Contains(cur.Path)) {
			continue
		}
		if cur.Deleted == 0 && cur.Path == to.Path && sameSettings(cur.Settings, to.Settings) {
			continue
		}
		b := folderBack{f: e.byID[cur.ID], cur: cur, to: to}
		for _, path := range []domain.Path{cur.Path, to.Path} {
			if err := d.allowed(policy.SecretWrite, e, path); err != nil && (path == to.Path || b.f != nil) {
				return nil, err
			}
		}
		back, moving[cur.ID] = append(back, b), true
	}
	for {
		n := len(back)
		back = slices.DeleteFunc(back, func(b folderBack) bool {
			taken := e.byPath[b.to.Path]
			stays := taken != nil && taken.row.ID != b.cur.ID && !moving[taken.row.ID]
			if stays {
				delete(moving, b.cur.ID)
			}
			return stays
		})
		if len(back) == n {
			return back, nil
		}
	}
}

func sameSettings(a, b store.FolderSettings) bool {
	return slices.Equal(a.Imports, b.Imports) && slices.Equal(a.Required, b.Required) && a.Note == b.Note
}

// remove deletes what did not exist then, and frees the names of what gets another one.
func (r *rollback) remove() []Effect {
	d, e := r.d, r.d.home
	var out []Effect
	for _, s := range r.gone {
		f := e.byID[s.row.Folder]
		d.remove(e, f, s)
		out = append(out, Effect{Path: f.row.Path, Name: s.row.Name, Outcome: Removed, Version: s.row.Version})
	}
	for _, p := range r.back {
		if f := e.byID[p.cur.Folder]; f != nil && f.named[p.cur.Name] == p.s {
			f.named[p.cur.Name] = nil
		}
	}
	return out
}

func (r *rollback) putBack(ctx context.Context) ([]Effect, error) {
	d, e := r.d, r.d.home
	var out []Effect
	for _, p := range r.back {
		path := r.was[p.old.Folder].Path
		f := e.byID[p.old.Folder]
		if f == nil || f.row.Deleted != 0 || f.row.Path != path {
			var err error
			if f, err = e.folder(path, true); err != nil {
				return nil, err
			}
		}
		taken, err := d.secret(ctx, e, f, p.old.Name)
		if err != nil {
			return nil, err
		}
		if taken != nil && taken != p.s {
			return nil, fault.New(fault.Conflict, "%s is another secret now", path.Key(p.old.Name)).WithHint("rename or delete that one first")
		}
		if p.value {
			v, err := d.s.open(d.p, &p.old)
			if err != nil {
				return nil, err
			}
			p.s.value = &v
		}
		p.s.row.Folder, p.s.row.Name, p.s.row.Deleted, p.s.row.Attrs = f.row.ID, p.old.Name, 0, p.attrs
		p.s.row.Comment = p.old.Comment
		f.named[p.old.Name] = p.s
		e.change(p.s, d.tx.Now())
		outcome := Changed
		if p.cur.Deleted != 0 {
			outcome = Added
		}
		out = append(out, Effect{Path: path, Name: p.old.Name, Outcome: outcome, Version: p.s.version()})
	}
	return out, nil
}

// removeFolders deletes folders that did not exist then, if nothing is left in them and nobody else shows them.
func (r *rollback) removeFolders(ctx context.Context) error {
	d, e := r.d, r.d.home
	gone := map[*folderDraft]bool{}
	for _, f := range e.below(r.o.Path) {
		left, err := d.live(ctx, e, f)
		if err != nil {
			return err
		}
		_, existed := r.was[f.row.ID]
		gone[f] = !existed && f.old != nil && f.row.Path != domain.Root && len(left) == 0
	}
	for again := true; again; { // what stays keeps what is above it and what it shows
		again = false
		for f := range gone {
			needed := slices.ContainsFunc(e.below(f.row.Path), func(below *folderDraft) bool { return !gone[below] })
			shown, err := d.seers(ctx, e, f)
			if err != nil {
				return err
			}
			needed = needed || slices.ContainsFunc(shown, func(g seer) bool { return !gone[g.folder] && imports(g.folder, f.row.ID) })
			if gone[f] && needed {
				gone[f], again = false, true
			}
		}
	}
	for _, f := range slices.Backward(e.below(r.o.Path)) {
		if gone[f] {
			f.row.Deleted = e.nextRevision()
			e.changeFolder(f)
			delete(e.byPath, f.row.Path)
		}
	}
	return nil
}

package secrets

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// rollback puts the states of a revision back, by id: a secret that was renamed or moved since gets its old name and place.
type rollback struct {
	d *draft
	o RollbackOptions
}

func (r *rollback) run(ctx context.Context) ([]Effect, error) {
	d, e := r.d, r.d.home
	if r.o.To < 0 || r.o.To >= e.place.env.Revision {
		return nil, fault.New(fault.Invalid, "cannot roll back to revision %d: want 0 to %d", r.o.To, e.place.env.Revision-1)
	}
	for _, action := range []policy.Action{policy.SecretWrite, policy.SecretDelete} {
		if err := d.allowed(action, e, r.o.Path); err != nil {
			return nil, err
		}
	}
	oldFolders, err := d.tx.FoldersAt(ctx, e.place.env.ID, r.o.To)
	if err != nil {
		return nil, err
	}
	oldSecrets, err := d.tx.SecretsAt(ctx, e.place.env.ID, r.o.To)
	if err != nil {
		return nil, err
	}
	was := map[domain.FolderID]store.Folder{}
	for _, f := range oldFolders {
		was[f.ID] = f
	}
	then := map[domain.SecretID]*store.Secret{}
	for i := range oldSecrets {
		if f, ok := was[oldSecrets[i].Folder]; ok && r.covers(f.Path, oldSecrets[i].Name) {
			then[oldSecrets[i].ID] = &oldSecrets[i]
		}
	}
	if r.o.Name == "" {
		if err := r.folders(ctx, oldFolders); err != nil {
			return nil, err
		}
	}
	effects, err := r.removeNewer(ctx, then)
	if err != nil {
		return nil, err
	}
	back, err := r.putBack(ctx, then, was)
	if err == nil && r.o.Name != "" && len(effects)+len(back) == 0 && len(then) == 0 {
		err = fault.New(fault.NotFound, "no secret %s at revision %d", r.o.Path.Key(r.o.Name), r.o.To)
	}
	effects = append(effects, back...)
	slices.SortFunc(effects, func(a, b Effect) int {
		return strings.Compare(a.Path.Key(a.Name), b.Path.Key(b.Name))
	})
	return effects, err
}

func (r *rollback) covers(path domain.Path, name domain.SecretName) bool {
	if r.o.Name != "" {
		return path == r.o.Path && name == r.o.Name
	}
	return r.o.Path.Contains(path)
}

// folders puts folders back where they were; those that did not exist then go, once they are empty.
func (r *rollback) folders(ctx context.Context, then []store.Folder) error {
	e := r.d.home
	all, err := r.d.tx.AllFolders(ctx, e.place.env.ID)
	if err != nil {
		return err
	}
	now := map[domain.FolderID]store.Folder{}
	for _, f := range all {
		now[f.ID] = f
	}
	for _, f := range then {
		cur, ok := now[f.ID]
		if !ok || !r.o.Path.Contains(f.Path) || cur.Path == f.Path && cur.Deleted == 0 && sameSettings(cur.Settings, f.Settings) {
			continue
		}
		if taken := e.byPath[f.Path]; taken != nil && taken.row.ID != f.ID {
			continue // another folder has its place: its secrets go there
		}
		fd := e.byID[f.ID]
		if fd == nil {
			old := cur
			fd = &folderDraft{old: &old, row: cur, named: map[domain.SecretName]*secretDraft{}}
			e.byID[f.ID] = fd
		} else {
			delete(e.byPath, fd.row.Path)
		}
		fd.row.Path, fd.row.Deleted, fd.row.Settings = f.Path, 0, f.Settings
		e.byPath[f.Path] = fd
		e.changeFolder(fd)
	}
	return nil
}

func sameSettings(a, b store.FolderSettings) bool {
	return slices.Equal(a.Imports, b.Imports) && slices.Equal(a.Required, b.Required)
}

// removeNewer deletes what did not exist then.
func (r *rollback) removeNewer(ctx context.Context, then map[domain.SecretID]*store.Secret) ([]Effect, error) {
	d, e := r.d, r.d.home
	rows, err := d.tx.LiveSecrets(ctx, e.place.env.ID)
	if err != nil {
		return nil, err
	}
	var out []Effect
	for _, row := range rows {
		f := e.byID[row.Folder]
		if f == nil || then[row.ID] != nil || !r.covers(f.row.Path, row.Name) {
			continue
		}
		s := e.adopt(row)
		d.remove(e, f, s)
		out = append(out, Effect{f.row.Path, row.Name, Removed, row.Version})
	}
	return out, nil
}

func (r *rollback) putBack(ctx context.Context, then map[domain.SecretID]*store.Secret, was map[domain.FolderID]store.Folder) ([]Effect, error) {
	d, e := r.d, r.d.home
	var out []Effect
	for id, old := range then {
		_, s, err := d.byID(ctx, id)
		if err != nil {
			return nil, err
		}
		cur := s.row
		sameValue := cur.Version == old.Version || string(cur.Digest) == string(old.Digest) && cur.Digest != nil
		if cur.Deleted == 0 && sameValue && cur.Folder == old.Folder && cur.Name == old.Name && cur.Attrs.Equal(old.Attrs) {
			continue
		}
		path := was[old.Folder].Path
		f := e.byID[old.Folder]
		if f == nil || f.row.Deleted != 0 || f.row.Path != path {
			if f, err = e.folder(path, true); err != nil {
				return nil, err
			}
		}
		if taken, err := d.secret(ctx, e, f, old.Name); err != nil {
			return nil, err
		} else if taken != nil && taken != s {
			return nil, fault.New(fault.Conflict, "%s is another secret now", path.Key(old.Name)).WithHint("rename or delete that one first")
		}
		if from := e.byID[cur.Folder]; from != nil && from.named[cur.Name] == s {
			from.named[cur.Name] = nil
		}
		attrs := old.Attrs
		if !sameValue {
			if old.Value == nil {
				return nil, fault.New(fault.NotFound, "version %d of %s was purged", old.Version, path.Key(old.Name))
			}
			v, err := d.s.open(d.p, old)
			if err != nil {
				return nil, err
			}
			s.value = &v
			attrs.RotatedAt = d.tx.Now() // the value changes now, whatever it was before
		}
		s.row.Folder, s.row.Name, s.row.Deleted, s.row.Attrs = f.row.ID, old.Name, 0, attrs
		s.row.Comment = old.Comment
		f.named[old.Name] = s
		e.change(s, d.tx.Now())
		outcome := Changed
		if cur.Deleted != 0 {
			outcome = Added
		}
		out = append(out, Effect{path, old.Name, outcome, s.version()})
	}
	return out, nil
}

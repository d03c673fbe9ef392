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
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// draft is a commit in the making, of one environment or, when references elsewhere must be rewritten, of several. All of
// it lives inside one transaction of the writer; what it reads is the truth of the database, not the cache.
type draft struct {
	s    *Service
	tx   *store.Tx
	p    guard.Permit
	envs map[domain.EnvID]*envDraft
	home *envDraft
	// bindings remember what each reference of a value pointed to before names and places changed.
	bindings map[domain.SecretID]map[domain.Reference]domain.SecretID
	// refs are the edges of values that this commit wrote or looked at again, in place of those in the database.
	refs map[domain.SecretID][]domain.SecretID
	// importers keeps who shows a folder, as the draft has it.
	importers map[domain.FolderID][]seer
	// pin writes what is made or taken from elsewhere into the changes, so that applying them again gives the same.
	pin bool
	// loose lets references point to nothing.
	loose bool
	// through is the mount whose settings count for documents of home; nil: that of the project.
	through *Mount
	// then is run when everything is written, before the end of the transaction.
	then []func(context.Context) error
}

type envDraft struct {
	place   place
	byPath  map[domain.Path]*folderDraft
	byID    map[domain.FolderID]*folderDraft
	secrets map[domain.SecretID]*secretDraft
	touched map[domain.FolderID]bool
	order   []*secretDraft // in the order in which they were first changed
	forders []*folderDraft
	// unnumbered are folders of which this commit makes no new version as a document, and marks what it does to versions.
	unnumbered map[domain.FolderID]bool
	marks      []*store.DocumentVersion
	made       []*store.DocumentVersion // the current versions, once it is saved
	saving     bool                     // the revision is that of this commit already
}

type folderDraft struct {
	old *store.Folder // nil when new
	row store.Folder
	// named holds the secrets that were looked up or made; all is true when it holds every live one.
	named map[domain.SecretName]*secretDraft
	all   bool
	dirty bool
}

type secretDraft struct {
	old   *store.Secret // nil when new
	row   store.Secret
	value *sensitive.Value // of a new version; nil: as in row.Value
	dirty bool
	// authored is true when the author of this commit wrote the value: then what he may not see counts as missing.
	authored bool
}

func (s *Service) newDraft(ctx context.Context, tx *store.Tx, p guard.Permit, pl place) (*draft, error) {
	d := &draft{s: s, tx: tx, p: p, envs: map[domain.EnvID]*envDraft{}, bindings: map[domain.SecretID]map[domain.Reference]domain.SecretID{},
		refs: map[domain.SecretID][]domain.SecretID{}, importers: map[domain.FolderID][]seer{}}
	home, err := d.env(ctx, pl.env.ID)
	d.home = home
	return d, err
}

// env opens another environment in the same commit.
func (d *draft) env(ctx context.Context, id domain.EnvID) (*envDraft, error) {
	if e := d.envs[id]; e != nil {
		return e, nil
	}
	row, err := d.tx.Environment(ctx, id)
	if err != nil {
		return nil, err
	}
	project, err := d.tx.Project(ctx, row.Project)
	if err != nil {
		return nil, err
	}
	if row.DeletedAt != 0 || project.DeletedAt != 0 || row.Org != d.p.Org() {
		return nil, guard.Missing()
	}
	e := &envDraft{place: place{project, row}, byPath: map[domain.Path]*folderDraft{}, byID: map[domain.FolderID]*folderDraft{},
		secrets: map[domain.SecretID]*secretDraft{}, touched: map[domain.FolderID]bool{}, unnumbered: map[domain.FolderID]bool{}}
	folders, known := d.s.cache.foldersOf(id, row.Revision)
	if !known {
		if folders, err = d.tx.Folders(ctx, id); err != nil {
			return nil, err
		}
	}
	for i := range folders {
		f := &folderDraft{old: &folders[i], row: folders[i], named: map[domain.SecretName]*secretDraft{}}
		e.byPath[f.row.Path], e.byID[f.row.ID] = f, f
	}
	d.envs[id] = e
	return e, nil
}

func (e *envDraft) nextRevision() int64 { return e.place.env.Revision + 1 }

// folder finds a live folder; with create, it and what is missing above it is made.
func (e *envDraft) folder(path domain.Path, create bool) (*folderDraft, error) {
	if f := e.byPath[path]; f != nil {
		return f, nil
	}
	if !create {
		return nil, fault.New(fault.NotFound, "no folder %s in %s", path, e.place)
	}
	if path != domain.Root {
		if _, err := e.folder(path.Parent(), true); err != nil {
			return nil, err
		}
	}
	f := &folderDraft{row: store.Folder{ID: domain.NewID[domain.FolderID](), Org: e.place.env.Org, Project: e.place.env.Project, Env: e.place.env.ID, Path: path},
		named: map[domain.SecretName]*secretDraft{}, all: true}
	e.changeFolder(f)
	e.byPath[path], e.byID[f.row.ID] = f, f
	return f, nil
}

func (e *envDraft) changeFolder(f *folderDraft) {
	if !f.dirty {
		f.dirty = true
		e.forders = append(e.forders, f)
	}
	f.row.Revision = e.nextRevision()
}

// change marks a secret as changed by this commit.
func (e *envDraft) change(s *secretDraft, now int64) {
	if !s.dirty {
		s.dirty = true
		e.order = append(e.order, s)
	}
	s.row.Revision, s.row.At = e.nextRevision(), now
	e.touched[s.row.Folder] = true
	if s.old != nil {
		e.touched[s.old.Folder] = true
	}
}

// adopt takes a loaded row into the draft, once.
func (e *envDraft) adopt(row store.Secret) *secretDraft {
	if s := e.secrets[row.ID]; s != nil {
		return s
	}
	old := row
	s := &secretDraft{old: &old, row: row}
	e.secrets[row.ID] = s
	if f := e.byID[row.Folder]; f != nil && row.Deleted == 0 {
		f.named[row.Name] = s
	}
	return s
}

// prepare looks up many names at once, so that a large commit asks few questions.
func (d *draft) prepare(ctx context.Context, e *envDraft, changes []Change) error {
	wanted := map[*folderDraft][]domain.SecretName{}
	for _, c := range changes {
		if f := e.byPath[c.Path]; f != nil && c.Name != "" && !f.all {
			wanted[f] = append(wanted[f], c.Name)
		}
	}
	for f, names := range wanted {
		slices.Sort(names)
		names = slices.Compact(names)
		rows, err := d.tx.SecretsNamed(ctx, f.row.ID, names...)
		if err != nil {
			return err
		}
		for _, row := range rows {
			e.adopt(row)
		}
		for _, name := range names {
			if _, ok := f.named[name]; !ok {
				f.named[name] = nil // known to be missing
			}
		}
	}
	return nil
}

// secret finds a live secret in a folder, nil when there is none.
func (d *draft) secret(ctx context.Context, e *envDraft, f *folderDraft, name domain.SecretName) (*secretDraft, error) {
	if s, ok := f.named[name]; ok || f.all {
		return s, nil
	}
	rows, err := d.tx.SecretsNamed(ctx, f.row.ID, name)
	if err != nil {
		return nil, err
	}
	f.named[name] = nil
	for _, row := range rows {
		if known := e.secrets[row.ID]; known == nil {
			return e.adopt(row), nil
		}
	}
	return nil, nil
}

// live gives every live secret of a folder.
func (d *draft) live(ctx context.Context, e *envDraft, f *folderDraft) ([]*secretDraft, error) {
	if !f.all {
		rows, err := d.tx.SecretsIn(ctx, f.row.ID)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if e.secrets[row.ID] == nil {
				e.adopt(row)
			}
		}
		f.all = true
	}
	var out []*secretDraft
	for _, name := range slices.Sorted(maps.Keys(f.named)) {
		if s := f.named[name]; s != nil {
			out = append(out, s)
		}
	}
	return out, nil
}

// byID finds a live secret anywhere in the organisation.
func (d *draft) byID(ctx context.Context, id domain.SecretID) (*envDraft, *secretDraft, error) {
	for _, e := range d.envs {
		if s := e.secrets[id]; s != nil {
			return e, s, nil
		}
	}
	row, err := d.tx.Secret(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	e, err := d.env(ctx, row.Env)
	if err != nil {
		return nil, nil, err
	}
	return e, e.adopt(row), nil
}

// key names a secret in a message or in the record. The author of the commit does not learn of what he may not see.
func (d *draft) key(e *envDraft, s *secretDraft) string {
	path := domain.Path("?")
	if f := e.byID[s.row.Folder]; f != nil {
		path = f.row.Path
	}
	if !d.p.Can(policy.SecretList, e.place.row(path, &s.row)) {
		return "a secret that you may not see"
	}
	key := path.Key(s.row.Name)
	if e == d.home {
		return key
	}
	return e.place.String() + ":" + key
}

// plaintext gives the value as the draft has it.
func (d *draft) plaintext(s *secretDraft) (sensitive.Value, error) {
	if s.value != nil {
		return *s.value, nil
	}
	return d.s.open(d.p, &s.row)
}

// text gives the value as text that may hold references: false for bytes that are no text and for literal secrets.
func (d *draft) text(s *secretDraft) (string, bool, error) {
	if s.row.Attrs.Literal || s.value == nil && s.row.Value == nil {
		return "", false, nil
	}
	v, err := d.plaintext(s)
	if err != nil {
		return "", false, err
	}
	text, ok := referenceText(v)
	return text, ok, nil
}

// referenceText gives the value as a string if it can hold references.
func referenceText(v sensitive.Value) (string, bool) {
	text := string(v.Reveal())
	return text, strings.Contains(text, "${")
}

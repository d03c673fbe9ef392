package secrets

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// GetOptions says which state of a secret is wanted.
type GetOptions struct {
	Version  int64 // 0: the current one
	At       int64 // 0: now; else the state at a revision of the environment
	Raw      bool  // do not follow references
	Personal bool  // the caller's own value instead, where there is one
}

// Get reads one value. What an import shows is found too.
func (s *Service) Get(ctx context.Context, ref EnvRef, path domain.Path, name domain.SecretName, o GetOptions) (Item, error) {
	pl, err := s.where(ctx, policy.SecretRead, ref)
	if err != nil {
		return Item{}, err
	}
	var out Item
	op := guard.Op{Action: policy.SecretRead, Resource: s.asked(ctx, pl, path, name), Keys: []string{path.Key(name)}}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		out, err = s.get(ctx, p, pl, path, name, o)
		p.Revision(out.Revision)
		return err
	})
	return out, err
}

func (s *Service) get(ctx context.Context, p guard.Permit, pl place, path domain.Path, name domain.SecretName, o GetOptions) (Item, error) {
	if o.Version != 0 || o.At != 0 {
		return s.getOld(ctx, p, pl, path, name, o)
	}
	at, from, row, err := s.visible(ctx, pl, path, name, s.readable(p, policy.SecretRead), nil)
	if err != nil {
		return Item{}, hidden(err)
	}
	if !p.Can(policy.SecretRead, at.row(from, row)) { // its tags may have changed since the door was asked
		return Item{}, guard.Missing()
	}
	out := item(row, path)
	if at.env.ID != pl.env.ID || from != path {
		out.From = at.String() + ":" + string(from)
		p.Names(s.fullKey(pl, at, from.Key(name)))
	}
	r := &reader{s: s, p: p, home: pl, raw: o.Raw}
	if o.Personal {
		if r.personal, err = s.personal(ctx, p, at.project.ID); err != nil {
			return Item{}, err
		}
	}
	value, own, err := r.value(ctx, at, from, row)
	if err != nil {
		return Item{}, err
	}
	out.Value, out.Personal = &value, own
	out.Comment, err = s.openComment(p, row)
	return out, err
}

// readable tells of what an import shows whether it is shown to the caller: what he may not read is left out, as in lists.
func (s *Service) readable(p guard.Permit, action policy.Action) func(place, domain.Path, *store.Secret) bool {
	return func(ip place, ipath domain.Path, row *store.Secret) bool {
		look := p.In(action, ip.resource(ipath))
		if row == nil {
			return look.Some()
		}
		return look.May(row.Name, row.Attrs.Tags)
	}
}

// mayState gives the question whether an older state may be seen. It is as well guarded as it was then and as its secret is
// now: neither a name or tag that came since nor one that went opens it.
func (s *Service) mayState(ctx context.Context, p guard.Permit, pl place) func(policy.Action, domain.Path, *store.Secret) bool {
	var paths map[domain.FolderID]domain.Path
	var present map[domain.SecretID]store.Secret
	load := func() error {
		folders, err := s.db.Folders(ctx, pl.env.ID)
		if err != nil {
			return err
		}
		rows, err := s.db.LiveSecrets(ctx, pl.env.ID)
		paths, present = map[domain.FolderID]domain.Path{}, map[domain.SecretID]store.Secret{}
		for _, f := range folders {
			paths[f.ID] = f.Path
		}
		for _, row := range rows {
			present[row.ID] = row
		}
		return err
	}
	return func(action policy.Action, path domain.Path, row *store.Secret) bool {
		if !p.Can(action, pl.row(path, row)) {
			return false
		}
		if !policy.AsksSecrets(p.Principal()) {
			return true // folders are asked as they were: who could see it there may see it there again
		}
		if present == nil && load() != nil {
			return false
		}
		now, ok := present[row.ID]
		return !ok || p.Can(action, pl.row(paths[now.Folder], &now))
	}
}

// hidden makes "not there" the same answer that somebody gets who may not know.
func hidden(err error) error {
	if missing(err) {
		return guard.Missing()
	}
	return err
}

// getOld finds a replaced state, by version or by revision. References in it are followed as they stand now.
func (s *Service) getOld(ctx context.Context, p guard.Permit, pl place, path domain.Path, name domain.SecretName, o GetOptions) (Item, error) {
	row, err := s.stateOf(ctx, pl, path, name, o)
	if err != nil {
		return Item{}, err
	}
	if !s.mayState(ctx, p, pl)(policy.SecretRead, path, &row) {
		return Item{}, guard.Missing()
	}
	r := &reader{s: s, p: p, home: pl, raw: o.Raw}
	value, _, err := r.value(ctx, pl, path, &row)
	if err != nil {
		return Item{}, err
	}
	out := item(&row, path)
	out.Value = &value
	out.Comment, err = s.openComment(p, &row)
	return out, err
}

func (s *Service) stateOf(ctx context.Context, pl place, path domain.Path, name domain.SecretName, o GetOptions) (store.Secret, error) {
	if o.At != 0 {
		folders, secrets, err := s.stateAt(ctx, pl, o.At)
		if err != nil {
			return store.Secret{}, err
		}
		for _, row := range secrets {
			if row.Name == name && folders[row.Folder] == path {
				return row, nil
			}
		}
		return store.Secret{}, guard.Missing()
	}
	now, _, _, err := s.cache.secret(ctx, pl.env.ID, path, name)
	if err != nil {
		return store.Secret{}, hidden(err)
	}
	states, err := s.db.SecretStates(ctx, now.ID)
	if err != nil {
		return store.Secret{}, err
	}
	for _, row := range states { // newest first: the last state that had this value
		if row.Version == o.Version {
			return row, nil
		}
	}
	return store.Secret{}, fault.New(fault.NotFound, "no version %d of %s: it has 1 to %d", o.Version, path.Key(name), now.Version)
}

// stateAt gives paths of folders and states of secrets at a revision.
func (s *Service) stateAt(ctx context.Context, pl place, revision int64) (map[domain.FolderID]domain.Path, []store.Secret, error) {
	env, err := s.db.Environment(ctx, pl.env.ID)
	if err != nil {
		return nil, nil, err
	}
	if revision < 0 || revision > env.Revision {
		return nil, nil, fault.New(fault.NotFound, "no revision %d of %s: it has 0 to %d", revision, pl, env.Revision)
	}
	folders, err := s.db.FoldersAt(ctx, pl.env.ID, revision)
	if err != nil {
		return nil, nil, err
	}
	paths := map[domain.FolderID]domain.Path{}
	for _, f := range folders {
		paths[f.ID] = f.Path
	}
	secrets, err := s.db.SecretsAt(ctx, pl.env.ID, revision)
	return paths, secrets, err
}

// ListOptions says what a list shows.
type ListOptions struct {
	Recursive bool
	Reveal    bool                // with values, of what the caller may read
	Imports   bool                // with what imports show
	Raw       bool                // do not follow references
	Personal  bool                // the caller's own values where there are some
	At        int64               // 0: now
	Only      []domain.SecretName // only these names; with Reveal, a missing one is an error
}

// List is the answer to a list.
type List struct {
	Revision int64
	Items    []Item
	Folders  []domain.Path // below the path; with Recursive all of them
}

// List shows the secrets of a folder: one entry in the log, which names every value that was shown.
func (s *Service) List(ctx context.Context, ref EnvRef, path domain.Path, o ListOptions) (List, error) {
	action := policy.SecretList
	if o.Reveal {
		action = policy.SecretRead
	}
	pl, err := s.where(ctx, action, ref)
	if err != nil {
		return List{}, err
	}
	var out List
	op := guard.Op{Action: action, Resource: pl.resource(path), Somewhere: o.Recursive, Within: true}
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		l := &lister{reader: reader{s: s, p: p, home: pl, raw: o.Raw}, o: o, action: action}
		if o.Personal && o.Reveal {
			if l.personal, err = s.personal(ctx, p, pl.project.ID); err != nil {
				return err
			}
		}
		if err := l.list(ctx, path); err != nil {
			return err
		}
		p.Revision(l.out.Revision)
		p.Names(l.keys...)
		out = l.out
		return nil
	})
	return out, err
}

type lister struct {
	reader
	o      ListOptions
	action policy.Action
	out    List
	keys   []string
}

func (l *lister) list(ctx context.Context, path domain.Path) error {
	if l.o.At != 0 {
		return l.listOld(ctx, path)
	}
	folders, revision, err := l.s.cache.foldersBelow(ctx, l.home.env.ID, path)
	if err != nil {
		return hidden(err)
	}
	l.out.Revision = revision
	may := path == domain.Root // everybody knows that the root is there; of others only those who may see something in it
	for _, f := range folders {
		may = may || l.p.In(l.action, l.home.resource(f.Path)).Some()
	}
	if !may {
		return guard.Missing()
	}
	for _, f := range folders {
		if f.Path != path && (l.o.Recursive || f.Path.Parent() == path) && l.p.In(policy.SecretList, l.home.resource(f.Path)).Some() {
			l.out.Folders = append(l.out.Folders, f.Path)
		}
		if f.Path != path && !l.o.Recursive || !l.p.In(l.action, l.home.resource(f.Path)).Some() {
			continue
		}
		if err := l.folder(ctx, f); err != nil {
			return err
		}
	}
	return l.allFound()
}

// allFound refuses an answer that silently lacks what was asked for by name.
func (l *lister) allFound() error {
	if !l.o.Reveal {
		return nil
	}
	for _, name := range l.o.Only {
		if !slices.ContainsFunc(l.out.Items, func(i Item) bool { return i.Name == name }) {
			return fault.New(fault.NotFound, "no secret %s there, or no right to read it", name)
		}
	}
	return nil
}

func (l *lister) folder(ctx context.Context, f store.Folder) error {
	rows, _, _, err := l.s.cache.folder(ctx, l.home.env.ID, f.Path)
	if err != nil {
		return err
	}
	if l.out.Items == nil {
		l.out.Items = make([]Item, 0, len(rows))
		if l.o.Reveal {
			l.keys = make([]string, 0, len(rows))
		}
	}
	own := map[domain.SecretName]bool{}
	look := l.p.In(l.action, l.home.resource(f.Path))
	for _, row := range rows {
		if !look.May(row.Name, row.Attrs.Tags) {
			continue
		}
		if l.o.Imports {
			own[row.Name] = true
		}
		if err := l.add(ctx, l.home, f.Path, row, f.Path, ""); err != nil {
			return err
		}
	}
	if !l.o.Imports {
		return nil
	}
	return l.imports(ctx, f, f.Path, own, seenFolders{})
}

// imports shows what a folder imports, the last import first, names that are taken left out.
func (l *lister) imports(ctx context.Context, f store.Folder, shown domain.Path, taken map[domain.SecretName]bool, seen seenFolders) error {
	seen[f.ID] = true
	for _, imp := range slices.Backward(f.Settings.Imports) {
		if seen[imp.Folder] || len(seen) > maxImports*maxImportDepth {
			continue
		}
		ip, ipath, ok, err := l.s.importedPlace(ctx, f.Org, imp)
		if err != nil {
			return err
		}
		look := l.p.In(l.action, ip.resource(ipath))
		if !ok || !look.Some() {
			continue
		}
		rows, inner, _, err := l.s.cache.folder(ctx, ip.env.ID, ipath)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if taken[row.Name] || !look.May(row.Name, row.Attrs.Tags) {
				continue
			}
			taken[row.Name] = true
			if err := l.add(ctx, ip, ipath, row, shown, ip.String()+":"+string(ipath)); err != nil {
				return err
			}
		}
		if err := l.imports(ctx, inner, shown, taken, seen); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) add(ctx context.Context, at place, path domain.Path, row *store.Secret, shown domain.Path, from string) error {
	if len(l.o.Only) > 0 && !slices.Contains(l.o.Only, row.Name) {
		return nil
	}
	it := item(row, shown)
	it.From = from
	if l.o.Reveal && row.Value != nil { // a purged one is shown as such
		value, own, err := l.value(ctx, at, path, row)
		if err != nil {
			return err
		}
		it.Value, it.Personal = &value, own
		if it.Comment, err = l.s.openComment(l.p, row); err != nil {
			return err
		}
		l.keys = append(l.keys, l.s.fullKey(l.home, at, path.Key(row.Name)))
	}
	l.out.Items = append(l.out.Items, it)
	return nil
}

func (l *lister) listOld(ctx context.Context, path domain.Path) error {
	paths, rows, err := l.s.stateAt(ctx, l.home, l.o.At)
	if err != nil {
		return err
	}
	l.out.Revision = l.o.At
	there, some := false, path == domain.Root
	for _, p := range paths {
		there = there || p == path
		some = some || path.Contains(p) && l.p.In(l.action, l.home.resource(p)).Some()
	}
	if !there || !some {
		return guard.Missing()
	}
	for _, p := range paths {
		if p != path && path.Contains(p) && (l.o.Recursive || p.Parent() == path) && l.p.In(policy.SecretList, l.home.resource(p)).Some() {
			l.out.Folders = append(l.out.Folders, p)
		}
	}
	slices.Sort(l.out.Folders)
	slices.SortFunc(rows, func(a, b store.Secret) int {
		return strings.Compare(string(paths[a.Folder].Key(a.Name)), string(paths[b.Folder].Key(b.Name)))
	})
	may := l.s.mayState(ctx, l.p, l.home)
	for i := range rows {
		p, ok := paths[rows[i].Folder]
		if !ok || p != path && (!l.o.Recursive || !path.Contains(p)) || !may(l.action, p, &rows[i]) {
			continue
		}
		if err := l.add(ctx, l.home, p, &rows[i], p, ""); err != nil {
			return err
		}
	}
	return l.allFound()
}

// Unchanged tells whether the environment still stands where an earlier answer left it, for the caller who got it.
// It opens nothing and leaves no entry, since it tells nothing new.
func (s *Service) Unchanged(ctx context.Context, ref EnvRef, path domain.Path, tag string) bool {
	now, err := s.Tag(ctx, ref, path)
	return err == nil && now != "" && now == tag
}

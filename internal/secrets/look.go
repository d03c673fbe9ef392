package secrets

import (
	"cmp"
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

// Own says what becomes of the caller's own values in an answer.
type Own int

// The ways to show them.
const (
	OwnLeftOut Own = iota
	OwnBeside      // as entries of their own after the shared ones
	OwnInstead     // in place of the shared ones
)

// LookOptions says what a look at a folder shows. Beside [Service.List], which shows what a caller may read, a look shows what he
// may list and hides the values that he may not read; references to nothing stay text; and the answer carries a tag that is the
// same on every server and after a restart. Views of foreign APIs are made from it.
type LookOptions struct {
	Name      domain.SecretName // this secret only
	Version   int64             // with Name: this version of it; 0: the current one
	Recursive bool
	Reveal    bool // with values
	Imports   bool // with what imports show
	Raw       bool // do not follow references
	Own       Own
	Tags      []domain.Tag // only secrets at home that carry one of them
	Meta      []MetaFilter // only secrets at home that fit all of them
	// Known tells whether the caller has the answer of a tag. nil: he has none.
	Known func(tag string) bool
}

// MetaFilter is a condition on metadata; an empty half fits everything.
type MetaFilter struct{ Key, Value string }

// Block is what one import shows, its own folder's names and no other's.
type Block struct {
	Project store.Project
	Env     store.Environment
	Folder  domain.FolderID
	Path    domain.Path
	Looks   map[domain.Tag]store.ProjectTag // how its tags look; not to be changed
	Items   []Item
}

// Looked is the answer to a look.
type Looked struct {
	Tag       string // of what the answer shows: 32 hexadecimal digits
	Unchanged bool   // the caller knows the answer; there is nothing else in this one then
	Block            // the folder that was asked for, and what lies below it
	// Imports are in the order of the folder: of two that hold a name the later one shows it, and what is at home here goes before
	// both. A name is in one block only.
	Imports []Block
}

// Look shows a folder or a secret in it: one entry in the log, which names every value that was shown. An answer that the
// caller knows, where that can be told without opening anything, leaves none.
func (s *Service) Look(ctx context.Context, ref EnvRef, path domain.Path, o LookOptions) (Looked, error) {
	pl, err := s.where(ctx, policy.SecretRead, ref)
	if err != nil {
		return Looked{}, err
	}
	op := guard.Op{Action: policy.SecretRead, Resource: pl.resource(path), Somewhere: o.Recursive, Within: true}
	if o.Name != "" {
		op = guard.Op{Action: policy.SecretRead, Resource: s.asked(ctx, pl, path, o.Name), Keys: []string{path.Key(o.Name)}}
	}
	mayRead := s.door.Allows(ctx, op)
	if o.Reveal = o.Reveal && mayRead; !o.Reveal {
		// Whoever may read a value may know that it is there, even with a token that can do nothing else.
		if op.Action = policy.SecretList; mayRead && !s.door.Allows(ctx, op) {
			op.Action = policy.SecretRead
		}
	}
	generation, key := s.dir.at(), s.lookKey(ctx, pl, path, &o)
	var mine map[domain.SecretID]store.Personal
	if who := guard.CallerOf(ctx).Principal; o.Reveal && o.Own != OwnLeftOut && who.Kind == domain.User {
		if mine, err = s.ownIn(ctx, who, pl.project.ID); err != nil {
			return Looked{}, err
		}
	}
	if o.Known != nil && o.Version == 0 {
		if tag, ok := s.looks.still(ctx, s, key, ownSum(mine)); ok && o.Known(tag) && s.door.Passes(ctx, op) {
			return Looked{Tag: tag, Unchanged: true}, nil
		}
	}
	var l *looker
	err = s.door.Read(ctx, op, func(p guard.Permit) error {
		l = &looker{reader: reader{s: s, p: p, home: pl, raw: o.Raw, lenient: true, basis: newBasis()}, o: o, mine: mine, taken: map[domain.SecretName]bool{}}
		return l.look(ctx, path)
	})
	if err != nil {
		return Looked{}, err
	}
	if o.Version == 0 {
		s.looks.keep(key, recalled{generation: generation, envs: l.basis.envs, own: ownSum(mine), tag: l.out.Tag})
	}
	if o.Known != nil && o.Known(l.out.Tag) {
		return Looked{Tag: l.out.Tag, Unchanged: true}, nil
	}
	return l.out, nil
}

// ownIn gives somebody's own values in a project.
func (s *Service) ownIn(ctx context.Context, who *domain.Principal, project domain.ProjectID) (map[domain.SecretID]store.Personal, error) {
	rows, err := s.db.PersonalsOf(ctx, domain.UserID(who.ID), project)
	if err != nil {
		return nil, err
	}
	out := make(map[domain.SecretID]store.Personal, len(rows))
	for _, row := range rows {
		out[row.Secret] = row
	}
	return out, nil
}

// looker makes the answer to one look.
type looker struct {
	reader
	o     LookOptions
	mine  map[domain.SecretID]store.Personal
	taken map[domain.SecretName]bool
	out   Looked
	keys  []string
	// followed counts the imports that were followed for one folder, which is bounded; all folders that are shown have as many each.
	followed int
}

func (l *looker) look(ctx context.Context, path domain.Path) error {
	l.basis.env(ctx, l.s, l.home.env.ID)
	var err error
	if l.out.Block, err = l.block(ctx, l.home, "", path); err != nil {
		return err
	}
	if l.o.Name != "" {
		err = l.one(ctx, path)
	} else {
		err = l.all(ctx, path)
	}
	if err == nil {
		err = l.basis.err
	}
	if err != nil {
		return err
	}
	l.looks(&l.out.Block)
	for i := range l.out.Imports {
		l.looks(&l.out.Imports[i])
	}
	l.out.Tag = l.basis.tag()
	l.p.Revision(l.basis.envs[l.home.env.ID])
	l.p.Names(l.keys...)
	return nil
}

// block begins the part of the answer that one folder makes.
func (l *looker) block(ctx context.Context, at place, folder domain.FolderID, path domain.Path) (Block, error) {
	d, err := l.s.dir.project(ctx, l.p.Org(), string(at.project.ID))
	if err != nil {
		return Block{}, err
	}
	for _, text := range []string{string(at.project.ID), string(at.project.Slug), string(at.env.ID), string(at.env.Slug), string(at.env.Name), string(path)} {
		l.basis.text(text)
	}
	return Block{Project: at.project, Env: at.env, Folder: folder, Path: path, Looks: d.tags}, nil
}

// sight is what the caller may do in one folder.
type sight struct{ list, read policy.Folder }

func (l *looker) sight(at place, path domain.Path) sight {
	return sight{l.p.In(policy.SecretList, at.resource(path)), l.p.In(policy.SecretRead, at.resource(path))}
}

// some tells whether there may be something in the folder that the caller may know of.
func (v sight) some() bool { return v.list.Some() || v.read.Some() }

// sees tells whether the caller may know of a secret.
func (v sight) sees(row *store.Secret) bool {
	return v.list.May(row.Name, row.Attrs.Tags) || v.read.May(row.Name, row.Attrs.Tags)
}

// looks adds how the tags of a block look.
func (l *looker) looks(b *Block) {
	used := map[domain.Tag]bool{}
	for i := range b.Items {
		for _, t := range b.Items[i].Attrs.Tags {
			used[t] = true
		}
	}
	for _, t := range slices.Sorted(maps.Keys(used)) {
		row := b.Looks[t]
		l.basis.text(row.ID + "\x00" + row.Name + "\x00" + row.Color)
	}
}

// one shows one secret: at home, or from what the folder imports.
func (l *looker) one(ctx context.Context, path domain.Path) error {
	if l.o.Version != 0 {
		return l.old(ctx, path)
	}
	may := func(pl place, p domain.Path, r *store.Secret) bool {
		v := l.sight(pl, p)
		switch {
		case r == nil:
			return v.some()
		case l.o.Reveal: // what may not be read must not stand before what may
			return v.read.May(r.Name, r.Attrs.Tags)
		}
		return v.sees(r)
	}
	var at place
	var from domain.Path
	var row *store.Secret
	var err error
	if l.o.Imports {
		passes := l.basis.passes(ctx, l.s)
		at, from, row, err = l.s.visible(ctx, l.home, path, l.o.Name, func(pl place, p domain.Path, r *store.Secret) bool { return passes(pl, p, r) && may(pl, p, r) }, nil)
	} else {
		at, from = l.home, path
		row, _, _, err = l.s.cache.secret(ctx, l.home.env.ID, path, l.o.Name)
	}
	if err != nil {
		return hidden(err)
	}
	if !may(at, from, row) { // its tags may have changed since the door was asked
		return guard.Missing()
	}
	b := &l.out.Block
	if at.env.ID != l.home.env.ID || from != path {
		foreign, err := l.block(ctx, at, row.Folder, from)
		if err != nil {
			return err
		}
		l.out.Imports = []Block{foreign}
		b = &l.out.Imports[0]
	}
	if err := l.add(ctx, b, at, from, row, l.sight(at, from)); err != nil {
		return err
	}
	if b == &l.out.Block {
		l.keys = nil // the question named it
	}
	return nil
}

// old shows a version that may have been replaced.
func (l *looker) old(ctx context.Context, path domain.Path) error {
	row, err := l.s.stateOf(ctx, l.home, path, l.o.Name, GetOptions{Version: l.o.Version})
	if err != nil {
		return err
	}
	may := l.s.mayState(ctx, l.p, l.home)
	if !may(policy.SecretList, path, &row) && !may(policy.SecretRead, path, &row) {
		return guard.Missing()
	}
	it := item(&row, path)
	it.Hidden = !l.o.Reveal || !may(policy.SecretRead, path, &row)
	l.basis.row(&row, nil)
	l.basis.flag(it.Hidden)
	if !it.Hidden {
		if err := l.open(ctx, &it, l.home, path, &row); err != nil {
			return err
		}
	}
	l.out.Items = []Item{it}
	return nil
}

// all shows a folder and, when asked, all below it: by depth, path and name.
func (l *looker) all(ctx context.Context, path domain.Path) error {
	folders, _, err := l.s.cache.foldersBelow(ctx, l.home.env.ID, path)
	if err != nil {
		return hidden(err)
	}
	may := path == domain.Root // everybody knows that the root is there; of others only those who may see something in it
	for _, f := range folders {
		may = may || l.sight(l.home, f.Path).some()
	}
	if !may {
		return guard.Missing()
	}
	shown := slices.DeleteFunc(folders, func(f store.Folder) bool {
		return f.Path != path && !l.o.Recursive || !l.sight(l.home, f.Path).some()
	})
	slices.SortFunc(shown, func(a, b store.Folder) int {
		return cmp.Or(cmp.Compare(len(a.Path.Segments()), len(b.Path.Segments())), strings.Compare(string(a.Path), string(b.Path)))
	})
	for _, f := range shown {
		if err := l.folder(ctx, f); err != nil {
			return err
		}
	}
	if !l.o.Imports {
		return nil
	}
	seen := seenFolders{}
	for _, f := range slices.Backward(shown) { // the later one shows a name that two import
		l.followed = 0
		if err := l.imports(ctx, f, seen); err != nil {
			return err
		}
	}
	slices.Reverse(l.out.Imports)
	return nil
}

func (l *looker) folder(ctx context.Context, f store.Folder) error {
	rows, _, _, err := l.s.cache.folder(ctx, l.home.env.ID, f.Path)
	if err != nil {
		return err
	}
	v := l.sight(l.home, f.Path)
	if l.out.Items == nil {
		l.out.Items, l.keys = make([]Item, 0, len(rows)), make([]string, 0, len(rows))
	}
	for _, row := range rows {
		if !v.sees(row) {
			continue
		}
		l.taken[row.Name] = true
		if !l.fits(&row.Attrs) {
			continue
		}
		if err := l.add(ctx, &l.out.Block, l.home, f.Path, row, v); err != nil {
			return err
		}
	}
	return nil
}

func (l *looker) fits(a *domain.Attributes) bool {
	if len(l.o.Tags) > 0 && !slices.ContainsFunc(l.o.Tags, func(t domain.Tag) bool { return slices.Contains(a.Tags, t) }) {
		return false
	}
	return !slices.ContainsFunc(l.o.Meta, func(f MetaFilter) bool { return !f.fits(a.Meta) })
}

func (f MetaFilter) fits(meta map[string]string) bool {
	for k, v := range meta {
		if (f.Key == "" || f.Key == k) && (f.Value == "" || f.Value == v) {
			return true
		}
	}
	return false
}

// imports adds what a folder imports, the strongest first: the last import, then what that one imports itself.
func (l *looker) imports(ctx context.Context, f store.Folder, seen seenFolders) error {
	seen[f.ID] = true
	for _, imp := range slices.Backward(f.Settings.Imports) {
		if seen[imp.Folder] || l.followed > maxImports*maxImportDepth {
			continue
		}
		l.followed++
		ip, ipath, ok, err := l.s.importedPlace(ctx, f.Org, imp)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		l.basis.env(ctx, l.s, ip.env.ID)
		v := l.sight(ip, ipath)
		if !v.some() || l.o.Reveal && !v.read.Some() {
			continue // what may not be read is left out, since a hidden value would stand before one that an earlier import shows
		}
		rows, inner, _, err := l.s.cache.folder(ctx, ip.env.ID, ipath)
		if err != nil {
			return err
		}
		b, err := l.block(ctx, ip, imp.Folder, ipath)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if l.taken[row.Name] || !v.sees(row) || l.o.Reveal && !v.read.May(row.Name, row.Attrs.Tags) {
				continue
			}
			l.taken[row.Name] = true
			if err := l.add(ctx, &b, ip, ipath, row, v); err != nil {
				return err
			}
		}
		l.out.Imports = append(l.out.Imports, b)
		if err := l.imports(ctx, inner, seen); err != nil {
			return err
		}
	}
	return nil
}

// add shows one secret in a block.
func (l *looker) add(ctx context.Context, b *Block, at place, path domain.Path, row *store.Secret, v sight) error {
	it := item(row, path)
	it.Hidden = !l.o.Reveal || !v.read.May(row.Name, row.Attrs.Tags)
	l.basis.row(row, nil)
	l.basis.flag(it.Hidden)
	if it.Hidden {
		b.Items = append(b.Items, it)
		return nil
	}
	own, has := l.mine[row.ID]
	if !has || l.o.Own == OwnBeside {
		if err := l.open(ctx, &it, at, path, row); err != nil {
			return err
		}
		b.Items = append(b.Items, it)
	}
	if !has {
		return nil
	}
	value, err := l.s.openPersonal(l.p, row, own)
	if err != nil {
		return err
	}
	l.basis.text(own.ID)
	l.basis.number(own.Version)
	it.ID, it.Version, it.At, it.Personal, it.Value, it.Comment = domain.SecretID(own.ID), own.Version, own.At, true, &value, sensitive.Value{}
	b.Items = append(b.Items, it)
	if l.o.Own == OwnInstead {
		l.keys = append(l.keys, l.s.fullKey(l.home, at, path.Key(row.Name)))
	}
	return nil
}

// open puts value and comment into an item.
func (l *looker) open(ctx context.Context, it *Item, at place, path domain.Path, row *store.Secret) error {
	if row.Value == nil {
		return fault.New(fault.NotFound, "version %d of %s was purged", row.Version, row.Name)
	}
	v, _, err := l.value(ctx, at, path, row)
	if err != nil {
		return err
	}
	it.Value = &v
	l.keys = append(l.keys, l.s.fullKey(l.home, at, path.Key(row.Name)))
	it.Comment, err = l.s.openComment(l.p, row)
	return err
}

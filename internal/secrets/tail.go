package secrets

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Doing says what happened to a secret or a folder.
type Doing string

// What happens.
const (
	DidCreate  Doing = "create"
	DidUpdate  Doing = "update"
	DidDelete  Doing = "delete"
	DidImports Doing = "imports" // the list of a folder's imports changed
)

// Happening is one thing that a commit did.
type Happening struct {
	Doing    Doing
	Project  store.Project
	Env      store.Environment
	Path     domain.Path
	Name     domain.SecretName // "" for DidImports
	Revision int64             // of the environment
	Gone     bool              // the folder holds nothing any more, or is gone itself
	Version  int64             // of the folder
}

// Tail follows what happens in a project, or in all of an organisation, from the moment on at which it was made. It remembers
// where each environment stood and looks up what is new, so that a slow reader misses nothing and keeps nobody waiting.
type Tail struct {
	s       *Service
	project domain.ProjectID // "" for all
	changed chan struct{}    // holds one: something is pending

	mu      sync.Mutex
	pending map[domain.EnvID]bool
	seen    map[domain.EnvID]int64 // the revision up to which it was told
}

// maxLooked bounds for how many secrets of one look the state before is looked up. Of more, that come with one large commit, those
// of the first version count as new.
const maxLooked = 500

// Tail begins to follow a project, or everything for "". The entry in the log says so; what is told is filtered by the rights of
// whoever asks at that moment. Stop it.
func (s *Service) Tail(ctx context.Context, project string) (*Tail, error) {
	t := &Tail{s: s, changed: make(chan struct{}, 1), pending: map[domain.EnvID]bool{}, seen: map[domain.EnvID]int64{}}
	begin := func(projects ...store.Project) error {
		s.watching.mu.Lock()
		s.watching.tails[t] = true
		s.watching.mu.Unlock()
		for _, p := range projects { // after it was entered, so that nothing comes between
			envs, err := s.db.Environments(ctx, p.ID)
			if err != nil {
				return err
			}
			t.mu.Lock()
			for _, e := range envs {
				t.seen[e.ID] = e.Revision
			}
			t.mu.Unlock()
		}
		return nil
	}
	var err error
	if project != "" {
		err = s.inProject(ctx, policy.ProjectRead, project, func(op guard.Op, row store.Project) error {
			op.Detail = map[string]string{"watch": "true"}
			t.project = row.ID
			return s.door.Read(ctx, op, func(guard.Permit) error { return begin(row) })
		})
	} else {
		who := guard.CallerOf(ctx).Principal
		op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"watch": "true"}}
		err = s.door.Read(ctx, op, func(guard.Permit) error {
			o, err := s.dir.org(ctx, who.Org)
			if err != nil {
				return err
			}
			return begin(o.list...)
		})
	}
	if err != nil {
		t.Stop()
		return nil, err
	}
	return t, nil
}

// Stop ends it.
func (t *Tail) Stop() {
	t.s.watching.mu.Lock()
	defer t.s.watching.mu.Unlock()
	delete(t.s.watching.tails, t)
}

// Changed tells that there may be something to take.
func (t *Tail) Changed() <-chan struct{} { return t.changed }

// add notes that an environment moved on; all when news were lost.
func (t *Tail) add(project domain.ProjectID, env domain.EnvID) {
	if t.project != "" && project != t.project {
		return
	}
	t.mu.Lock()
	t.pending[env] = true
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *Tail) addAll() {
	t.mu.Lock()
	for env := range t.seen {
		t.pending[env] = true
	}
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// Take gives what happened since the last time, as far as the caller of ctx may know of it.
func (t *Tail) Take(ctx context.Context) ([]Happening, error) {
	t.mu.Lock()
	envs := slices.Sorted(maps.Keys(t.pending))
	clear(t.pending)
	t.mu.Unlock()
	var out []Happening
	for _, id := range envs {
		env, err := t.s.db.Environment(ctx, id)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		t.mu.Lock()
		since := t.seen[id]
		t.seen[id] = max(since, env.Revision)
		t.mu.Unlock()
		if env.Revision <= since || env.DeletedAt != 0 || env.Org != guard.CallerOf(ctx).Principal.Org {
			continue
		}
		more, err := t.s.happened(ctx, env, since)
		if missing(err) { // the project is gone meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// happened tells what changed in an environment since a revision, in an order of its own.
func (s *Service) happened(ctx context.Context, env store.Environment, since int64) ([]Happening, error) {
	pl, err := s.dir.find(ctx, env.Org, EnvRef{string(env.Project), string(env.ID)})
	if err != nil {
		return nil, err
	}
	h := &happenings{pl: pl, revision: env.Revision, paths: map[domain.FolderID]store.Folder{}, was: map[domain.FolderID]store.Folder{}, seen: map[string]bool{}}
	h.may = func(path domain.Path, row *store.Secret) bool {
		r := pl.row(path, row)
		return s.door.Check(ctx, policy.SecretList, r) || s.door.Check(ctx, policy.SecretRead, r)
	}
	now, err := s.db.AllFolders(ctx, env.ID)
	if err != nil {
		return nil, err
	}
	moved := false
	for _, f := range now {
		h.paths[f.ID], h.was[f.ID] = f, f
		moved = moved || f.Revision > since
	}
	if moved {
		old, err := s.db.FoldersAt(ctx, env.ID, since)
		if err != nil {
			return nil, err
		}
		for _, f := range old {
			h.was[f.ID] = f
		}
	}
	rows, err := s.db.ChangedSince(ctx, env.ID, since)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		var before *store.Secret
		if len(rows) > maxLooked {
			h.many(&rows[i])
			continue
		}
		states, err := s.db.SecretStates(ctx, rows[i].ID)
		if err != nil {
			return nil, err
		}
		for j := range states { // newest first
			if states[j].Revision <= since {
				before = &states[j]
				break
			}
		}
		h.secret(&rows[i], before)
	}
	for _, f := range now {
		was := h.was[f.ID]
		if f.Revision <= since || f.Deleted != 0 {
			continue
		}
		if !slices.Equal(was.Settings.Imports, f.Settings.Imports) && s.door.Reaches(ctx, policy.SecretList, pl.resource(f.Path)) {
			h.out = append(h.out, Happening{Doing: DidImports, Project: pl.project, Env: pl.env, Path: f.Path, Revision: env.Revision, Version: f.Version})
		}
		if was.Path == f.Path {
			continue
		}
		live, err := s.db.SecretsIn(ctx, f.ID)
		if err != nil {
			return nil, err
		}
		for i := range live {
			if live[i].Revision <= since { // the others were told of
				h.secret(&live[i], &live[i])
			}
		}
	}
	if err := s.markGone(ctx, pl, h); err != nil {
		return nil, err
	}
	slices.SortStableFunc(h.out, func(a, b Happening) int {
		return cmp.Or(strings.Compare(string(a.Path), string(b.Path)), strings.Compare(string(a.Name), string(b.Name)))
	})
	return h.out, nil
}

// happenings are put together from states before and after.
type happenings struct {
	pl         place
	revision   int64
	paths, was map[domain.FolderID]store.Folder
	may        func(domain.Path, *store.Secret) bool
	seen       map[string]bool
	out        []Happening
}

// secret tells what became of one. before is its state at the last look, nil when there was none.
func (h *happenings) secret(row, before *store.Secret) {
	there := before != nil && before.Deleted == 0
	var was, now store.Folder
	if now = h.paths[row.Folder]; there {
		was = h.was[before.Folder]
	}
	elsewhere := there && was.Path.Key(before.Name) != now.Path.Key(row.Name)
	switch {
	case row.Deleted != 0 && there:
		h.add(DidDelete, was, before)
	case row.Deleted != 0: // came and went between two looks
	case !there:
		h.add(DidCreate, now, row)
	case elsewhere:
		h.add(DidDelete, was, before)
		h.add(DidCreate, now, row)
	default:
		h.add(DidUpdate, now, row)
	}
}

// many tells what became of one where there are too many to look up what each was.
func (h *happenings) many(row *store.Secret) {
	switch f := h.paths[row.Folder]; {
	case row.Deleted != 0:
		h.add(DidDelete, f, row)
	case row.Version > 1:
		h.add(DidUpdate, f, row)
	default:
		h.add(DidCreate, f, row)
	}
}

func (h *happenings) add(d Doing, f store.Folder, r *store.Secret) {
	key := string(d) + f.Path.Key(r.Name)
	if h.seen[key] || !h.may(f.Path, r) {
		return
	}
	h.seen[key] = true
	h.out = append(h.out, Happening{Doing: d, Project: h.pl.project, Env: h.pl.env, Path: f.Path, Name: r.Name, Revision: h.revision, Version: f.Version})
}

// markGone notes which of the folders hold nothing any more.
func (s *Service) markGone(ctx context.Context, pl place, h *happenings) error {
	gone := map[domain.Path]bool{}
	for i := range h.out {
		path := h.out[i].Path
		if _, known := gone[path]; !known {
			f, err := s.db.FolderByPath(ctx, pl.env.ID, path)
			if err != nil && !missing(err) {
				return err
			}
			gone[path] = true
			if err == nil {
				rows, err := s.db.SecretsIn(ctx, f.ID)
				if err != nil {
					return err
				}
				gone[path] = len(rows) == 0
			}
		}
		h.out[i].Gone = gone[path]
	}
	return nil
}

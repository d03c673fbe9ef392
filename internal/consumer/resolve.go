package consumer

import (
	"context"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/store"
)

// maxEnvironments bounds the environments whose names are kept in memory.
const maxEnvironments = 64

// used is one secret that an entry names, with the version that was given.
type used struct {
	env     domain.EnvID
	project domain.ProjectID
	secret  domain.SecretID
	version int64
}

// names are the secrets of an environment as it was at a revision, by full name.
type names struct {
	project  domain.ProjectID
	revision int64
	places   map[string]store.Place
}

// resolver finds secrets by the names that stand in the log. It belongs to the one goroutine of the follower.
type resolver struct {
	db   *store.DB
	envs map[domain.EnvID]*names
	// foreign are environments by "organisation project/environment", for names that an entry of another one tells.
	foreign map[string]domain.EnvID
}

func newResolver(db *store.DB) *resolver {
	return &resolver{db: db, envs: map[domain.EnvID]*names{}, foreign: map[string]domain.EnvID{}}
}

// resolve finds what an entry says was given away. Names that nobody can find any more, such as those of destroyed projects, are
// passed over: there is nothing left that could be rotated.
func (r *resolver) resolve(ctx context.Context, e *follow.Entry) ([]used, error) {
	var out []used
	for _, key := range e.Keys {
		env, name, home := domain.EnvID(e.Env), key, true
		if at, rest, ok := strings.Cut(key, ":"); ok && !strings.HasPrefix(key, "/") {
			id, err := r.environment(ctx, domain.OrgID(e.Org), at)
			if err != nil {
				return nil, err
			}
			env, name, home = id, rest, false
		}
		if env == "" {
			continue
		}
		revision := int64(0)
		if home {
			revision = e.Revision
		}
		u, ok, err := r.find(ctx, env, name, revision, e.At)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, u)
		}
	}
	return out, nil
}

// environment finds one by "project/environment", "" for none.
func (r *resolver) environment(ctx context.Context, org domain.OrgID, text string) (domain.EnvID, error) {
	key := string(org) + " " + text
	if id, ok := r.foreign[key]; ok {
		return id, nil
	}
	project, env, _ := strings.Cut(text, "/")
	p, err := r.db.ProjectBySlug(ctx, org, domain.Slug(project))
	if err != nil {
		return "", unlessMissing(err)
	}
	e, err := r.db.EnvironmentBySlug(ctx, p.ID, domain.Slug(env))
	if err != nil {
		return "", unlessMissing(err)
	}
	if len(r.foreign) >= maxEnvironments {
		clear(r.foreign)
	}
	r.foreign[key] = e.ID
	return e.ID, nil
}

func unlessMissing(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// find gives the state that was the current one at a revision, or at a time where the revision is that of another environment.
func (r *resolver) find(ctx context.Context, env domain.EnvID, name string, revision, at int64) (used, bool, error) {
	n, err := r.names(ctx, env, revision)
	if n == nil || err != nil {
		return used{}, false, err
	}
	p, ok := n.places[name]
	if !ok && revision == 0 { // it may be newer than what is in memory
		delete(r.envs, env)
		if n, err = r.names(ctx, env, 0); n == nil || err != nil {
			return used{}, false, err
		}
		p, ok = n.places[name]
	}
	if !ok { // renamed, moved or deleted since
		return r.findOld(ctx, env, n.project, name, revision)
	}
	u := used{env, n.project, p.ID, p.Version}
	if revision != 0 && p.Revision <= revision || revision == 0 && p.At <= at {
		return u, true, nil
	}
	states, err := r.db.SecretStates(ctx, p.ID)
	if err != nil {
		return used{}, false, err
	}
	for _, state := range states { // newest first
		if revision != 0 && state.Revision <= revision || revision == 0 && state.At <= at {
			if state.Deleted != 0 || state.Name != p.Name {
				break
			}
			u.version = state.Version
			return u, true, nil
		}
	}
	// The name was another secret's then: one that was deleted or renamed, and this one took its name.
	return r.findOld(ctx, env, n.project, name, revision)
}

// names gives those of an environment, at a revision or later; nil when it is gone.
func (r *resolver) names(ctx context.Context, env domain.EnvID, revision int64) (*names, error) {
	if n := r.envs[env]; n != nil && n.revision >= revision {
		return n, nil
	}
	row, err := r.db.Environment(ctx, env) // before the places: they may be newer than the revision, never older
	if err != nil {
		return nil, unlessMissing(err)
	}
	places, err := r.db.Places(ctx, env)
	if err != nil {
		return nil, err
	}
	n := &names{project: row.Project, revision: row.Revision, places: make(map[string]store.Place, len(places))}
	for _, p := range places {
		n.places[p.Path.Key(p.Name)] = p
	}
	if len(r.envs) >= maxEnvironments {
		clear(r.envs)
	}
	r.envs[env] = n
	return n, nil
}

// findOld looks for a name as it was at a revision. It is rare: something was read, and renamed, moved or deleted at once.
func (r *resolver) findOld(ctx context.Context, env domain.EnvID, project domain.ProjectID, name string, revision int64) (used, bool, error) {
	if revision == 0 {
		return used{}, false, nil
	}
	folders, err := r.db.FoldersAt(ctx, env, revision)
	if err != nil {
		return used{}, false, err
	}
	paths := map[domain.FolderID]domain.Path{}
	for _, f := range folders {
		paths[f.ID] = f.Path
	}
	rows, err := r.db.SecretsAt(ctx, env, revision)
	if err != nil {
		return used{}, false, err
	}
	for i := range rows {
		if path, ok := paths[rows[i].Folder]; ok && path.Key(rows[i].Name) == name {
			return used{env, project, rows[i].ID, rows[i].Version}, true, nil
		}
	}
	return used{}, false, nil
}

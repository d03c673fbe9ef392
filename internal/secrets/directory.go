package secrets

import (
	"context"
	"sync"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/store"
)

// directory knows the live projects and environments by slug and id. It is small, read by every request, and made anew
// when a project or environment changes.
type directory struct {
	db   *store.DB
	keys *keys.Service
	mu   sync.RWMutex
	// generation tells whether something changed while an organisation was being loaded.
	generation int
	orgs       map[domain.OrgID]*orgDirectory
}

type orgDirectory struct {
	projects map[string]*projectDirectory // by slug and by id
	list     []store.Project
	mounts   []store.Mount // those that were made, by path
}

type projectDirectory struct {
	row  store.Project
	envs map[string]store.Environment // by slug and by id
	list []store.Environment
	tags map[domain.Tag]store.ProjectTag
	own  *store.Mount // settings of its own mount; nil: none
}

func newDirectory(db *store.DB, k *keys.Service) *directory {
	return &directory{db: db, keys: k, orgs: map[domain.OrgID]*orgDirectory{}}
}

func (d *directory) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	clear(d.orgs)
}

func (d *directory) org(ctx context.Context, id domain.OrgID) (*orgDirectory, error) {
	d.mu.RLock()
	o, generation := d.orgs[id], d.generation
	d.mu.RUnlock()
	if o != nil {
		return o, nil
	}
	rows, err := d.db.Projects(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := d.loadKeys(ctx, rows); err != nil {
		return nil, err
	}
	tags, err := d.db.ProjectTags(ctx, id)
	if err != nil {
		return nil, err
	}
	o = &orgDirectory{projects: map[string]*projectDirectory{}}
	for _, p := range rows {
		if p.DeletedAt != 0 {
			continue
		}
		pd := &projectDirectory{row: p, envs: map[string]store.Environment{}, tags: map[domain.Tag]store.ProjectTag{}}
		for _, t := range tags {
			if t.Project == p.ID {
				pd.tags[t.Slug] = t
			}
		}
		envs, err := d.db.Environments(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		for _, e := range envs {
			if e.DeletedAt == 0 {
				pd.envs[string(e.ID)], pd.envs[string(e.Slug)] = e, e
				pd.list = append(pd.list, e)
			}
		}
		o.projects[string(p.ID)], o.projects[string(p.Slug)] = pd, pd
		o.list = append(o.list, p)
	}
	if err := d.loadMounts(ctx, id, o); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation == generation {
		d.orgs[id] = o
	}
	return o, nil
}

func (d *directory) loadMounts(ctx context.Context, id domain.OrgID, o *orgDirectory) error {
	rows, err := d.db.Mounts(ctx, id)
	for i := range rows {
		if rows[i].Path != "" {
			o.mounts = append(o.mounts, rows[i])
		} else if p := o.projects[string(rows[i].Project)]; p != nil {
			p.own = &rows[i]
		}
	}
	return err
}

// loadKeys loads the keys of projects that other servers made since this one started.
func (d *directory) loadKeys(ctx context.Context, projects []store.Project) error {
	for _, p := range projects {
		if _, ok := d.keys.Ring().Primary(keyring.LayerProject, string(p.ID)); !ok {
			return d.keys.Refresh(ctx)
		}
	}
	return nil
}

func (d *directory) project(ctx context.Context, org domain.OrgID, name string) (*projectDirectory, error) {
	o, err := d.org(ctx, org)
	if err != nil {
		return nil, err
	}
	p := o.projects[name]
	if p == nil {
		return nil, fault.New(fault.NotFound, "no such project")
	}
	return p, nil
}

// at tells how often the directory was made anew: what was found at one number is found again as long as it stays.
func (d *directory) at() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.generation
}

func (d *directory) find(ctx context.Context, org domain.OrgID, ref EnvRef) (place, error) {
	p, err := d.project(ctx, org, ref.Project)
	if err != nil {
		return place{}, err
	}
	e, ok := p.envs[ref.Env]
	if !ok {
		return place{}, fault.New(fault.NotFound, "no such environment")
	}
	return place{p.row, e}, nil
}

// Place finds the ids of a project and of its environments by slug, for grants and scopes.
func (s *Service) Place(ctx context.Context, project string) (domain.ProjectID, map[domain.Slug]domain.EnvID, error) {
	p, err := s.dir.project(ctx, guard.CallerOf(ctx).Principal.Org, project)
	if err != nil {
		return "", nil, err
	}
	envs := map[domain.Slug]domain.EnvID{}
	for _, e := range p.list {
		envs[e.Slug] = e.ID
	}
	return p.row.ID, envs, nil
}

// Tags gives those of a live secret, none when it is not there.
func (s *Service) Tags(ctx context.Context, project domain.ProjectID, env domain.EnvID, path domain.Path, name domain.SecretName) ([]domain.Tag, error) {
	pl, err := s.dir.find(ctx, guard.CallerOf(ctx).Principal.Org, EnvRef{string(project), string(env)})
	if err != nil {
		return nil, err
	}
	_, _, row, err := s.visible(ctx, pl, path, name, nil, nil)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return row.Attrs.Tags, nil
}

// Map lists every live project with its environments.
func (s *Service) Map(ctx context.Context) ([]domain.Placed, error) {
	o, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return nil, err
	}
	var out []domain.Placed
	for _, p := range o.list {
		placed := domain.Placed{ID: p.ID, Slug: p.Slug, Envs: map[domain.Slug]domain.EnvID{}}
		for _, e := range o.projects[string(p.ID)].list {
			placed.Envs[e.Slug] = e.ID
		}
		out = append(out, placed)
	}
	return out, nil
}

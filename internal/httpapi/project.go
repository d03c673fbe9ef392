package httpapi

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

type projectParam struct {
	Project string `path:"project" doc:"slug or id"`
}

type envParams struct {
	Project string `path:"project" doc:"slug or id"`
	Env     string `path:"env" doc:"slug or id"`
}

type deletedParam struct {
	Deleted bool `query:"deleted" doc:"the deleted ones instead"`
}

func projectRoutes() []Route {
	return []Route{
		with(Route{Method: "GET", Path: "/projects", Auth: Token, Action: "self.read", Summary: "List the projects that the caller may see.", Example: api.Projects{}},
			func(c *call, p *deletedParam, _ *none) (api.Projects, error) {
				rows, err := c.secrets.Projects(c.ctx, p.Deleted)
				return api.Projects{Projects: each(rows, projectOf)}, err
			}),
		with(Route{Method: "POST", Path: "/projects", Auth: Token, Action: "project.create", Summary: "Make a project with environments and a key of its own.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.ProjectRequest{Slug: "shop", Name: "Shop", Envs: []string{"dev", "staging", "prod"}}},
			func(c *call, _ *none, b *api.ProjectRequest) (api.Project, error) {
				n, err := newProject(b)
				if err != nil {
					return api.Project{}, err
				}
				p, err := c.secrets.MakeProject(c.ctx, n)
				return projectOf(p), err
			}),
		with(Route{Method: "GET", Path: "/projects/{project}", Auth: Token, Action: "project.read", Summary: "Show a project and its environments.", Example: api.Project{Slug: "shop"}},
			func(c *call, p *projectParam, _ *none) (api.Project, error) {
				row, err := c.secrets.Project(c.ctx, p.Project)
				return projectOf(row), err
			}),
		with(Route{Method: "PATCH", Path: "/projects/{project}", Auth: Token, Action: "project.update", Summary: "Rename a project; references follow.", MaxBody: smallBody, Example: api.RenameRequest{Slug: "store"}},
			func(c *call, p *projectParam, b *api.RenameRequest) (api.Project, error) {
				slug, name, err := optionalNames(b)
				if err != nil {
					return api.Project{}, err
				}
				row, err := c.secrets.RenameProject(c.ctx, p.Project, slug, name)
				return projectOf(row), err
			}),
		with(Route{Method: "DELETE", Path: "/projects/{project}", Auth: Token, Action: "project.delete", Summary: "Delete a project; nothing is destroyed.", Example: api.Done{Done: true}},
			func(c *call, p *projectParam, _ *none) (api.Done, error) {
				return done(c.secrets.DeleteProject(c.ctx, p.Project))
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/restore", Auth: Token, Action: "project.delete", Summary: "Bring a deleted project back.", Example: api.Done{Done: true}},
			func(c *call, p *projectParam, _ *none) (api.Done, error) {
				return done(c.secrets.RestoreProject(c.ctx, p.Project))
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/purge", Auth: Token, Action: "project.purge", Summary: "Destroy the values of a deleted project for good.", Example: api.Done{Done: true}},
			func(c *call, p *projectParam, _ *none) (api.Done, error) {
				return done(c.secrets.PurgeProject(c.ctx, p.Project))
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/envs", Auth: Token, Action: "project.update", Summary: "Add an environment.", MaxBody: smallBody, Status: http.StatusCreated, Example: api.EnvRequest{Slug: "preview"}},
			func(c *call, p *projectParam, b *api.EnvRequest) (api.Env, error) {
				slug, name, err := slugAndName(b.Slug, b.Name)
				if err != nil {
					return api.Env{}, err
				}
				id, err := optionalID[domain.EnvID]("/id", b.ID)
				if err != nil {
					return api.Env{}, err
				}
				row, err := c.secrets.MakeEnv(c.ctx, p.Project, secrets.NewEnv{ID: id, Slug: slug, Name: name})
				return envOf(row), err
			}),
		with(Route{Method: "GET", Path: "/projects/{project}/envs/{env}", Auth: Token, Action: "project.read", Summary: "Show an environment and its revision.", Example: api.Env{Slug: "prod"}},
			func(c *call, p *envParams, _ *none) (api.Env, error) {
				row, err := c.secrets.Env(c.ctx, env(p.Project, p.Env))
				return envOf(row), err
			}),
		with(Route{Method: "PATCH", Path: "/projects/{project}/envs/{env}", Auth: Token, Action: "project.update", Waits: true, Summary: "Rename an environment; references follow.", MaxBody: smallBody, Example: api.RenameRequest{Slug: "production"}},
			func(c *call, p *envParams, b *api.RenameRequest) (api.Env, error) {
				slug, name, err := optionalNames(b)
				if err != nil {
					return api.Env{}, err
				}
				row, err := c.secrets.RenameEnv(c.ctx, env(p.Project, p.Env), slug, name)
				return envOf(row), err
			}),
		with(Route{Method: "DELETE", Path: "/projects/{project}/envs/{env}", Auth: Token, Action: "project.delete", Waits: true, Summary: "Delete an environment; nothing is destroyed.", Example: api.Done{Done: true}},
			func(c *call, p *envParams, _ *none) (api.Done, error) {
				return done(c.secrets.DeleteEnv(c.ctx, env(p.Project, p.Env)))
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/envs/{env}/restore", Auth: Token, Action: "project.delete", Waits: true, Summary: "Bring a deleted environment back.", Example: api.Done{Done: true}},
			func(c *call, p *envParams, _ *none) (api.Done, error) {
				return done(c.secrets.RestoreEnv(c.ctx, env(p.Project, p.Env)))
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/envs/{env}/purge", Auth: Token, Action: "project.purge", Waits: true, Summary: "Destroy the values of a deleted environment for good.", Example: api.Done{Done: true}},
			func(c *call, p *envParams, _ *none) (api.Done, error) {
				return done(c.secrets.PurgeEnv(c.ctx, env(p.Project, p.Env)))
			}),
	}
}

// newProject reads a request. Every id of env_ids must be that of an environment in the list.
func newProject(b *api.ProjectRequest) (secrets.NewProject, error) {
	slug, name, err := slugAndName(b.Slug, b.Name)
	if err != nil {
		return secrets.NewProject{}, err
	}
	if name == "" {
		name = domain.Label(slug)
	}
	out := secrets.NewProject{Slug: slug, Name: name}
	if out.ID, err = optionalID[domain.ProjectID]("/id", b.ID); err != nil {
		return out, err
	}
	found := 0
	for _, e := range b.Envs {
		s, err := domain.ParseSlug(e)
		if err != nil {
			return out, err
		}
		n := secrets.NewEnv{Slug: s}
		if id, ok := b.EnvIDs[e]; ok {
			found++
			if n.ID, err = optionalID[domain.EnvID]("/env_ids", id); err != nil {
				return out, err
			}
		}
		out.Envs = append(out.Envs, n)
	}
	if found < len(b.EnvIDs) {
		return out, fault.New(fault.Invalid, "env_ids names an environment that is not in envs").WithField("/env_ids", "want slugs of envs")
	}
	return out, nil
}

// optionalID reads an id that a caller brings along. The nil and the max UUID are nobody's: programs use them for "none".
func optionalID[T ~string](where, s string) (T, error) {
	if s == "" {
		return "", nil
	}
	id, err := domain.ParseID[T](s)
	if err != nil || s == uuid.Nil.String() || s == uuid.Max.String() {
		return "", fault.New(fault.Invalid, "not an id: want a lower-case UUID such as 0198c0de-0000-7000-8000-000000000000").WithField(where, "want a UUID")
	}
	return id, nil
}

func slugAndName(slug, name string) (domain.Slug, domain.Label, error) {
	s, err := domain.ParseSlug(slug)
	if err != nil {
		return "", "", err
	}
	if name == "" {
		return s, "", nil
	}
	n, err := domain.ParseLabel(name)
	return s, n, err
}

func optionalNames(b *api.RenameRequest) (domain.Slug, domain.Label, error) {
	if b.Slug == "" {
		if b.Name == "" {
			return "", "", nil
		}
		n, err := domain.ParseLabel(b.Name)
		return "", n, err
	}
	return slugAndName(b.Slug, b.Name)
}

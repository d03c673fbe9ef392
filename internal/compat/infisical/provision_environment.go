package infisical

import (
	"context"
	"errors"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) provisionEnvironmentRoutes() []route {
	var out []route
	for _, under := range []string{"/v1/projects/", "/v1/workspace/"} {
		out = append(out, []route{
			{"POST " + under + "{project}/environments", withToken, s.createEnvironment},
			{"GET " + under + "{project}/environments/{environment}", withToken, s.getEnvironment},
			{"GET " + under + "{project}/environments/slug/{environment}", withToken, s.getEnvironment},
			{"GET " + under + "environments/{environment}", withToken, s.getEnvironment},
			{"PATCH " + under + "{project}/environments/{environment}", withToken, s.changeEnvironment},
			{"DELETE " + under + "{project}/environments/{environment}", withToken, s.deleteEnvironment},
		}...)
	}
	return out
}

// environmentOf is an environment with its place among the live ones, from 1.
func environmentOf(e secrets.Env, position int64) object {
	return object{"id": e.ID, "_id": e.ID, "name": e.Name, "slug": e.Slug, "position": position, "projectId": e.Project, "createdAt": stamp(e.CreatedAt), "updatedAt": stamp(e.CreatedAt)}
}

// environment finds one by id or slug in the project of the path, or by id in all that the caller sees.
func (s *Surface) environment(ctx context.Context, c *call, name string) (secrets.Project, int, error) {
	var among []secrets.Project
	if project := c.http.PathValue("project"); project != "" {
		p, err := s.Secrets.Project(ctx, project)
		if err != nil {
			return p, 0, err
		}
		among = append(among, p)
	} else {
		all, err := s.Secrets.Projects(ctx, false)
		if err != nil {
			return secrets.Project{}, 0, err
		}
		among = all
	}
	for _, p := range among {
		at := slices.IndexFunc(p.Envs, func(e secrets.Env) bool {
			return string(e.ID) == name || string(e.Slug) == name && c.http.PathValue("project") != ""
		})
		if at >= 0 {
			return p, at, nil
		}
	}
	return secrets.Project{}, 0, guard.Missing()
}

// kept tells of a change that others must approve: it was not made, and clients must not believe that it was.
func kept(err error) error {
	if w, ok := errors.AsType[*secrets.Waits](err); ok {
		return fault.New(fault.Conflict, "the change waits for approval, as change %s", w.Change.ID).WithHint("it is made when enough people have approved it: keyturn change list")
	}
	return err
}

func environmentAnswer(message string, p secrets.Project, at int) *answer {
	return with(object{"message": message, "workspace": p.ID, "environment": environmentOf(p.Envs[at], int64(at+1))})
}

func (s *Surface) getEnvironment(ctx context.Context, c *call) (*answer, error) {
	p, at, err := s.environment(ctx, c, c.http.PathValue("environment"))
	if err != nil {
		return nil, err
	}
	return environmentAnswer("Successfully fetched environment", p, at), nil
}

// environmentNames reads slug and name, each "" when it is absent.
func (c *call) environmentNames() (domain.Slug, domain.Label, error) {
	slug, err := c.text("slug")
	if err != nil {
		return "", "", err
	}
	name, err := c.text("name")
	if err != nil {
		return "", "", err
	}
	if slug != "" {
		if _, err := domain.ParseSlug(slug); err != nil {
			return "", "", fault.As(err).WithField("/slug", "not a slug")
		}
	}
	if name != "" {
		if _, err := domain.ParseLabel(name); err != nil {
			return "", "", fault.As(err).WithField("/name", "not a name")
		}
	}
	return domain.Slug(slug), domain.Label(name), nil
}

func (s *Surface) createEnvironment(ctx context.Context, c *call) (*answer, error) {
	slug, name, err := c.environmentNames()
	if err != nil {
		return nil, err
	}
	if slug == "" {
		return nil, wrong("slug", "a string, it is missing")
	}
	position, err := c.integer("position")
	if err != nil {
		return nil, err
	}
	project := c.http.PathValue("project")
	made, err := s.Secrets.CreateEnv(ctx, project, slug, name)
	if err != nil {
		return nil, err
	}
	if position != 0 {
		if err := s.Secrets.MoveEnv(ctx, secrets.EnvRef{Project: project, Env: string(made.ID)}, position); err != nil {
			return nil, err
		}
	}
	p, at, err := s.environment(ctx, c, string(made.ID))
	if err != nil {
		return nil, err
	}
	return environmentAnswer("Successfully created new environment", p, at), nil
}

func (s *Surface) changeEnvironment(ctx context.Context, c *call) (*answer, error) {
	p, at, err := s.environment(ctx, c, c.http.PathValue("environment"))
	if err != nil {
		return nil, err
	}
	slug, name, err := c.environmentNames()
	if err != nil {
		return nil, err
	}
	position, err := c.integer("position")
	if err != nil {
		return nil, err
	}
	was := p.Envs[at]
	ref := secrets.EnvRef{Project: string(p.ID), Env: string(was.ID)}
	if slug != "" && slug != was.Slug || name != "" && name != was.Name {
		if _, err := s.Secrets.RenameEnv(ctx, ref, slug, name); err != nil {
			return nil, kept(err)
		}
	}
	if position != 0 && position != int64(at+1) {
		if err := s.Secrets.MoveEnv(ctx, ref, position); err != nil {
			return nil, err
		}
	}
	if p, at, err = s.environment(ctx, c, string(was.ID)); err != nil {
		return nil, err
	}
	return environmentAnswer("Successfully updated environment", p, at), nil
}

func (s *Surface) deleteEnvironment(ctx context.Context, c *call) (*answer, error) {
	p, at, err := s.environment(ctx, c, c.http.PathValue("environment"))
	if err != nil {
		return nil, err
	}
	if err := s.Secrets.DeleteEnv(ctx, secrets.EnvRef{Project: string(p.ID), Env: string(p.Envs[at].ID)}); err != nil {
		return nil, kept(err)
	}
	return environmentAnswer("Successfully deleted environment", p, at), nil
}

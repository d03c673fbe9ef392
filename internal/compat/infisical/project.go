package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (s *Surface) projectRoutes() []route {
	return []route{
		{"GET /v1/workspace", withToken, s.listProjects},
		{"GET /v1/workspace/{id}", withToken, s.projectIn("workspace", "id", true)},
		{"GET /v1/projects/{id}", withToken, s.projectIn("project", "id", true)},
		{"GET /v2/workspace/{slug}", withToken, s.projectIn("", "slug", false)},
		// "slug" stands where others have the id of a project; two patterns that fit one path are more than a mux takes.
		{"GET /v1/workspace/{id}/{slug}", withToken, s.projectBySlug},
		{"GET /v1/projects/{id}/{slug}", withToken, s.projectBySlug},
	}
}

// projectBySlug answers .../slug/SLUG.
func (s *Surface) projectBySlug(ctx context.Context, c *call) (*answer, error) {
	if c.http.PathValue("id") != "slug" {
		return nil, fault.New(fault.NotFound, "no such endpoint")
	}
	return s.projectIn("", "slug", false)(ctx, c)
}

func (s *Surface) listProjects(ctx context.Context, _ *call) (*answer, error) {
	list, err := s.Secrets.Projects(ctx, false)
	if err != nil {
		return nil, err
	}
	out := make([]object, 0, len(list))
	for i := range list {
		out = append(out, provisioned(list[i]))
	}
	return with(object{"workspaces": out}), nil
}

// projectIn shows one project, bare or as the one member of an object. A route that takes ids takes nothing else, so that a
// project cannot be found under a name that another one has as its id.
func (s *Surface) projectIn(member, param string, byID bool) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		name := c.http.PathValue(param)
		if byID && !domain.IsID(name) {
			return nil, fault.New(fault.NotFound, "no project of that id")
		}
		p, err := s.Secrets.Project(ctx, name)
		if err != nil {
			return nil, err
		}
		if member == "" {
			return with(provisioned(p)), nil
		}
		return with(object{member: provisioned(p)}), nil
	}
}

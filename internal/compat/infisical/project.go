package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (s *Surface) projectRoutes() []route {
	return []route{
		{"GET /v1/workspace", withToken, s.listWorkspaces},
		{"GET /v1/workspace/{id}", withToken, s.projectIn("workspace", "id", true)},
		{"GET /v1/projects/{id}", withToken, s.projectIn("project", "id", true)},
		{"GET /v2/workspace/{slug}", withToken, s.projectIn("", "slug", false)},
		{"GET /v1/workspace/slug/{slug}", withToken, s.projectIn("", "slug", false)},
		{"GET /v1/projects/slug/{slug}", withToken, s.projectIn("", "slug", false)},
	}
}

// listWorkspaces lists projects under the name that the CLI knows them by.
func (s *Surface) listWorkspaces(ctx context.Context, _ *call) (*answer, error) {
	list, err := s.Secrets.Projects(ctx, false)
	if err != nil {
		return nil, err
	}
	out := make([]object, 0, len(list))
	for _, p := range list {
		out = append(out, provisioned(p))
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

package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

// tagRoutes serve both spellings: the one of the CLI, below projects, and the one of Terraform, below workspace.
func (s *Surface) tagRoutes() []route {
	var out []route
	for _, base := range []string{"/v1/projects/{project}/tags", "/v1/workspace/{project}/tags"} {
		out = append(out,
			route{"GET " + base, withToken, s.listTags},
			route{"POST " + base, withToken, s.createTag},
			route{"GET " + base + "/slug/{slug}", withToken, s.getTag},
			route{"GET " + base + "/{id}", withToken, s.getTag},
			route{"PATCH " + base + "/{id}", withToken, s.updateTag},
			route{"DELETE " + base + "/{id}", withToken, s.deleteTag},
		)
	}
	return out
}

func tagOf(t secrets.ProjectTag) tag {
	return tag{ID: t.ID, Slug: string(t.Slug), Name: t.Name, Color: t.Color}
}

// wrappedTag is a tag under the names of both spellings.
func wrappedTag(t secrets.ProjectTag) *answer {
	one := object{"id": t.ID, "slug": string(t.Slug), "name": t.Name, "color": t.Color, "projectId": string(t.Project), "createdAt": stamp(t.CreatedAt), "updatedAt": stamp(t.CreatedAt)}
	return with(object{"tag": one, "workspaceTag": one})
}

func (s *Surface) listTags(ctx context.Context, c *call) (*answer, error) {
	list, err := s.Secrets.ProjectTags(ctx, c.http.PathValue("project"))
	if err != nil {
		return nil, err
	}
	out := make([]tag, 0, len(list))
	for _, t := range list {
		out = append(out, tagOf(t))
	}
	return with(object{"tags": out, "workspaceTags": out}), nil
}

func (s *Surface) getTag(ctx context.Context, c *call) (*answer, error) {
	list, err := s.Secrets.ProjectTags(ctx, c.http.PathValue("project"))
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.ID == c.http.PathValue("id") || string(t.Slug) == c.http.PathValue("slug") {
			return wrappedTag(t), nil
		}
	}
	return nil, fault.New(fault.NotFound, "no such tag in the project")
}

func (s *Surface) createTag(ctx context.Context, c *call) (*answer, error) {
	slug, err := c.must("slug")
	if err != nil {
		return nil, err
	}
	if _, err := domain.ParseTag(slug); err != nil {
		return nil, fault.As(err).WithField("/slug", "want a-z, 0-9 and '-'")
	}
	name, err := c.text("name")
	if err != nil {
		return nil, err
	}
	color, err := c.text("color")
	if err != nil {
		return nil, err
	}
	t, err := s.Secrets.CreateProjectTag(ctx, c.http.PathValue("project"), domain.Tag(slug), name, color)
	if err != nil {
		return nil, err
	}
	return wrappedTag(t), nil
}

func (s *Surface) updateTag(ctx context.Context, c *call) (*answer, error) {
	var change struct{ name, color *string }
	for field, into := range map[string]**string{"name": &change.name, "color": &change.color} {
		if v, ok := c.body[field]; ok && v.Kind() != 'n' {
			text, err := c.text(field)
			if err != nil {
				return nil, err
			}
			*into = &text
		}
	}
	project, id := c.http.PathValue("project"), c.http.PathValue("id")
	if slug, err := c.text("slug"); err != nil {
		return nil, err
	} else if slug != "" {
		now, err := s.getTag(ctx, c)
		if err != nil {
			return nil, err
		}
		if now.body.(object)["tag"].(object)["slug"] != slug {
			return nil, fault.New(fault.Unsupported, "the slug of a tag stays here, since rules may be about it").WithHint("make another tag and put it on the secrets")
		}
	}
	t, err := s.Secrets.UpdateProjectTag(ctx, project, id, change.name, change.color)
	if err != nil {
		return nil, err
	}
	return wrappedTag(t), nil
}

func (s *Surface) deleteTag(ctx context.Context, c *call) (*answer, error) {
	t, err := s.Secrets.DeleteProjectTag(ctx, c.http.PathValue("project"), c.http.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return wrappedTag(t), nil
}

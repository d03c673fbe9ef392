package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Projects lists the projects that the caller may see, or with deleted the deleted ones instead.
func (c *Client) Projects(ctx context.Context, deleted bool) (api.Projects, error) {
	return call[api.Projects](ctx, c, request{method: "GET", path: "/projects", query: url.Values(values{}.flag("deleted", deleted))})
}

// Project shows a project and its environments, by slug or id.
func (c *Client) Project(ctx context.Context, project string) (api.Project, error) {
	return call[api.Project](ctx, c, request{method: "GET", path: path("projects", project)})
}

// CreateProject makes a project with environments and a key of its own.
func (c *Client) CreateProject(ctx context.Context, r api.ProjectRequest) (api.Project, error) {
	return call[api.Project](ctx, c, request{method: "POST", path: "/projects", body: r})
}

// RenameProject changes slug or name; references follow.
func (c *Client) RenameProject(ctx context.Context, project string, r api.RenameRequest) (api.Project, error) {
	return call[api.Project](ctx, c, request{method: "PATCH", path: path("projects", project), body: r})
}

// DeleteProject deletes a project; nothing is destroyed.
func (c *Client) DeleteProject(ctx context.Context, project string) error {
	return c.act(ctx, request{method: "DELETE", path: path("projects", project)})
}

// RestoreProject brings a deleted project back.
func (c *Client) RestoreProject(ctx context.Context, project string) error {
	return c.act(ctx, request{method: "POST", path: path("projects", project, "restore")})
}

// PurgeProject destroys the values of a deleted project for good.
func (c *Client) PurgeProject(ctx context.Context, project string) error {
	return c.act(ctx, request{method: "POST", path: path("projects", project, "purge")})
}

// Env shows an environment and its revision. The path of p is not used.
func (c *Client) Env(ctx context.Context, p Place) (api.Env, error) {
	return call[api.Env](ctx, c, request{method: "GET", path: p.at()})
}

// CreateEnv adds an environment.
func (c *Client) CreateEnv(ctx context.Context, project string, r api.EnvRequest) (api.Env, error) {
	return call[api.Env](ctx, c, request{method: "POST", path: path("projects", project, "envs"), body: r})
}

// RenameEnv changes slug or name; references follow.
func (c *Client) RenameEnv(ctx context.Context, p Place, r api.RenameRequest) (api.Env, error) {
	return call[api.Env](ctx, c, request{method: "PATCH", path: p.at(), body: r})
}

// DeleteEnv deletes an environment; nothing is destroyed.
func (c *Client) DeleteEnv(ctx context.Context, p Place) error {
	return c.act(ctx, request{method: "DELETE", path: p.at()})
}

// RestoreEnv brings a deleted environment back.
func (c *Client) RestoreEnv(ctx context.Context, p Place) error {
	return c.act(ctx, request{method: "POST", path: p.at("restore")})
}

// PurgeEnv destroys the values of a deleted environment for good.
func (c *Client) PurgeEnv(ctx context.Context, p Place) error {
	return c.act(ctx, request{method: "POST", path: p.at("purge")})
}

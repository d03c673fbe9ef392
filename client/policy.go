package client

import (
	"context"

	"github.com/keyturn/keyturn/api"
)

// CreateRole makes a custom role; it does nothing until it is granted.
func (c *Client) CreateRole(ctx context.Context, r api.RoleRequest) (api.CustomRole, error) {
	return call[api.CustomRole](ctx, c, request{method: "POST", path: "/roles", body: r})
}

// Roles lists all roles with their rules, the built-in ones first.
func (c *Client) Roles(ctx context.Context) (api.CustomRoles, error) {
	return call[api.CustomRoles](ctx, c, request{method: "GET", path: "/roles"})
}

// Role shows one role by name or id.
func (c *Client) Role(ctx context.Context, name string) (api.CustomRole, error) {
	return call[api.CustomRole](ctx, c, request{method: "GET", path: path("roles", name)})
}

// UpdateRole changes a custom role for everybody who holds it.
func (c *Client) UpdateRole(ctx context.Context, name string, r api.RoleRequest) (api.CustomRole, error) {
	return call[api.CustomRole](ctx, c, request{method: "PATCH", path: path("roles", name), body: r})
}

// DeleteRole deletes a custom role with all of its grants.
func (c *Client) DeleteRole(ctx context.Context, name string) error {
	return c.act(ctx, request{method: "DELETE", path: path("roles", name)})
}

// CreateGroup makes a group.
func (c *Client) CreateGroup(ctx context.Context, r api.GroupRequest) (api.Group, error) {
	return call[api.Group](ctx, c, request{method: "POST", path: "/groups", body: r})
}

// Groups lists groups.
func (c *Client) Groups(ctx context.Context) (api.Groups, error) {
	return call[api.Groups](ctx, c, request{method: "GET", path: "/groups"})
}

// DeleteGroup deletes a group with its grants.
func (c *Client) DeleteGroup(ctx context.Context, name string) error {
	return c.act(ctx, request{method: "DELETE", path: path("groups", name)})
}

// Members lists the direct members of a group.
func (c *Client) Members(ctx context.Context, group string) (api.Members, error) {
	return call[api.Members](ctx, c, request{method: "GET", path: path("groups", group, "members")})
}

// AddMember puts a user, a machine or a group into a group.
func (c *Client) AddMember(ctx context.Context, group string, r api.MemberRequest) error {
	return c.act(ctx, request{method: "POST", path: path("groups", group, "members"), body: r})
}

// RemoveMember takes somebody out of a group; kind is user, identity or group.
func (c *Client) RemoveMember(ctx context.Context, group, kind, member string) error {
	return c.act(ctx, request{method: "DELETE", path: path("groups", group, "members", kind, member)})
}

// ExplainPolicy tells what the policy says to somebody, and which rule says so.
func (c *Client) ExplainPolicy(ctx context.Context, r api.ExplainRequest) (api.Explanation, error) {
	return call[api.Explanation](ctx, c, request{method: "POST", path: "/policy/explain", body: r})
}

// WhoCan lists who may do something somewhere.
func (c *Client) WhoCan(ctx context.Context, r api.WhoCanRequest) (api.Holders, error) {
	return call[api.Holders](ctx, c, request{method: "POST", path: "/policy/who-can", body: r})
}

// DiffPolicy tells who would gain and lose what by a change; nothing is saved.
func (c *Client) DiffPolicy(ctx context.Context, r api.PolicyDiffRequest) (api.PolicyDifferences, error) {
	return call[api.PolicyDifferences](ctx, c, request{method: "POST", path: "/policy/diff", body: r})
}

// TestPolicy compares expectations, YAML or JSON, with the policy.
func (c *Client) TestPolicy(ctx context.Context, r api.PolicyTestRequest) (api.PolicyTests, error) {
	return call[api.PolicyTests](ctx, c, request{method: "POST", path: "/policy/test", body: r})
}

// Freezes lists what is frozen, by whom and why.
func (c *Client) Freezes(ctx context.Context) (api.Freezes, error) {
	return call[api.Freezes](ctx, c, request{method: "GET", path: "/freezes"})
}

// Freeze freezes a project, or everything when project is "".
func (c *Client) Freeze(ctx context.Context, project string, r api.FreezeRequest) (api.Freeze, error) {
	return call[api.Freeze](ctx, c, request{method: "POST", path: freezePath(project), body: r})
}

// Thaw lifts a freeze or a kill switch.
func (c *Client) Thaw(ctx context.Context, project string) error {
	return c.act(ctx, request{method: "DELETE", path: freezePath(project)})
}

func freezePath(project string) string {
	if project == "" {
		return "/instance/freeze"
	}
	return path("projects", project, "freeze")
}

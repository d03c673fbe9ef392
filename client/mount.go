package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Mounts lists the paths of the Vault view that the caller may know of.
func (c *Client) Mounts(ctx context.Context) (api.Mounts, error) {
	return call[api.Mounts](ctx, c, request{method: "GET", path: "/mounts"})
}

// Mount shows one by its path.
func (c *Client) Mount(ctx context.Context, mount string) (api.Mount, error) {
	return call[api.Mount](ctx, c, request{method: "GET", path: "/mount", query: url.Values(values{}.text("path", mount))})
}

// CreateMount lays a path over a project, an environment or a folder.
func (c *Client) CreateMount(ctx context.Context, r api.MountRequest) (api.Mount, error) {
	return call[api.Mount](ctx, c, request{method: "POST", path: "/mounts", body: r})
}

// TuneMount changes one.
func (c *Client) TuneMount(ctx context.Context, mount string, r api.MountTune) (api.Mount, error) {
	return call[api.Mount](ctx, c, request{method: "PATCH", path: "/mount", query: url.Values(values{}.text("path", mount)), body: r})
}

// DeleteMount takes one away. What it showed stays as it is.
func (c *Client) DeleteMount(ctx context.Context, mount string) error {
	return c.act(ctx, request{method: "DELETE", path: "/mount", query: url.Values(values{}.text("path", mount))})
}

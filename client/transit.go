package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// inTransit names the place of keys: a project by slug or id, or "" for the organisation itself.
func inTransit(project string) url.Values {
	if project == "" {
		return nil
	}
	return url.Values{"project": {project}}
}

// TransitKeys lists the keys of the encryption service in a project, or with "" those of the organisation itself.
func (c *Client) TransitKeys(ctx context.Context, project string) (api.TransitKeys, error) {
	return call[api.TransitKeys](ctx, c, request{method: "GET", path: "/transit/keys", query: inTransit(project)})
}

// TransitKey shows a key with its versions.
func (c *Client) TransitKey(ctx context.Context, project, name string) (api.TransitKey, error) {
	return call[api.TransitKey](ctx, c, request{method: "GET", path: path("transit", "keys", name), query: inTransit(project)})
}

// CreateTransitKey makes a key.
func (c *Client) CreateTransitKey(ctx context.Context, r api.TransitKeyRequest) (api.TransitKey, error) {
	return call[api.TransitKey](ctx, c, request{method: "POST", path: "/transit/keys", body: r})
}

// UpdateTransitKey changes which versions of a key may still be used, and what else is allowed.
func (c *Client) UpdateTransitKey(ctx context.Context, project, name string, r api.TransitKeyConfig) (api.TransitKey, error) {
	return call[api.TransitKey](ctx, c, request{method: "PATCH", path: path("transit", "keys", name), query: inTransit(project), body: r})
}

// RotateTransitKey makes a new version of a key; older ones still decrypt and verify.
func (c *Client) RotateTransitKey(ctx context.Context, project, name string) (api.TransitKey, error) {
	return call[api.TransitKey](ctx, c, request{method: "POST", path: path("transit", "keys", name, "rotate"), query: inTransit(project)})
}

// DeleteTransitKey destroys a key whose deletion is allowed, and with it what was encrypted.
func (c *Client) DeleteTransitKey(ctx context.Context, project, name string) error {
	return c.act(ctx, request{method: "DELETE", path: path("transit", "keys", name), query: inTransit(project)})
}

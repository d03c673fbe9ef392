package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Consumers tells who uses a secret, and who holds the current version. The folder is "/" when it is empty.
func (c *Client) Consumers(ctx context.Context, project, env, folder, name string) (api.Consumers, error) {
	var q url.Values
	if folder != "" {
		q = url.Values{"path": {folder}}
	}
	return call[api.Consumers](ctx, c, request{method: "GET", path: path("projects", project, "envs", env, "secrets", name, "consumers"), query: q})
}

// Unused lists secrets that nobody has read or changed for so many days; 0 for the server's default.
func (c *Client) Unused(ctx context.Context, days int) (api.Unused, error) {
	return call[api.Unused](ctx, c, request{method: "GET", path: "/unused", query: number("days", days)})
}

// Reads lists what a user or machine was given, by id, what was not rotated since first.
func (c *Client) Reads(ctx context.Context, principal string) (api.Reads, error) {
	return call[api.Reads](ctx, c, request{method: "GET", path: "/reads", query: url.Values{"principal": {principal}}})
}

// FirstReads lists who read a secret for the first time in the last days, newest first; 0 for the server's default.
func (c *Client) FirstReads(ctx context.Context, days int) (api.FirstReads, error) {
	return call[api.FirstReads](ctx, c, request{method: "GET", path: "/reads/first", query: number("days", days)})
}

package client

import (
	"context"

	"github.com/keyturn/keyturn/api"
)

// Canaries lists decoys, where each lies, and how often it was touched.
func (c *Client) Canaries(ctx context.Context) (api.Canaries, error) {
	return call[api.Canaries](ctx, c, request{method: "GET", path: "/canaries"})
}

// CreateCanary makes a decoy. A decoy token is in the answer, and nowhere else ever again.
func (c *Client) CreateCanary(ctx context.Context, r api.CanaryRequest) (api.CanaryMade, error) {
	return call[api.CanaryMade](ctx, c, request{method: "POST", path: "/canaries", body: r})
}

// DeleteCanary forgets a decoy; a secret that was one becomes an ordinary one.
func (c *Client) DeleteCanary(ctx context.Context, id string) error {
	_, err := call[api.Done](ctx, c, request{method: "DELETE", path: path("canaries", id)})
	return err
}

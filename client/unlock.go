package client

import (
	"context"

	"github.com/keyturn/keyturn/api"
)

// SealStatus tells whether the server is unlocked, and what it waits for. It needs no token.
func (c *Client) SealStatus(ctx context.Context) (api.SealStatus, error) {
	return call[api.SealStatus](ctx, c, request{method: "GET", path: "/unlock"})
}

// Unlock enters something that helps to unlock a sealed server. It needs no token: what is entered is the proof.
func (c *Client) Unlock(ctx context.Context, u api.Unlock) (api.SealStatus, error) {
	return call[api.SealStatus](ctx, c, request{method: "POST", path: "/unlock", body: u, once: true})
}

// CancelUnlock makes a sealed server forget the shares that were entered.
func (c *Client) CancelUnlock(ctx context.Context) (api.SealStatus, error) {
	return call[api.SealStatus](ctx, c, request{method: "DELETE", path: "/unlock", once: true})
}

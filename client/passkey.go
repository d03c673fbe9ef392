package client

import (
	"context"

	"github.com/keyturn/keyturn/api"
)

// BeginPasskeyLogin asks for a challenge to log in with a passkey.
func (c *Client) BeginPasskeyLogin(ctx context.Context) (api.PasskeyOptions, error) {
	return call[api.PasskeyOptions](ctx, c, request{method: "POST", path: "/login/passkey/begin", once: true})
}

// LoginPasskey logs in whoever holds the passkey that signed the challenge.
func (c *Client) LoginPasskey(ctx context.Context, r api.PasskeyAnswer) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/login/passkey", body: r, once: true})
}

// Passkeys lists the caller's own.
func (c *Client) Passkeys(ctx context.Context) (api.Passkeys, error) {
	return call[api.Passkeys](ctx, c, request{method: "GET", path: "/passkeys"})
}

// BeginPasskey asks for a challenge to add a passkey to the caller's account.
func (c *Client) BeginPasskey(ctx context.Context) (api.PasskeyOptions, error) {
	return call[api.PasskeyOptions](ctx, c, request{method: "POST", path: "/passkeys/begin", once: true})
}

// AddPasskey adds the passkey that signed the challenge.
func (c *Client) AddPasskey(ctx context.Context, r api.PasskeyRequest) (api.Passkey, error) {
	return call[api.Passkey](ctx, c, request{method: "POST", path: "/passkeys", body: r, once: true})
}

// RenamePasskey gives one of the caller's own another name.
func (c *Client) RenamePasskey(ctx context.Context, id, name string) error {
	return c.act(ctx, request{method: "PATCH", path: path("passkeys", id), body: api.PasskeyRename{Name: name}})
}

// RemovePasskey forgets one of the caller's own.
func (c *Client) RemovePasskey(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("passkeys", id)})
}

// BeginPasskeyVerify asks for a challenge to confirm the caller's session.
func (c *Client) BeginPasskeyVerify(ctx context.Context) (api.PasskeyOptions, error) {
	return call[api.PasskeyOptions](ctx, c, request{method: "POST", path: "/passkeys/verify/begin", once: true})
}

// VerifyPasskey makes the caller's session fresh by one of his own passkeys.
func (c *Client) VerifyPasskey(ctx context.Context, r api.PasskeyAnswer) error {
	return c.act(ctx, request{method: "POST", path: "/passkeys/verify", body: r, once: true})
}

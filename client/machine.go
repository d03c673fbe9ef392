package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// LoginMachine gives a session of a machine that shows a JWT, a signed request of AWS, or the client certificate of the connection.
func (c *Client) LoginMachine(ctx context.Context, r api.MachineLoginRequest) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/login/machine", body: r, once: true})
}

// CreateMethod gives a machine one more way to log in.
func (c *Client) CreateMethod(ctx context.Context, identity string, r api.MethodRequest) (api.Method, error) {
	return call[api.Method](ctx, c, request{method: "POST", path: path("identities", identity, "methods"), body: r})
}

// Methods lists the ways in which a machine may log in, beside client secrets.
func (c *Client) Methods(ctx context.Context, identity string) (api.Methods, error) {
	return call[api.Methods](ctx, c, request{method: "GET", path: path("identities", identity, "methods")})
}

// ChangeMethod switches a login method off or on, or replaces its secrets.
func (c *Client) ChangeMethod(ctx context.Context, identity, method string, r api.MethodChange) error {
	return c.act(ctx, request{method: "PATCH", path: path("identities", identity, "methods", method), body: r})
}

// DeleteMethod takes a way to log in away.
func (c *Client) DeleteMethod(ctx context.Context, identity, method string) error {
	return c.act(ctx, request{method: "DELETE", path: path("identities", identity, "methods", method)})
}

// RevokeTokensOf ends every token of a machine, API keys too.
func (c *Client) RevokeTokensOf(ctx context.Context, identity string) (api.Revoked, error) {
	return call[api.Revoked](ctx, c, request{method: "DELETE", path: path("identities", identity, "tokens")})
}

// RenewToken gives the client's own token a later end.
func (c *Client) RenewToken(ctx context.Context, r api.RenewRequest) (api.TokenInfo, error) {
	return call[api.TokenInfo](ctx, c, request{method: "POST", path: "/tokens/renew", body: r})
}

// IdentityToken makes a JWT by which another system can tell who the client is.
func (c *Client) IdentityToken(ctx context.Context, r api.IdentityTokenRequest) (api.IdentityToken, error) {
	return call[api.IdentityToken](ctx, c, request{method: "POST", path: "/tokens/jwt", body: r, once: true})
}

// CreateAPIKey makes a long-lived token of a machine for an application; it is shown this once.
func (c *Client) CreateAPIKey(ctx context.Context, r api.APIKeyRequest) (api.NewToken, error) {
	return call[api.NewToken](ctx, c, request{method: "POST", path: "/api-keys", body: r, once: true})
}

// APIKeys lists those of one machine, or with "" all; that which was used last comes first.
func (c *Client) APIKeys(ctx context.Context, identity string) (api.Tokens, error) {
	return call[api.Tokens](ctx, c, request{method: "GET", path: "/api-keys", query: url.Values(values{}.text("identity", identity))})
}

// RevokeAPIKey ends one at once, on every server.
func (c *Client) RevokeAPIKey(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("api-keys", id)})
}

// Wrap seals a value and gives a token that opens it once.
func (c *Client) Wrap(ctx context.Context, r api.WrapRequest) (api.Wrapping, error) {
	return call[api.Wrapping](ctx, c, request{method: "POST", path: "/wrap", body: r, once: true})
}

// Unwrap opens a wrapped value. It needs no login and works once.
func (c *Client) Unwrap(ctx context.Context, token string) (api.Unwrapped, error) {
	return call[api.Unwrapped](ctx, c, request{method: "POST", path: "/unwrap", body: api.UnwrapRequest{Token: token}, once: true})
}

// RotateJWT gives a signing secret a new value and keeps that before until every token under it has ended.
func (c *Client) RotateJWT(ctx context.Context, at Place, r api.JWTRotation) (api.JWTSecret, error) {
	return call[api.JWTSecret](ctx, c, request{method: "POST", path: path("projects", at.Project, "envs", at.Env, "jwt", "rotate"), body: r, once: true})
}

// JWTSecrets lists the signing secrets of an environment.
func (c *Client) JWTSecrets(ctx context.Context, at Place) (api.JWTSecrets, error) {
	return call[api.JWTSecrets](ctx, c, request{method: "GET", path: path("projects", at.Project, "envs", at.Env, "jwt")})
}

package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Setup creates the first admin, once.
func (c *Client) Setup(ctx context.Context, r api.SetupRequest) (api.Setup, error) {
	return call[api.Setup](ctx, c, request{method: "POST", path: "/setup", body: r, once: true})
}

// Login logs a person in.
func (c *Client) Login(ctx context.Context, r api.LoginRequest) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/login", body: r, once: true})
}

// LoginIdentity logs a machine in.
func (c *Client) LoginIdentity(ctx context.Context, r api.IdentityLoginRequest) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/login/identity", body: r, once: true})
}

// Logout ends the client's own token.
func (c *Client) Logout(ctx context.Context) error {
	return c.act(ctx, request{method: "POST", path: "/logout", once: true})
}

// WhoAmI tells who the caller is and what he was given.
func (c *Client) WhoAmI(ctx context.Context) (api.Principal, error) {
	return call[api.Principal](ctx, c, request{method: "GET", path: "/whoami"})
}

// CreateToken makes a token that acts as the caller, narrowed to scopes. It is never sent twice: the answer is kept nowhere.
func (c *Client) CreateToken(ctx context.Context, r api.TokenRequest) (api.NewToken, error) {
	return call[api.NewToken](ctx, c, request{method: "POST", path: "/tokens", body: r, once: true})
}

// Tokens lists one's own tokens, or with all everybody's.
func (c *Client) Tokens(ctx context.Context, all bool) (api.Tokens, error) {
	return call[api.Tokens](ctx, c, request{method: "GET", path: "/tokens", query: url.Values(values{}.flag("all", all))})
}

// RevokeToken ends a token at once, on every server.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("tokens", id)})
}

// CreateIdentity makes a machine identity.
func (c *Client) CreateIdentity(ctx context.Context, r api.IdentityRequest) (api.Identity, error) {
	return call[api.Identity](ctx, c, request{method: "POST", path: "/identities", body: r})
}

// Identities lists machine identities.
func (c *Client) Identities(ctx context.Context) (api.Identities, error) {
	return call[api.Identities](ctx, c, request{method: "GET", path: "/identities"})
}

// DisableIdentity switches a machine off, or with false on again; name is its name or id.
func (c *Client) DisableIdentity(ctx context.Context, name string, disabled bool) error {
	return c.act(ctx, request{method: "PATCH", path: path("identities", name), body: api.EnabledRequest{Disabled: disabled}})
}

// CreateClientSecret makes a client secret for a machine; it is shown this once.
func (c *Client) CreateClientSecret(ctx context.Context, name string, r api.ClientSecretRequest) (api.ClientSecret, error) {
	return call[api.ClientSecret](ctx, c, request{method: "POST", path: path("identities", name, "client-secrets"), body: r, once: true})
}

// ClientSecrets lists the client secrets of a machine, without the secrets.
func (c *Client) ClientSecrets(ctx context.Context, name string) (api.ClientSecrets, error) {
	return call[api.ClientSecrets](ctx, c, request{method: "GET", path: path("identities", name, "client-secrets")})
}

// RevokeClientSecret ends a client secret.
func (c *Client) RevokeClientSecret(ctx context.Context, name, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("identities", name, "client-secrets", id)})
}

// CreateUser makes a user with a first password.
func (c *Client) CreateUser(ctx context.Context, r api.UserRequest) (api.User, error) {
	return call[api.User](ctx, c, request{method: "POST", path: "/users", body: r, once: true})
}

// Users lists users.
func (c *Client) Users(ctx context.Context) (api.Users, error) {
	return call[api.Users](ctx, c, request{method: "GET", path: "/users"})
}

// DisableUser switches a user off, which ends all of his tokens, or with false on again.
func (c *Client) DisableUser(ctx context.Context, id string, disabled bool) error {
	return c.act(ctx, request{method: "PATCH", path: path("users", id), body: api.EnabledRequest{Disabled: disabled}})
}

// Grant gives a role, in place of the one held in the same place.
func (c *Client) Grant(ctx context.Context, r api.GrantRequest) (api.Grant, error) {
	return call[api.Grant](ctx, c, request{method: "POST", path: "/grants", body: r})
}

// Grants lists who was given what.
func (c *Client) Grants(ctx context.Context) (api.Grants, error) {
	return call[api.Grants](ctx, c, request{method: "GET", path: "/grants"})
}

// Ungrant takes a role away.
func (c *Client) Ungrant(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("grants", id)})
}

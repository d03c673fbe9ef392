package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/keyturn/keyturn/api"
)

// SSOConnections lists the identity providers and directories through which people log in.
func (c *Client) SSOConnections(ctx context.Context) (api.SSOConnections, error) {
	return call[api.SSOConnections](ctx, c, request{method: "GET", path: "/sso/connections"})
}

// CreateSSOConnection lets people log in through a provider or directory.
func (c *Client) CreateSSOConnection(ctx context.Context, r api.SSORequest) (api.SSOConnection, error) {
	return call[api.SSOConnection](ctx, c, request{method: "POST", path: "/sso/connections", body: r})
}

// UpdateSSOConnection replaces a connection; a secret that is not given stays.
func (c *Client) UpdateSSOConnection(ctx context.Context, r api.SSORequest) (api.SSOConnection, error) {
	return call[api.SSOConnection](ctx, c, request{method: "PUT", path: path("sso", "connections", r.Name), body: r})
}

// DeleteSSOConnection removes a connection with all that it gave; accounts stay.
func (c *Client) DeleteSSOConnection(ctx context.Context, name string) error {
	return c.act(ctx, request{method: "DELETE", path: path("sso", "connections", name)})
}

// TestSSOConnection has the server call the provider. It takes as long as ctx allows.
func (c *Client) TestSSOConnection(ctx context.Context, name string) (api.SSOTest, error) {
	return call[api.SSOTest](ctx, c, request{method: "POST", path: path("sso", "connections", name, "test"), slow: true, once: true})
}

// EnforceSSO decides whether people must log in through a connection.
func (c *Client) EnforceSSO(ctx context.Context, r api.SSOEnforcement) error {
	return c.act(ctx, request{method: "PUT", path: "/sso/enforcement", body: r})
}

// SSOStart gives the address that a browser opens to log in through a connection. challenge is S256 of a verifier (RFC 7636);
// the browser comes back to http://127.0.0.1:port with a code and the state, and [Client.LoginSSO] takes the session.
func (c *Client) SSOStart(connection, challenge, state string, port int) string {
	q := url.Values{"challenge": {challenge}, "state": {state}, "port": {strconv.Itoa(port)}}
	return c.Server() + api.Prefix + path("sso", connection, "start") + "?" + q.Encode()
}

// LoginSSO takes the session of a login that was finished in a browser.
func (c *Client) LoginSSO(ctx context.Context, r api.SSOCodeRequest) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/login/sso", body: r, once: true})
}

// LoginLDAP logs a person in with the password of a directory.
func (c *Client) LoginLDAP(ctx context.Context, r api.LDAPLoginRequest) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/login/ldap", body: r, once: true})
}

// CreateSCIMToken makes a token with which a directory keeps people and groups; it is shown this once.
func (c *Client) CreateSCIMToken(ctx context.Context, r api.SCIMTokenRequest) (api.NewToken, error) {
	return call[api.NewToken](ctx, c, request{method: "POST", path: "/scim/tokens", body: r, once: true})
}

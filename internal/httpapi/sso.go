package httpapi

import (
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// connectionBody has room for the metadata of an identity provider, escaped.
const connectionBody = 1 << 20

type connectionParam struct {
	Name string `path:"name" doc:"of the connection"`
}

func ssoRoutes() []Route {
	const manage = "access.manage"
	example := api.SSORequest{Name: "corp", Domains: []string{"example.test"}, Create: true, Groups: []api.SSOGroup{{Value: "engineering", Group: "developers"}},
		OIDC: &api.OIDCSettings{Issuer: "https://id.example.test", ClientID: "keyturn", GroupsClaim: "groups"}, Secret: "test-value"}
	return []Route{
		with(Route{Method: "GET", Path: "/sso/connections", Auth: Token, Action: "access.read", Summary: "List the identity providers and directories through which people log in.", Example: api.SSOConnections{}},
			func(c *call, _ *none, _ *none) (api.SSOConnections, error) { return c.access.SSOConnections(c.ctx) }),
		with(Route{Method: "POST", Path: "/sso/connections", Auth: Token, Action: manage, Summary: "Let people log in through an OpenID provider, a SAML identity provider or an LDAP directory.", MaxBody: connectionBody,
			Status: http.StatusCreated, Example: example},
			func(c *call, _ *none, b *api.SSORequest) (api.SSOConnection, error) {
				return c.access.CreateSSO(c.ctx, c.secrets, *b)
			}),
		with(Route{Method: "PUT", Path: "/sso/connections/{name}", Auth: Token, Action: manage, Summary: "Replace a connection; its name and kind stay, and a secret that is not given stays too.", MaxBody: connectionBody, Example: example},
			func(c *call, p *connectionParam, b *api.SSORequest) (api.SSOConnection, error) {
				return c.access.UpdateSSO(c.ctx, c.secrets, p.Name, *b)
			}),
		with(Route{Method: "DELETE", Path: "/sso/connections/{name}", Auth: Token, Action: manage, Summary: "Remove a connection with all that it gave; accounts stay.", Example: api.Done{Done: true}},
			func(c *call, p *connectionParam, _ *none) (api.Done, error) {
				return done(c.access.DeleteSSO(c.ctx, p.Name))
			}),
		with(Route{Method: "POST", Path: "/sso/connections/{name}/test", Auth: Token, Action: manage, Summary: "Call the provider and tell what it answers, without anybody logging in.", Example: api.SSOTest{Found: "the provider publishes its metadata and its keys"}},
			func(c *call, p *connectionParam, _ *none) (api.SSOTest, error) {
				return long(c, func() (api.SSOTest, error) {
					found, err := c.access.TestSSO(c.ctx, p.Name)
					return api.SSOTest{Found: found}, err
				})
			}),
		with(Route{Method: "PUT", Path: "/sso/enforcement", Auth: Token, Action: manage, Summary: "Let people log in through connections only, with one admin who may go on using a password.", MaxBody: smallBody,
			Example: api.SSOEnforcement{Enforced: true, Exempt: "admin@example.test"}},
			func(c *call, _ *none, b *api.SSOEnforcement) (api.Done, error) {
				return done(c.access.EnforceSSO(c.ctx, b.Enforced, b.Exempt))
			}),
		with(Route{Method: "POST", Path: "/login/sso", Auth: Anyone, Action: "session.login", Summary: "Take the session of a login that was finished in a browser.", MaxBody: smallBody,
			Example: api.SSOCodeRequest{Code: "test-value", Verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}},
			func(c *call, _ *none, b *api.SSOCodeRequest) (api.Session, error) {
				return sessionOf(c.access.ExchangeSSO(c.ctx, b.Code, b.Verifier))
			}),
		with(Route{Method: "POST", Path: "/login/ldap", Auth: Anyone, Action: "session.login", Summary: "Log a person in with the password of a directory.", MaxBody: smallBody,
			Example: api.LDAPLoginRequest{Connection: "corp", Account: "ann", Password: "a long test-value"}},
			func(c *call, _ *none, b *api.LDAPLoginRequest) (api.Session, error) {
				return sessionOf(c.access.LoginLDAP(c.ctx, b.Connection, b.Account, sensitive.FromString(b.Password)))
			}),
		with(Route{Method: "POST", Path: "/scim/tokens", Auth: Token, Action: manage, Summary: "Make a token with which a directory keeps people and groups by SCIM; it is shown this once.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.SCIMTokenRequest{Connection: "okta", Domains: []string{"example.test"}, TTL: "365d"}},
			func(c *call, _ *none, b *api.SCIMTokenRequest) (api.NewToken, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.NewToken{}, err
				}
				row, value, err := c.access.SCIMToken(c.ctx, *b, ttl)
				return api.NewToken{Token: string(value.Reveal()), TokenInfo: tokenOf(row)}, err
			}),
	}
}

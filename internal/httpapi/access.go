package httpapi

import (
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

type idParam struct {
	ID string `path:"id" doc:"id"`
}

type nameParam struct {
	Name string `path:"name" doc:"id or name"`
}

type clientSecretParams struct {
	Name string `path:"name" doc:"id or name of the identity"`
	ID   string `path:"id" doc:"id of the client secret"`
}

type tokensParams struct {
	All   bool   `query:"all" doc:"everybody's, not only one's own"`
	Order string `query:"order" doc:"last_used: the token that was used last comes first; else the newest"`
}

func accessRoutes() []Route {
	return []Route{
		with(Route{Method: "POST", Path: "/setup", Auth: Anyone, Action: "instance.setup", Summary: "Create the first admin, once.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.SetupRequest{Email: "admin@example.test", Password: "a long test-value"}},
			func(c *call, _ *none, b *api.SetupRequest) (api.Setup, error) {
				first, err := c.access.SetUp(c.ctx, access.SetupInput{Email: b.Email, Name: b.Name, Org: b.Organization, Password: sensitive.FromString(b.Password),
					Token: sensitive.FromString(b.SetupToken), Direct: httpkit.Direct(c.r)})
				return api.Setup{Token: string(first.Token.Reveal()), UserID: string(first.User), OrganizationID: string(first.Org)}, err
			}),
		with(Route{Method: "POST", Path: "/login", Auth: Anyone, Action: "session.login", Summary: "Log a person in.", MaxBody: smallBody,
			Example: api.LoginRequest{Email: "admin@example.test", Password: "a long test-value"}},
			func(c *call, _ *none, b *api.LoginRequest) (api.Session, error) {
				return sessionOf(c.access.Login(c.ctx, access.LoginInput{Email: b.Email, Password: sensitive.FromString(b.Password), Code: b.Code}))
			}),
		with(Route{Method: "POST", Path: "/login/identity", Auth: Anyone, Action: "session.login", Summary: "Log a machine in with client id and client secret.", MaxBody: smallBody,
			Example: api.IdentityLoginRequest{ClientID: "0198c0de-0000-7000-8000-000000000000", ClientSecret: "ktc_test-value"}},
			func(c *call, _ *none, b *api.IdentityLoginRequest) (api.Session, error) {
				return sessionOf(c.access.LoginIdentity(c.ctx, b.ClientID, sensitive.FromString(b.ClientSecret)))
			}),
		with(Route{Method: "POST", Path: "/logout", Auth: Token, Action: "session.end", Summary: "End the token that is shown.", Example: api.Done{Done: true}},
			func(c *call, _ *none, _ *none) (api.Done, error) { return done(c.access.Logout(c.ctx)) }),
		with(Route{Method: "GET", Path: "/whoami", Auth: Token, Action: "self.read", Summary: "Tell who the caller is and what he was given.", Example: api.Principal{Kind: "user", Name: "admin@example.test"}},
			func(c *call, _ *none, _ *none) (api.Principal, error) {
				who, err := c.access.WhoAmI(c.ctx)
				return principalOf(who), err
			}),
		with(Route{Method: "POST", Path: "/tokens", Auth: Token, Action: "token.create", Summary: "Make a token that acts as the caller, narrowed to scopes.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.TokenRequest{Name: "ci", Project: "shop", Scopes: "prod:/backend:read", TTL: "30d"}},
			func(c *call, _ *none, b *api.TokenRequest) (api.NewToken, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.NewToken{}, err
				}
				row, value, err := c.access.CreateToken(c.ctx, c.secrets, access.TokenInput{Name: b.Name, Project: b.Project, Scopes: b.Scopes, TTL: ttl})
				return api.NewToken{Token: string(value.Reveal()), TokenInfo: tokenOf(row)}, err
			}),
		with(Route{Method: "GET", Path: "/tokens", Auth: Token, Action: "self.read", Summary: "List tokens: one's own, or with all everybody's.", Example: api.Tokens{}},
			func(c *call, p *tokensParams, _ *none) (api.Tokens, error) {
				list := c.access.Tokens
				if p.Order == "last_used" {
					list = c.access.TokensByUse
				}
				rows, err := list(c.ctx, p.All)
				return api.Tokens{Tokens: each(rows, tokenOf)}, err
			}),
		with(Route{Method: "DELETE", Path: "/tokens/{id}", Auth: Token, Action: "token.revoke", Summary: "Revoke a token at once, on every server.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) {
				return done(c.access.RevokeToken(c.ctx, domain.TokenID(p.ID)))
			}),
		with(Route{Method: "POST", Path: "/identities", Auth: Token, Action: "access.manage", Summary: "Make a machine identity.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.IdentityRequest{Name: "backend", TokenTTL: "1h"}},
			func(c *call, _ *none, b *api.IdentityRequest) (api.Identity, error) {
				limits, err := limitsOf("/token_ttl", b.TokenTTL, "/max_token_ttl", b.MaxTokenTTL, b.TokenUses, b.Networks)
				if err != nil {
					return api.Identity{}, err
				}
				row, err := c.access.CreateIdentity(c.ctx, b.Name, limits)
				return identityOf(row), err
			}),
		with(Route{Method: "GET", Path: "/identities", Auth: Token, Action: "access.read", Summary: "List machine identities.", Example: api.Identities{}},
			func(c *call, _ *none, _ *none) (api.Identities, error) {
				rows, err := c.access.Identities(c.ctx)
				return api.Identities{Identities: each(rows, identityOf)}, err
			}),
		with(Route{Method: "PATCH", Path: "/identities/{name}", Auth: Token, Action: "access.manage", Summary: "Disable or enable a machine identity.", MaxBody: smallBody, Example: api.EnabledRequest{Disabled: true}},
			func(c *call, p *nameParam, b *api.EnabledRequest) (api.Done, error) {
				return done(c.access.DisableIdentity(c.ctx, p.Name, b.Disabled))
			}),
		with(Route{Method: "POST", Path: "/identities/{name}/client-secrets", Auth: Token, Action: "access.manage", Summary: "Make a client secret; it is shown this once.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.ClientSecretRequest{Name: "first", TTL: "90d"}},
			func(c *call, p *nameParam, b *api.ClientSecretRequest) (api.ClientSecret, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.ClientSecret{}, err
				}
				wrap, err := parseDuration("/wrap", b.Wrap)
				if err != nil {
					return api.ClientSecret{}, err
				}
				row, value, err := c.access.AddClientSecret(c.ctx, p.Name, access.ClientSecretInput{Name: b.Name, TTL: ttl, Uses: b.Uses, Wrap: wrap})
				out := clientSecretOf(row)
				if to := &out.Secret; err == nil {
					if wrap != 0 {
						to = &out.WrapToken
					}
					*to = string(value.Reveal())
				}
				return out, err
			}),
		with(Route{Method: "GET", Path: "/identities/{name}/client-secrets", Auth: Token, Action: "access.read", Summary: "List the client secrets of a machine, without the secrets.", Example: api.ClientSecrets{}},
			func(c *call, p *nameParam, _ *none) (api.ClientSecrets, error) {
				rows, err := c.access.ClientSecrets(c.ctx, p.Name)
				return api.ClientSecrets{ClientSecrets: each(rows, clientSecretOf)}, err
			}),
		with(Route{Method: "DELETE", Path: "/identities/{name}/client-secrets/{id}", Auth: Token, Action: "access.manage", Summary: "Revoke a client secret.", Example: api.Done{Done: true}},
			func(c *call, p *clientSecretParams, _ *none) (api.Done, error) {
				return done(c.access.RevokeClientSecret(c.ctx, p.Name, p.ID))
			}),
		with(Route{Method: "POST", Path: "/users", Auth: Token, Action: "access.manage", Summary: "Make a user with a first password.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.UserRequest{Email: "dev@example.test", Password: "a long test-value"}},
			func(c *call, _ *none, b *api.UserRequest) (api.User, error) {
				row, err := c.access.CreateUser(c.ctx, b.Email, b.Name, sensitive.FromString(b.Password))
				return userOf(row), err
			}),
		with(Route{Method: "GET", Path: "/users", Auth: Token, Action: "access.read", Summary: "List users.", Example: api.Users{}},
			func(c *call, _ *none, _ *none) (api.Users, error) {
				rows, err := c.access.Users(c.ctx)
				return api.Users{Users: each(rows, userOf)}, err
			}),
		with(Route{Method: "PATCH", Path: "/users/{id}", Auth: Token, Action: "access.manage", Summary: "Disable or enable a user; disabling ends all of his tokens at once.", MaxBody: smallBody, Example: api.EnabledRequest{Disabled: true}},
			func(c *call, p *idParam, b *api.EnabledRequest) (api.Done, error) {
				return done(c.access.DisableUser(c.ctx, domain.UserID(p.ID), b.Disabled))
			}),
		with(Route{Method: "POST", Path: "/grants", Auth: Token, Action: "access.manage", Summary: "Give a role, for good or for a time; a built-in one for good takes the place of another in the same place.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.GrantRequest{Kind: "identity", Principal: "backend", Project: "shop", Env: "prod", Role: "developer"}},
			func(c *call, _ *none, b *api.GrantRequest) (api.Grant, error) {
				in, err := grantIn(b)
				if err != nil {
					return api.Grant{}, err
				}
				row, err := c.access.Grant(c.ctx, c.secrets, in)
				return grantOf(row), err
			}),
		with(Route{Method: "GET", Path: "/grants", Auth: Token, Action: "access.read", Summary: "List who was given what.", Example: api.Grants{}},
			func(c *call, _ *none, _ *none) (api.Grants, error) {
				rows, err := c.access.Grants(c.ctx)
				return api.Grants{Grants: each(rows, grantOf)}, err
			}),
		with(Route{Method: "DELETE", Path: "/grants/{id}", Auth: Token, Action: "access.manage", Summary: "Take a role away.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) { return done(c.access.Ungrant(c.ctx, p.ID)) }),
	}
}

func done(err error) (api.Done, error) { return api.Done{Done: err == nil}, err }

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, a := range in {
		out = append(out, f(a))
	}
	return out
}

func sessionOf(s access.Session, err error) (api.Session, error) {
	return api.Session{Token: string(s.Token.Reveal()), ID: string(s.Row.ID), Name: s.Name, ExpiresAt: at(s.Row.ExpiresAt)}, err
}

func principalOf(p *domain.Principal) api.Principal {
	out := api.Principal{Kind: string(p.Kind), ID: p.ID, Name: p.Name, Organization: string(p.Org), TokenID: string(p.Token), ExpiresAt: maybe(p.ExpiresAt),
		Grants: []api.Role{}, Scopes: scopesOf(p.Scopes)}
	for _, g := range p.Grants {
		name := string(g.Role)
		if c, ok := p.Roles[g.Role]; ok {
			name = string(c.Name)
		}
		out.Grants = append(out.Grants, api.Role{ProjectID: string(g.Project), EnvID: string(g.Env), Path: string(g.Path), Role: name, GroupID: string(g.Via), ExpiresAt: maybe(g.ExpiresAt)})
	}
	return out
}

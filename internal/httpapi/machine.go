package httpapi

import (
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/sensitive"
)

type methodParams struct {
	Name   string `path:"name" doc:"id or name of the identity"`
	Method string `path:"method" doc:"name of the method"`
}

type apiKeysParams struct {
	Identity string `query:"identity" doc:"id or name; absent: of all"`
}

// machineBody bounds the requests that carry a credential or settings, bytes: a JWT of 16 KiB, a bundle of certificates.
const machineBody = 96 << 10

func machineRoutes() []Route {
	const manage, look = "access.manage", "access.read"
	return []Route{
		with(Route{Method: "POST", Path: "/login/machine", Auth: Anyone, Action: "session.login", Summary: "Log a machine in by one of its login methods: a JWT, a signed request of AWS, a client certificate.", MaxBody: machineBody,
			Example: api.MachineLoginRequest{Identity: "0198c0de-0000-7000-8000-000000000000", Method: "ci", JWT: "test-value.test-value.test-value"}},
			func(c *call, _ *none, b *api.MachineLoginRequest) (api.Session, error) {
				in := access.MachineLogin{Identity: b.Identity, Method: b.Method, Credential: login.Credential{Token: sensitive.FromString(b.JWT)}}
				if b.AWS != nil {
					in.Request = &login.SignedRequest{Method: b.AWS.Method, URL: b.AWS.URL, Header: b.AWS.Header, Body: b.AWS.Body}
				}
				if c.r.TLS != nil {
					in.Certificates = c.r.TLS.PeerCertificates
				}
				return long(c, func() (api.Session, error) { return sessionOf(c.access.LoginMachine(c.ctx, in)) })
			}),
		with(Route{Method: "POST", Path: "/identities/{name}/methods", Auth: Token, Action: manage, Summary: "Give a machine one more way to log in.", MaxBody: machineBody, Status: http.StatusCreated,
			Example: api.MethodRequest{Name: "ci", Kind: "github", Settings: []byte(`{"audience":["https://keyturn.example.com"],"bound":{"repository":["acme/shop"]}}`), TTL: "10m"}},
			func(c *call, p *nameParam, b *api.MethodRequest) (api.Method, error) {
				limits, err := limitsOf("/ttl", b.TTL, "/max_ttl", b.MaxTTL, b.Uses, b.Networks)
				if err != nil {
					return api.Method{}, err
				}
				row, err := c.access.AddMethod(c.ctx, p.Name, access.MethodInput{Name: b.Name, Kind: b.Kind, Settings: b.Settings, Secrets: each(b.Secrets, sensitive.FromString), Limits: limits})
				return methodOf(row), err
			}),
		with(Route{Method: "GET", Path: "/identities/{name}/methods", Auth: Token, Action: look, Summary: "List the ways in which a machine may log in, beside client secrets.", Example: api.Methods{}},
			func(c *call, p *nameParam, _ *none) (api.Methods, error) {
				rows, err := c.access.Methods(c.ctx, p.Name)
				return api.Methods{Methods: each(rows, methodOf)}, err
			}),
		with(Route{Method: "PATCH", Path: "/identities/{name}/methods/{method}", Auth: Token, Action: manage, Summary: "Switch a login method off or on, or replace its secrets.", MaxBody: machineBody, Example: api.MethodChange{Secrets: []string{"a long test-value of 32 bytes or more"}}},
			func(c *call, p *methodParams, b *api.MethodChange) (api.Done, error) {
				switch {
				case (b.Disabled == nil) == (b.Secrets == nil):
					return api.Done{}, fault.New(fault.Invalid, "nothing to change, or too much at once").WithField("", "want one of disabled and secrets")
				case b.Disabled != nil:
					return done(c.access.DisableMethod(c.ctx, p.Name, p.Method, *b.Disabled))
				}
				return done(c.access.SetMethodSecrets(c.ctx, p.Name, p.Method, each(b.Secrets, sensitive.FromString)))
			}),
		with(Route{Method: "DELETE", Path: "/identities/{name}/methods/{method}", Auth: Token, Action: manage, Summary: "Take a way to log in away.", Example: api.Done{Done: true}},
			func(c *call, p *methodParams, _ *none) (api.Done, error) {
				return done(c.access.RemoveMethod(c.ctx, p.Name, p.Method))
			}),
		with(Route{Method: "DELETE", Path: "/identities/{name}/tokens", Auth: Token, Action: manage, Summary: "End every token of a machine, API keys too.", Example: api.Revoked{Revoked: 3}},
			func(c *call, p *nameParam, _ *none) (api.Revoked, error) {
				n, err := c.access.RevokeTokensOf(c.ctx, p.Name)
				return api.Revoked{Revoked: n}, err
			}),
		with(Route{Method: "POST", Path: "/tokens/renew", Auth: Token, Action: "self.read", Summary: "Give the token that is shown a later end, as far as its login allowed.", MaxBody: smallBody, Example: api.RenewRequest{TTL: "1h"}},
			func(c *call, _ *none, b *api.RenewRequest) (api.TokenInfo, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.TokenInfo{}, err
				}
				row, err := c.access.Renew(c.ctx, ttl)
				return tokenOf(row), err
			}),
		with(Route{Method: "POST", Path: "/tokens/jwt", Auth: Token, Action: "self.read", Summary: "Make a JWT by which another system can tell who the caller is.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.IdentityTokenRequest{Audience: "https://billing.example.com", TTL: "10m"}},
			func(c *call, _ *none, b *api.IdentityTokenRequest) (api.IdentityToken, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.IdentityToken{}, err
				}
				t, err := c.access.IssueIdentityToken(c.ctx, b.Audience, ttl)
				if err != nil {
					return api.IdentityToken{}, err
				}
				return api.IdentityToken{Token: string(t.Token.Reveal()), ID: t.ID, ExpiresAt: at(t.ExpiresAt)}, nil
			}),
		with(Route{Method: "POST", Path: "/api-keys", Auth: Token, Action: manage, Summary: "Make an API key for an application: a long-lived token of a machine, narrowed to scopes.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.APIKeyRequest{Identity: "backend", Name: "billing", Project: "shop", Scopes: "prod:/billing:read", TTL: "90d"}},
			func(c *call, _ *none, b *api.APIKeyRequest) (api.NewToken, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.NewToken{}, err
				}
				row, value, err := c.access.CreateAPIKey(c.ctx, c.secrets, access.APIKeyInput{Identity: b.Identity, Owner: b.Owner, Networks: b.Networks, Uses: b.Uses,
					TokenInput: access.TokenInput{Name: b.Name, Project: b.Project, Scopes: b.Scopes, TTL: ttl}})
				if err != nil {
					return api.NewToken{}, err
				}
				return api.NewToken{Token: string(value.Reveal()), TokenInfo: tokenOf(row)}, nil
			}),
		with(Route{Method: "GET", Path: "/api-keys", Auth: Token, Action: look, Summary: "List API keys, that which was used last first.", Example: api.Tokens{}},
			func(c *call, p *apiKeysParams, _ *none) (api.Tokens, error) {
				rows, err := c.access.APIKeys(c.ctx, p.Identity)
				return api.Tokens{Tokens: each(rows, tokenOf)}, err
			}),
		with(Route{Method: "DELETE", Path: "/api-keys/{id}", Auth: Token, Action: manage, Summary: "Revoke an API key at once, on every server.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) {
				return done(c.access.RevokeAPIKey(c.ctx, domain.TokenID(p.ID)))
			}),
		with(Route{Method: "POST", Path: "/wrap", Auth: Token, Action: "token.create", Summary: "Seal a value and give a token that opens it once.", MaxBody: valueBody, Status: http.StatusCreated,
			Example: api.WrapRequest{What: "first password of the database", Value: "test-value", TTL: "10m"}},
			func(c *call, _ *none, b *api.WrapRequest) (api.Wrapping, error) {
				ttl, err := parseDuration("/ttl", b.TTL)
				if err != nil {
					return api.Wrapping{}, err
				}
				row, token, err := c.access.Wrap(c.ctx, b.What, sensitive.FromString(b.Value), ttl)
				if err != nil {
					return api.Wrapping{}, err
				}
				return api.Wrapping{ID: row.ID, Token: string(token.Reveal()), ExpiresAt: at(row.ExpiresAt)}, nil
			}),
		with(Route{Method: "POST", Path: "/unwrap", Auth: Anyone, Action: "session.login", Summary: "Open a wrapped value, once. Whoever comes second is told when and from where it was opened before.", MaxBody: smallBody,
			Example: api.UnwrapRequest{Token: "ktw_test-value"}},
			func(c *call, _ *none, b *api.UnwrapRequest) (api.Unwrapped, error) {
				out, err := c.access.Unwrap(c.ctx, sensitive.FromString(b.Token))
				if err != nil {
					return api.Unwrapped{}, err
				}
				return api.Unwrapped{Value: string(out.Value.Reveal()), What: out.Row.What, CreatedBy: out.Row.CreatedName, CreatedAt: at(out.Row.CreatedAt)}, nil
			}),
		with(Route{Method: "POST", Path: "/projects/{project}/envs/{env}/jwt/rotate", Auth: Token, Action: "secret.write", Summary: "Give a JWT signing secret a new value, and keep that before until every token under it has ended.", MaxBody: valueBody,
			Example: api.JWTRotation{Path: "/backend", Name: "JWT_SECRET", Lifetime: "24h"}},
			func(c *call, p *envParams, b *api.JWTRotation) (api.JWTSecret, error) {
				r, err := jwtRotation(b)
				if err != nil {
					return api.JWTSecret{}, err
				}
				out, err := c.secrets.RotateSigning(c.ctx, env(p.Project, p.Env), r)
				return jwtSecretOf(out), err
			}),
		with(Route{Method: "GET", Path: "/projects/{project}/envs/{env}/jwt", Auth: Token, Action: "secret.list", Summary: "List the JWT signing secrets of an environment, and how long the values before them are in use.", Example: api.JWTSecrets{}},
			func(c *call, p *envParams, _ *none) (api.JWTSecrets, error) {
				rows, err := c.secrets.SigningSecrets(c.ctx, env(p.Project, p.Env))
				return api.JWTSecrets{Secrets: each(rows, jwtSecretOf)}, err
			}),
	}
}

func jwtRotation(b *api.JWTRotation) (secrets.SigningRotation, error) {
	out := secrets.SigningRotation{Force: b.Force}
	var err error
	if out.Lifetime, err = parseDuration("/lifetime", b.Lifetime); err != nil {
		return out, err
	}
	if out.Path, err = domain.ParsePath(b.Path); err != nil {
		return out, fault.As(err).WithField("/path", "not a path")
	}
	if out.Name, err = domain.ParseSecretName(b.Name); err != nil {
		return out, fault.As(err).WithField("/name", "not a name")
	}
	if b.Value != "" {
		v := sensitive.FromString(b.Value)
		out.Value = &v
	}
	return out, nil
}

func jwtSecretOf(s secrets.Signing) api.JWTSecret {
	return api.JWTSecret{Path: string(s.Path), Name: string(s.Name), Lifetime: s.Lifetime.String(), Version: s.Version, RotatedAt: at(s.RotatedAt), PreviousEndsAt: maybe(s.EndsAt), Revision: s.Revision}
}

func limitsOf(ttlField, ttl, maxField, maxTTL string, uses int64, networks []string) (access.Limits, error) {
	out := access.Limits{Uses: uses, Networks: networks}
	var err error
	if out.TTL, err = parseDuration(ttlField, ttl); err == nil {
		out.MaxTTL, err = parseDuration(maxField, maxTTL)
	}
	return out, err
}

func methodOf(m access.Method) api.Method {
	return api.Method{Name: m.Name, Kind: m.Kind, Settings: []byte(m.Settings), Secrets: m.Secrets, TTL: span(m.TTL), MaxTTL: span(m.MaxTTL), Uses: m.Uses, Networks: m.Networks,
		Disabled: m.Disabled, CreatedAt: at(m.CreatedAt)}
}

package infisical

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
)

func (s *Surface) serviceTokenRoutes() []route {
	return []route{
		{"GET /v2/service-token", withToken, s.getServiceToken},
		{"POST /v2/service-token", withToken, s.createServiceToken},
		{"DELETE /v2/service-token/{token}", withToken, s.deleteServiceToken},
		{"GET /v1/workspace/{project}/service-token-data", withToken, s.listServiceTokens},
	}
}

// maxServiceScopes bounds the scopes of one service token.
const maxServiceScopes = 64

// serviceScope is where a service token is good.
type serviceScope struct {
	Environment string `json:"environment"`
	Path        string `json:"secretPath"`
}

// scopesText writes scopes as the service takes them. Each part is checked alone before they are put together, so that none can
// hold another.
func scopesText(scopes []serviceScope, permissions []string) (string, error) {
	if len(scopes) == 0 || len(scopes) > maxServiceScopes {
		return "", wrong("scopes", "1 to 64 of environment and secretPath")
	}
	var verbs []domain.Verb
	for _, p := range permissions {
		switch p {
		case "read", "readValue":
			verbs = append(verbs, domain.VerbList, domain.VerbRead)
		case "write":
			verbs = append(verbs, domain.VerbWrite, domain.VerbDelete)
		default:
			return "", wrong("permissions", "read, write or readValue")
		}
	}
	if len(verbs) == 0 {
		return "", wrong("permissions", "at least one of read, write and readValue")
	}
	words := []string{}
	for _, v := range verbs {
		words = append(words, string(v))
	}
	all := []string{}
	for _, scope := range scopes {
		env, err := domain.ParseSlug(scope.Environment)
		if err != nil {
			return "", wrong("scopes", "the slug of an environment")
		}
		path, err := domain.ParsePattern(strings.TrimRight(scope.Path, "/") + "/" + domain.Alone)
		if err != nil {
			return "", fault.As(err).WithField("/scopes", "secretPath is a path, with * for one folder and ** for any number of them")
		}
		all = append(all, string(env)+":"+string(path)+":"+strings.Join(words, ","))
	}
	return strings.Join(all, ";"), nil
}

// createServiceToken makes a token that acts as its maker, narrowed to scopes. The path of a scope is that folder alone, as clients
// mean it.
func (s *Surface) createServiceToken(ctx context.Context, c *call) (*answer, error) {
	name, err := c.must("name")
	if err != nil {
		return nil, err
	}
	project, err := c.must("projectId")
	if err != nil {
		return nil, err
	}
	var scopes []serviceScope
	if err := c.into("scopes", &scopes); err != nil {
		return nil, err
	}
	var permissions []string
	if err := c.into("permissions", &permissions); err != nil {
		return nil, err
	}
	text, err := scopesText(scopes, permissions)
	if err != nil {
		return nil, err
	}
	ttl, err := c.integer("expiresIn")
	if err != nil {
		return nil, err
	}
	if ttl <= 0 || ttl > int64(longest/time.Second) {
		return nil, fault.New(fault.Unsupported, "every token ends here, after 366 days at most").WithHint("give expiresIn as 1 to 31622400 seconds")
	}
	row, value, err := s.Access.CreateToken(ctx, s.Secrets, access.TokenInput{Name: name, Project: project, Scopes: text, TTL: time.Duration(ttl) * time.Second})
	if err != nil {
		return nil, err
	}
	data, err := s.serviceToken(ctx, row)
	if err != nil {
		return nil, err
	}
	return with(object{"serviceToken": "st." + string(row.ID) + "." + string(value.Reveal()), "serviceTokenData": data}), nil
}

// serviceToken is what is known of one. Environments are told by slug; those that are gone are left out.
func (s *Surface) serviceToken(ctx context.Context, row access.Token) (object, error) {
	if row.Kind != domain.APIToken || len(row.Scopes) == 0 {
		return nil, fault.New(fault.Denied, "this is no service token")
	}
	project := row.Scopes[0].Project
	p, err := s.Secrets.Project(ctx, string(project))
	if err != nil {
		return nil, err
	}
	scopes, permissions := []object{}, []string{}
	for _, scope := range row.Scopes {
		if scope.Project != project {
			continue
		}
		for _, e := range p.Envs {
			if scope.Env == "" || scope.Env == e.ID {
				scopes = append(scopes, object{"environment": e.Slug, "secretPath": serviceScopePath(scope)})
			}
		}
		for word, verb := range map[string]domain.Verb{"read": domain.VerbRead, "write": domain.VerbWrite} {
			if slices.Contains(scope.Verbs, verb) && !slices.Contains(permissions, word) {
				permissions = append(permissions, word)
			}
		}
	}
	slices.Sort(permissions)
	return object{"id": row.ID, "_id": row.ID, "name": row.Name, "workspace": project, "projectId": project, "scopes": scopes, "permissions": permissions, "lastUsed": nil, "createdBy": row.PrincipalID,
		"encryptedKey": "", "iv": "", "tag": "", "expiresAt": stamp(row.ExpiresAt), "createdAt": stamp(row.CreatedAt), "updatedAt": stamp(row.CreatedAt), "__v": 0}, nil
}

// serviceScopePath writes where a scope is good as clients understand it: for them a path is that folder alone.
func serviceScopePath(scope domain.Scope) string {
	if folder, alone := strings.CutSuffix(string(scope.Path), "/"+domain.Alone); alone {
		return "/" + strings.TrimPrefix(folder, "/")
	}
	return strings.TrimSuffix(string(scope.Path), "/") + "/**"
}

// getServiceToken tells what the token is that the client shows.
func (s *Surface) getServiceToken(ctx context.Context, _ *call) (*answer, error) {
	row, err := s.Access.Current(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.serviceToken(ctx, row)
	if err != nil {
		return nil, err
	}
	who := access.Caller(ctx)
	out["user"] = object{"_id": who.ID, "id": who.ID, "email": who.Name, "username": who.Name, "firstName": who.Name, "lastName": "", "createdAt": stamp(row.CreatedAt), "updatedAt": stamp(row.CreatedAt), "__v": 0}
	return with(out), nil
}

// own lists the caller's service tokens of a project that live; with "" of all.
func (s *Surface) ownServiceTokens(ctx context.Context) ([]access.Token, error) {
	all, err := s.Access.Tokens(ctx, false)
	now := time.Now().UnixMilli()
	return slices.DeleteFunc(all, func(t access.Token) bool {
		return t.Kind != domain.APIToken || len(t.Scopes) == 0 || t.RevokedAt != 0 || t.ExpiresAt <= now
	}), err
}

func (s *Surface) listServiceTokens(ctx context.Context, c *call) (*answer, error) {
	p, err := s.Secrets.Project(ctx, c.http.PathValue("project"))
	if err != nil {
		return nil, err
	}
	all, err := s.ownServiceTokens(ctx)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, t := range all {
		if t.Scopes[0].Project != p.ID {
			continue
		}
		o, err := s.serviceToken(ctx, t)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return with(object{"serviceTokenData": out}), nil
}

func (s *Surface) deleteServiceToken(ctx context.Context, c *call) (*answer, error) {
	all, err := s.ownServiceTokens(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(t access.Token) bool { return string(t.ID) == c.http.PathValue("token") })
	if at < 0 {
		return nil, guard.Missing()
	}
	data, err := s.serviceToken(ctx, all[at])
	if err == nil {
		err = s.Access.RevokeToken(ctx, all[at].ID)
	}
	if err != nil {
		return nil, err
	}
	return with(object{"serviceTokenData": data}), nil
}

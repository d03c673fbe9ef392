package infisical

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func (s *Surface) tokenRoutes() []route {
	return []route{
		{"POST /v1/auth/token/renew", withoutToken, s.renewToken},
		{"POST /v1/auth/token/revoke", withoutToken, s.revokeToken},
	}
}

// farFuture is the end that is told of a token which has none, in seconds: clients take one without an end for expired, and
// this is the last that all of them can write as a date, in the year 9999.
const farFuture = 253402300799

// claims are what clients read in a token without checking it. They decide nothing here.
type claims struct {
	Expires      int64  `json:"exp"`
	Issued       int64  `json:"iat"`
	Type         string `json:"authTokenType"`
	Method       string `json:"authMethod,omitzero"`
	Identity     string `json:"identityId,omitzero"`
	IdentityName string `json:"identityName,omitzero"`
	Org          string `json:"orgId,omitzero"`
	User         string `json:"userId,omitzero"`
	UserOrg      string `json:"organizationId,omitzero"`
}

// dress gives a token the form of a JWT that says who holds it. Organisation tells whether the token of a person has chosen one.
func dress(token sensitive.Value, name string, row access.Token, organization bool) (sensitive.Value, error) {
	c := claims{Expires: farFuture, Issued: row.CreatedAt / 1000, Method: methodName(row.Method)}
	if row.ExpiresAt != 0 {
		c.Expires = row.ExpiresAt / 1000
	}
	if row.PrincipalKind == domain.User {
		c.Type, c.User = "accessToken", row.PrincipalID
		if organization {
			c.UserOrg = string(row.Org)
		}
	} else {
		c.Type, c.Identity, c.IdentityName, c.Org = "identityAccessToken", row.PrincipalID, name, string(row.Org)
	}
	text, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		return sensitive.Value{}, fault.Wrap(fault.Internal, err, "the claims of a token could not be written")
	}
	return domain.DressToken(token, text), nil
}

// methodName gives the dialect's name of how a login proved who it is; its own are "KIND:NAME".
func methodName(method string) string {
	kind, _, _ := strings.Cut(method, ":")
	switch kind {
	case "client-secret":
		return "universal-auth"
	case "kubernetes", "aws", "gcp", "azure", "jwt", "oidc", "ldap":
		return kind + "-auth"
	case "jwks":
		return "jwt-auth"
	case "github", "gitlab":
		return "oidc-auth"
	case "api-key", access.KindToken:
		return "token-auth"
	case "password":
		return "email"
	}
	return kind
}

// lease is the answer to every login of a machine and to each renewal: whole seconds, as integers.
func lease(token sensitive.Value, name string, row access.Token) (*answer, error) {
	shown, err := dress(token, name, row, true)
	if err != nil {
		return nil, err
	}
	left := time.Until(time.UnixMilli(row.ExpiresAt))
	whole := time.Duration(max(row.ExpiresAt, row.RenewUntil)-row.CreatedAt) * time.Millisecond
	return with(object{"accessToken": string(shown.Reveal()), "expiresIn": seconds(left), "accessTokenMaxTTL": seconds(whole), "tokenType": "Bearer"}), nil
}

// seconds rounds up: what was given a moment ago for an hour is told as an hour.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// shownToken finds whose token stands in the body: clients send it there, and some not in the header.
func (s *Surface) shownToken(ctx context.Context, c *call) (sensitive.Value, error) {
	text, err := c.must("accessToken")
	if err != nil {
		return sensitive.Value{}, err
	}
	token := domain.BareToken(text)
	caller := guard.CallerOf(ctx)
	who, err := s.Access.Authenticate(ctx, token, caller.Address)
	if err != nil {
		return sensitive.Value{}, s.Access.Refused(ctx, err)
	}
	caller.Principal = who
	return sensitive.FromString(token), nil
}

func (s *Surface) renewToken(ctx context.Context, c *call) (*answer, error) {
	token, err := s.shownToken(ctx, c)
	if err != nil {
		return nil, err
	}
	row, err := s.Access.RenewOrKeep(ctx)
	if err != nil {
		return nil, err
	}
	return lease(token, access.Caller(ctx).Name, row)
}

func (s *Surface) revokeToken(ctx context.Context, c *call) (*answer, error) {
	if _, err := s.shownToken(ctx, c); err != nil {
		return nil, err
	}
	if err := s.Access.Logout(ctx); err != nil {
		return nil, err
	}
	return with(object{"message": "Successfully revoked access token"}), nil
}

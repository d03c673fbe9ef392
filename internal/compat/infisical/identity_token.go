package infisical

import (
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Token auth: tokens of a machine that somebody makes and hands over.

func methodLimits(m access.Method) access.Limits {
	return access.Limits{TTL: time.Duration(m.TTL) * time.Millisecond, MaxTTL: time.Duration(max(m.MaxTTL, m.TTL)) * time.Millisecond, Uses: m.Uses, Networks: m.Networks}
}

func tokenAuthAnswer(m access.Method, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return with(object{"identityTokenAuth": limitsOf(object{"id": m.ID, "identityId": m.Identity, "createdAt": stamp(m.CreatedAt), "updatedAt": stamp(m.CreatedAt)}, methodLimits(m))}), nil
}

// tokenAuth finds the token auth of the machine of the path.
func (s *Surface) tokenAuth(ctx context.Context, c *call) (access.Method, error) {
	all, err := s.Access.Methods(ctx, c.http.PathValue("identity"))
	if err != nil {
		return access.Method{}, err
	}
	at := slices.IndexFunc(all, func(m access.Method) bool { return m.Kind == access.KindToken })
	if at < 0 {
		return access.Method{}, fault.New(fault.NotFound, "the machine has no token auth")
	}
	return all[at], nil
}

func (s *Surface) attachTokens(ctx context.Context, c *call) (*answer, error) {
	_, err := s.tokenAuth(ctx, c)
	if err == nil {
		err = fault.New(fault.Exists, "the machine has token auth already")
	}
	if fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	limits, err := c.limits(freshLimits)
	if err != nil {
		return nil, err
	}
	return tokenAuthAnswer(s.Access.AllowTokens(ctx, c.http.PathValue("identity"), limits))
}

func (s *Surface) getTokens(ctx context.Context, c *call) (*answer, error) {
	return tokenAuthAnswer(s.tokenAuth(ctx, c))
}

func (s *Surface) changeTokens(ctx context.Context, c *call) (*answer, error) {
	m, err := s.tokenAuth(ctx, c)
	if err != nil {
		return nil, err
	}
	limits, err := c.limits(methodLimits(m))
	if err != nil {
		return nil, err
	}
	return tokenAuthAnswer(s.Access.AllowTokens(ctx, string(m.Identity), limits))
}

func (s *Surface) detachTokens(ctx context.Context, c *call) (*answer, error) {
	m, err := s.tokenAuth(ctx, c)
	if err == nil {
		err = s.Access.ForbidTokens(ctx, string(m.Identity))
	}
	return tokenAuthAnswer(m, err)
}

// issuedOf is what is known of a token that was made for a machine.
func issuedOf(t access.Token) object {
	o := object{"id": t.ID, "identityId": t.PrincipalID, "name": t.Name, "authMethod": "token-auth", "isAccessTokenRevoked": t.RevokedAt != 0,
		"accessTokenTTL": (t.ExpiresAt - t.CreatedAt) / 1000, "accessTokenMaxTTL": (max(t.ExpiresAt, t.RenewUntil) - t.CreatedAt) / 1000, "accessTokenNumUses": t.Used,
		"accessTokenNumUsesLimit": t.Uses, "accessTokenPeriod": 0, "accessTokenLastUsedAt": nil, "accessTokenLastRenewedAt": nil, "identityUAClientSecretId": nil,
		"createdAt": stamp(t.CreatedAt), "updatedAt": stamp(max(t.CreatedAt, t.LastUsedAt, t.RevokedAt))}
	if t.LastUsedAt != 0 {
		o["accessTokenLastUsedAt"] = stamp(t.LastUsedAt)
	}
	return o
}

func (s *Surface) issueToken(ctx context.Context, c *call) (*answer, error) {
	name, err := c.text("name")
	if err != nil {
		return nil, err
	}
	k, err := s.Access.Identity(ctx, c.http.PathValue("identity"))
	if err != nil {
		return nil, err
	}
	row, value, err := s.Access.IssueToken(ctx, string(k.ID), name)
	if err != nil {
		return nil, err
	}
	out, err := lease(value, string(k.Name), row)
	if err == nil {
		out.body.(object)["tokenData"] = issuedOf(row)
	}
	return out, err
}

func (s *Surface) listIssued(ctx context.Context, c *call) (*answer, error) {
	all, err := s.Access.IssuedTokens(ctx, c.http.PathValue("identity"))
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, t := range all {
		out = append(out, issuedOf(t))
	}
	return with(object{"tokens": out}), nil
}

func issuedAnswer(t access.Token, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return with(object{"token": issuedOf(t), "tokenData": issuedOf(t), "message": "Successfully handled token"}), nil
}

func (c *call) issuedID() domain.TokenID { return domain.TokenID(c.http.PathValue("token")) }

func (s *Surface) getIssued(ctx context.Context, c *call) (*answer, error) {
	return issuedAnswer(s.Access.IssuedToken(ctx, c.issuedID()))
}

func (s *Surface) renameIssued(ctx context.Context, c *call) (*answer, error) {
	name, err := c.text("name")
	if err != nil {
		return nil, err
	}
	return issuedAnswer(s.Access.ChangeIssuedToken(ctx, c.issuedID(), name, false))
}

func (s *Surface) revokeIssued(ctx context.Context, c *call) (*answer, error) {
	return issuedAnswer(s.Access.ChangeIssuedToken(ctx, c.issuedID(), "", true))
}

package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func (s *Surface) universalRoutes() []route {
	return []route{
		{"POST /v1/auth/universal-auth/login", withoutToken, s.universalLogin},
	}
}

// universalLogin takes an identity's id as the client id.
func (s *Surface) universalLogin(ctx context.Context, c *call) (*answer, error) {
	id, err := c.must("clientId")
	if err != nil {
		return nil, err
	}
	secret, err := c.must("clientSecret")
	if err != nil {
		return nil, err
	}
	return s.machineLogin(ctx, c, func() (access.Session, error) {
		return s.Access.LoginIdentity(ctx, id, sensitive.FromString(secret))
	})
}

// machineLogin runs a login of a machine and answers as all of them do. Whatever is wrong with what was shown is a 401, its form
// too: clients take only that as "not let in".
func (s *Surface) machineLogin(ctx context.Context, c *call, login func() (access.Session, error)) (*answer, error) {
	for _, name := range []string{"organizationSlug", "subOrganizationName"} {
		organization, err := c.text(name)
		if err == nil {
			err = s.Access.LoginTo(ctx, organization)
		}
		if err != nil {
			return nil, err
		}
	}
	session, err := login()
	if f := fault.As(err); err != nil && (f.Kind == fault.Invalid || f.Kind == fault.NotFound) {
		err = fault.Wrap(fault.Unauthenticated, err, "%s", f.Message)
	}
	if err != nil {
		return nil, err
	}
	return lease(session.Token, session.Name, session.Row)
}

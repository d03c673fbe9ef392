package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func (s *Surface) bootstrapRoutes() []route {
	return []route{
		{"POST /v1/admin/bootstrap", withoutToken, s.bootstrap},
	}
}

// firstMachineName is what the dialect calls the machine that set-up makes.
const firstMachineName = "Instance Admin Identity"

// bootstrap is the set-up of a fresh server. The same guards it as the native one: in production the set-up token that the start
// of the server printed is needed, as the bearer or as the field setupToken.
func (s *Surface) bootstrap(ctx context.Context, c *call) (*answer, error) {
	in := access.SetupInput{Machine: firstMachineName, Direct: httpkit.Direct(c.http)}
	password, token := "", ""
	for _, part := range []struct {
		name string
		into *string
	}{{"email", &in.Email}, {"password", &password}, {"organization", &in.Org}} {
		text, err := c.must(part.name)
		if err != nil {
			return nil, err
		}
		*part.into = text
	}
	token, err := c.text("setupToken")
	if err != nil {
		return nil, err
	}
	if token == "" {
		if token, err = httpkit.Bearer(c.http); err != nil {
			token = ""
		}
	}
	needed, err := s.Access.NeedsSetup(ctx)
	if err != nil {
		return nil, err
	}
	if !needed {
		return nil, fault.New(fault.Exists, "Instance has already been set up")
	}
	in.Password, in.Token = sensitive.FromString(password), sensitive.FromString(token)
	first, err := s.Access.SetUp(ctx, in)
	if err != nil {
		return nil, err
	}
	shown, err := dress(first.MachineToken, string(first.Machine.Name), access.Token{PrincipalKind: domain.Identity, PrincipalID: string(first.Machine.ID), Org: first.Org,
		CreatedAt: first.Machine.CreatedAt, ExpiresAt: first.Machine.CreatedAt + longest.Milliseconds(), Method: access.KindToken}, true)
	if err != nil {
		return nil, err
	}
	email, err := domain.ParseEmail(in.Email)
	if err != nil {
		return nil, err
	}
	return with(object{
		"message":      "Successfully bootstrapped instance",
		"user":         object{"id": first.User, "email": email, "firstName": "Admin", "lastName": "User", "username": email, "superAdmin": true},
		"organization": organizationOf(first.Organization),
		"identity":     object{"id": first.Machine.ID, "name": first.Machine.Name, "credentials": object{"token": string(shown.Reveal())}},
	}), nil
}

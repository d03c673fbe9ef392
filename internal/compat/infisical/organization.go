package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
)

func (s *Surface) organizationRoutes() []route {
	return []route{
		{"GET /v1/organization", withoutToken, s.organizations},
		{"GET /v1/organization/accessible-with-sub-orgs", withoutToken, s.organizations},
		{"GET /v1/organization/{organization}", withToken, s.oneOrganization},
		{"GET /v1/organizations/{organization}", withToken, s.oneOrganization},
	}
}

func organizationOf(o access.Org) object {
	return object{"id": o.ID, "_id": o.ID, "name": o.Name, "slug": o.Slug, "createdAt": stamp(o.CreatedAt), "updatedAt": stamp(o.CreatedAt)}
}

// organizations lists the one that a token belongs to, or that somebody may choose whose login has begun. There are no
// organisations inside of others here.
func (s *Surface) organizations(ctx context.Context, c *call) (*answer, error) {
	b, person, err := s.begun(c)
	var own access.Org
	switch {
	case err != nil:
	case person:
		own, _, err = s.Access.Between(ctx, b.Email)
	default:
		if err = s.identify(ctx, c.http, guard.CallerOf(ctx)); err == nil {
			own, err = s.Access.Organization(ctx)
			person = access.Caller(ctx).Kind == domain.User
		}
	}
	if err != nil {
		return nil, err
	}
	out := organizationOf(own)
	out["subOrganizations"] = []object{}
	if person {
		out["userRole"], out["userStatus"] = roleMember, "accepted"
	}
	return with(object{"organizations": []object{out}}), nil
}

func (s *Surface) oneOrganization(ctx context.Context, c *call) (*answer, error) {
	own, err := s.Access.Organization(ctx)
	if name := c.http.PathValue("organization"); err == nil && name != string(own.ID) && name != string(own.Slug) {
		err = guard.Missing()
	}
	if err != nil {
		return nil, err
	}
	return with(object{"organization": organizationOf(own)}), nil
}

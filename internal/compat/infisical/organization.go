package infisical

import (
	"context"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
)

func (s *Surface) organizationRoutes() []route {
	return []route{
		{"GET /v1/organization", withToken, s.organizations},
		{"GET /v1/organization/accessible-with-sub-orgs", withToken, s.organizations},
		{"GET /v1/organization/{organization}", withToken, s.oneOrganization},
		{"GET /v1/organizations/{organization}", withToken, s.oneOrganization},
	}
}

func organizationOf(o access.Org) object {
	return object{"id": o.ID, "_id": o.ID, "name": o.Name, "slug": o.Slug, "createdAt": stamp(o.CreatedAt), "updatedAt": stamp(o.CreatedAt)}
}

// organizations lists the one that a token belongs to. There are no organisations inside of others here.
func (s *Surface) organizations(ctx context.Context, _ *call) (*answer, error) {
	own, err := s.Access.Organization(ctx)
	if err != nil {
		return nil, err
	}
	out := organizationOf(own)
	out["subOrganizations"] = []object{}
	if access.Caller(ctx).Kind == domain.User {
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

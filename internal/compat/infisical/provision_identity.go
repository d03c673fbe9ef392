package infisical

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (s *Surface) provisionIdentityRoutes() []route {
	return []route{
		{"GET /v1/identities/details", withToken, s.identityDetails},
		{"POST /v1/identities", withToken, s.createIdentity},
		{"GET /v1/identities", withToken, s.listIdentities},
		{"GET /v1/identities/{identity}", withToken, s.getIdentity},
		{"PATCH /v1/identities/{identity}", withToken, s.changeIdentity},
		{"DELETE /v1/identities/{identity}", withToken, s.deleteIdentity},
		{"GET /v2/organizations/{organization}/identity-memberships", withToken, s.listIdentities},
		{"POST /v1/projects/{project}/identities", withToken, s.createProjectIdentity},
		{"GET /v1/projects/{project}/identities", withToken, s.listProjectIdentities},
		{"GET /v1/projects/{project}/identities/{identity}", withToken, s.getProjectIdentity},
		{"PATCH /v1/projects/{project}/identities/{identity}", withToken, s.changeProjectIdentity},
		{"DELETE /v1/projects/{project}/identities/{identity}", withToken, s.deleteProjectIdentity},
	}
}

// The dialect's names of roles in the whole organisation. A member may do nothing by that.
const (
	roleNoAccess = "no-access"
	roleMember   = "member"
)

// identityInput reads what is known of a machine. Role and its like are absent in requests about one of a project.
func (s *Surface) identityInput(ctx context.Context, c *call) (access.IdentityInput, error) {
	var in access.IdentityInput
	var err error
	if in.Name, err = c.optional("name"); err != nil {
		return in, err
	}
	if in.Protected, err = c.optionalFlag("hasDeleteProtection"); err != nil {
		return in, err
	}
	if _, there := c.raw("metadata"); there {
		all := []access.Metadata{}
		if err := c.into("metadata", &all); err != nil {
			return in, err
		}
		in.Metadata = &all
	}
	if in.Name != nil && *in.Name == "" {
		return in, wrong("name", "a string, it is empty")
	}
	organization, err := c.text("organizationId")
	if err == nil && organization != "" {
		var own access.Org
		if own, err = s.Access.Organization(ctx); err == nil && organization != string(own.ID) {
			err = fault.New(fault.Denied, "the organisation is not that of the token")
		}
	}
	return in, err
}

// organizationRole reads the role of a machine in the whole organisation.
func (c *call) organizationRole(in *access.IdentityInput) error {
	role, err := c.optional("role")
	if err != nil || role == nil {
		return err
	}
	member, given := true, *role
	switch given {
	case "", roleNoAccess:
		member, given = false, ""
	case roleMember:
		given = ""
	}
	in.Member, in.Role = &member, &given
	return nil
}

// identityOf is a machine itself.
func identityOf(k access.KnownIdentity) object {
	metadata := []object{}
	for _, m := range k.Metadata {
		metadata = append(metadata, object{"id": k.ID, "key": m.Key, "value": m.Value})
	}
	changed := max(k.ChangedAt, k.CreatedAt)
	methods := authMethods(k)
	out := object{"id": k.ID, "name": k.Name, "orgId": k.Org, "projectId": nil, "authMethods": methods, "authMethod": nil, "metadata": metadata, "hasDeleteProtection": k.Protected,
		"createdAt": stamp(k.CreatedAt), "updatedAt": stamp(changed)}
	if len(methods) > 0 {
		out["authMethod"] = methods[0]
	}
	return out
}

// authMethods names the ways in which a machine may log in.
func authMethods(k access.KnownIdentity) []string {
	out := []string{}
	if k.Secrets {
		out = append(out, "universal-auth")
	}
	for _, m := range k.Methods {
		if name := methodName(m.Kind); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// identityMembership is a machine as a member of the organisation.
func identityMembership(k access.KnownIdentity) object {
	out := object{"id": k.ID, "identityId": k.ID, "orgId": k.Org, "role": roleNoAccess, "roleId": nil, "customRole": nil, "createdAt": stamp(k.CreatedAt),
		"updatedAt": stamp(max(k.ChangedAt, k.CreatedAt)), "identity": identityOf(k), "metadata": identityOf(k)["metadata"]}
	switch {
	case k.Role.ID != "":
		out["role"], out["roleId"] = "custom", k.Role.ID
		out["customRole"] = object{"id": k.Role.ID, "name": k.Role.Name, "slug": k.Role.Name, "description": k.Role.Description, "permissions": []object{}, "orgId": k.Org}
	case k.Role.Name != "" && k.Role.Name != domain.Slug(domain.None):
		out["role"] = k.Role.Name
	case k.Member:
		out["role"] = roleMember
	}
	return out
}

func (s *Surface) identityAnswer(ctx context.Context, id string) (*answer, error) {
	k, err := s.Access.Identity(ctx, id)
	if err != nil {
		return nil, err
	}
	return with(object{"identity": identityOf(k)}), nil
}

func (s *Surface) createIdentity(ctx context.Context, c *call) (*answer, error) {
	in, err := s.identityInput(ctx, c)
	if err == nil && in.Name == nil {
		err = wrong("name", "a string, it is missing")
	}
	if err == nil {
		err = c.organizationRole(&in)
	}
	if err != nil {
		return nil, err
	}
	row, err := s.Access.ProvisionIdentity(ctx, in)
	if err != nil {
		return nil, err
	}
	return s.identityAnswer(ctx, string(row.ID))
}

func (s *Surface) getIdentity(ctx context.Context, c *call) (*answer, error) {
	k, err := s.Access.Identity(ctx, c.http.PathValue("identity"))
	if err != nil {
		return nil, err
	}
	return with(object{"identity": identityMembership(k)}), nil
}

func (s *Surface) listIdentities(ctx context.Context, c *call) (*answer, error) {
	all, err := s.Access.KnownIdentities(ctx)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, k := range all {
		out = append(out, identityMembership(k))
	}
	return with(object{"identities": out, "identityMemberships": out, "totalCount": len(out)}), nil
}

func (s *Surface) changeIdentity(ctx context.Context, c *call) (*answer, error) {
	in, err := s.identityInput(ctx, c)
	if err == nil {
		err = c.organizationRole(&in)
	}
	if err != nil {
		return nil, err
	}
	row, err := s.Access.ChangeIdentity(ctx, c.http.PathValue("identity"), in)
	if err != nil {
		return nil, err
	}
	return s.identityAnswer(ctx, string(row.ID))
}

func (s *Surface) deleteIdentity(ctx context.Context, c *call) (*answer, error) {
	row, err := s.Access.DeleteIdentity(ctx, c.http.PathValue("identity"))
	if err != nil {
		return nil, err
	}
	return with(object{"identity": identityOf(access.KnownIdentity{Identity: row})}), nil
}

// identityDetails tells a machine where it belongs.
func (s *Surface) identityDetails(ctx context.Context, c *call) (*answer, error) {
	own, err := s.Access.Organization(ctx)
	if err == nil && access.Caller(ctx).Kind != domain.Identity {
		err = fault.New(fault.Denied, "this is for the tokens of machines")
	}
	if err != nil {
		return nil, err
	}
	return with(object{"identityDetails": object{"organization": organizationOf(own)}}), nil
}

// A machine of a project is one of the organisation here, which has that project's membership: the model knows no machines
// that belong to a project.

func ofProject(o object, project domain.ProjectID) object {
	o["projectId"] = project
	return o
}

func (s *Surface) createProjectIdentity(ctx context.Context, c *call) (*answer, error) {
	in, err := s.identityInput(ctx, c)
	if err == nil && in.Name == nil {
		err = wrong("name", "a string, it is missing")
	}
	if err != nil {
		return nil, err
	}
	p, err := s.Secrets.Project(ctx, c.http.PathValue("project"))
	if err != nil {
		return nil, err
	}
	row, err := s.Access.ProvisionIdentity(ctx, in)
	if err != nil {
		return nil, err
	}
	member := access.MembershipInput{Project: string(p.ID), Kind: domain.Identity, Principal: string(row.ID), Roles: []access.RoleFor{{Role: string(domain.None)}}, Fresh: true}
	if _, err := s.Access.SetMembership(ctx, s.Secrets, member); err != nil {
		return nil, err
	}
	k, err := s.Access.Identity(ctx, string(row.ID))
	if err != nil {
		return nil, err
	}
	return with(object{"identity": ofProject(identityOf(k), p.ID)}), nil
}

// projectIdentity finds a machine that is a member of the project of the path.
func (s *Surface) projectIdentity(ctx context.Context, c *call) (access.KnownIdentity, domain.ProjectID, error) {
	m, err := s.Access.Membership(ctx, s.Secrets, access.MembershipInput{Project: c.http.PathValue("project"), Kind: domain.Identity, Principal: c.http.PathValue("identity")})
	if err != nil {
		return access.KnownIdentity{}, "", err
	}
	k, err := s.Access.Identity(ctx, m.ID)
	return k, m.Project, err
}

func (s *Surface) getProjectIdentity(ctx context.Context, c *call) (*answer, error) {
	k, project, err := s.projectIdentity(ctx, c)
	if err != nil {
		return nil, err
	}
	return with(object{"identity": ofProject(identityOf(k), project)}), nil
}

func (s *Surface) listProjectIdentities(ctx context.Context, c *call) (*answer, error) {
	all, err := s.Access.Memberships(ctx, s.Secrets, c.http.PathValue("project"), domain.Identity)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, m := range all {
		k, err := s.Access.Identity(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, ofProject(identityOf(k), m.Project))
	}
	return with(object{"identities": out, "totalCount": len(out)}), nil
}

func (s *Surface) changeProjectIdentity(ctx context.Context, c *call) (*answer, error) {
	in, err := s.identityInput(ctx, c)
	if err != nil {
		return nil, err
	}
	k, project, err := s.projectIdentity(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err = s.Access.ChangeIdentity(ctx, string(k.ID), in); err == nil {
		k, err = s.Access.Identity(ctx, string(k.ID))
	}
	if err != nil {
		return nil, err
	}
	return with(object{"identity": ofProject(identityOf(k), project)}), nil
}

func (s *Surface) deleteProjectIdentity(ctx context.Context, c *call) (*answer, error) {
	k, project, err := s.projectIdentity(ctx, c)
	if err == nil {
		_, err = s.Access.DeleteIdentity(ctx, string(k.ID))
	}
	if err != nil {
		return nil, err
	}
	return with(object{"identity": ofProject(identityOf(k), project)}), nil
}

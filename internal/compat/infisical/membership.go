package infisical

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func (s *Surface) membershipRoutes() []route {
	var out []route
	for _, under := range []string{"/v1/projects/{project}/memberships/identities", "/v1/projects/{project}/identity-memberships", "/v2/workspace/{project}/identity-memberships"} {
		out = append(out, []route{
			{"GET " + under, withToken, s.identityMembers},
			{"POST " + under + "/{identity}", withToken, s.addIdentityMember},
			{"GET " + under + "/{identity}", withToken, s.getIdentityMember},
			{"PATCH " + under + "/{identity}", withToken, s.changeIdentityMember},
			{"DELETE " + under + "/{identity}", withToken, s.removeIdentityMember},
		}...)
	}
	for _, under := range []string{"/v1/projects/{project}/memberships", "/v1/workspace/{project}/memberships", "/v2/workspace/{project}/memberships"} {
		out = append(out, []route{
			{"GET " + under, withToken, s.userMembers},
			{"POST " + under, withToken, s.addUserMembers},
			{"DELETE " + under, withToken, s.removeUserMembers},
			{"POST " + under + "/details", withToken, s.findUserMember},
			{"GET " + under + "/{member}", withToken, s.getUserMember},
			{"PATCH " + under + "/{member}", withToken, s.changeUserMember},
			{"DELETE " + under + "/{member}", withToken, s.removeUserMember},
		}...)
	}
	return out
}

// The dialect's names of roles in a project, beside admin and those of custom roles. Its viewer sees values, which ours does not:
// that one is shown as the name of a custom role.
const (
	roleViewer    = "viewer"
	roleNamesOnly = "names-only"
)

// roleHere gives our role for one of the dialect.
func roleHere(role string) string {
	switch role {
	case roleMember:
		return string(domain.Developer)
	case roleViewer:
		return access.Reader
	case roleNamesOnly:
		return string(domain.Viewer)
	case roleNoAccess:
		return string(domain.None)
	}
	return role
}

// roleThere gives the dialect's role for one of ours; custom ones have a slug of their own.
func roleThere(h access.Held) (role, custom string) {
	switch {
	case h.Named.ID != "" && h.Named.Name == access.Reader:
		return roleViewer, ""
	case h.Named.ID != "":
		return "custom", string(h.Named.Name)
	}
	switch domain.Role(h.Named.Name) {
	case domain.Developer:
		return roleMember, ""
	case domain.Viewer:
		return "custom", roleNamesOnly
	case domain.None:
		return roleNoAccess, ""
	}
	return string(h.Named.Name), ""
}

// wantedRole is a role of a membership as clients write it.
type wantedRole struct {
	Role      string `json:"role"`
	Temporary bool   `json:"isTemporary"`
	Mode      string `json:"temporaryMode"`
	Range     string `json:"temporaryRange"`
	Start     string `json:"temporaryAccessStartTime"`
}

// temporaryReason is what is kept with a role for a time, so that it is read back as it was written.
const temporaryReason = "for %s from %s"

// forTime reads how long a role holds. It begins when it is given: one that begins later cannot be kept.
func (r wantedRole) forTime(now time.Time) (access.RoleFor, error) {
	out := access.RoleFor{Role: roleHere(r.Role)}
	if r.Role == "" {
		return out, wrong("roles", "a role, it is missing")
	}
	if !r.Temporary {
		return out, nil
	}
	if r.Mode != "" && r.Mode != "relative" {
		return out, wrong("roles", "the temporaryMode relative")
	}
	span, err := parseSpan(r.Range)
	if err != nil {
		return out, wrong("roles", "a temporaryRange such as 30m, 1h or 7d")
	}
	start := now
	if r.Start != "" {
		if start, err = time.Parse(time.RFC3339, r.Start); err != nil {
			return out, wrong("roles", "a temporaryAccessStartTime as RFC 3339 writes it")
		}
		if start.IsZero() { // what Go clients send for none
			start = now
		}
	}
	if start.After(now.Add(clockSlack)) {
		return out, fault.New(fault.Unsupported, "a role for a time begins when it is given").WithHint("give it when it is to begin")
	}
	out.TTL = start.Add(span).Sub(now)
	if out.TTL <= 0 {
		return out, wrong("roles", "a time that is not over")
	}
	out.Reason = fmt.Sprintf(temporaryReason, r.Range, start.UTC().Format(time.RFC3339Nano))
	return out, nil
}

// clockSlack is how far the clock of a client may be ahead of ours.
const clockSlack = 10 * time.Second

// parseSpan reads 30s, 15m, 12h, 7d, 2w or 1y, and words such as "1 hour" in their short form only.
func parseSpan(text string) (time.Duration, error) {
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "y": 365 * 24 * time.Hour}
	digits := strings.TrimRight(text, "smhdwy")
	unit, ok := units[text[len(digits):]]
	var n int64
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || !ok || n <= 0 || fmt.Sprint(n) != digits || n > int64(10*365*24*time.Hour/unit) {
		return 0, fault.New(fault.Invalid, "not a span of time")
	}
	return time.Duration(n) * unit, nil
}

// heldRole is a role of a member as clients read it.
func heldRole(member string, h access.Held) object {
	role, custom := roleThere(h)
	out := object{"id": h.ID, "role": role, "projectMembershipId": member, "customRoleId": nil, "customRoleName": nil, "customRoleSlug": nil, "isTemporary": h.ExpiresAt != 0,
		"temporaryMode": nil, "temporaryRange": nil, "temporaryAccessStartTime": nil, "temporaryAccessEndTime": nil, "createdAt": stamp(h.CreatedAt), "updatedAt": stamp(h.CreatedAt)}
	if custom != "" {
		out["customRoleId"], out["customRoleName"], out["customRoleSlug"] = h.Named.ID, custom, custom
	}
	if h.ExpiresAt == 0 {
		return out
	}
	span, start := fmt.Sprintf("%ds", (h.ExpiresAt-h.CreatedAt)/1000), time.UnixMilli(h.CreatedAt)
	var was, from string
	if n, err := fmt.Sscanf(h.Reason, temporaryReason, &was, &from); n == 2 && err == nil {
		if t, err := time.Parse(time.RFC3339, from); err == nil {
			span, start = was, t
		}
	}
	out["temporaryMode"], out["temporaryRange"] = "relative", span
	out["temporaryAccessStartTime"], out["temporaryAccessEndTime"] = stamp(start.UnixMilli()), stamp(h.ExpiresAt)
	return out
}

func heldRoles(m access.Membership) []object {
	out := []object{}
	for _, h := range m.Roles {
		out = append(out, heldRole(m.ID, h))
	}
	return out
}

// wantedRoles reads the roles of a request: a list of objects, one name, or a list of names. Beside others no-access is nothing.
func (c *call) wantedRoles(otherwise string) ([]access.RoleFor, error) {
	var all []wantedRole
	if raw, there := c.raw("roles"); there && raw.Kind() == jsontext.KindBeginArray {
		if err := c.into("roles", &all); err != nil {
			return nil, err
		}
	}
	var slugs []string
	if err := c.into("roleSlugs", &slugs); err != nil {
		return nil, err
	}
	one, err := c.text("role")
	if err != nil {
		return nil, err
	}
	if one != "" && len(all) == 0 {
		slugs = append(slugs, one)
	}
	for _, slug := range slugs {
		all = append(all, wantedRole{Role: slug})
	}
	if len(all) == 0 {
		if otherwise == "" {
			return nil, wrong("roles", "at least one role")
		}
		all = append(all, wantedRole{Role: otherwise})
	}
	if len(all) > 1 {
		all = slices.DeleteFunc(all, func(r wantedRole) bool { return r.Role == roleNoAccess })
	}
	var out []access.RoleFor
	now := time.Now()
	for _, r := range all {
		f, err := r.forTime(now)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// identityMember is a machine as a member of a project.
func (s *Surface) identityMember(ctx context.Context, m access.Membership) (object, error) {
	k, err := s.Access.Identity(ctx, m.ID)
	if fault.KindOf(err) == fault.Denied { // who manages one project only sees the machine's name
		k, err = access.KnownIdentity{}, nil
		k.ID, k.Name = domain.IdentityID(m.ID), domain.Label(m.Name)
	}
	if err != nil {
		return nil, err
	}
	return object{"id": m.ID, "identityId": m.ID, "projectId": m.Project, "createdAt": stamp(m.CreatedAt), "updatedAt": stamp(m.CreatedAt), "roles": heldRoles(m),
		"identity": identityOf(k), "project": object{"id": m.Project}}, nil
}

func (c *call) identityMembership() access.MembershipInput {
	return access.MembershipInput{Project: c.http.PathValue("project"), Kind: domain.Identity, Principal: c.http.PathValue("identity")}
}

func (s *Surface) identityMembers(ctx context.Context, c *call) (*answer, error) {
	all, err := s.Access.Memberships(ctx, s.Secrets, c.http.PathValue("project"), domain.Identity)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, m := range all {
		o, err := s.identityMember(ctx, m)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return with(object{"identityMemberships": out, "totalCount": len(out)}), nil
}

func (s *Surface) addIdentityMember(ctx context.Context, c *call) (*answer, error) {
	in := c.identityMembership()
	var err error
	if in.Roles, err = c.wantedRoles(roleNoAccess); err != nil {
		return nil, err
	}
	in.Fresh = true
	m, err := s.Access.SetMembership(ctx, s.Secrets, in)
	return s.identityMemberAnswer(ctx, m, err)
}

func (s *Surface) identityMemberAnswer(ctx context.Context, m access.Membership, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	o, err := s.identityMember(ctx, m)
	if err != nil {
		return nil, err
	}
	return with(object{"identityMembership": o, "roles": o["roles"]}), nil
}

func (s *Surface) getIdentityMember(ctx context.Context, c *call) (*answer, error) {
	m, err := s.Access.Membership(ctx, s.Secrets, c.identityMembership())
	return s.identityMemberAnswer(ctx, m, err)
}

func (s *Surface) changeIdentityMember(ctx context.Context, c *call) (*answer, error) {
	in := c.identityMembership()
	var err error
	if in.Roles, err = c.wantedRoles(""); err != nil {
		return nil, err
	}
	if _, err := s.Access.Membership(ctx, s.Secrets, in); err != nil { // who is none is not made one by a change
		return nil, err
	}
	m, err := s.Access.SetMembership(ctx, s.Secrets, in)
	return s.identityMemberAnswer(ctx, m, err)
}

func (s *Surface) removeIdentityMember(ctx context.Context, c *call) (*answer, error) {
	m, err := s.Access.EndMembership(ctx, s.Secrets, c.identityMembership())
	return s.identityMemberAnswer(ctx, m, err)
}

package access

import (
	"context"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// ssoPlace is a mapping whose project and environment were found.
type ssoPlace struct {
	in      api.SSOGroup
	project domain.ProjectID
	env     domain.EnvID
}

// ssoPlaces finds the places of mappings.
func (s *Service) ssoPlaces(ctx context.Context, places Places, in []api.SSOGroup) ([]ssoPlace, error) {
	if len(in) > maxSSORules {
		return nil, fault.New(fault.Invalid, "there are more than %d groups", maxSSORules).WithField("/groups", "too many")
	}
	var out []ssoPlace
	for _, g := range in {
		if g.Value == "" || len(g.Value) > 512 || (g.Group == "") == (g.Role == "") || g.Role == "" && (g.Project != "" || g.Env != "") || g.Env != "" && g.Project == "" {
			return nil, fault.New(fault.Invalid, "a group needs the provider's name for it, and either a group or a role that it gives").WithField("/groups", "not valid")
		}
		at := ssoPlace{in: g}
		var err error
		if at.project, at.env, err = s.placeOf(ctx, places, g.Project, g.Env); err != nil {
			return nil, err
		}
		out = append(out, at)
	}
	return out, nil
}

// ssoGroups checks what groups at the provider shall give. Whoever decides that hands out roles, so he must have all of them.
func (s *Service) ssoGroups(ctx context.Context, tx *store.Tx, p guard.Permit, in []ssoPlace) ([]store.SSOGroup, error) {
	var out []store.SSOGroup
	for _, at := range in {
		row := store.SSOGroup{Value: at.in.Value, Project: at.project, Env: at.env}
		if at.in.Group != "" {
			g, err := groupNamed(ctx, tx.Queries, p.Org(), at.in.Group)
			if err != nil {
				return nil, err
			}
			if err := mayFill(ctx, tx, p, g.ID); err != nil {
				return nil, err
			}
			row.Group = g.ID
		} else {
			role, err := roleOf(ctx, tx.Queries, p.Org(), at.in.Role)
			if err != nil {
				return nil, err
			}
			row.Role = role
			given, err := givenOf(ctx, tx.Queries, store.Grant{Project: at.project, Env: at.env, Role: role})
			if err != nil {
				return nil, err
			}
			if err := policy.MayGive(p.Principal(), given, p.Facts()); err != nil {
				return nil, err
			}
		}
		out = append(out, row)
	}
	return out, nil
}

func roleOf(ctx context.Context, q store.Queries, org domain.OrgID, name string) (domain.Role, error) {
	if domain.Role(name).IsBuiltIn() {
		return domain.Role(name), nil
	}
	row, err := roleNamed(ctx, q, org, name)
	return domain.Role(row.ID), err
}

// mayFill refuses to put people into a group that has roles which the caller lacks, itself or through other groups.
func mayFill(ctx context.Context, tx *store.Tx, p guard.Permit, id domain.GroupID) error {
	given, err := givenBy(ctx, tx.Queries, id, tx.Now())
	if err != nil {
		return err
	}
	for _, g := range given {
		if err := policy.MayGive(p.Principal(), g, p.Facts()); err != nil {
			return err
		}
	}
	return nil
}

// syncGroups gives somebody what his groups at the provider give, and takes back what the same connection gave before. What
// others gave stays. It tells whether something changed.
func (s *Service) syncGroups(ctx context.Context, tx *store.Tx, c store.SSOConnection, user domain.UserID, groups []string) (bool, error) {
	has := map[string]bool{}
	for _, g := range groups {
		has[g] = true
	}
	places, roles := map[domain.GroupID]bool{}, map[domain.Grant]bool{}
	for _, m := range c.Rules.Groups {
		switch {
		case !has[m.Value]:
		case m.Group != "":
			places[m.Group] = true
		default:
			roles[domain.Grant{Project: m.Project, Env: m.Env, Role: m.Role}] = true
		}
	}
	moved, err := syncPlaces(ctx, tx, c, user, places)
	if err != nil {
		return false, err
	}
	changed, err := syncRoles(ctx, tx, c, user, roles)
	return moved || changed, err
}

func syncPlaces(ctx context.Context, tx *store.Tx, c store.SSOConnection, user domain.UserID, want map[domain.GroupID]bool) (changed bool, err error) {
	rows, err := tx.GroupsOf(ctx, string(user))
	if err != nil {
		return false, err
	}
	for i := range rows {
		if want[rows[i].Group] {
			delete(want, rows[i].Group)
		} else if rows[i].Cause == ssoCause(c.ID) {
			if err := tx.RemoveGroupMember(ctx, &rows[i]); err != nil {
				return false, err
			}
			changed = true
		}
	}
	for id := range want {
		if _, err := tx.Group(ctx, id); fault.KindOf(err) == fault.NotFound && err != nil {
			continue // deleted since the mapping was made
		} else if err != nil {
			return false, err
		}
		if err := tx.PutGroupMember(ctx, &store.GroupMember{Group: id, ID: string(user), Kind: domain.User, Org: c.Org, Cause: ssoCause(c.ID)}); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

func syncRoles(ctx context.Context, tx *store.Tx, c store.SSOConnection, user domain.UserID, want map[domain.Grant]bool) (changed bool, err error) {
	rows, err := tx.GrantsOf(ctx, string(user))
	if err != nil {
		return false, err
	}
	for i := range rows {
		if rows[i].Cause != ssoCause(c.ID) {
			continue
		}
		if g := (domain.Grant{Project: rows[i].Project, Env: rows[i].Env, Role: rows[i].Role}); want[g] {
			delete(want, g)
			continue
		}
		if err := tx.RemoveGrant(ctx, &rows[i]); err != nil {
			return false, err
		}
		changed = true
	}
	for g := range want {
		if !g.Role.IsBuiltIn() {
			if _, err := tx.Role(ctx, domain.RoleID(g.Role)); fault.KindOf(err) == fault.NotFound && err != nil {
				continue // deleted since
			} else if err != nil {
				return false, err
			}
		}
		row := store.Grant{ID: domain.NewID[string](), Org: c.Org, PrincipalKind: domain.User, PrincipalID: string(user), Project: g.Project, Env: g.Env, Role: g.Role,
			CreatedAt: tx.Now(), Reason: "single sign-on: " + c.Name, Cause: ssoCause(c.ID)}
		if err := tx.PutGrant(ctx, &row); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

package access

import (
	"context"
	"fmt"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of roles.
const (
	maxRoles       = 1000 // of an organisation
	maxDescription = 1000 // bytes
)

func noRole() *fault.Error {
	return fault.New(fault.Invalid, "no such role: want admin, developer, viewer, none, or a role that \"keyturn role list\" shows").WithField("/role", "unknown")
}

// roleNamed finds a custom role by name or id.
func roleNamed(ctx context.Context, q store.Queries, org domain.OrgID, name string) (store.Role, error) {
	var row store.Role
	var err error
	if domain.IsID(name) {
		row, err = q.Role(ctx, domain.RoleID(name))
	} else {
		row, err = q.RoleByName(ctx, org, domain.Slug(name))
	}
	if err != nil && fault.KindOf(err) == fault.NotFound || err == nil && row.Org != org {
		return store.Role{}, noRole()
	}
	return row, err
}

// RoleInput is a custom role as somebody writes it.
type RoleInput struct {
	Name        string
	Description *string // nil: what the rules' text says, or as it was
	Rules       string  // YAML or JSON, as policy.ParseRules takes it; "" leaves them as they are
}

// CreateRole makes a custom role. It does nothing until it is granted.
func (s *Service) CreateRole(ctx context.Context, in RoleInput) (store.Role, error) {
	name, err := domain.ParseSlug(in.Name)
	if err != nil {
		return store.Role{}, err
	}
	if domain.Role(name).IsBuiltIn() {
		return store.Role{}, fault.New(fault.Exists, "this is the name of a built-in role").WithField("/name", "taken")
	}
	rules, description, err := policy.ParseRules([]byte(in.Rules))
	if err != nil {
		return store.Role{}, err
	}
	if in.Description != nil {
		description = *in.Description
	}
	if len(description) > maxDescription {
		return store.Role{}, fault.New(fault.Invalid, "the description is too long: at most %d bytes", maxDescription)
	}
	var row store.Role
	err = s.manage(ctx, map[string]string{"role": string(name), "change": "create"}, func(tx *store.Tx, p guard.Permit) error {
		all, err := tx.Roles(ctx, p.Org())
		if err != nil {
			return err
		}
		if len(all) >= maxRoles {
			return fault.New(fault.Exhausted, "too many roles: at most %d", maxRoles)
		}
		if rules, err = placed(ctx, tx.Queries, p.Org(), rules); err != nil {
			return err
		}
		for _, r := range all {
			if r.Name == name {
				return fault.New(fault.Exists, "a role of this name exists already").WithHint("change it with: keyturn role update %s", name)
			}
		}
		row = store.Role{ID: domain.NewID[domain.RoleID](), Org: p.Org(), Name: name, Description: description, Rules: rules, CreatedAt: tx.Now()}
		return tx.PutRole(ctx, &row)
	})
	return row, err
}

// UpdateRole changes a custom role for everybody who holds it. Whoever does so could have given the new rules, and taken the
// old denies away, in every place where the role was given.
func (s *Service) UpdateRole(ctx context.Context, name string, in RoleInput) (store.Role, error) {
	var rules []domain.Rule
	var description string
	var err error
	if in.Rules != "" {
		if rules, description, err = policy.ParseRules([]byte(in.Rules)); err != nil {
			return store.Role{}, err
		}
	}
	if in.Description != nil {
		description = *in.Description
	}
	if len(description) > maxDescription {
		return store.Role{}, fault.New(fault.Invalid, "the description is too long: at most %d bytes", maxDescription)
	}
	var row store.Role
	err = s.manage(ctx, map[string]string{"role": domain.RecordedName(name), "change": "update"}, func(tx *store.Tx, p guard.Permit) error {
		if row, err = roleNamed(ctx, tx.Queries, p.Org(), name); err != nil {
			return err
		}
		if in.Description != nil || description != "" {
			row.Description = description
		}
		if rules != nil {
			if row.Policy != "" {
				return fault.New(fault.Conflict, "the rules of this role are those of an ACL policy").WithHint("change the policy: vault policy write %s FILE", row.Name)
			}
			if rules, err = placed(ctx, tx.Queries, p.Org(), rules); err != nil {
				return err
			}
			if err := s.mayChange(ctx, tx.Queries, p, row, rules); err != nil {
				return err
			}
			row.Rules = rules
		}
		if err := tx.PutRole(ctx, &row); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, p.Org())
	})
	return row, err
}

// placed gives rules whose projects are named by id, as they are kept: a slug may be given to another project later.
func placed(ctx context.Context, q store.Queries, org domain.OrgID, rules []domain.Rule) ([]domain.Rule, error) {
	for i := range rules {
		for j, name := range rules[i].Projects {
			var row store.Project
			var err error
			if domain.IsID(string(name)) {
				row, err = q.Project(ctx, name)
			} else {
				row, err = q.ProjectBySlug(ctx, org, domain.Slug(name))
			}
			if err != nil && fault.KindOf(err) == fault.NotFound || err == nil && (row.Org != org || row.DeletedAt != 0) {
				return nil, fault.New(fault.Invalid, "rule %d names a project that is not there", i+1).WithField(fmt.Sprintf("/rules/%d/projects/%d", i, j), "unknown")
			}
			if err != nil {
				return nil, err
			}
			rules[i].Projects[j] = row.ID
		}
	}
	return rules, nil
}

// mayChange asks, for each place where a role was given, whether the caller may give the new rules and take away the old
// denies there. No rules stand for the end of the role.
func (s *Service) mayChange(ctx context.Context, q store.Queries, p guard.Permit, row store.Role, rules []domain.Rule) error {
	held, err := q.GrantsOfRole(ctx, p.Org(), domain.Role(row.ID))
	if err != nil {
		return err
	}
	for _, h := range held {
		given, err := givenOf(ctx, q, h)
		if err != nil {
			return err
		}
		if err := policy.MayLift(p.Principal(), given, p.Facts()); err != nil {
			return err
		}
		given.Rules = rules
		if err := policy.MayGive(p.Principal(), given, p.Facts()); err != nil {
			return err
		}
	}
	return nil
}

// DeleteRole ends a custom role and all of its grants in one change. A new role of the same name has another id, so nobody
// gets it by having had this one.
func (s *Service) DeleteRole(ctx context.Context, name string) error {
	return s.manage(ctx, map[string]string{"role": domain.RecordedName(name), "change": "delete"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := roleNamed(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		return s.removeRole(ctx, tx, p, row)
	})
}

func (s *Service) removeRole(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Role) error {
	if err := s.mayChange(ctx, tx.Queries, p, row, nil); err != nil {
		return err
	}
	held, err := tx.GrantsOfRole(ctx, p.Org(), domain.Role(row.ID))
	if err != nil {
		return err
	}
	for _, h := range held {
		if err := tx.RemoveGrant(ctx, &h); err != nil {
			return err
		}
	}
	if err := tx.RemoveRole(ctx, &row); err != nil {
		return err
	}
	return s.keepAdmin(ctx, tx, p.Org())
}

// Roles lists all roles, the built-in ones first: they have no id.
func (s *Service) Roles(ctx context.Context) ([]store.Role, error) {
	var out []store.Role
	err := s.ask(ctx, "roles", func(org domain.OrgID) error {
		rows, err := s.db.Roles(ctx, org)
		for _, name := range []domain.Role{domain.Admin, domain.Developer, domain.Viewer, domain.None} {
			out = append(out, builtInRow(org, name))
		}
		out = append(out, rows...)
		return err
	})
	return out, err
}

func builtInRow(org domain.OrgID, name domain.Role) store.Role {
	rules, _ := policy.BuiltIn(name)
	return store.Role{Org: org, Name: domain.Slug(name), Description: "built in", Rules: rules}
}

// Role shows one role by name or id.
func (s *Service) Role(ctx context.Context, name string) (store.Role, error) {
	var out store.Role
	err := s.ask(ctx, "role", func(org domain.OrgID) (err error) {
		if domain.Role(name).IsBuiltIn() {
			out = builtInRow(org, domain.Role(name))
			return nil
		}
		if out, err = roleNamed(ctx, s.db.Queries, org, name); fault.KindOf(err) == fault.Invalid && err != nil {
			return fault.New(fault.NotFound, "no such role")
		}
		return err
	})
	return out, err
}

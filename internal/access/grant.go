package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// GrantInput gives a role to somebody: everywhere, in a project, or in one environment of it.
type GrantInput struct {
	Kind      domain.PrincipalKind
	Principal string // id, or the name of an identity, or the address of a user
	Project   string // slug or id, "" for the organisation
	Env       string // slug, "" for the project
	Role      domain.Role
}

// Grant gives a role, in place of the one that the principal had in the same place. Nobody grants what he lacks.
func (s *Service) Grant(ctx context.Context, places Places, in GrantInput) (store.Grant, error) {
	role, err := domain.ParseRole(string(in.Role))
	if err != nil {
		return store.Grant{}, err
	}
	g := domain.Grant{Role: role}
	if g.Project, g.Env, err = s.placeOf(ctx, places, in.Project, in.Env); err != nil {
		return store.Grant{}, err
	}
	if g.Project == "" && in.Env != "" {
		return store.Grant{}, fault.New(fault.Invalid, "an environment needs its project").WithField("/project", "missing")
	}
	var row store.Grant
	err = s.inPlace(ctx, g.Project, map[string]string{"principal": domain.RecordedLabel(in.Principal), "role": string(role)}, func(tx *store.Tx, p guard.Permit) error {
		if !policy.CanGrant(p.Principal(), g) {
			return fault.New(fault.Denied, "nobody can grant what he lacks")
		}
		id, err := s.principalID(ctx, tx.Queries, p.Org(), in.Kind, in.Principal)
		if err != nil {
			return err
		}
		row = store.Grant{ID: domain.NewID[string](), Org: p.Org(), PrincipalKind: in.Kind, PrincipalID: id, Project: g.Project, Env: g.Env, Role: role, CreatedAt: tx.Now()}
		held, err := tx.GrantsOf(ctx, id)
		if err != nil {
			return err
		}
		for _, h := range held {
			if h.Project == g.Project && h.Env == g.Env {
				row.ID = h.ID
			}
		}
		return tx.PutGrant(ctx, &row)
	})
	return row, err
}

func (s *Service) inPlace(ctx context.Context, project domain.ProjectID, facts map[string]string, work func(*store.Tx, guard.Permit) error) error {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org, Project: project}, Detail: facts}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if err := work(tx, p); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

func (s *Service) placeOf(ctx context.Context, places Places, project, env string) (domain.ProjectID, domain.EnvID, error) {
	if project == "" {
		return "", "", nil
	}
	id, envs, err := places.Place(ctx, project)
	if err != nil {
		return "", "", s.door.Miss(ctx, guard.Op{Action: policy.AccessManage}, err)
	}
	if env == "" {
		return id, "", nil
	}
	e, ok := envs[domain.Slug(env)]
	if !ok {
		return "", "", s.door.Miss(ctx, guard.Op{Action: policy.AccessManage}, fault.New(fault.NotFound, "no such environment"))
	}
	return id, e, nil
}

func (s *Service) principalID(ctx context.Context, q store.Queries, org domain.OrgID, kind domain.PrincipalKind, name string) (string, error) {
	switch kind {
	case domain.Identity:
		row, err := identity(ctx, q, org, name)
		return string(row.ID), err
	case domain.User:
		var row store.Person
		var err error
		if domain.IsID(name) {
			row, err = q.Person(ctx, domain.UserID(name))
		} else {
			row, err = q.PersonByEmail(ctx, domain.Email(name))
		}
		if err == nil && row.Org != org {
			return "", guard.Missing()
		}
		return string(row.ID), err
	}
	return "", fault.New(fault.Invalid, "no such kind of principal: want user or identity").WithField("/kind", "unknown")
}

// Grants lists who was given what.
func (s *Service) Grants(ctx context.Context) ([]store.Grant, error) {
	var out []store.Grant
	err := s.ask(ctx, "grants", func(org domain.OrgID) (err error) {
		out, err = s.db.Grants(ctx, org)
		return err
	})
	return out, err
}

// Ungrant takes a role away.
func (s *Service) Ungrant(ctx context.Context, id string) error {
	who := guard.CallerOf(ctx).Principal
	all, err := s.db.Grants(ctx, who.Org)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.ID == id {
			return unseen(s.inPlace(ctx, g.Project, map[string]string{"principal": g.PrincipalID, "role": string(g.Role), "grant": "remove"}, func(tx *store.Tx, p guard.Permit) error {
				return tx.RemoveGrant(ctx, &g)
			}))
		}
	}
	return s.door.Miss(ctx, guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org}}, fault.New(fault.NotFound, "no such grant"))
}

package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// GrantInput gives a role to somebody: everywhere, in a project, in one environment of it, or in some of the folders there.
type GrantInput struct {
	Kind      domain.PrincipalKind
	Principal string // id, or the name of an identity or group, or the address of a user
	Project   string // slug or id, "" for the organisation
	Env       string // slug, "" for the project
	Path      string // pattern of folders, "" for all
	Role      string // a built-in role, or the name or id of a custom one
	// TTL is how long it holds; zero for ever. A grant for a time stands beside what the principal has otherwise.
	TTL    time.Duration
	Reason string
}

// Bounds of grants.
const (
	maxGrantTTL = 366 * 24 * time.Hour // what is needed for longer is no exception
	minGrantTTL = time.Second
	maxReason   = 500 // bytes
	maxGrants   = 500 // of one principal: a decision must stay quick
)

// aim is a grant input with everything looked up but the role.
type aim struct {
	grant domain.Grant
	slug  domain.Slug // of the environment
}

func (a aim) resource(org domain.OrgID) policy.Resource {
	return policy.Resource{Org: org, Project: a.grant.Project, Env: a.grant.Env, EnvSlug: a.slug}
}

func (s *Service) aimOf(ctx context.Context, places Places, in GrantInput) (aim, error) {
	var a aim
	path, err := domain.ParsePattern(in.Path)
	if err != nil {
		return a, err
	}
	if path != "/" {
		a.grant.Path = path
	}
	if in.TTL != 0 && (in.TTL < minGrantTTL || in.TTL > maxGrantTTL) {
		return a, fault.New(fault.Invalid, "a grant for a time holds up to 366 days").WithField("/ttl", "out of range")
	}
	if len(in.Reason) > maxReason {
		return a, fault.New(fault.Invalid, "the reason is too long: at most %d bytes", maxReason).WithField("/reason", "too long")
	}
	if in.Project == "" && in.Env != "" {
		return a, fault.New(fault.Invalid, "an environment needs its project").WithField("/project", "missing")
	}
	a.grant.Project, a.grant.Env, err = s.placeOf(ctx, places, in.Project, in.Env)
	a.slug = domain.Slug(in.Env)
	return a, err
}

// Grant gives a role. Nobody grants what he lacks. A built-in role for good takes the place of the built-in one for good that
// the principal had in the same place; custom roles and roles for a time stand side by side.
func (s *Service) Grant(ctx context.Context, places Places, in GrantInput) (store.Grant, error) {
	if _, err := domain.ParseSlug(in.Role); err != nil && !domain.IsID(in.Role) {
		return store.Grant{}, noRole()
	}
	a, err := s.aimOf(ctx, places, in)
	if err != nil {
		return store.Grant{}, err
	}
	var row store.Grant
	facts := map[string]string{"principal": domain.RecordedLabel(in.Principal), "role": domain.RecordedName(in.Role), "kind": domain.RecordedName(string(in.Kind))}
	if a.grant.Path != "" {
		facts["path"] = string(a.grant.Path)
	}
	if in.TTL != 0 {
		facts["ttl"] = in.TTL.String()
	}
	err = s.inPlace(ctx, a, facts, func(tx *store.Tx, p guard.Permit) error {
		given, err := s.given(ctx, tx.Queries, p.Org(), a, in.Role)
		if err != nil {
			return err
		}
		if in.TTL != 0 {
			given.ExpiresAt = tx.Now() + in.TTL.Milliseconds()
		}
		if err := policy.MayGive(p.Principal(), given, p.Facts()); err != nil {
			return err
		}
		id, err := s.principalID(ctx, tx.Queries, p.Org(), in.Kind, in.Principal)
		if err != nil {
			return err
		}
		row = store.Grant{ID: domain.NewID[string](), Org: p.Org(), PrincipalKind: in.Kind, PrincipalID: id, Project: given.Project, Env: given.Env, Path: given.Path,
			Role: given.Role, CreatedAt: tx.Now(), ExpiresAt: given.ExpiresAt, Reason: in.Reason}
		return s.putGrant(ctx, tx, p, &row)
	})
	return row, err
}

// putGrant stores a grant beside or in place of what its holder has there.
func (s *Service) putGrant(ctx context.Context, tx *store.Tx, p guard.Permit, row *store.Grant) error {
	held, err := tx.GrantsOf(ctx, row.PrincipalID)
	if err != nil {
		return err
	}
	kept := 0
	for _, h := range held {
		over := h.ExpiresAt != 0 && h.ExpiresAt <= tx.Now()
		same := h.Project == row.Project && h.Env == row.Env && h.Path == row.Path
		switch {
		case h.Cause != "":
			kept++
		case same && h.Role == row.Role:
			if h.ExpiresAt == 0 && row.ExpiresAt != 0 {
				return fault.New(fault.Exists, "this role is held there for good already").WithHint("take it away first, if it is to end")
			}
			if h.ExpiresAt > row.ExpiresAt && row.ExpiresAt != 0 {
				if err := s.mayLift(ctx, tx.Queries, p, h); err != nil {
					return err
				}
			}
			row.ID = h.ID
		case over:
			if err := tx.RemoveGrant(ctx, &h); err != nil {
				return err
			}
		case same && h.Role.IsBuiltIn() && row.Role.IsBuiltIn() && h.ExpiresAt == 0 && row.ExpiresAt == 0:
			if err := s.mayLift(ctx, tx.Queries, p, h); err != nil {
				return err
			}
			row.ID = h.ID
		default:
			kept++
		}
	}
	if kept >= maxGrants {
		return fault.New(fault.Exhausted, "too many roles for one principal: at most %d", maxGrants).WithHint("put the rules into fewer roles, or use groups")
	}
	if err := tx.PutGrant(ctx, row); err != nil {
		return err
	}
	return s.keepAdmin(ctx, tx, row.Org)
}

// mayLift refuses to take a grant away whose denies keep back what the caller himself lacks.
func (s *Service) mayLift(ctx context.Context, q store.Queries, p guard.Permit, h store.Grant) error {
	given, err := givenOf(ctx, q, h)
	if err != nil {
		return err
	}
	return policy.MayLift(p.Principal(), given, p.Facts())
}

// mayActAs refuses to open a way to act as somebody, a credential or an end of his being disabled, to a caller who could not
// give all that this one has: he would have it himself then.
func (s *Service) mayActAs(ctx context.Context, q store.Queries, p guard.Permit, id string) error {
	all, err := givenBy(ctx, q, domain.GroupID(id), p.Facts().At)
	if err != nil {
		return err
	}
	for _, g := range all {
		if err := policy.MayGive(p.Principal(), g, p.Facts()); err != nil {
			return err
		}
	}
	return nil
}

// given looks up the role.
func (s *Service) given(ctx context.Context, q store.Queries, org domain.OrgID, a aim, role string) (policy.Given, error) {
	g := policy.Given{Grant: a.grant, Slug: a.slug}
	if rules, ok := policy.BuiltIn(domain.Role(role)); ok {
		g.Role, g.Rules = domain.Role(role), rules
		return g, nil
	}
	row, err := roleNamed(ctx, q, org, role)
	g.Role, g.Rules = domain.Role(row.ID), row.Rules
	return g, err
}

// givenOf gives what a stored grant gives.
func givenOf(ctx context.Context, q store.Queries, h store.Grant) (policy.Given, error) {
	g := policy.Given{Grant: domain.Grant{ID: h.ID, Project: h.Project, Env: h.Env, Path: h.Path, Role: h.Role, ExpiresAt: h.ExpiresAt}}
	if h.Env != "" {
		env, err := q.Environment(ctx, h.Env)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return g, err
		}
		g.Slug = env.Slug
	}
	if rules, ok := policy.BuiltIn(h.Role); ok {
		g.Rules = rules
		return g, nil
	}
	row, err := q.Role(ctx, domain.RoleID(h.Role))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return g, nil
	}
	g.Rules = row.Rules
	return g, err
}

func (s *Service) inPlace(ctx context.Context, a aim, facts map[string]string, work func(*store.Tx, guard.Permit) error) error {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessManage, Resource: a.resource(who.Org), Detail: facts}
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
	case domain.Group:
		row, err := groupNamed(ctx, q, org, name)
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
	return "", fault.New(fault.Invalid, "no such kind of principal: want user, identity or group").WithField("/kind", "unknown")
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

// Ungrant takes a role away. Where it denies something, that takes somebody who has it.
func (s *Service) Ungrant(ctx context.Context, id string) error {
	who := guard.CallerOf(ctx).Principal
	row, err := s.db.Grant(ctx, id)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err != nil || row.Org != who.Org {
		return s.door.Miss(ctx, guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org}}, fault.New(fault.NotFound, "no such grant"))
	}
	given, err := givenOf(ctx, s.db.Queries, row)
	if err != nil {
		return err
	}
	facts := map[string]string{"principal": row.PrincipalID, "role": string(row.Role), "grant": "remove"}
	return unseen(s.inPlace(ctx, aim{given.Grant, given.Slug}, facts, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Grant(ctx, id)
		if err != nil {
			return guard.Missing()
		}
		if err := s.mayLift(ctx, tx.Queries, p, row); err != nil {
			return err
		}
		if err := tx.RemoveGrant(ctx, &row); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, row.Org)
	}))
}

// keepAdmin refuses a change after which no live person could do everything any more: nobody could undo it.
func (s *Service) keepAdmin(ctx context.Context, tx *store.Tx, org domain.OrgID) error {
	rows, err := tx.GrantsEverywhere(ctx, org)
	if err != nil {
		return err
	}
	tried := map[string]bool{}
	for _, g := range rows {
		if g.Role != domain.Admin || g.ExpiresAt != 0 || g.Path != "" {
			continue
		}
		found, err := s.liveAdmin(ctx, tx, org, g.PrincipalKind, g.PrincipalID, tried)
		if found || err != nil {
			return err
		}
	}
	return fault.New(fault.Conflict, "this would leave nobody who may do everything").WithHint("make somebody else an admin of the organisation first")
}

// liveAdmin looks for a person who may do everything, himself or among the members of a group.
func (s *Service) liveAdmin(ctx context.Context, tx *store.Tx, org domain.OrgID, kind domain.PrincipalKind, id string, tried map[string]bool) (bool, error) {
	if tried[id] {
		return false, nil
	}
	tried[id] = true
	switch kind {
	case domain.Group:
		members, err := tx.GroupMembers(ctx, domain.GroupID(id))
		for _, m := range members {
			if found, err := s.liveAdmin(ctx, tx, org, m.Kind, m.ID, tried); found || err != nil {
				return found, err
			}
		}
		return false, err
	case domain.User:
		row, err := tx.Person(ctx, domain.UserID(id))
		if err != nil && fault.KindOf(err) == fault.NotFound || err == nil && row.Disabled {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		p := &domain.Principal{Kind: domain.User, ID: id, Org: org}
		if p.Groups, err = groupsOf(ctx, tx.Queries, id); err != nil {
			return false, err
		}
		if err := rightsOf(ctx, tx.Queries, p); err != nil {
			return false, err
		}
		return policy.CanGrant(p, domain.Grant{Role: domain.Admin}), nil
	}
	return false, nil
}

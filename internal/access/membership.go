package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// maxMemberRoles bounds the roles that a membership is given at once: nobody reads more.
const maxMemberRoles = 32

// RoleFor is a role of a membership.
type RoleFor struct {
	Role string        // a built-in role, or the name or id of a custom one
	TTL  time.Duration // how long from now; zero for ever
	// Reason is kept with the grant, for whoever looks at it.
	Reason string
}

// Held is a role that a member has.
type Held struct {
	store.Grant
	Named store.Role // a built-in one has a name and no id
}

// Membership is what somebody was given for a whole project, himself and not through a group. What he has in parts of it, or
// everywhere, is not among it.
type Membership struct {
	Kind domain.PrincipalKind
	ID   string
	// Name is that of the machine, or the address of the person; Label is how he is called.
	Name, Label string
	Project     domain.ProjectID
	Roles       []Held
	CreatedAt   int64 // the first of the roles, unix milliseconds
}

// MembershipInput names a member and his roles. An empty list takes all of them away.
type MembershipInput struct {
	Project   string // slug or id
	Kind      domain.PrincipalKind
	Principal string // id, the name of a machine, the address of a person
	Roles     []RoleFor
	// Fresh refuses somebody who is a member already.
	Fresh bool
}

func memberFacts(in MembershipInput) map[string]string {
	facts := map[string]string{"principal": domain.RecordedLabel(in.Principal), "kind": string(in.Kind), "membership": "set"}
	var names []string
	for _, r := range in.Roles {
		names = append(names, domain.RecordedName(r.Role))
	}
	if facts["roles"] = strings.Join(names, ","); len(names) == 0 {
		facts["membership"], facts["roles"] = "end", ""
	}
	return facts
}

// SetMembership gives somebody exactly these roles for a whole project, in one step. Nobody gives what he lacks, and nobody takes
// a denial away who could not give what it holds back.
func (s *Service) SetMembership(ctx context.Context, places Places, in MembershipInput) (Membership, error) {
	if len(in.Roles) > maxMemberRoles {
		return Membership{}, fault.New(fault.Invalid, "too many roles: at most %d", maxMemberRoles).WithField("/roles", "too many")
	}
	for _, r := range in.Roles {
		if r.TTL != 0 && (r.TTL < minGrantTTL || r.TTL > maxGrantTTL) {
			return Membership{}, fault.New(fault.Invalid, "a role for a time holds up to 366 days and is not over already").WithField("/roles", "time out of range")
		}
	}
	var out Membership
	err := s.onMember(ctx, places, in, func(tx *store.Tx, p guard.Permit, a aim, id string) error {
		if in.Fresh {
			before, err := memberRoles(ctx, tx.Queries, a, id, tx.Now())
			if err != nil {
				return err
			}
			if len(before) > 0 {
				return fault.New(fault.Exists, "is a member of this project already")
			}
		}
		if _, err := s.setRoles(ctx, tx, p, a, in.Kind, id, in.Roles, false); err != nil {
			return err
		}
		var err error
		out, err = member(ctx, tx.Queries, a, in.Kind, id, tx.Now())
		return err
	})
	return out, err
}

// EndMembership takes from somebody all that he was given in a project himself, in parts of it too, and gives what he had for
// the whole of it.
func (s *Service) EndMembership(ctx context.Context, places Places, in MembershipInput) (Membership, error) {
	in.Roles = nil
	var out Membership
	err := s.onMember(ctx, places, in, func(tx *store.Tx, p guard.Permit, a aim, id string) (err error) {
		if out, err = member(ctx, tx.Queries, a, in.Kind, id, tx.Now()); err != nil {
			return err
		}
		if len(out.Roles) == 0 {
			return noMember()
		}
		_, err = s.setRoles(ctx, tx, p, a, in.Kind, id, nil, true)
		return err
	})
	return out, err
}

func noMember() *fault.Error {
	return fault.New(fault.NotFound, "is no member of this project")
}

func (s *Service) onMember(ctx context.Context, places Places, in MembershipInput, work func(*store.Tx, guard.Permit, aim, string) error) error {
	if in.Project == "" {
		return fault.New(fault.Invalid, "a membership needs its project").WithField("/project", "missing")
	}
	a, err := s.aimOf(ctx, places, GrantInput{Project: in.Project})
	if err != nil {
		return err
	}
	return s.inPlace(ctx, a, memberFacts(in), func(tx *store.Tx, p guard.Permit) error {
		id, err := s.principalID(ctx, tx.Queries, p.Org(), in.Kind, in.Principal)
		if err != nil {
			return err
		}
		return work(tx, p, a, id)
	})
}

// setRoles makes the grants of somebody in one place be these. With all, those inside of the place go too. What was given by
// something else than a hand stays.
func (s *Service) setRoles(ctx context.Context, tx *store.Tx, p guard.Permit, a aim, kind domain.PrincipalKind, id string, roles []RoleFor, all bool) ([]store.Grant, error) {
	var wanted []store.Grant
	for _, r := range roles {
		if r.Role == Reader {
			if err := s.needReader(ctx, tx, p.Org()); err != nil {
				return nil, err
			}
		}
		given, err := s.given(ctx, tx.Queries, p.Org(), a, r.Role)
		if err != nil {
			return nil, err
		}
		if r.TTL != 0 {
			given.ExpiresAt = tx.Now() + r.TTL.Milliseconds()
		}
		if err := policy.MayGive(p.Principal(), given, p.Facts()); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(wanted, func(g store.Grant) bool { return g.Role == given.Role }) {
			return nil, fault.New(fault.Invalid, "a role stands there twice").WithField("/roles", "twice")
		}
		wanted = append(wanted, store.Grant{ID: domain.NewID[string](), Org: p.Org(), PrincipalKind: kind, PrincipalID: id, Project: a.grant.Project, Role: given.Role,
			CreatedAt: tx.Now(), ExpiresAt: given.ExpiresAt, Reason: cut(r.Reason, maxReason)})
	}
	before, err := tx.GrantsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	kept := 0
	for _, h := range before {
		here := h.Project == a.grant.Project && h.Env == "" && h.Path == "" && (a.grant.Project != "" || h.ExpiresAt == 0)
		inside := all && h.Project == a.grant.Project
		if h.Cause != "" || !here && !inside {
			kept++
			continue
		}
		same := slices.IndexFunc(wanted, func(g store.Grant) bool { return g.Role == h.Role })
		if here && same >= 0 && h.ExpiresAt == 0 && wanted[same].ExpiresAt == 0 { // it goes on under its id
			wanted[same] = h
			continue
		}
		if err := s.mayLift(ctx, tx.Queries, p, h); err != nil {
			return nil, err
		}
		if err := tx.RemoveGrant(ctx, &h); err != nil {
			return nil, err
		}
	}
	if kept+len(wanted) > maxGrants {
		return nil, fault.New(fault.Exhausted, "too many roles for one principal: at most %d", maxGrants).WithHint("put the rules into fewer roles, or use groups")
	}
	for i := range wanted {
		if err := tx.PutGrant(ctx, &wanted[i]); err != nil {
			return nil, err
		}
	}
	return wanted, s.keepAdmin(ctx, tx, p.Org())
}

// memberRoles are the roles of somebody for a whole project, without those that are over.
func memberRoles(ctx context.Context, q store.Queries, a aim, id string, now int64) ([]Held, error) {
	rows, err := q.GrantsOf(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []Held
	for _, g := range rows {
		if g.Project != a.grant.Project || g.Env != "" || g.Path != "" || g.ExpiresAt != 0 && g.ExpiresAt <= now {
			continue
		}
		named, err := roleOfGrant(ctx, q, g)
		if err != nil {
			return nil, err
		}
		out = append(out, Held{g, named})
	}
	return out, nil
}

func member(ctx context.Context, q store.Queries, a aim, kind domain.PrincipalKind, id string, now int64) (Membership, error) {
	out := Membership{Kind: kind, ID: id, Project: a.grant.Project}
	if kind == domain.User {
		row, err := q.Person(ctx, domain.UserID(id))
		if err != nil {
			return out, err
		}
		out.Name, out.Label = string(row.Email), string(row.Name)
	} else {
		row, err := q.Identity(ctx, domain.IdentityID(id))
		if err != nil {
			return out, err
		}
		out.Name, out.Label = string(row.Name), string(row.Name)
	}
	var err error
	out.Roles, err = memberRoles(ctx, q, a, id, now)
	for _, r := range out.Roles {
		if out.CreatedAt == 0 || r.CreatedAt < out.CreatedAt {
			out.CreatedAt = r.CreatedAt
		}
	}
	return out, err
}

// Membership gives what somebody has in a project.
func (s *Service) Membership(ctx context.Context, places Places, in MembershipInput) (Membership, error) {
	var out Membership
	err := s.readMembers(ctx, places, in.Project, func(p guard.Permit, a aim) error {
		id, err := s.principalID(ctx, s.db.Queries, p.Org(), in.Kind, in.Principal)
		if err != nil {
			return err
		}
		if out, err = member(ctx, s.db.Queries, a, in.Kind, id, p.Facts().At); err == nil && len(out.Roles) == 0 {
			err = noMember()
		}
		return err
	})
	return out, err
}

// Memberships lists the people, or the machines, who were given something for a whole project.
func (s *Service) Memberships(ctx context.Context, places Places, project string, kind domain.PrincipalKind) ([]Membership, error) {
	var out []Membership
	err := s.readMembers(ctx, places, project, func(p guard.Permit, a aim) error {
		rows, err := s.db.Grants(ctx, p.Org())
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, g := range rows {
			if g.PrincipalKind != kind || g.Project != a.grant.Project || seen[g.PrincipalID] {
				continue
			}
			seen[g.PrincipalID] = true
			m, err := member(ctx, s.db.Queries, a, kind, g.PrincipalID, p.Facts().At)
			if err != nil {
				return err
			}
			if len(m.Roles) > 0 {
				out = append(out, m)
			}
		}
		return nil
	})
	return out, err
}

func (s *Service) readMembers(ctx context.Context, places Places, project string, work func(guard.Permit, aim) error) error {
	if project == "" {
		return fault.New(fault.Invalid, "a membership needs its project").WithField("/project", "missing")
	}
	a, err := s.aimOf(ctx, places, GrantInput{Project: project})
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.AccessRead, Resource: a.resource(guard.CallerOf(ctx).Principal.Org), Detail: map[string]string{"list": "memberships"}}
	return s.door.Read(ctx, op, func(p guard.Permit) error { return work(p, a) })
}

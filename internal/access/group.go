package access

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// byHand is the cause of a place in a group that somebody gave here, not a directory.
const byHand = "hand"

// maxMembers bounds the direct members of one group.
const maxMembers = 100_000

// groupNamed finds a group by name or id.
func groupNamed(ctx context.Context, q store.Queries, org domain.OrgID, name string) (store.Group, error) {
	var row store.Group
	var err error
	if domain.IsID(name) {
		row, err = q.Group(ctx, domain.GroupID(name))
	} else {
		row, err = q.GroupByName(ctx, org, name)
	}
	if err == nil && row.Org != org {
		return store.Group{}, guard.Missing()
	}
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return store.Group{}, fault.New(fault.NotFound, "no such group")
	}
	return row, err
}

// CreateGroup makes a group. What it is given, its members have.
func (s *Service) CreateGroup(ctx context.Context, name string) (store.Group, error) {
	label, err := domain.ParseLabel(name)
	if err == nil && domain.IsID(name) {
		err = fault.New(fault.Invalid, "not a name: it has the form of an id")
	}
	if err != nil {
		return store.Group{}, err
	}
	var row store.Group
	err = s.manage(ctx, map[string]string{"group": domain.RecordedLabel(name), "change": "create"}, func(tx *store.Tx, p guard.Permit) error {
		if _, err := tx.GroupByName(ctx, p.Org(), string(label)); err == nil {
			return fault.New(fault.Exists, "a group of this name exists already")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		row = store.Group{ID: domain.NewID[domain.GroupID](), Org: p.Org(), Name: string(label), CreatedAt: tx.Now()}
		return tx.PutGroup(ctx, &row)
	})
	return row, err
}

// Groups lists the groups.
func (s *Service) Groups(ctx context.Context) ([]store.Group, error) {
	var out []store.Group
	err := s.ask(ctx, "groups", func(org domain.OrgID) (err error) {
		out, err = s.db.Groups(ctx, org)
		return err
	})
	return out, err
}

// DeleteGroup ends a group, its grants, and its places in other groups.
func (s *Service) DeleteGroup(ctx context.Context, name string) error {
	return s.manage(ctx, map[string]string{"group": domain.RecordedLabel(name), "change": "delete"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := groupNamed(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		if err := s.mayLeave(ctx, tx.Queries, p, row.ID); err != nil {
			return err
		}
		held, err := tx.GrantsOf(ctx, string(row.ID))
		if err != nil {
			return err
		}
		for _, g := range held {
			if err := tx.RemoveGrant(ctx, &g); err != nil {
				return err
			}
		}
		members, err := tx.GroupMembers(ctx, row.ID)
		if err != nil {
			return err
		}
		above, err := tx.GroupsOf(ctx, string(row.ID))
		if err != nil {
			return err
		}
		for _, m := range append(members, above...) {
			if err := tx.RemoveGroupMember(ctx, &m); err != nil {
				return err
			}
		}
		if err := tx.RemoveGroup(ctx, &row); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, p.Org())
	})
}

// givenBy lists what somebody, or the members of a group, get by what he holds, also through the groups that he is in.
func givenBy(ctx context.Context, q store.Queries, id domain.GroupID, now int64) ([]policy.Given, error) {
	groups, err := groupsOf(ctx, q, string(id))
	if err != nil {
		return nil, err
	}
	var out []policy.Given
	for _, holder := range append(groups, id) {
		rows, err := q.GrantsOf(ctx, string(holder))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if row.ExpiresAt != 0 && row.ExpiresAt <= now {
				continue
			}
			g, err := givenOf(ctx, q, row)
			if err != nil {
				return nil, err
			}
			out = append(out, g)
		}
	}
	return out, nil
}

// mayLeave refuses to take somebody out of a group whose denies keep back what the caller himself lacks.
func (s *Service) mayLeave(ctx context.Context, q store.Queries, p guard.Permit, id domain.GroupID) error {
	all, err := givenBy(ctx, q, id, p.Facts().At)
	if err != nil {
		return err
	}
	for _, g := range all {
		if slices.ContainsFunc(g.Rules, func(r domain.Rule) bool { return r.Effect == domain.Deny }) {
			if err := policy.MayLift(p.Principal(), g, p.Facts()); err != nil {
				return err
			}
		}
	}
	return nil
}

// AddMember puts somebody into a group. Whoever does so could have given all that the members of the group have.
func (s *Service) AddMember(ctx context.Context, group string, kind domain.PrincipalKind, member string) error {
	facts := map[string]string{"group": domain.RecordedLabel(group), "kind": domain.RecordedName(string(kind)), "member": domain.RecordedLabel(member), "change": "add"}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		row, err := groupNamed(ctx, tx.Queries, p.Org(), group)
		if err != nil {
			return err
		}
		id, err := s.principalID(ctx, tx.Queries, p.Org(), kind, member)
		if err != nil {
			return err
		}
		if kind == domain.Group {
			if err := refuseGroupCycle(ctx, tx.Queries, row.ID, domain.GroupID(id)); err != nil {
				return err
			}
		}
		if err := s.mayActAs(ctx, tx.Queries, p, string(row.ID)); err != nil {
			return err
		}
		members, err := tx.GroupMembers(ctx, row.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(members, func(m store.GroupMember) bool { return m.ID == id }) {
			return nil
		}
		if len(members) >= maxMembers {
			return fault.New(fault.Exhausted, "too many members in one group: at most %d", maxMembers)
		}
		if err := tx.PutGroupMember(ctx, &store.GroupMember{Group: row.ID, ID: id, Kind: kind, Org: p.Org(), Cause: byHand}); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, p.Org()) // a deny that the group holds may have found the last one
	})
}

// refuseGroupCycle refuses to put a group into one that it holds, near or far.
func refuseGroupCycle(ctx context.Context, q store.Queries, group, member domain.GroupID) error {
	above, err := groupsOf(ctx, q, string(group))
	if err != nil {
		return err
	}
	if group == member || slices.Contains(above, member) {
		return fault.New(fault.Conflict, "this group holds the other one already: groups cannot form a circle")
	}
	return nil
}

// RemoveMember takes somebody out of a group.
func (s *Service) RemoveMember(ctx context.Context, group string, kind domain.PrincipalKind, member string) error {
	facts := map[string]string{"group": domain.RecordedLabel(group), "kind": domain.RecordedName(string(kind)), "member": domain.RecordedLabel(member), "change": "remove"}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		row, err := groupNamed(ctx, tx.Queries, p.Org(), group)
		if err != nil {
			return err
		}
		id, err := s.principalID(ctx, tx.Queries, p.Org(), kind, member)
		if err != nil {
			return err
		}
		members, err := tx.GroupMembers(ctx, row.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(members, func(m store.GroupMember) bool { return m.ID == id })
		if at < 0 {
			return fault.New(fault.NotFound, "not a member of that group")
		}
		if err := s.mayLeave(ctx, tx.Queries, p, row.ID); err != nil {
			return err
		}
		if err := tx.RemoveGroupMember(ctx, &members[at]); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, p.Org())
	})
}

// Member is one direct member of a group, with the name that people know it by.
type Member struct {
	store.GroupMember
	Name string
}

// Members lists who is in a group directly.
func (s *Service) Members(ctx context.Context, group string) ([]Member, error) {
	var out []Member
	err := s.ask(ctx, "members", func(org domain.OrgID) error {
		row, err := groupNamed(ctx, s.db.Queries, org, group)
		if err != nil {
			return err
		}
		rows, err := s.db.GroupMembers(ctx, row.ID)
		if err != nil {
			return err
		}
		for _, m := range rows {
			name, err := s.anyName(ctx, m.Kind, m.ID)
			if err != nil {
				return err
			}
			out = append(out, Member{m, name})
		}
		return nil
	})
	return out, err
}

// anyName gives the name of a principal of any kind, "" for one that is gone.
func (s *Service) anyName(ctx context.Context, kind domain.PrincipalKind, id string) (string, error) {
	var name string
	var err error
	if kind == domain.Group {
		var row store.Group
		row, err = s.db.Group(ctx, domain.GroupID(id))
		name = row.Name
	} else {
		name, _, err = s.nameOf(ctx, s.db.Queries, kind, id)
	}
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return "", nil
	}
	return name, err
}

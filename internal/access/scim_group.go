package access

import (
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// maxDirectoryMembers bounds the members of one group.
const maxDirectoryMembers = 20_000

// DirectoryGroup is a group as a directory keeps it here (RFC 7643, section 4.2). Its members are people of the directory.
type DirectoryGroup struct {
	ID         string
	Name       string
	ExternalID string
	Members    []string // ids of users
	Created    time.Time
	Updated    time.Time
}

// DirectoryGroups gives a page of the calling directory's groups, after skip, and how many fit altogether. Members are left out
// unless they are asked for.
func (s *Service) DirectoryGroups(ctx context.Context, f DirectoryFilter, skip, limit int, members bool) ([]DirectoryGroup, int, error) {
	var out []DirectoryGroup
	var total int64
	err := s.askDirectory(ctx, "directory groups", func(connection string) error {
		rows, n, err := s.db.SCIMGroups(ctx, connection, f, int64(skip), int64(limit))
		if err != nil {
			return err
		}
		total = n
		for _, r := range rows {
			g, err := directoryGroup(ctx, s.db.Queries, r, members)
			if err != nil {
				return err
			}
			out = append(out, g)
		}
		return nil
	})
	return out, int(total), err
}

func directoryGroup(ctx context.Context, q store.Queries, r store.SCIMGroup, members bool) (DirectoryGroup, error) {
	row, err := q.Group(ctx, r.Group)
	if err != nil {
		return DirectoryGroup{}, err
	}
	out := DirectoryGroup{ID: string(r.Group), Name: row.Name, ExternalID: r.ExternalID, Created: time.UnixMilli(r.CreatedAt).UTC(), Updated: time.UnixMilli(r.UpdatedAt).UTC()}
	if !members {
		return out, nil
	}
	all, err := q.GroupMembers(ctx, r.Group)
	for _, m := range all {
		if m.Kind == domain.User && m.Cause == ssoCause(r.Connection) {
			out.Members = append(out.Members, m.ID)
		}
	}
	return out, err
}

func directoryGroupName(name string) error {
	if _, err := domain.ParseLabel(name); err != nil {
		return fault.New(fault.Invalid, "the name of the group is not valid").WithField("displayName", "want 1 to 100 characters that can be read")
	}
	return nil
}

func freeGroupName(ctx context.Context, tx *store.Tx, c store.SSOConnection, name string, but domain.GroupID) error {
	row, err := tx.GroupByName(ctx, c.Org, name)
	switch {
	case err == nil && row.ID != but:
		return fault.New(fault.Exists, "a group of this name exists already")
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return err
	}
	return nil
}

// CreateDirectoryGroup makes a group. A group that people made by hand is never taken over: it may have roles.
func (s *Service) CreateDirectoryGroup(ctx context.Context, in DirectoryGroup) (DirectoryGroup, error) {
	var out DirectoryGroup
	if err := directoryGroupName(in.Name); err != nil {
		return out, err
	}
	err := s.keepDirectory(ctx, map[string]string{"group": domain.RecordedLabel(in.Name), "change": "create"}, func(tx *store.Tx, _ guard.Permit, c store.SSOConnection) error {
		if err := freeGroupName(ctx, tx, c, in.Name, ""); err != nil {
			return err
		}
		g := store.Group{ID: domain.NewID[domain.GroupID](), Org: c.Org, Name: in.Name, ExternalID: ssoCause(c.ID), CreatedAt: tx.Now()}
		if err := tx.PutGroup(ctx, &g); err != nil {
			return err
		}
		row := store.SCIMGroup{Group: g.ID, Org: c.Org, Connection: c.ID, ExternalID: in.ExternalID, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		if err := tx.PutSCIMGroup(ctx, &row); err != nil {
			return err
		}
		if err := s.setMembers(ctx, tx, c, g.ID, nil, in.Members); err != nil {
			return err
		}
		var err error
		out, err = directoryGroup(ctx, tx.Queries, row, true)
		return err
	})
	return out, err
}

// keptGroup finds a group of the calling directory inside a change.
func keptGroup(ctx context.Context, tx *store.Tx, c store.SSOConnection, id string) (store.SCIMGroup, error) {
	row, err := tx.SCIMGroup(ctx, domain.GroupID(id))
	if err == nil && row.Connection != c.ID || err != nil && fault.KindOf(err) == fault.NotFound {
		return row, fault.New(fault.NotFound, "the directory keeps no such group here")
	}
	return row, err
}

// ChangeDirectoryGroup changes a group of the calling directory. change gets it as it is.
func (s *Service) ChangeDirectoryGroup(ctx context.Context, id string, change func(*DirectoryGroup) error) (DirectoryGroup, error) {
	var out DirectoryGroup
	err := s.keepDirectory(ctx, map[string]string{"group": domain.RecordedName(id), "change": "update"}, func(tx *store.Tx, _ guard.Permit, c store.SSOConnection) error {
		row, err := keptGroup(ctx, tx, c, id)
		if err != nil {
			return err
		}
		was, err := directoryGroup(ctx, tx.Queries, row, true)
		if err != nil {
			return err
		}
		now := was
		now.Members = slices.Clone(was.Members)
		if err := change(&now); err != nil {
			return err
		}
		if now.Name != was.Name {
			if err := directoryGroupName(now.Name); err != nil {
				return err
			}
			if err := freeGroupName(ctx, tx, c, now.Name, row.Group); err != nil {
				return err
			}
			g, err := tx.Group(ctx, row.Group)
			if err != nil {
				return err
			}
			g.Name = now.Name
			if err := tx.PutGroup(ctx, &g); err != nil {
				return err
			}
		}
		row.ExternalID, row.UpdatedAt = now.ExternalID, tx.Now()
		if err := tx.PutSCIMGroup(ctx, &row); err != nil {
			return err
		}
		if err := s.setMembers(ctx, tx, c, row.Group, was.Members, now.Members); err != nil {
			return err
		}
		out, err = directoryGroup(ctx, tx.Queries, row, true)
		return err
	})
	return out, err
}

// setMembers makes the directory's members of a group those that are wanted.
func (s *Service) setMembers(ctx context.Context, tx *store.Tx, c store.SSOConnection, group domain.GroupID, was, want []string) error {
	want = sortedMembers(want)
	if len(want) > maxDirectoryMembers {
		return fault.New(fault.Exhausted, "a group has at most %d members", maxDirectoryMembers)
	}
	is := map[string]bool{}
	for _, id := range was {
		is[id] = true
	}
	for _, id := range want {
		if is[id] {
			delete(is, id)
			continue
		}
		row, err := tx.SCIMUser(ctx, domain.UserID(id))
		if err == nil && row.Connection != c.ID || err != nil && fault.KindOf(err) == fault.NotFound {
			return fault.New(fault.Invalid, "a member is no user of the directory").WithField("members", "unknown")
		}
		if err != nil {
			return err
		}
		if err := tx.PutGroupMember(ctx, &store.GroupMember{Group: group, ID: id, Kind: domain.User, Org: c.Org, Cause: ssoCause(c.ID)}); err != nil {
			return err
		}
	}
	for id := range is { // those that are not wanted any more
		if err := tx.RemoveGroupMember(ctx, &store.GroupMember{Group: group, ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// DeleteDirectoryGroup removes a group of the calling directory with its members and what it was given.
func (s *Service) DeleteDirectoryGroup(ctx context.Context, id string) error {
	return s.keepDirectory(ctx, map[string]string{"group": domain.RecordedName(id), "change": "delete"}, func(tx *store.Tx, _ guard.Permit, c store.SSOConnection) error {
		row, err := keptGroup(ctx, tx, c, id)
		if err != nil {
			return err
		}
		members, err := tx.GroupMembers(ctx, row.Group)
		if err != nil {
			return err
		}
		around, err := tx.GroupsOf(ctx, id)
		if err != nil {
			return err
		}
		members = append(members, around...)
		for i := range members {
			if err := tx.RemoveGroupMember(ctx, &members[i]); err != nil {
				return err
			}
		}
		given, err := tx.GrantsOf(ctx, id)
		if err != nil {
			return err
		}
		for i := range given {
			if err := tx.RemoveGrant(ctx, &given[i]); err != nil {
				return err
			}
		}
		if err := tx.RemoveSCIMGroup(ctx, &row); err != nil {
			return err
		}
		g, err := tx.Group(ctx, row.Group)
		if err != nil {
			return err
		}
		return tx.RemoveGroup(ctx, &g)
	})
}

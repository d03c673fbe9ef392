package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// DisableUser ends a person's access at once, on every server: sessions, tokens, and the invitations and links that he made.
// Enabling is the opposite, and brings none of them back.
func (s *Service) DisableUser(ctx context.Context, id domain.UserID, disabled bool) error {
	facts := map[string]string{"user": domain.RecordedName(string(id)), "account": enabledWord(disabled)}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		row, err := s.ofOrg(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if disabled && string(id) == p.Principal().ID {
			return fault.New(fault.Conflict, "you cannot disable yourself").WithHint("ask another admin")
		}
		if row.ErasedAt != 0 {
			return fault.New(fault.Conflict, "this person was erased")
		}
		if err := s.mayActOn(ctx, tx, p, row); err != nil {
			return err
		}
		if disabled {
			if err := s.endEverything(ctx, tx, row); err != nil {
				return err
			}
		}
		row.Disabled = disabled
		if err := tx.PutPerson(ctx, &row); err != nil || !disabled {
			return err
		}
		return s.keepAdmin(ctx, tx, p.Org())
	})
}

func enabledWord(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func (s *Service) ofOrg(ctx context.Context, tx *store.Tx, p guard.Permit, id domain.UserID) (store.Person, error) {
	row, err := tx.Person(ctx, id)
	if err == nil && row.Org != p.Org() {
		err = guard.Missing()
	}
	return row, err
}

// endEverything ends what somebody has and has handed out.
func (s *Service) endEverything(ctx context.Context, tx *store.Tx, row store.Person) error {
	if err := s.endSessions(ctx, tx, row.ID, "", true); err != nil {
		return err
	}
	if err := dropLinks(ctx, tx, row.ID, ""); err != nil {
		return err
	}
	for _, purpose := range []string{store.LinkInvite, store.LinkPassword} {
		all, err := tx.Invites(ctx, row.Org, purpose)
		if err != nil {
			return err
		}
		for _, l := range all {
			if l.InvitedBy != string(row.ID) || l.UsedAt != 0 || l.RevokedAt != 0 {
				continue
			}
			l.RevokedAt = tx.Now()
			if err := tx.PutInvite(ctx, &l); err != nil {
				return err
			}
		}
	}
	return nil
}

// Deactivate ends a person's access and writes down what he has read and what has had no other value since: a task for the owner
// of each. The access has ended even when writing them down fails; asking again does that once more.
func (s *Service) Deactivate(ctx context.Context, id domain.UserID) ([]Task, error) {
	if err := s.DisableUser(ctx, id, true); err != nil {
		return nil, err
	}
	read, err := s.readBy(ctx, guard.CallerOf(ctx).Principal.Org, string(id))
	if err != nil {
		return nil, err
	}
	var out []Task
	err = s.manage(ctx, map[string]string{"user": domain.RecordedName(string(id)), "tasks": "make"}, func(tx *store.Tx, p guard.Permit) error {
		if err := s.makeTasks(ctx, tx, id, p.Org(), read); err != nil {
			return err
		}
		rows, err := tx.LeaverTasks(ctx, p.Org(), id, false)
		if err != nil {
			return err
		}
		n := newNames(tx.Queries)
		for _, row := range rows {
			t, err := n.task(ctx, p, row)
			if err != nil {
				return err
			}
			out = append(out, t)
		}
		return nil
	})
	return out, err
}

// erasedName stands where somebody's name was.
const erasedName = "erased"

// Erase replaces name and address of somebody who was deactivated, and removes all else that is kept about him. The log stays as
// it is: it is evidence. His id stays in it and here, so that two entries about him are still about one person.
func (s *Service) Erase(ctx context.Context, id domain.UserID) error {
	return s.manage(ctx, map[string]string{"user": domain.RecordedName(string(id)), "account": "erase"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := s.ofOrg(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if !row.Disabled {
			return fault.New(fault.Conflict, "only who was deactivated is erased").WithHint("keyturn user deactivate")
		}
		if row.ErasedAt != 0 {
			return nil
		}
		if err := s.mayActOn(ctx, tx, p, row); err != nil {
			return err
		}
		if err := s.eraseTraces(ctx, tx, row); err != nil {
			return err
		}
		row.Name, row.Email, row.Password, row.ErasedAt = erasedName, erasedAddress(id), "", tx.Now()
		return tx.PutPerson(ctx, &row)
	})
}

// erasedAddress is one that nobody can have (RFC 2606).
func erasedAddress(id domain.UserID) domain.Email {
	return domain.Email(erasedName + "-" + string(id) + "@erased.invalid")
}

func (s *Service) eraseTraces(ctx context.Context, tx *store.Tx, row store.Person) error {
	if err := s.endEverything(ctx, tx, row); err != nil {
		return err
	}
	if err := dropFactors(ctx, tx, row.ID); err != nil {
		return err
	}
	grants, err := tx.GrantsOf(ctx, string(row.ID))
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := tx.RemoveGrant(ctx, &g); err != nil {
			return err
		}
	}
	groups, err := tx.GroupsOf(ctx, string(row.ID))
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := tx.RemoveGroupMember(ctx, &g); err != nil {
			return err
		}
	}
	projects, err := tx.Projects(ctx, row.Org)
	if err != nil {
		return err
	}
	for _, project := range projects {
		own, err := tx.PersonalsOf(ctx, row.ID, project.ID)
		if err != nil {
			return err
		}
		for _, v := range own {
			if err := tx.RemovePersonal(ctx, &v); err != nil {
				return err
			}
		}
	}
	tokens, err := tx.TokensOf(ctx, string(row.ID))
	if err != nil {
		return err
	}
	for _, t := range tokens {
		t.Address, t.Agent, t.Attributes, t.Display, t.Meta = "", "", nil, "", nil
		if err := tx.PutToken(ctx, &t); err != nil {
			return err
		}
	}
	for _, purpose := range []string{store.LinkInvite, store.LinkPassword, store.LinkAddress} {
		links, err := tx.Invites(ctx, row.Org, purpose)
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.User != row.ID && l.Email != row.Email {
				continue
			}
			l.Email, l.Name = erasedAddress(row.ID), erasedName
			if err := tx.PutInvite(ctx, &l); err != nil {
				return err
			}
		}
	}
	return nil
}

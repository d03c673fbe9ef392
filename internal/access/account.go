package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Profile is what a person sees of his own account.
type Profile struct {
	Row    store.Person
	Groups []store.Group // also through other groups
}

// Profile gives the caller's own account.
func (s *Service) Profile(ctx context.Context) (Profile, error) {
	who := guard.CallerOf(ctx).Principal
	var out Profile
	err := s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "profile"}}, func(p guard.Permit) (err error) {
		if who.Kind != domain.User {
			return fault.New(fault.NotFound, "a machine has no profile")
		}
		if out.Row, err = s.db.Person(ctx, domain.UserID(who.ID)); err == nil {
			out.Groups, err = s.groupRows(ctx, who.Groups)
		}
		return err
	})
	return out, err
}

func (s *Service) groupRows(ctx context.Context, ids []domain.GroupID) ([]store.Group, error) {
	var out []store.Group
	for _, id := range ids {
		row, err := s.db.Group(ctx, id)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// Rename changes the caller's own name.
func (s *Service) Rename(ctx context.Context, name string) error {
	label, err := domain.ParseLabel(name)
	if err != nil {
		return err
	}
	return s.own(ctx, policy.SelfManage, map[string]string{"name": domain.RecordedLabel(name)}, func(tx *store.Tx, _ guard.Permit, me store.Person) error {
		me.Name = label
		return tx.PutPerson(ctx, &me)
	})
}

// ChangePassword sets the caller's own password. It needs the old one, and every other session ends; with tokens, those that he
// made for programs end too.
func (s *Service) ChangePassword(ctx context.Context, old, fresh sensitive.Value, tokens bool) error {
	c := guard.CallerOf(ctx)
	who := c.Principal
	facts := map[string]string{"password": "change"}
	op := guard.Op{Action: policy.SelfManage, Resource: policy.Resource{Org: who.Org}, Detail: facts}
	if who.Kind != domain.User || !who.Session || !s.door.Check(ctx, policy.SelfManage, op.Resource) {
		return s.own(ctx, policy.SelfManage, facts, func(*store.Tx, guard.Permit, store.Person) error { return guard.Missing() })
	}
	me, err := s.db.Person(ctx, domain.UserID(who.ID))
	if err != nil {
		return err
	}
	if err := CheckPassword(fresh, string(me.Email), string(me.Name)); err != nil {
		return err
	}
	if err := s.attempts.take(c.Address, string(me.Email)); err != nil {
		return s.fail(ctx, op, err)
	}
	if err := s.provePassword(ctx, me, old); err != nil {
		if fault.KindOf(err) == fault.Unauthenticated { // the session is good: only what was typed is wrong
			err = fault.New(fault.Invalid, "the old password is not right").WithField("/old", "wrong")
		}
		return s.fail(ctx, op, err)
	}
	s.attempts.giveBack(c.Address, string(me.Email))
	hash, err := s.hashPassword(ctx, fresh)
	if err != nil {
		return err
	}
	return s.own(ctx, policy.SelfManage, facts, func(tx *store.Tx, p guard.Permit, row store.Person) error {
		if row.Password != me.Password {
			return fault.New(fault.Conflict, "the password was changed meanwhile")
		}
		row.Password, row.PasswordAt = hash, tx.Now()
		if err := tx.PutPerson(ctx, &row); err != nil {
			return err
		}
		return s.endSessions(ctx, tx, row.ID, p.Principal().Token, tokens)
	})
}

// PasswordLink makes a link with which somebody sets a new password who has forgotten his. It goes through an admin's hands, and
// a second factor is asked for all the same.
func (s *Service) PasswordLink(ctx context.Context, id domain.UserID) (Invitation, error) {
	var out Invitation
	err := s.manage(ctx, map[string]string{"user": domain.RecordedName(string(id)), "password": "link"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Person(ctx, id)
		if err != nil {
			return err
		}
		if row.Org != p.Org() || row.ErasedAt != 0 {
			return guard.Missing()
		}
		if err := s.mayActOn(ctx, tx, p, row); err != nil {
			return err
		}
		out.Row, out.Token, err = s.personalLink(ctx, tx, p, row, store.LinkPassword, row.Email, passwordLinkTTL)
		return err
	})
	if err == nil && s.publicURL != "" {
		out.Link = s.linkOf(out.Token)
	}
	return out, err
}

// personalLink makes a link for somebody who has an account, in place of earlier ones for the same purpose.
func (s *Service) personalLink(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Person, purpose string, email domain.Email, ttl time.Duration) (store.Invite, sensitive.Value, error) {
	if err := dropLinks(ctx, tx, row.ID, purpose); err != nil {
		return store.Invite{}, sensitive.Value{}, err
	}
	link, token := newLink(store.Invite{Org: row.Org, Purpose: purpose, Email: email, Name: row.Name, User: row.ID, InvitedBy: p.Principal().ID, CreatedAt: tx.Now(), ExpiresAt: tx.Now() + ttl.Milliseconds()})
	return link, token, tx.PutInvite(ctx, &link)
}

// dropLinks takes back what links there are for somebody who has an account; of every purpose when none is named.
func dropLinks(ctx context.Context, tx *store.Tx, user domain.UserID, purpose string) error {
	all, err := tx.InvitesOf(ctx, user)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.UsedAt != 0 || l.RevokedAt != 0 || purpose != "" && l.Purpose != purpose {
			continue
		}
		l.RevokedAt = tx.Now()
		if err := tx.PutInvite(ctx, &l); err != nil {
			return err
		}
	}
	return nil
}

// ResetPassword sets a new password for whoever has the link. All that he was logged in with ends, tokens too: the old password
// may have been known to somebody else.
func (s *Service) ResetPassword(ctx context.Context, token, password sensitive.Value) error {
	var hash string
	check := func(row store.Invite) (err error) {
		if err = CheckPassword(password, string(row.Email), string(row.Name)); err == nil {
			hash, err = s.hashPassword(ctx, password)
		}
		return err
	}
	return s.useLink(ctx, token, store.LinkPassword, check, func(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Invite) error {
		me, err := tx.Person(ctx, row.User)
		if err != nil {
			return err
		}
		if me.Disabled {
			return badLink()
		}
		me.Password, me.PasswordAt = hash, tx.Now()
		if err := tx.PutPerson(ctx, &me); err != nil {
			return err
		}
		if err := tx.PutInvite(ctx, &row); err != nil {
			return err
		}
		p.As(&domain.Principal{Kind: domain.User, ID: string(me.ID), Name: string(me.Email), Org: me.Org})
		return s.endSessions(ctx, tx, me.ID, "", true)
	})
}

// ChangeAddress sends a link to a new address of the caller; the address is his when the link is used.
func (s *Service) ChangeAddress(ctx context.Context, address string) error {
	email, err := domain.ParseEmail(address)
	if err != nil {
		return err
	}
	var link store.Invite
	var token sensitive.Value
	old := domain.Email("")
	err = s.own(ctx, policy.SelfManage, map[string]string{"address": string(email)}, func(tx *store.Tx, p guard.Permit, me store.Person) (err error) {
		if err := s.mayMail(ctx); err != nil {
			return err
		}
		old = me.Email
		link, token, err = s.personalLink(ctx, tx, p, me, store.LinkAddress, email, addressLinkTTL)
		return err
	})
	if err != nil {
		return err
	}
	// Whether the new address is somebody else's is told to its owner only, when he uses the link.
	if err := s.mail(ctx, link, token, "Your address on Keyturn", "Use this link to make this your address on Keyturn."); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the mail could not be handed over")
	}
	return s.mailer.Mail(ctx, string(old), "Your address on Keyturn", "Somebody who is logged in with your account asked to change its address to another one. If that was not you, change your password and tell an admin.\n")
}

// ConfirmAddress makes the address of a link that of the account it was made for. He logs in with it from then on.
func (s *Service) ConfirmAddress(ctx context.Context, token sensitive.Value) error {
	return s.useLink(ctx, token, store.LinkAddress, nil, func(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Invite) error {
		me, err := tx.Person(ctx, row.User)
		if err != nil {
			return err
		}
		if me.Disabled {
			return badLink()
		}
		if err := setAddress(ctx, tx, me, row.Email); err != nil {
			return err
		}
		p.As(&domain.Principal{Kind: domain.User, ID: string(me.ID), Name: string(row.Email), Org: me.Org})
		return tx.PutInvite(ctx, &row)
	})
}

func setAddress(ctx context.Context, tx *store.Tx, me store.Person, email domain.Email) error {
	if other, err := tx.PersonByEmail(ctx, email); err == nil && other.ID != me.ID {
		return fault.New(fault.Exists, "a user with this address exists already")
	} else if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	me.Email = email
	return tx.PutPerson(ctx, &me)
}

// SetAddress changes the address of somebody else, for an admin.
func (s *Service) SetAddress(ctx context.Context, id domain.UserID, address string) error {
	email, err := domain.ParseEmail(address)
	if err != nil {
		return err
	}
	return s.manage(ctx, map[string]string{"user": domain.RecordedName(string(id)), "address": string(email)}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Person(ctx, id)
		if err != nil {
			return err
		}
		if row.Org != p.Org() || row.ErasedAt != 0 {
			return guard.Missing()
		}
		if err := s.mayActOn(ctx, tx, p, row); err != nil {
			return err
		}
		return setAddress(ctx, tx, row, email)
	})
}

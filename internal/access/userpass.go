package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// UserpassChange is what shall be different about a person whom the dialect calls a user of userpass.
type UserpassChange struct {
	Password sensitive.Value // empty leaves as it is
	Policies []string        // names of roles in the whole organisation; nil leaves as it is
}

// SetUserpass makes a person of a place, or changes what is given: nil leaves as it is. The first password makes the person.
func (s *Service) SetUserpass(ctx context.Context, name string, change UserpassChange) error {
	email, err := domain.ParseEmail(name)
	if err != nil {
		return fault.New(fault.Invalid, "people are named by their e-mail address here").WithHint("take name@host as the user name; a machine logs in by AppRole").WithField("/username", "not an address")
	}
	facts := map[string]string{"user": string(email), "userpass": "set"}
	var hash string
	if !change.Password.Empty() {
		if err := CheckPassword(change.Password, string(email)); err != nil {
			return err
		}
		if !s.door.Check(ctx, policy.AccessManage, policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}) {
			// Refused and recorded before a password is stretched for somebody who may not.
			return s.manage(ctx, facts, func(*store.Tx, guard.Permit) error { return guard.Missing() })
		}
		if hash, err = s.hashPassword(ctx, change.Password); err != nil {
			return err
		}
	}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.PersonByEmail(ctx, email)
		fresh := err != nil && fault.KindOf(err) == fault.NotFound
		switch {
		case err != nil && !fresh:
			return err
		case fresh && hash == "":
			return fault.New(fault.Invalid, "missing password")
		case fresh:
			row = store.Person{ID: domain.NewID[domain.UserID](), Org: p.Org(), Email: email, Name: domain.Label(email), CreatedAt: tx.Now()}
		case row.Org != p.Org():
			return fault.New(fault.Exists, "a user with this address exists already")
		case row.ErasedAt != 0:
			return fault.New(fault.Conflict, "this person was erased")
		default:
			if err := s.mayActOn(ctx, tx, p, row); err != nil {
				return err
			}
		}
		if hash != "" {
			if !fresh {
				if err := s.endSessions(ctx, tx, row.ID, "", true); err != nil {
					return err
				}
			}
			row.Password, row.PasswordAt, row.Disabled = hash, tx.Now(), false
		}
		if row.Disabled {
			return fault.New(fault.NotFound, "there is no such user")
		}
		if err := tx.PutPerson(ctx, &row); err != nil {
			return err
		}
		if change.Policies == nil {
			return nil
		}
		return s.setPolicies(ctx, tx, p, domain.User, string(row.ID), change.Policies)
	})
}

// Userpass gives the policies of a person. One who is disabled, or who has no password here, is not there.
func (s *Service) Userpass(ctx context.Context, name string) ([]string, error) {
	var out []string
	err := s.ask(ctx, "user", func(org domain.OrgID) error {
		email, err := domain.ParseEmail(name)
		if err != nil {
			return fault.New(fault.NotFound, "there is no such user")
		}
		row, err := s.db.PersonByEmail(ctx, email)
		if err != nil {
			return err
		}
		if row.Org != org || row.Disabled || row.Password == "" {
			return fault.New(fault.NotFound, "there is no such user")
		}
		out, err = policiesOf(ctx, s.db.Queries, string(row.ID))
		return err
	})
	return out, err
}

// UserpassNames lists the people who log in with a password here.
func (s *Service) UserpassNames(ctx context.Context) ([]string, error) {
	all, err := s.Users(ctx)
	var out []string
	for _, row := range all {
		if !row.Disabled && row.Password != "" {
			out = append(out, string(row.Email))
		}
	}
	return out, err
}

// EndUserpass ends the access of a person, as [Service.DisableUser] does. One who is not there is gone already.
func (s *Service) EndUserpass(ctx context.Context, name string) error {
	var row store.Person
	email, err := domain.ParseEmail(name)
	if err == nil {
		row, err = s.db.PersonByEmail(ctx, email)
	} else {
		err = fault.New(fault.NotFound, "there is no such user")
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err != nil || row.Org != guard.CallerOf(ctx).Principal.Org || row.Disabled {
		return s.manage(ctx, map[string]string{"user": domain.RecordedLabel(name), "account": "missing"}, func(*store.Tx, guard.Permit) error { return nil })
	}
	return s.DisableUser(ctx, row.ID, true)
}

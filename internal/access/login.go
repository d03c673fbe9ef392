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

// Session is what a login gives.
type Session struct {
	Token sensitive.Value
	Row   store.Token
	Name  string
}

func badLogin() *fault.Error {
	return fault.New(fault.Unauthenticated, "the login is not right: wrong name or secret, or the account is disabled")
}

// login runs a check and, when it says who it is, makes a token. Failures are counted and recorded.
func (s *Service) login(ctx context.Context, account string, check func() (domain.PrincipalKind, string, string, time.Duration, error)) (Session, error) {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	c := guard.CallerOf(ctx)
	op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"account": account}}
	if err := s.attempts.take(c.Address, account); err != nil {
		return Session{}, s.fail(ctx, op, err)
	}
	kind, id, name, ttl, err := check()
	if err != nil {
		if fault.KindOf(err) != fault.Unauthenticated {
			s.attempts.giveBack(c.Address, account)
		}
		return Session{}, s.door.Fail(ctx, op, err)
	}
	s.attempts.giveBack(c.Address, account)
	var out Session
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		_, disabled, err := s.nameOf(ctx, tx.Queries, kind, id)
		if err != nil {
			return err
		}
		if disabled {
			return badLogin()
		}
		row := store.Token{Kind: domain.SessionToken, Name: "login", PrincipalKind: kind, PrincipalID: id, ExpiresAt: tx.Now() + ttl.Milliseconds()}
		if kind == domain.Identity {
			row.Kind = domain.AccessToken
			i, err := tx.Identity(ctx, domain.IdentityID(id))
			if err != nil {
				return err
			}
			row.Org = i.Org
		} else {
			u, err := tx.Person(ctx, domain.UserID(id))
			if err != nil {
				return err
			}
			row.Org = u.Org
		}
		out.Name = name
		out.Row, out.Token, err = putToken(ctx, tx, row)
		p.As(&domain.Principal{Kind: kind, ID: id, Name: name, Org: row.Org, Token: out.Row.ID})
		return err
	})
	return out, err
}

// Login checks a person's password.
func (s *Service) Login(ctx context.Context, address string, password sensitive.Value) (Session, error) {
	email, err := domain.ParseEmail(address)
	if err != nil {
		return Session{}, err
	}
	return s.login(ctx, string(email), func() (domain.PrincipalKind, string, string, time.Duration, error) {
		row, err := s.db.PersonByEmail(ctx, email)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return "", "", "", 0, err
		}
		ok, err := s.checkPassword(ctx, row.Password, password)
		if err == nil && (!ok || row.Disabled) {
			err = badLogin()
		}
		return domain.User, string(row.ID), string(row.Email), SessionTTL, err
	})
}

// LoginIdentity checks a machine's client secret.
func (s *Service) LoginIdentity(ctx context.Context, clientID string, secret sensitive.Value) (Session, error) {
	id, err := domain.ParseID[domain.IdentityID](clientID)
	if err != nil {
		return Session{}, fault.New(fault.Invalid, "the client id is not an id").WithField("/client_id", "want the UUID that \"identity create\" printed")
	}
	return s.login(ctx, string(id), func() (domain.PrincipalKind, string, string, time.Duration, error) {
		kind, err := domain.CheckToken(string(secret.Reveal()))
		if err != nil || kind != domain.ClientSecret {
			return "", "", "", 0, badLogin()
		}
		hash := domain.TokenHash(string(secret.Reveal()))
		row, err := s.db.ClientSecretByHash(ctx, hash[:])
		if err != nil {
			if fault.KindOf(err) == fault.NotFound {
				err = badLogin()
			}
			return "", "", "", 0, err
		}
		if row.Identity != id || row.RevokedAt != 0 || row.ExpiresAt != 0 && time.Now().UnixMilli() >= row.ExpiresAt {
			return "", "", "", 0, badLogin()
		}
		i, err := s.db.Identity(ctx, id)
		if err == nil && i.Disabled {
			err = badLogin()
		}
		if err != nil {
			return "", "", "", 0, err
		}
		return domain.Identity, string(id), string(i.Name), time.Duration(i.TokenTTL) * time.Millisecond, err
	})
}

// Logout ends the token that was shown.
func (s *Service) Logout(ctx context.Context) error {
	who := guard.CallerOf(ctx).Principal
	return s.door.Do(ctx, guard.Op{Action: policy.SessionEnd, Resource: policy.Resource{Org: who.Org}}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Token(ctx, who.Token)
		if err != nil {
			return err
		}
		row.RevokedAt = tx.Now()
		if err := tx.PutToken(ctx, &row); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

// WhoAmI records the question and gives the caller.
func (s *Service) WhoAmI(ctx context.Context) (*domain.Principal, error) {
	who := guard.CallerOf(ctx).Principal
	err := s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}}, func(guard.Permit) error { return nil })
	return who, err
}

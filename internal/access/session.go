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

// duties notes what a person owes his organisation: how fresh his session must be, and from when he needs a second factor.
func (s *Service) duties(ctx context.Context, p *domain.Principal, row store.Token) error {
	if p.Kind != domain.User {
		return nil
	}
	set, err := settingsOf(ctx, s.db.Queries, p.Org)
	if err != nil {
		return err
	}
	p.Fresh = set.Fresh.Milliseconds()
	if p.Session { // limits that became narrower hold for sessions that are there already
		p.ExpiresAt = min(p.ExpiresAt, row.CreatedAt+set.SessionMax.Milliseconds())
		if p.Idle != 0 {
			p.Idle = min(p.Idle, set.Idle.Milliseconds())
		}
	}
	if p.Factor, err = hasFactor(ctx, s.db.Queries, domain.UserID(p.ID)); err != nil {
		return err
	}
	// A login whose second factor an identity provider has seen is as good as one of ours.
	// So is one with a passkey; who has one and logged in by password alone must show it, but his tokens go on.
	if set.MFARequired && !p.Factor && p.MFAAt == 0 {
		if !p.Session {
			if passkey, err := hasPasskey(ctx, s.db.Queries, domain.UserID(p.ID)); err != nil || passkey {
				return err
			}
		}
		me, err := s.db.Person(ctx, domain.UserID(p.ID))
		if err != nil {
			return err
		}
		p.EnrolBy = max(set.MFASince, me.CreatedAt) + set.MFAGrace.Milliseconds()
	}
	return nil
}

// Reprove shows again who the holder of a session is, by the code of a second factor or, where there is none, by the password.
// From then on the session may do dangerous things for a while.
func (s *Service) Reprove(ctx context.Context, password sensitive.Value, code string) error {
	c := guard.CallerOf(ctx)
	who := c.Principal
	op := guard.Op{Action: policy.SelfProve, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{}}
	if who.Kind != domain.User || !who.Session {
		return s.own(ctx, policy.SelfProve, nil, func(*store.Tx, guard.Permit, store.Person) error { return guard.Missing() })
	}
	me, err := s.db.Person(ctx, domain.UserID(who.ID))
	if err != nil {
		return err
	}
	if err := s.attempts.take(c.Address, string(me.Email)); err != nil {
		return s.fail(ctx, op, err)
	}
	var found *shown
	if who.Factor {
		op.Detail["by"] = "second factor"
		found, err = s.secondFactor(ctx, me.ID, code)
	} else {
		op.Detail["by"] = "password"
		err = s.provePassword(ctx, me, password)
	}
	if err != nil {
		return s.fail(ctx, op, err)
	}
	s.attempts.giveBack(c.Address, string(me.Email))
	return s.own(ctx, policy.SelfProve, op.Detail, func(tx *store.Tx, p guard.Permit, _ store.Person) error {
		if found != nil {
			if err := found.spend(ctx, tx, p); err != nil {
				return err
			}
		}
		return s.proved(ctx, tx, p, found != nil)
	})
}

// provePassword checks the password of somebody who is logged in.
func (s *Service) provePassword(ctx context.Context, me store.Person, password sensitive.Value) error {
	if me.Password == "" {
		return fault.New(fault.Conflict, "this account has no password here").WithHint("log in anew, the way you came: keyturn login")
	}
	ok, err := s.checkPassword(ctx, me.Password, password)
	if err == nil && !ok {
		err = fault.New(fault.Unauthenticated, "the password is not right").WithReason(fault.ReasonReprove)
	}
	return err
}

// endSessions revokes what a person is logged in with, but for one token; with tokens, those that he made as well.
func (s *Service) endSessions(ctx context.Context, tx *store.Tx, user domain.UserID, but domain.TokenID, tokens bool) error {
	all, err := tx.TokensOf(ctx, string(user))
	if err != nil {
		return err
	}
	for _, row := range all {
		if row.RevokedAt != 0 || row.ID == but || row.Kind != domain.SessionToken && !tokens {
			continue
		}
		if _, err := tx.EndToken(ctx, &row); err != nil {
			return err
		}
	}
	return nil
}

// Sessions lists what a person is logged in with and what is still good, newest first; "" means the caller. Those of others are
// for who may see all access.
func (s *Service) Sessions(ctx context.Context, user domain.UserID) ([]store.Token, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "sessions"}}
	if user == "" {
		user = domain.UserID(who.ID)
	} else {
		op.Action, op.Detail["user"] = policy.AccessRead, domain.RecordedName(string(user))
	}
	var out []store.Token
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		set, err := settingsOf(ctx, s.db.Queries, p.Org())
		if err != nil {
			return err
		}
		all, err := s.db.TokensOf(ctx, string(user))
		now := time.Now().UnixMilli()
		for _, row := range all {
			row.LastUsedAt = max(row.LastUsedAt, s.used.of(row.ID), row.CreatedAt)
			row.ExpiresAt = min(row.ExpiresAt, row.CreatedAt+set.SessionMax.Milliseconds())
			idle := row.Idle != 0 && now-row.LastUsedAt > min(row.Idle, set.Idle.Milliseconds())
			if row.Kind == domain.SessionToken && row.Org == p.Org() && row.RevokedAt == 0 && now < row.ExpiresAt && !idle {
				out = append(out, row)
			}
		}
		return err
	})
	return out, err
}

// EndOtherSessions ends what the caller is logged in with elsewhere.
func (s *Service) EndOtherSessions(ctx context.Context) error {
	return s.own(ctx, policy.SelfManage, map[string]string{"sessions": "others"}, func(tx *store.Tx, p guard.Permit, me store.Person) error {
		return s.endSessions(ctx, tx, me.ID, p.Principal().Token, false)
	})
}

// EndSessions ends all that somebody is logged in with.
func (s *Service) EndSessions(ctx context.Context, user domain.UserID) error {
	return s.manage(ctx, map[string]string{"user": domain.RecordedName(string(user)), "sessions": "end"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Person(ctx, user)
		if err != nil {
			return err
		}
		if row.Org != p.Org() {
			return guard.Missing()
		}
		return s.endSessions(ctx, tx, user, "", false)
	})
}

// mayActOn refuses to change the credentials of somebody who may do more than oneself: it would be a way to become him.
func (s *Service) mayActOn(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Person) error {
	them := &domain.Principal{Kind: domain.User, ID: string(row.ID), Org: row.Org}
	var err error
	if them.Groups, err = groupsOf(ctx, tx.Queries, them.ID); err != nil {
		return err
	}
	if them.Grants, err = grantsOf(ctx, tx.Queries, them); err != nil {
		return err
	}
	if err := mayGiveAll(ctx, tx.Queries, p.Principal(), p.Facts(), them.Grants); fault.KindOf(err) == fault.Denied && err != nil {
		return fault.New(fault.Denied, "this person may do more than you, so another one must do it").WithHint("ask an admin of the organisation")
	} else if err != nil {
		return err
	}
	return nil
}

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

// duties notes what a person owes his organisation: how fresh his session must be, and from when he needs a second factor.
func (s *Service) duties(ctx context.Context, p *domain.Principal) error {
	if p.Kind != domain.User {
		return nil
	}
	set, err := settingsOf(ctx, s.db.Queries, p.Org)
	if err != nil {
		return err
	}
	p.Fresh = set.Fresh.Milliseconds()
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
		row.RevokedAt = tx.Now()
		if err := tx.PutToken(ctx, &row); err != nil {
			return err
		}
	}
	return nil
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
	for _, g := range them.Grants {
		if !policy.CanGrant(p.Principal(), g) {
			return fault.New(fault.Denied, "this person may do more than you, so another one must do it").WithHint("ask an admin of the organisation")
		}
	}
	return nil
}

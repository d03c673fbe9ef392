package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// HandOver makes another session of the caller for a program of his on his own machine. It is no less than his own: so it takes
// a session that was proved a short time ago, and what was proved then is all that the new one has. It ends when the sessions of
// the organisation end, by itself or with all others of his.
func (s *Service) HandOver(ctx context.Context, program string) (Session, error) {
	var out Session
	err := s.own(ctx, policy.SelfManage, map[string]string{"session": "hand over", "program": domain.RecordedLabel(program)}, func(tx *store.Tx, p guard.Permit, me store.Person) error {
		set, err := settingsOf(ctx, tx.Queries, me.Org)
		if err != nil {
			return err
		}
		from, err := tx.Token(ctx, p.Principal().Token)
		if err != nil {
			return err
		}
		if from.Method == domain.BreakGlassMethod {
			return fault.New(fault.Denied, "a session of a break-glass credential is not handed over")
		}
		row := store.Token{Org: me.Org, Kind: domain.SessionToken, Name: program, PrincipalKind: domain.User, PrincipalID: string(me.ID), ExpiresAt: tx.Now() + set.SessionMax.Milliseconds(),
			Method: from.Method, AuthAt: from.AuthAt, MFAAt: from.MFAAt, Idle: set.Idle.Milliseconds(), Networks: from.Networks, Attributes: from.Attributes, Parent: from.ID,
			Address: guard.CallerOf(ctx).Address, Agent: program}
		row, value, err := putToken(ctx, tx, row)
		out = Session{Token: value, Row: row, Name: string(me.Email)}
		return err
	})
	return out, err
}

// Between gives what a surface needs to know of somebody between the steps of his login, when the first is done: his organisation,
// and how many codes of a second factor may be tried. It decides nothing.
func (s *Service) Between(ctx context.Context, address string) (store.Org, int, error) {
	email, err := domain.ParseEmail(address)
	if err != nil {
		return store.Org{}, 0, err
	}
	me, err := s.db.PersonByEmail(ctx, email)
	if err != nil {
		return store.Org{}, 0, err
	}
	org, err := s.orgNamed(ctx, string(me.Org))
	return org, s.codes.left(string(me.ID)), err
}

package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// RenewOrKeep is [Service.Renew] for clients that renew whatever their login gave: the token of a machine that cannot be renewed
// comes back as it is, and ends when it would have. It is for access tokens of machines; others are fault.Unauthenticated.
func (s *Service) RenewOrKeep(ctx context.Context) (store.Token, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"token": "keep"}}
	row, err := s.db.Token(ctx, who.Token)
	if err == nil && row.Kind == domain.AccessToken && row.RenewUntil == 0 {
		err = s.door.Read(ctx, op, func(guard.Permit) error { return nil })
		return row, err
	}
	if err == nil && row.Kind != domain.AccessToken {
		return store.Token{}, s.Refused(ctx, fault.New(fault.Unauthenticated, "only the access token of a machine is renewed").WithHint("log in again when this one ends"))
	}
	if err != nil {
		return store.Token{}, err
	}
	return s.Renew(ctx, 0)
}

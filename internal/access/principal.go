package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// Principal finds who somebody is, with the rights that he has now and no token. Somebody who is gone or disabled is
// fault.Denied.
func (s *Service) Principal(ctx context.Context, q store.Queries, kind domain.PrincipalKind, id string) (*domain.Principal, error) {
	gone := fault.New(fault.Denied, "somebody who has to do with this is gone or disabled")
	p := &domain.Principal{Kind: kind, ID: id}
	var disabled bool
	var err error
	switch kind {
	case domain.User:
		var row store.Person
		row, err = q.Person(ctx, domain.UserID(id))
		p.Name, p.Org, disabled = string(row.Email), row.Org, row.Disabled
	case domain.Identity:
		var row store.Identity
		row, err = q.Identity(ctx, domain.IdentityID(id))
		p.Name, p.Org, disabled = string(row.Name), row.Org, row.Disabled
	default:
		return nil, gone
	}
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil, err == nil && disabled:
		return nil, gone
	case err != nil:
		return nil, err
	}
	if p.Groups, err = groupsOf(ctx, q, id); err != nil {
		return nil, err
	}
	return p, rightsOf(ctx, q, p)
}

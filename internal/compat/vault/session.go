package vault

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// The types of tokens.
const (
	typeService = "service"
	typeBatch   = "batch"
)

// session answers with what a login gave, or the making or renewal of a token. Warnings are shown to people.
func (s *Surface) session(ctx context.Context, in access.Session, warnings ...string) (*reply, error) {
	who, err := s.Access.Holder(ctx, in.Row)
	if err != nil {
		return nil, err
	}
	row := in.Row
	kind := typeService
	if row.Batch {
		kind = typeBatch
	}
	policies := access.PolicyNames(who)
	out := &reply{auth: &authInfo{ClientToken: text(in.Token), Accessor: access.Accessor(row), Policies: policies, TokenPolicies: policies, Metadata: row.Meta,
		LeaseDuration: lasts(row), Renewable: access.Renewable(row), EntityID: row.PrincipalID, TokenType: kind, Orphan: row.Family == "", NumUses: row.Uses},
		warnings: warnings, made: &row}
	return out, nil
}

// text shows a secret in the answer that it was made for.
func text(v sensitive.Value) string { return string(v.Reveal()) }

// lasts gives the seconds from the making or last renewal of a token to its end, 0 for one that does not end.
func lasts(row access.Token) int64 {
	if row.ExpiresAt == 0 {
		return 0
	}
	return max((row.ExpiresAt-max(row.CreatedAt, row.RenewedAt))/int64(time.Second/time.Millisecond), 0)
}

package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// Holder gives who shows a token that was just made, with its rights, for an answer that names them. It is no proof of anything:
// requests go through [Service.Authenticate].
func (s *Service) Holder(ctx context.Context, row Token) (*domain.Principal, error) {
	return s.holder(ctx, row)
}

// Renewable tells whether the end of a token can be moved.
func Renewable(row Token) bool { return !row.Batch && (row.RenewUntil != 0 || row.Period != 0) }

// Accessor is the name of a token that opens nothing: "" of a batch token, which has none.
func Accessor(row Token) string {
	if row.Batch {
		return ""
	}
	return string(row.ID)
}

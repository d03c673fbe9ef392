package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxGenerations bounds how many tokens stand above one another: each load of the last one reads them all.
	maxGenerations = 16
	// maxFamily bounds the living tokens that end together: one transaction revokes them.
	maxFamily = 2000
)

// lineage tells when a token ends, unix milliseconds, zero for never: by itself, or with one of those that it ends with. When one
// of them has ended, so has the token: unknown().
func lineage(ctx context.Context, q store.Queries, row store.Token) (int64, error) {
	now := time.Now().UnixMilli()
	end := row.ExpiresAt
	for range maxGenerations {
		if row.Family == "" {
			return end, nil
		}
		parent, err := q.Token(ctx, row.Parent)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return 0, unknown()
		}
		if err != nil {
			return 0, err
		}
		if parent.RevokedAt != 0 || parent.ExpiresAt != 0 && parent.ExpiresAt <= now {
			return 0, unknown()
		}
		if parent.ExpiresAt != 0 && (end == 0 || parent.ExpiresAt < end) {
			end = parent.ExpiresAt
		}
		row = parent
	}
	return 0, unknown() // rows that were tampered with may go in a circle
}

// adopt enters a new token into the family of its parent, with which it ends.
func adopt(ctx context.Context, q store.Queries, row *store.Token, parent store.Token) error {
	row.Family = parent.Family
	if row.Family == "" {
		row.Family = parent.ID
	}
	n, err := q.FamilySize(ctx, row.Family)
	if err != nil {
		return err
	}
	if n >= maxFamily {
		return fault.New(fault.Exhausted, "a token has more than %d living descendants", maxFamily).WithHint("revoke those that are no longer needed")
	}
	above := 1
	for at := parent; at.Family != ""; above++ {
		if above >= maxGenerations-1 {
			return fault.New(fault.Denied, "a token stands below %d others already, and makes none", maxGenerations-2)
		}
		if at, err = q.Token(ctx, at.Parent); err != nil {
			return err
		}
	}
	return nil
}

// descends tells whether a token is another one's child, or a child's child, and ends with it.
func descends(ctx context.Context, q store.Queries, row store.Token, from domain.TokenID) (bool, error) {
	for range maxGenerations {
		if row.Family == "" || from == "" {
			return false, nil
		}
		if row.Parent == from {
			return true, nil
		}
		var err error
		if row, err = q.Token(ctx, row.Parent); err != nil {
			return false, err
		}
	}
	return false, nil
}

package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// mayGiveAll tells whether somebody may hand out all of these grants, custom roles too. What has ended by itself is left out.
func mayGiveAll(ctx context.Context, q store.Queries, p *domain.Principal, f policy.Facts, grants []domain.Grant) error {
	for _, g := range grants {
		if g.ExpiresAt != 0 && f.At >= g.ExpiresAt {
			continue
		}
		given := policy.Given{Grant: g}
		var builtIn bool
		if given.Rules, builtIn = policy.BuiltIn(g.Role); !builtIn {
			row, err := q.Role(ctx, domain.RoleID(g.Role))
			if fault.KindOf(err) == fault.NotFound && err != nil {
				continue // the role is gone and gives nothing
			}
			if err != nil {
				return err
			}
			given.Rules = row.Rules
		}
		if g.Env != "" {
			env, err := q.Environment(ctx, g.Env)
			if err != nil {
				return err
			}
			given.Slug = env.Slug
		}
		if err := policy.MayGive(p, given, f); err != nil {
			return err
		}
	}
	return nil
}

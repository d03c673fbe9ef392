package access

import (
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// narrow leaves a principal, whose rights are prepared, with the roles of a list. A role that he does not hold counts everywhere,
// if he might hand it out so himself. What his other roles deny stays denied: a list must not be the way around them.
func narrow(ctx context.Context, q store.Queries, p *domain.Principal, policies []domain.Role) error {
	if policies == nil {
		return nil
	}
	var grants []domain.Grant
	roles, held := map[domain.Role]domain.CustomRole{}, map[domain.Role]bool{}
	for _, g := range p.Grants {
		name, rules := policy.RulesOf(p, g.Role)
		held[g.Role] = true
		if !slices.Contains(policies, g.Role) {
			if rules = denies(rules); len(rules) == 0 {
				continue
			}
		}
		grants = append(grants, g)
		if !g.Role.IsBuiltIn() {
			roles[g.Role] = domain.CustomRole{Name: domain.Slug(name), Rules: rules}
		}
	}
	for _, role := range policies {
		if held[role] || role == domain.DefaultPolicy {
			continue
		}
		given, name, err := everywhere(ctx, q, role)
		switch {
		case fault.KindOf(err) == fault.NotFound && err != nil:
			continue // the role is gone and gives nothing
		case err != nil:
			return err
		case policy.MayGive(p, given, policy.Facts{At: time.Now().UnixMilli()}) != nil:
			continue // the holder has lost what the role gives
		}
		grants = append(grants, given.Grant)
		if !role.IsBuiltIn() {
			roles[role] = domain.CustomRole{Name: name, Rules: given.Rules}
		}
	}
	p.Grants, p.Roles, p.Policies = grants, roles, policies
	policy.Prepare(p)
	return nil
}

func denies(rules []domain.Rule) []domain.Rule {
	var out []domain.Rule
	for _, r := range rules {
		if r.Effect != domain.Allow {
			out = append(out, r)
		}
	}
	return out
}

// everywhere is a role as it would be given in the whole organisation.
func everywhere(ctx context.Context, q store.Queries, role domain.Role) (policy.Given, domain.Slug, error) {
	given := policy.Given{Grant: domain.Grant{Role: role}}
	var builtIn bool
	if given.Rules, builtIn = policy.BuiltIn(role); builtIn {
		return given, domain.Slug(role), nil
	}
	row, err := q.Role(ctx, domain.RoleID(role))
	given.Rules = row.Rules
	return given, row.Name, err
}

// PolicyNames gives what Vault clients call the policies of a token: the names of the roles that it holds anywhere, sorted, with
// "default" unless it was made without.
func PolicyNames(p *domain.Principal) []string {
	out := []string{}
	if p.Policies == nil || slices.Contains(p.Policies, domain.DefaultPolicy) {
		out = append(out, string(domain.DefaultPolicy))
	}
	now := time.Now().UnixMilli()
	for _, g := range p.Grants {
		if g.ExpiresAt != 0 && g.ExpiresAt <= now || p.Policies != nil && !slices.Contains(p.Policies, g.Role) {
			continue
		}
		if g.Role.IsBuiltIn() {
			out = append(out, string(g.Role))
		} else if r, ok := p.Roles[g.Role]; ok {
			out = append(out, string(r.Name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

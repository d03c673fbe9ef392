package access

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// An ACL policy of the Vault view is a custom role of the same name, whose rules are made of its paths. The text is kept beside
// them. Whoever has the role has the policy, in whatever dialect he speaks.

// The policies that every organisation has. They are no roles.
const (
	RootPolicy    = "root"
	DefaultPolicy = "default"
)

// defaultText is what a read of the policy "default" gives: what everybody may do who has a token.
const defaultText = `# Everybody who has a token may do this. It cannot be changed.
path "auth/token/lookup-self" {
    capabilities = ["read"]
}
path "auth/token/renew-self" {
    capabilities = ["update"]
}
path "auth/token/revoke-self" {
    capabilities = ["update"]
}
path "sys/capabilities-self" {
    capabilities = ["update"]
}
path "sys/internal/ui/resultant-acl" {
    capabilities = ["read"]
}
path "sys/leases/lookup" {
    capabilities = ["update"]
}
path "sys/leases/renew" {
    capabilities = ["update"]
}
path "cubbyhole/*" {
    capabilities = ["create", "read", "update", "delete", "list"]
}
path "sys/wrapping/wrap" {
    capabilities = ["update"]
}
path "sys/wrapping/lookup" {
    capabilities = ["update"]
}
path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}
path "sys/tools/*" {
    capabilities = ["update"]
}
`

// ACLMounts finds the mounts of the caller's organisation, also those that he may not see: what a policy means must not depend on
// who writes it.
type ACLMounts interface {
	ACLMounts(ctx context.Context) ([]policy.ACLMount, error)
}

// PutACLPolicy makes a policy or changes it for everybody who has it. What no rule can say is fault.Invalid with its line.
func (s *Service) PutACLPolicy(ctx context.Context, mounts ACLMounts, name, text string) error {
	if name == RootPolicy || name == DefaultPolicy {
		return fault.New(fault.Invalid, "cannot update %s policy", name)
	}
	slug, err := domain.ParseSlug(name)
	if err != nil {
		return fault.New(fault.Invalid, "a policy is a role here, and its name that of one: want a-z, 0-9 and '-', not '-' at an end")
	}
	if domain.Role(slug).IsBuiltIn() {
		return fault.New(fault.Invalid, "this is the name of a built-in role: take another one")
	}
	if text == "" {
		return fault.New(fault.Invalid, "'policy' parameter not supplied or empty")
	}
	facts := map[string]string{"role": string(slug), "change": "policy"}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		paths, err := policy.ParseACL(text)
		if err != nil {
			return err
		}
		known, err := mounts.ACLMounts(ctx)
		if err != nil {
			return err
		}
		rules, err := policy.ACLRules(paths, known)
		if err != nil {
			return err
		}
		all, err := tx.Roles(ctx, p.Org())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r store.Role) bool { return r.Name == slug })
		if i < 0 {
			if len(all) >= maxRoles {
				return fault.New(fault.Exhausted, "too many roles: at most %d", maxRoles)
			}
			return tx.PutRole(ctx, &store.Role{ID: domain.NewID[domain.RoleID](), Org: p.Org(), Name: slug, Description: "ACL policy", Rules: rules, Policy: text, CreatedAt: tx.Now()})
		}
		row := all[i]
		if row.Policy == "" {
			return fault.New(fault.Exists, "there is a role of this name that is no policy").WithHint("take another name, or delete the role: keyturn role delete %s", slug)
		}
		if err := s.mayChange(ctx, tx.Queries, p, row, rules); err != nil {
			return err
		}
		row.Rules, row.Policy = rules, text
		if err := tx.PutRole(ctx, &row); err != nil {
			return err
		}
		return s.keepAdmin(ctx, tx, p.Org())
	})
}

// ACLPolicy gives the text of a policy as it was written. Missing ones are fault.NotFound.
func (s *Service) ACLPolicy(ctx context.Context, name string) (text string, err error) {
	err = s.ask(ctx, "acl policy", func(org domain.OrgID) error {
		switch name {
		case RootPolicy:
			return nil
		case DefaultPolicy:
			text = defaultText
			return nil
		}
		row, err := s.db.RoleByName(ctx, org, domain.Slug(name))
		if err == nil && row.Policy == "" {
			err = fault.New(fault.NotFound, "no such policy")
		}
		text = row.Policy
		return err
	})
	return text, err
}

// ACLPolicies lists the names of all policies, those that are always there among them.
func (s *Service) ACLPolicies(ctx context.Context) ([]string, error) {
	out := []string{DefaultPolicy, RootPolicy}
	err := s.ask(ctx, "acl policies", func(org domain.OrgID) error {
		rows, err := s.db.Roles(ctx, org)
		for _, row := range rows {
			if row.Policy != "" {
				out = append(out, string(row.Name))
			}
		}
		return err
	})
	slices.Sort(out)
	return out, err
}

// DeleteACLPolicy ends a policy and takes it from everybody who has it. One that is not there is no fault, as in Vault.
func (s *Service) DeleteACLPolicy(ctx context.Context, name string) error {
	if name == RootPolicy || name == DefaultPolicy {
		return fault.New(fault.Invalid, "cannot delete %s policy", name)
	}
	return s.manage(ctx, map[string]string{"role": domain.RecordedName(name), "change": "delete"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.RoleByName(ctx, p.Org(), domain.Slug(name))
		switch {
		case err != nil && fault.KindOf(err) == fault.NotFound:
			return nil
		case err == nil && row.Policy == "":
			return fault.New(fault.Invalid, "this is a role that is no policy").WithHint("delete it with: keyturn role delete %s", row.Name)
		case err != nil:
			return err
		}
		return s.removeRole(ctx, tx, p, row)
	})
}

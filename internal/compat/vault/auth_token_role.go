package vault

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

// tokenRoles answers the calls on templates of tokens.
func (s *Surface) tokenRoles(ctx context.Context, c *call, name string) (*reply, error) {
	switch {
	case name == "" && c.verb == verbList:
		keys, err := s.Access.TokenRoles(ctx)
		if err == nil && len(keys) == 0 {
			err = nothing(c)
		}
		return &reply{data: map[string]any{"keys": keys}}, err
	case name == "":
		return nil, unsupported()
	}
	switch c.verb {
	case verbRead:
		row, err := s.Access.TokenRole(ctx, name)
		if err != nil {
			return nil, err
		}
		return &reply{data: tokenRoleData(row)}, nil
	case verbWrite:
		return nil, s.putTokenRole(ctx, c, name)
	case verbDelete:
		return nil, s.Access.RemoveTokenRole(ctx, name)
	}
	return nil, unsupported()
}

func tokenRoleData(row access.TokenRole) map[string]any {
	set := row.Settings
	list := func(names []string) []string { return append([]string{}, names...) }
	kind := set.Type
	if kind == "" {
		kind = "default-service"
	}
	return map[string]any{
		"name": row.Name, "allowed_policies": list(set.Allowed), "allowed_policies_glob": list(set.AllowedGlobs), "disallowed_policies": list(set.Disallowed),
		"disallowed_policies_glob": list(set.DisallowedGlobs), "allowed_entity_aliases": []string{}, "orphan": set.Orphan, "renewable": !set.NotRenewable,
		"path_suffix": set.PathSuffix, "period": set.Period / 1000, "token_period": set.Period / 1000, "explicit_max_ttl": set.ExplicitMax / 1000,
		"token_explicit_max_ttl": set.ExplicitMax / 1000, "token_bound_cidrs": list(set.Networks), "token_num_uses": set.Uses,
		"token_no_default_policy": set.NoDefault, "token_type": kind,
	}
}

// putTokenRole changes what the call names and leaves the rest.
func (s *Surface) putTokenRole(ctx context.Context, c *call, name string) error {
	r := reader{fields: c.fields}
	if len(r.list("allowed_entity_aliases")) > 0 {
		return fault.New(fault.Unsupported, "field %q cannot be kept", "allowed_entity_aliases").WithHint("leave it out")
	}
	var changes []func(*access.TokenRoleSettings)
	put := func(change func(*access.TokenRoleSettings), names ...string) {
		for _, n := range names {
			if c.fields.has(n) {
				changes = append(changes, change)
				return
			}
		}
	}
	first := func(names ...string) string { // the name that the call uses, the newer one before its old spelling
		for _, n := range names {
			if c.fields.has(n) {
				return n
			}
		}
		return names[0]
	}
	milliseconds := func(d time.Duration) int64 { return d.Milliseconds() }
	for field, into := range map[string]func(*access.TokenRoleSettings) *[]string{
		"allowed_policies":         func(t *access.TokenRoleSettings) *[]string { return &t.Allowed },
		"allowed_policies_glob":    func(t *access.TokenRoleSettings) *[]string { return &t.AllowedGlobs },
		"disallowed_policies":      func(t *access.TokenRoleSettings) *[]string { return &t.Disallowed },
		"disallowed_policies_glob": func(t *access.TokenRoleSettings) *[]string { return &t.DisallowedGlobs },
	} {
		names := r.list(field)
		put(func(t *access.TokenRoleSettings) { *into(t) = names }, field)
	}
	networks := r.list(first("token_bound_cidrs", "bound_cidrs"))
	if len(networks) == 0 {
		networks = nil
	}
	put(func(t *access.TokenRoleSettings) { t.Networks = networks }, "token_bound_cidrs", "bound_cidrs")
	period, most := milliseconds(r.duration(first("token_period", "period"))), milliseconds(r.duration(first("token_explicit_max_ttl", "explicit_max_ttl")))
	put(func(t *access.TokenRoleSettings) { t.Period = period }, "token_period", "period")
	put(func(t *access.TokenRoleSettings) { t.ExplicitMax = most }, "token_explicit_max_ttl", "explicit_max_ttl")
	orphan, renewable, bare := r.boolean("orphan", false), r.boolean("renewable", true), r.boolean("token_no_default_policy", false)
	put(func(t *access.TokenRoleSettings) { t.Orphan = orphan }, "orphan")
	put(func(t *access.TokenRoleSettings) { t.NotRenewable = !renewable }, "renewable")
	put(func(t *access.TokenRoleSettings) { t.NoDefault = bare }, "token_no_default_policy")
	uses, suffix, kind := r.integer("token_num_uses"), r.text("path_suffix"), r.text("token_type")
	put(func(t *access.TokenRoleSettings) { t.Uses = uses }, "token_num_uses")
	put(func(t *access.TokenRoleSettings) { t.PathSuffix = suffix }, "path_suffix")
	put(func(t *access.TokenRoleSettings) { t.Type = kind }, "token_type")
	if r.err != nil {
		return r.err
	}
	return s.Access.PutTokenRole(ctx, name, func(t *access.TokenRoleSettings) {
		for _, change := range changes {
			change(t)
		}
	})
}

package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of token roles.
const (
	maxTokenRoles = 1000 // of an organisation
	maxRoleLists  = 100  // entries of each list in one
)

type (
	// TokenRole is a template for tokens.
	TokenRole = store.TokenRole
	// TokenRoleSettings are what it says.
	TokenRoleSettings = store.TokenRoleSettings
)

// tokenTypes are the types of tokens that a role may have.
var tokenTypes = []string{"", "default-service", "service", "default-batch", "batch"}

func checkTokenRole(in *TokenRoleSettings) error {
	for _, list := range [][]string{in.Allowed, in.AllowedGlobs, in.Disallowed, in.DisallowedGlobs} {
		if len(list) > maxRoleLists {
			return fault.New(fault.Invalid, "a list of a token role has more than %d entries", maxRoleLists)
		}
		for i, name := range list {
			if len(name) > maxMetaKey || !printable(name) {
				return fault.New(fault.Invalid, "a list of a token role holds what is no name of a policy")
			}
			list[i] = strings.ToLower(name)
		}
	}
	limit := maxTokenTTL.Milliseconds()
	switch {
	case !slices.Contains(tokenTypes, in.Type):
		return fault.New(fault.Invalid, "the token type must be one of service, batch, default-service and default-batch")
	case in.Period < 0, in.ExplicitMax < 0, in.Period > limit, in.ExplicitMax > limit:
		return fault.New(fault.Invalid, "durations must be 366 days or less, and not negative")
	case in.Uses < 0 || in.Uses > maxTokenUses:
		return fault.New(fault.Invalid, "the number of uses is out of range")
	case strings.HasSuffix(in.Type, "batch") && (in.Period > 0 || in.Uses > 0 || !in.Orphan && in.Type == "batch"):
		return fault.New(fault.Invalid, "batch tokens cannot be periodic or limited in their uses, and a role for them must be for orphans")
	case len(in.PathSuffix) > maxMetaKey || !printable(in.PathSuffix) || strings.ContainsAny(in.PathSuffix, "/ "):
		return fault.New(fault.Invalid, "the path suffix must be one printable segment")
	}
	var err error
	in.Networks, err = checkNetworks("/token_bound_cidrs", in.Networks)
	return err
}

// PutTokenRole makes a template, or changes the one of the name; change gets what it says now. Only who manages access does so: a
// role may let others make tokens that are periodic or do not end with their parent.
func (s *Service) PutTokenRole(ctx context.Context, name string, change func(*TokenRoleSettings)) error {
	if _, err := domain.ParseLabel(name); err != nil || strings.Contains(name, "/") {
		return fault.New(fault.Invalid, "the name of a token role must be 1 to 200 printable characters without a slash")
	}
	return s.manage(ctx, map[string]string{"token_role": domain.RecordedLabel(name)}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.TokenRole(ctx, p.Org(), name)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			all, err := tx.TokenRoles(ctx, p.Org())
			if err != nil {
				return err
			}
			if len(all) >= maxTokenRoles {
				return fault.New(fault.Exhausted, "there are %d token roles already", maxTokenRoles)
			}
			row = store.TokenRole{ID: domain.NewID[string](), Org: p.Org(), Name: name, CreatedAt: tx.Now()}
		} else if err != nil {
			return err
		}
		change(&row.Settings)
		if err := checkTokenRole(&row.Settings); err != nil {
			return err
		}
		return tx.PutTokenRole(ctx, &row)
	})
}

// TokenRole gives one by its name, or fault.NotFound.
func (s *Service) TokenRole(ctx context.Context, name string) (TokenRole, error) {
	var out TokenRole
	err := s.ask(ctx, "token role", func(org domain.OrgID) (err error) {
		out, err = s.db.TokenRole(ctx, org, name)
		return err
	})
	return out, err
}

// TokenRoles lists the names.
func (s *Service) TokenRoles(ctx context.Context) ([]string, error) {
	out := []string{}
	err := s.ask(ctx, "token roles", func(org domain.OrgID) error {
		all, err := s.db.TokenRoles(ctx, org)
		for _, r := range all {
			out = append(out, r.Name)
		}
		return err
	})
	return out, err
}

// RemoveTokenRole removes a template; tokens that it made stay. One that is not there is no error.
func (s *Service) RemoveTokenRole(ctx context.Context, name string) error {
	return s.manage(ctx, map[string]string{"token_role": domain.RecordedLabel(name), "remove": "true"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.TokenRole(ctx, p.Org(), name)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.RemoveTokenRole(ctx, &row)
	})
}

// applyRole puts what a token role says into the token that is asked for.
func (m *making) applyRole(ctx context.Context, tx *store.Tx) error {
	if m.in.Role == "" {
		return nil
	}
	row, err := tx.TokenRole(ctx, m.parent.Org, m.in.Role)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return fault.New(fault.Invalid, "unknown role")
	}
	if err != nil {
		return err
	}
	set, in := row.Settings, &m.in
	if err := m.rolePolicies(set); err != nil {
		return err
	}
	in.Orphan = set.Orphan
	in.NotRenewable = in.NotRenewable || set.NotRenewable
	in.NoDefault = in.NoDefault || set.NoDefault
	if p := time.Duration(set.Period) * time.Millisecond; p > 0 && (in.Period == 0 || in.Period > p) {
		in.Period = p
	}
	if e := time.Duration(set.ExplicitMax) * time.Millisecond; e > 0 && (in.ExplicitMax == 0 || in.ExplicitMax > e) {
		in.ExplicitMax = e
	}
	if set.Uses > 0 && (in.Uses == 0 || in.Uses > set.Uses) {
		in.Uses = set.Uses
	}
	switch set.Type {
	case "batch":
		in.Batch = true
	case "service":
		in.Batch = false
	case "default-batch":
		in.Batch = in.Batch || in.Uses == 0 && in.Period == 0
	}
	m.networks, m.suffix = set.Networks, set.PathSuffix
	return in.check()
}

// rolePolicies checks the policies that are asked for against those that a role lets through.
func (m *making) rolePolicies(set TokenRoleSettings) error {
	in := &m.in
	if in.Policies == nil && len(set.Allowed) > 0 {
		in.Policies = slices.Clone(set.Allowed)
	}
	names := in.Policies
	if names == nil {
		names = PolicyNames(m.who)
		if len(set.Allowed)+len(set.AllowedGlobs)+len(set.Disallowed)+len(set.DisallowedGlobs) > 0 {
			in.Policies = names // the lists bind what the holder gets later too
		}
	}
	fits := func(globs []string, name string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { return globFits(g, name) })
	}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == string(domain.DefaultPolicy) && !slices.Contains(set.Disallowed, name) {
			continue
		}
		if narrowed := len(set.Allowed) > 0 || len(set.AllowedGlobs) > 0; narrowed && !slices.Contains(set.Allowed, name) && !fits(set.AllowedGlobs, name) {
			return fault.Wrap(fault.Invalid, ErrNotSubset, "token policies must be subset of the role's allowed policies")
		}
		if slices.Contains(set.Disallowed, name) || fits(set.DisallowedGlobs, name) {
			return fault.Wrap(fault.Invalid, ErrNotSubset, "one of the token policies is disallowed by this role")
		}
	}
	return nil
}

// globFits tells whether a text fits a pattern in which '*' stands for any characters.
func globFits(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

package access

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// isPolicy tells whether a grant is one that the dialect calls a policy: a role in the whole organisation, for good, by hand.
func isPolicy(g store.Grant) bool {
	return g.Project == "" && g.Env == "" && g.Path == "" && g.ExpiresAt == 0 && g.Cause == "" && g.Role != domain.None
}

// policiesOf gives the names of the roles that somebody holds as policies, sorted.
func policiesOf(ctx context.Context, q store.Queries, holder string) ([]string, error) {
	held, err := q.GrantsOf(ctx, holder)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, g := range held {
		if !isPolicy(g) {
			continue
		}
		name, err := roleName(ctx, q, g.Role)
		if err != nil {
			return nil, err
		}
		if name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// roleName gives what a role is called, "" when it is gone.
func roleName(ctx context.Context, q store.Queries, role domain.Role) (string, error) {
	if role.IsBuiltIn() {
		return string(role), nil
	}
	row, err := q.Role(ctx, domain.RoleID(role))
	return string(row.Name), hiddenGone(err)
}

// setPolicies makes the policies of somebody those that are wanted. Nobody gives what he lacks, and nobody takes a denial away
// that binds himself.
func (s *Service) setPolicies(ctx context.Context, tx *store.Tx, p guard.Permit, kind domain.PrincipalKind, holder string, want []string) error {
	wanted := map[domain.Role]policy.Given{}
	builtIn := 0
	for _, name := range want {
		if name = strings.ToLower(strings.TrimSpace(name)); name == DefaultPolicy {
			continue
		}
		g, err := s.given(ctx, tx.Queries, p.Org(), aim{}, name)
		if err != nil || g.Role == domain.None {
			return fault.New(fault.Invalid, "a policy does not exist: only policies that are written can be given").WithHint("write it first, or make a role of this name: keyturn role create").WithField("/token_policies", "unknown")
		}
		if _, twice := wanted[g.Role]; !twice && g.Role.IsBuiltIn() {
			builtIn++
		}
		wanted[g.Role] = g
	}
	if builtIn > 1 {
		return fault.New(fault.Invalid, "at most one of the built-in roles can be a policy of the same holder").WithField("/token_policies", "more than one built-in role")
	}
	held, err := tx.GrantsOf(ctx, holder)
	if err != nil {
		return err
	}
	for _, h := range held {
		if !isPolicy(h) {
			continue
		}
		if _, keep := wanted[h.Role]; keep {
			delete(wanted, h.Role)
			continue
		}
		if err := s.mayLift(ctx, tx.Queries, p, h); err != nil {
			return err
		}
		if err := tx.RemoveGrant(ctx, &h); err != nil {
			return err
		}
	}
	for role, g := range wanted {
		if err := policy.MayGive(p.Principal(), g, p.Facts()); err != nil {
			return err
		}
		row := store.Grant{ID: domain.NewID[string](), Org: p.Org(), PrincipalKind: kind, PrincipalID: holder, Role: role, CreatedAt: tx.Now()}
		if err := s.putGrant(ctx, tx, p, &row); err != nil {
			return err
		}
	}
	return s.keepAdmin(ctx, tx, p.Org())
}

// removeIdentity removes a machine with all that belongs to it. Its id is never used again, so what names it elsewhere names
// nobody.
func (s *Service) removeIdentity(ctx context.Context, tx *store.Tx, p guard.Permit, i store.Identity) error {
	if i.Protected {
		return fault.New(fault.Conflict, "machine %s is protected from being deleted", i.Name).WithHint("lift its delete protection first")
	}
	p.NoteMore("removed", string(i.ID))
	held, err := tx.GrantsOf(ctx, string(i.ID))
	if err != nil {
		return err
	}
	for _, h := range held {
		if err := tx.RemoveGrant(ctx, &h); err != nil {
			return err
		}
	}
	places, err := tx.GroupsOf(ctx, string(i.ID))
	if err != nil {
		return err
	}
	for _, m := range places {
		if err := tx.RemoveGroupMember(ctx, &m); err != nil {
			return err
		}
	}
	tokens, err := tx.TokensOf(ctx, string(i.ID))
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.RevokedAt != 0 {
			continue
		}
		if _, err := tx.EndToken(ctx, &t); err != nil {
			return err
		}
	}
	if err := s.removeCredentials(ctx, tx, i.ID); err != nil {
		return err
	}
	return tx.RemoveIdentity(ctx, &i)
}

// removeCredentials removes the ways in which a machine logs in.
func (s *Service) removeCredentials(ctx context.Context, tx *store.Tx, id domain.IdentityID) error {
	secrets, err := tx.ClientSecrets(ctx, id)
	if err != nil {
		return err
	}
	for _, row := range secrets {
		if err := tx.RemoveClientSecret(ctx, &row); err != nil {
			return err
		}
	}
	methods, err := tx.LoginMethods(ctx, id)
	if err != nil {
		return err
	}
	for _, row := range methods {
		if err := s.forgetMethodSecrets(ctx, tx, row); err != nil {
			return err
		}
		if err := tx.RemoveLoginMethod(ctx, &row); err != nil {
			return err
		}
	}
	row, err := tx.AuthRoleOf(ctx, id)
	if err != nil {
		return hiddenGone(err)
	}
	return tx.RemoveAuthRole(ctx, &row)
}

package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// KindToken is the kind of a login method that is no login: tokens of the machine are made by somebody who may act as it, and
// handed over. The method holds the limits of such tokens. A machine has at most one, named as its kind.
const KindToken = "token-auth"

// maxIssued bounds the live tokens of one machine that were made for it.
const maxIssued = 1000

// AllowTokens lets tokens be made for a machine, with these limits, or changes the limits of those that are made later.
func (s *Service) AllowTokens(ctx context.Context, machine string, limits Limits) (store.LoginMethod, error) {
	if limits.TTL == 0 {
		limits.TTL = defaultTokenTTL
	}
	if err := limits.check("token_"); err != nil {
		return store.LoginMethod{}, err
	}
	var row store.LoginMethod
	err := s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(machine), "method": "allow tokens"}, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), machine)
		if err != nil {
			return err
		}
		if err := s.mayActAs(ctx, tx.Queries, p, string(i.ID)); err != nil {
			return err
		}
		row, err = s.putTokenMethod(ctx, tx, i, limits)
		return err
	})
	return row, err
}

func (s *Service) putTokenMethod(ctx context.Context, tx *store.Tx, i store.Identity, limits Limits) (store.LoginMethod, error) {
	row, err := tx.LoginMethod(ctx, i.ID, KindToken)
	switch {
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return row, err
	case err == nil && row.Kind != KindToken:
		return row, fault.New(fault.Exists, "the machine has another login method of the name %s", KindToken)
	case err != nil:
		row = store.LoginMethod{ID: domain.NewID[string](), Org: i.Org, Identity: i.ID, Kind: KindToken, Name: KindToken, Settings: "{}", CreatedAt: tx.Now()}
	}
	row.TTL, row.MaxTTL, row.Uses, row.Networks = limits.TTL.Milliseconds(), limits.MaxTTL.Milliseconds(), limits.Uses, limits.Networks
	return row, tx.PutLoginMethod(ctx, &row)
}

// ForbidTokens is the opposite, and ends those that were made.
func (s *Service) ForbidTokens(ctx context.Context, machine string) error {
	return s.changeMethod(ctx, machine, KindToken, "remove", func(tx *store.Tx, row *store.LoginMethod) error {
		if row.Kind != KindToken {
			return guard.Missing()
		}
		if err := s.endTokens(ctx, tx, row.Identity, KindToken); err != nil {
			return err
		}
		return tx.RemoveLoginMethod(ctx, row)
	})
}

// IssueToken makes a token of a machine. Whoever makes it must be able to do all that the machine can.
func (s *Service) IssueToken(ctx context.Context, machine, name string) (store.Token, sensitive.Value, error) {
	if name == "" {
		name = "token"
	}
	if _, err := domain.ParseLabel(name); err != nil {
		return store.Token{}, sensitive.Value{}, fault.As(err).WithField("/name", "not a name")
	}
	var row store.Token
	var value sensitive.Value
	err := s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(machine), "token": "issue", "name": domain.RecordedLabel(name)}, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), machine)
		if err != nil {
			return err
		}
		if err := s.mayActAs(ctx, tx.Queries, p, string(i.ID)); err != nil {
			return err
		}
		m, err := tx.LoginMethod(ctx, i.ID, KindToken)
		if err != nil || m.Kind != KindToken || m.Disabled || i.Disabled {
			return fault.New(fault.Conflict, "tokens are not made for this machine").WithHint("give it token auth first")
		}
		issued, err := issuedTo(ctx, tx.Queries, i.ID)
		if err != nil {
			return err
		}
		live := 0
		for _, t := range issued {
			if t.RevokedAt == 0 && t.ExpiresAt > tx.Now() {
				live++
			}
		}
		if live >= maxIssued {
			return fault.New(fault.Exhausted, "too many tokens of one machine: at most %d", maxIssued).WithHint("revoke those that nobody uses")
		}
		row, value, err = issueToken(ctx, tx, i, m, name, p.Principal())
		return err
	})
	return row, value, err
}

func issueToken(ctx context.Context, tx *store.Tx, i store.Identity, m store.LoginMethod, name string, by *domain.Principal) (store.Token, sensitive.Value, error) {
	row := store.Token{Org: i.Org, Kind: domain.AccessToken, Name: name, PrincipalKind: domain.Identity, PrincipalID: string(i.ID), ExpiresAt: tx.Now() + m.TTL, Method: KindToken,
		AuthAt: tx.Now(), Uses: m.Uses, Networks: m.Networks}
	if m.MaxTTL > 0 {
		row.RenewUntil = tx.Now() + m.MaxTTL
	}
	if by.Kind == domain.User {
		row.Owner = domain.UserID(by.ID)
	}
	return putToken(ctx, tx, row)
}

func issuedTo(ctx context.Context, q store.Queries, id domain.IdentityID) ([]store.Token, error) {
	all, err := q.TokensOf(ctx, string(id))
	var out []store.Token
	for _, t := range all {
		if t.Method == KindToken && t.Kind == domain.AccessToken {
			out = append(out, t)
		}
	}
	return out, err
}

// IssuedTokens lists the tokens that were made for a machine, newest first, ended ones too.
func (s *Service) IssuedTokens(ctx context.Context, machine string) ([]store.Token, error) {
	var out []store.Token
	err := s.ask(ctx, "issued tokens", func(org domain.OrgID) error {
		i, err := identity(ctx, s.db.Queries, org, machine)
		if err == nil {
			out, err = issuedTo(ctx, s.db.Queries, i.ID)
		}
		s.noteUses(out)
		return err
	})
	return out, err
}

// IssuedToken gives one by its id.
func (s *Service) IssuedToken(ctx context.Context, id domain.TokenID) (store.Token, error) {
	var out store.Token
	err := s.ask(ctx, "issued token", func(org domain.OrgID) (err error) {
		if out, err = s.db.Token(ctx, id); err == nil && (out.Org != org || out.Method != KindToken) {
			out, err = store.Token{}, guard.Missing()
		}
		return err
	})
	return out, err
}

// ChangeIssuedToken renames a token that was made for a machine, or ends it at once on every server.
func (s *Service) ChangeIssuedToken(ctx context.Context, id domain.TokenID, name string, revoke bool) (store.Token, error) {
	if name != "" {
		if _, err := domain.ParseLabel(name); err != nil {
			return store.Token{}, fault.As(err).WithField("/name", "not a name")
		}
	}
	var row store.Token
	err := s.manage(ctx, map[string]string{"token": domain.RecordedName(string(id)), "change": map[bool]string{true: "revoke", false: "rename"}[revoke]}, func(tx *store.Tx, p guard.Permit) (err error) {
		if row, err = tx.Token(ctx, id); err == nil && (row.Org != p.Org() || row.Method != KindToken) {
			err = guard.Missing()
		}
		if err != nil {
			return err
		}
		if name != "" {
			row.Name = name
		}
		if revoke && row.RevokedAt == 0 {
			row.RevokedAt = tx.Now()
		}
		return tx.PutToken(ctx, &row)
	})
	return row, err
}

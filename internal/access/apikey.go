package access

import (
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// APIKeyInput is a long-lived token of a machine for an application.
type APIKeyInput struct {
	Identity string // id or name
	Owner    string // id of the person who answers for it; "" for whoever makes it
	Networks []string
	Uses     int64
	TokenInput
}

// CreateAPIKey makes a token that acts as a machine, narrowed to scopes. Whoever makes it must be able to do all that the
// machine can.
func (s *Service) CreateAPIKey(ctx context.Context, places Places, in APIKeyInput) (store.Token, sensitive.Value, error) {
	facts := map[string]string{"identity": domain.RecordedLabel(in.Identity), "api_key": "add", "scopes": in.Scopes, "name": domain.RecordedName(in.Name)}
	none := func(err error) (store.Token, sensitive.Value, error) { return store.Token{}, sensitive.Value{}, err }
	if in.TTL < minTokenTTL || in.TTL > maxTokenTTL {
		return none(fault.New(fault.Invalid, "the lifetime must be between %v and 366 days", minTokenTTL).WithField("/ttl", "out of range"))
	}
	if _, err := domain.ParseLabel(in.Name); err != nil {
		return none(err)
	}
	texts, err := domain.ParseScopes(in.Scopes)
	if err != nil {
		return none(err)
	}
	limits := Limits{TTL: in.TTL, Uses: in.Uses, Networks: in.Networks}
	if err := limits.check(""); err != nil {
		return none(err)
	}
	op := guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: facts}
	project, envs, err := places.Place(ctx, in.Project)
	if err != nil {
		if !s.door.Check(ctx, policy.AccessManage, op.Resource) {
			return none(s.manage(ctx, facts, func(*store.Tx, guard.Permit) error { return guard.Missing() }))
		}
		return none(s.door.Miss(ctx, op, err))
	}
	var scopes []domain.Scope
	for _, t := range texts {
		scope := domain.Scope{Project: project, Path: t.Path, Verbs: t.Verbs}
		if t.Env != "*" {
			id, ok := envs[domain.Slug(t.Env)]
			if !ok {
				return none(s.door.Miss(ctx, op, fault.New(fault.NotFound, "no such environment")))
			}
			scope.Env = id
		}
		scopes = append(scopes, scope)
	}
	var row store.Token
	var value sensitive.Value
	err = s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), in.Identity)
		if err != nil {
			return err
		}
		if err := s.mayActAs(ctx, tx.Queries, p, string(i.ID)); err != nil {
			return err
		}
		owner, err := keyOwner(ctx, tx, p, in.Owner)
		if err != nil {
			return err
		}
		row, value, err = putToken(ctx, tx, store.Token{Org: i.Org, Kind: domain.APIToken, Name: in.Name, PrincipalKind: domain.Identity, PrincipalID: string(i.ID),
			Scopes: scopes, ExpiresAt: tx.Now() + in.TTL.Milliseconds(), Method: methodAPIKey, Owner: owner, Uses: limits.Uses, Networks: limits.Networks})
		return err
	})
	return row, value, err
}

// methodAPIKey marks the tokens that are API keys of applications.
const methodAPIKey = "api-key"

// keyOwner finds who answers for a key. A machine that makes keys owns none.
func keyOwner(ctx context.Context, tx *store.Tx, p guard.Permit, id string) (domain.UserID, error) {
	if id == "" {
		if p.Principal().Kind == domain.User {
			return domain.UserID(p.Principal().ID), nil
		}
		return "", nil
	}
	owner, err := tx.Person(ctx, domain.UserID(id))
	if err == nil && owner.Org != p.Org() {
		err = guard.Missing()
	}
	return owner.ID, err
}

// APIKeys lists the API keys of one machine, or with an empty name all; those that were not used for longest come last.
func (s *Service) APIKeys(ctx context.Context, machine string) ([]store.Token, error) {
	var out []store.Token
	err := s.ask(ctx, "api keys", func(org domain.OrgID) error {
		var id domain.IdentityID
		if machine != "" {
			i, err := identity(ctx, s.db.Queries, org, machine)
			if err != nil {
				return err
			}
			id = i.ID
		}
		all, err := s.db.Tokens(ctx, org)
		for _, row := range all {
			if row.Method == methodAPIKey && row.PrincipalKind == domain.Identity && (id == "" || row.PrincipalID == string(id)) {
				out = append(out, row)
			}
		}
		s.byLastUse(out)
		return err
	})
	return out, err
}

// noteUses puts in what is known of the last uses and not yet written.
func (s *Service) noteUses(rows []store.Token) {
	for i := range rows {
		rows[i].LastUsedAt = max(rows[i].LastUsedAt, s.used.of(rows[i].ID))
	}
}

// byLastUse does the same and sorts, the latest first.
func (s *Service) byLastUse(rows []store.Token) {
	s.noteUses(rows)
	slices.SortStableFunc(rows, func(a, b store.Token) int { return int(min(max(b.LastUsedAt-a.LastUsedAt, -1), 1)) })
}

// RevokeAPIKey ends one at once, on every server.
func (s *Service) RevokeAPIKey(ctx context.Context, id domain.TokenID) error {
	return s.manage(ctx, map[string]string{"api_key": "revoke", "token": domain.RecordedName(string(id))}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Token(ctx, id)
		if err == nil && (row.Org != p.Org() || row.Method != methodAPIKey) {
			err = guard.Missing()
		}
		if err != nil || row.RevokedAt != 0 {
			return err
		}
		_, err = tx.EndToken(ctx, &row)
		return err
	})
}

// RevokeTokensOf ends every token of a machine, API keys too, and gives their number. It can log in again; disable it to keep it
// from that.
func (s *Service) RevokeTokensOf(ctx context.Context, machine string) (int, error) {
	n := 0
	err := s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(machine), "tokens": "revoke all"}, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), machine)
		if err != nil {
			return err
		}
		all, err := tx.TokensOf(ctx, string(i.ID))
		if err != nil {
			return err
		}
		for _, row := range all {
			if row.RevokedAt != 0 || row.ExpiresAt != 0 && row.ExpiresAt <= tx.Now() {
				continue
			}
			if _, err := tx.EndToken(ctx, &row); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// Renew gives the token that is shown a later end: ttl from now, or with 0 as long as the machine's tokens live, and never past
// what its login allowed.
func (s *Service) Renew(ctx context.Context, ttl time.Duration) (store.Token, error) {
	who := guard.CallerOf(ctx).Principal
	if ttl < 0 || ttl > maxTokenTTL {
		return store.Token{}, fault.New(fault.Invalid, "the lifetime is out of range").WithField("/ttl", "want up to 366 days")
	}
	var row store.Token
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"token": "renew"}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) (err error) {
		if row, err = tx.Token(ctx, who.Token); err != nil {
			return err
		}
		if row.RevokedAt != 0 || row.ExpiresAt != 0 && row.ExpiresAt <= tx.Now() {
			return unknown() // it ended since it was looked at
		}
		until, err := renewal(ctx, tx, row, ttl)
		if err != nil || until <= row.ExpiresAt {
			return err // renewing never shortens
		}
		row.ExpiresAt, row.RenewedAt = until, tx.Now()
		if err := tx.PutToken(ctx, &row); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
	return row, err
}

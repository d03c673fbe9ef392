package access

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

func (s *Service) manage(ctx context.Context, facts map[string]string, work func(*store.Tx, guard.Permit) error) error {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org}, Detail: facts}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if err := work(tx, p); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

func (s *Service) ask(ctx context.Context, list string, work func(org domain.OrgID) error) error {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": list}}
	return s.door.Read(ctx, op, func(p guard.Permit) error { return work(p.Org()) })
}

// CreateIdentity makes a machine identity. It may do nothing until it is given a role. The limits are those of the tokens that
// client secrets give; other login methods have their own.
func (s *Service) CreateIdentity(ctx context.Context, name string, limits Limits) (store.Identity, error) {
	label, err := domain.ParseLabel(name)
	if err != nil {
		return store.Identity{}, err
	}
	if limits.TTL == 0 {
		limits.TTL = defaultTokenTTL
	}
	if err := limits.check("token_"); err != nil {
		return store.Identity{}, err
	}
	var row store.Identity
	err = s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(name)}, func(tx *store.Tx, p guard.Permit) error {
		if _, err := tx.IdentityByName(ctx, p.Org(), label); err == nil {
			return fault.New(fault.Exists, "an identity of this name exists already")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		row = store.Identity{ID: domain.NewID[domain.IdentityID](), Org: p.Org(), Name: label, TokenTTL: limits.TTL.Milliseconds(), CreatedAt: tx.Now(),
			MaxTTL: limits.MaxTTL.Milliseconds(), TokenUses: limits.Uses, Networks: limits.Networks}
		return tx.PutIdentity(ctx, &row)
	})
	return row, err
}

// Identities lists the machines.
func (s *Service) Identities(ctx context.Context) ([]store.Identity, error) {
	var out []store.Identity
	err := s.ask(ctx, "identities", func(org domain.OrgID) (err error) {
		out, err = s.db.Identities(ctx, org)
		return err
	})
	return out, err
}

// identity finds one by id or name inside a transaction.
func identity(ctx context.Context, q store.Queries, org domain.OrgID, name string) (store.Identity, error) {
	var row store.Identity
	var err error
	if domain.IsID(name) {
		row, err = q.Identity(ctx, domain.IdentityID(name))
	} else {
		row, err = q.IdentityByName(ctx, org, domain.Label(name))
	}
	if err == nil && (row.Org != org || row.DeletedAt != 0) {
		return store.Identity{}, guard.Missing()
	}
	return row, err
}

// DisableIdentity ends a machine: its tokens and client secrets are refused from now on. Enabling is the opposite.
func (s *Service) DisableIdentity(ctx context.Context, name string, disabled bool) error {
	return s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(name)}, func(tx *store.Tx, p guard.Permit) error {
		row, err := identity(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		if row.Disabled && !disabled {
			if err := s.mayActAs(ctx, tx.Queries, p, string(row.ID)); err != nil {
				return err
			}
		}
		row.Disabled = disabled
		return tx.PutIdentity(ctx, &row)
	})
}

// ClientSecretInput is a new client secret.
type ClientSecretInput struct {
	Name string
	TTL  time.Duration // 0 does not end by itself
	Uses int64         // how often it may log in, 0 for any number
	// Wrap hands the secret over in a token that opens once in this time; 0 gives the secret itself.
	Wrap time.Duration
}

// AddClientSecret makes a client secret for a machine, or the token that opens it; it is shown once.
func (s *Service) AddClientSecret(ctx context.Context, name string, in ClientSecretInput) (store.ClientSecret, sensitive.Value, error) {
	if in.TTL < 0 || in.TTL > 10*maxTokenTTL {
		return store.ClientSecret{}, sensitive.Value{}, fault.New(fault.Invalid, "the lifetime is out of range").WithField("/ttl", "want 0 for none, or up to ten years")
	}
	if in.Uses < 0 || in.Uses > maxTokenUses {
		return store.ClientSecret{}, sensitive.Value{}, fault.New(fault.Invalid, "the number of uses is out of range").WithField("/uses", "want 0 for any number, or more")
	}
	if in.Name != "" {
		if _, err := domain.ParseLabel(in.Name); err != nil {
			return store.ClientSecret{}, sensitive.Value{}, err
		}
	}
	var row store.ClientSecret
	value := domain.NewToken(domain.ClientSecret)
	shown := value
	err := s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(name), "client_secret": "add"}, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		if err := s.mayActAs(ctx, tx.Queries, p, string(i.ID)); err != nil {
			return err
		}
		hash := domain.TokenHash(string(value.Reveal()))
		row = store.ClientSecret{ID: domain.NewID[string](), Org: i.Org, Identity: i.ID, Hash: hash[:], Name: in.Name, CreatedAt: tx.Now(), Uses: in.Uses}
		if in.TTL > 0 {
			row.ExpiresAt = tx.Now() + in.TTL.Milliseconds()
		}
		if in.Wrap != 0 {
			if _, shown, err = s.wrap(ctx, tx, p, "client secret of "+cut(string(i.Name), maxNoted), value, in.Wrap); err != nil {
				return err
			}
		}
		return tx.PutClientSecret(ctx, &row)
	})
	return row, shown, err
}

// ClientSecrets lists those of a machine, without the secrets.
func (s *Service) ClientSecrets(ctx context.Context, name string) ([]store.ClientSecret, error) {
	var out []store.ClientSecret
	err := s.ask(ctx, "client secrets", func(org domain.OrgID) error {
		i, err := identity(ctx, s.db.Queries, org, name)
		if err != nil {
			return err
		}
		out, err = s.db.ClientSecrets(ctx, i.ID)
		return err
	})
	return out, err
}

// RevokeClientSecret ends one. Tokens that it already gave live to their end; disable the identity to end those too.
func (s *Service) RevokeClientSecret(ctx context.Context, name, id string) error {
	return s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(name), "client_secret": "revoke"}, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		all, err := tx.ClientSecrets(ctx, i.ID)
		if err != nil {
			return err
		}
		for _, row := range all {
			if row.ID == id {
				row.RevokedAt = tx.Now()
				return tx.PutClientSecret(ctx, &row)
			}
		}
		return guard.Missing()
	})
}

// CreateUser makes a person with a first password.
func (s *Service) CreateUser(ctx context.Context, email, name string, password sensitive.Value) (store.Person, error) {
	address, err := domain.ParseEmail(email)
	if err != nil {
		return store.Person{}, err
	}
	if name == "" {
		name = string(address)
	}
	label, err := domain.ParseLabel(name)
	if err != nil {
		return store.Person{}, err
	}
	if err := CheckPassword(password, string(address), string(label)); err != nil {
		return store.Person{}, err
	}
	facts := map[string]string{"user": string(address)}
	if !s.door.Check(ctx, policy.AccessManage, policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}) {
		// Refused and recorded before a password is stretched for somebody who may not.
		return store.Person{}, s.manage(ctx, facts, func(*store.Tx, guard.Permit) error { return guard.Missing() })
	}
	hash, err := s.hashPassword(ctx, password)
	if err != nil {
		return store.Person{}, err
	}
	var row store.Person
	err = s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		if _, err := tx.PersonByEmail(ctx, address); err == nil {
			return fault.New(fault.Exists, "a user with this address exists already")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		row = store.Person{ID: domain.NewID[domain.UserID](), Org: p.Org(), Email: address, Name: label, Password: hash, PasswordAt: tx.Now(), CreatedAt: tx.Now()}
		return tx.PutPerson(ctx, &row)
	})
	return row, err
}

// Users lists the people.
func (s *Service) Users(ctx context.Context) ([]store.Person, error) {
	var out []store.Person
	err := s.ask(ctx, "users", func(org domain.OrgID) (err error) {
		out, err = s.db.Persons(ctx, org)
		return err
	})
	return out, err
}

// EternalSecrets counts client secrets that never expire by themselves.
func (s *Service) EternalSecrets(ctx context.Context, p guard.Permit) (int, error) {
	all, err := s.db.Identities(ctx, p.Org())
	if err != nil {
		return 0, err
	}
	n := 0
	for _, i := range all {
		secrets, err := s.db.ClientSecrets(ctx, i.ID)
		if err != nil {
			return 0, err
		}
		for _, c := range secrets {
			if c.RevokedAt == 0 && c.ExpiresAt == 0 && !i.Disabled {
				n++
			}
		}
	}
	return n, nil
}

package access

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of what is kept about a machine.
const (
	maxMetadata      = 64   // facts: more is a database of somebody's own
	maxMetadataKey   = 255  // bytes, as foreign APIs take them
	maxMetadataValue = 1020 // bytes, likewise
)

// IdentityInput is a machine as programs that provision an instance describe it. Of a change nil means: as it is.
type IdentityInput struct {
	Name      *string
	Limits    *Limits // of the tokens that client secrets give
	Metadata  *[]store.Metadata
	Protected *bool
	// Member says that it belongs to the organisation, which is no right by itself.
	Member *bool
	// Role is what it has everywhere in the organisation: a built-in role, or the name or id of a custom one; "" for none. Grants
	// that hold for a time only are left alone.
	Role *string
	// Secrets says whether it may be given client secrets. Taking that away ends those that it has, and the tokens that they gave.
	Secrets *bool
}

func checkMetadata(all []store.Metadata) error {
	if len(all) > maxMetadata {
		return fault.New(fault.Invalid, "too many metadata: at most %d", maxMetadata).WithField("/metadata", "too many")
	}
	for i, m := range all {
		if m.Key == "" || len(m.Key) > maxMetadataKey || len(m.Value) > maxMetadataValue {
			return fault.New(fault.Invalid, "metadata have a key of 1 to %d bytes and a value of up to %d", maxMetadataKey, maxMetadataValue).WithField("/metadata", "too short or too long")
		}
		if slices.ContainsFunc(all[:i], func(o store.Metadata) bool { return o.Key == m.Key }) {
			return fault.New(fault.Invalid, "a key stands twice among the metadata").WithField("/metadata", "a key twice")
		}
	}
	return nil
}

func (in *IdentityInput) check() (err error) {
	if in.Name != nil {
		if _, err := domain.ParseLabel(*in.Name); err != nil {
			return fault.As(err).WithField("/name", "not a name")
		}
		if domain.IsID(*in.Name) {
			return fault.New(fault.Invalid, "not a name: it has the form of an id").WithField("/name", "an id")
		}
	}
	if in.Limits != nil {
		if in.Limits.TTL == 0 {
			in.Limits.TTL = defaultTokenTTL
		}
		err = in.Limits.check("token_")
	}
	if err == nil && in.Metadata != nil {
		err = checkMetadata(*in.Metadata)
	}
	return err
}

// ProvisionIdentity makes a machine with its role in one step. Nobody gives what he lacks.
func (s *Service) ProvisionIdentity(ctx context.Context, in IdentityInput) (store.Identity, error) {
	if in.Name == nil {
		return store.Identity{}, fault.New(fault.Invalid, "a machine needs a name").WithField("/name", "missing")
	}
	if in.Limits == nil {
		in.Limits = &Limits{}
	}
	if err := in.check(); err != nil {
		return store.Identity{}, err
	}
	var row store.Identity
	err := s.manage(ctx, in.facts(*in.Name), func(tx *store.Tx, p guard.Permit) (err error) {
		row, err = s.provision(ctx, tx, p, in)
		return err
	})
	return row, err
}

func (s *Service) provision(ctx context.Context, tx *store.Tx, p guard.Permit, in IdentityInput) (store.Identity, error) {
	row := store.Identity{ID: domain.NewID[domain.IdentityID](), Org: p.Org(), CreatedAt: tx.Now(), ChangedAt: tx.Now()}
	return row, s.changeIdentity(ctx, tx, p, &row, in)
}

// facts are what the log keeps of a change.
func (in IdentityInput) facts(name string) map[string]string {
	out := map[string]string{"identity": domain.RecordedLabel(name)}
	if in.Role != nil && *in.Role != "" {
		out["role"] = domain.RecordedName(*in.Role)
	}
	if in.Secrets != nil {
		out["client_secrets"] = enabledWord(!*in.Secrets)
	}
	return out
}

// ChangeIdentity changes what is kept about a machine.
func (s *Service) ChangeIdentity(ctx context.Context, name string, in IdentityInput) (store.Identity, error) {
	if err := in.check(); err != nil {
		return store.Identity{}, err
	}
	var row store.Identity
	err := s.manage(ctx, in.facts(name), func(tx *store.Tx, p guard.Permit) (err error) {
		if row, err = identity(ctx, tx.Queries, p.Org(), name); err != nil {
			return err
		}
		if in.Limits != nil || in.Secrets != nil && *in.Secrets { // longer tokens, from more places: a way to act as it
			if err := s.mayActAs(ctx, tx.Queries, p, string(row.ID)); err != nil {
				return err
			}
		}
		row.ChangedAt = tx.Now()
		return s.changeIdentity(ctx, tx, p, &row, in)
	})
	return row, err
}

func (s *Service) changeIdentity(ctx context.Context, tx *store.Tx, p guard.Permit, row *store.Identity, in IdentityInput) error {
	if in.Name != nil && domain.Label(*in.Name) != row.Name {
		row.Name = domain.Label(*in.Name)
		if _, err := tx.IdentityByName(ctx, p.Org(), row.Name); err == nil {
			return fault.New(fault.Exists, "an identity of this name exists already")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	if l := in.Limits; l != nil {
		row.TokenTTL, row.MaxTTL, row.TokenUses, row.Networks = l.TTL.Milliseconds(), l.MaxTTL.Milliseconds(), l.Uses, l.Networks
	}
	if in.Metadata != nil {
		row.Metadata = *in.Metadata
	}
	if in.Protected != nil {
		row.Protected = *in.Protected
	}
	if in.Member != nil {
		row.Member = *in.Member
	}
	if in.Secrets != nil {
		if err := s.allowSecrets(ctx, tx, row, *in.Secrets); err != nil {
			return err
		}
	}
	if err := tx.PutIdentity(ctx, row); err != nil || in.Role == nil {
		return err
	}
	var roles []RoleFor
	if *in.Role != "" {
		roles = append(roles, RoleFor{Role: *in.Role})
	}
	_, err := s.setRoles(ctx, tx, p, aim{}, domain.Identity, string(row.ID), roles, false)
	return err
}

// allowSecrets lets a machine have client secrets, or ends those that it has.
func (s *Service) allowSecrets(ctx context.Context, tx *store.Tx, row *store.Identity, allowed bool) error {
	if allowed {
		row.SecretsAt = tx.Now()
		return nil
	}
	row.SecretsAt = 0
	if err := s.endSecrets(ctx, tx, row.ID); err != nil {
		return err
	}
	return s.endTokens(ctx, tx, row.ID, methodClientSecret)
}

func (s *Service) endSecrets(ctx context.Context, tx *store.Tx, id domain.IdentityID) error {
	all, err := tx.ClientSecrets(ctx, id)
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.RevokedAt != 0 {
			continue
		}
		c.RevokedAt = tx.Now()
		if err := tx.PutClientSecret(ctx, &c); err != nil {
			return err
		}
	}
	return nil
}

// endTokens ends the tokens of a machine that a method gave; with "" all.
func (s *Service) endTokens(ctx context.Context, tx *store.Tx, id domain.IdentityID, method string) error {
	all, err := tx.TokensOf(ctx, string(id))
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.RevokedAt != 0 || method != "" && t.Method != method {
			continue
		}
		t.RevokedAt = tx.Now()
		if err := tx.PutToken(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}

// DeleteIdentity ends a machine for good: its tokens, client secrets, login methods, roles and places in groups. What it did stays
// in the log; its name is free again, its id never.
func (s *Service) DeleteIdentity(ctx context.Context, name string) (store.Identity, error) {
	var was store.Identity
	err := s.manage(ctx, map[string]string{"identity": domain.RecordedLabel(name), "change": "delete"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := identity(ctx, tx.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		if row.Protected {
			return fault.New(fault.Conflict, "the machine is protected from being deleted").WithHint("lift its delete protection first")
		}
		was = row
		if err := s.dismantle(ctx, tx, row.ID); err != nil {
			return err
		}
		row.Disabled, row.DeletedAt, row.ChangedAt, row.SecretsAt, row.Metadata = true, tx.Now(), tx.Now(), 0, nil
		row.Name = domain.Label("deleted " + string(row.ID))
		return tx.PutIdentity(ctx, &row)
	})
	return was, err
}

// dismantle takes away all that a machine has.
func (s *Service) dismantle(ctx context.Context, tx *store.Tx, id domain.IdentityID) error {
	if err := s.endSecrets(ctx, tx, id); err != nil {
		return err
	}
	if err := s.endTokens(ctx, tx, id, ""); err != nil {
		return err
	}
	methods, err := tx.LoginMethods(ctx, id)
	if err != nil {
		return err
	}
	for _, m := range methods {
		if err := s.forgetMethodSecrets(ctx, tx, m); err != nil {
			return err
		}
		if err := tx.RemoveLoginMethod(ctx, &m); err != nil {
			return err
		}
	}
	grants, err := tx.GrantsOf(ctx, string(id))
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := tx.RemoveGrant(ctx, &g); err != nil {
			return err
		}
	}
	places, err := tx.GroupsOf(ctx, string(id))
	if err != nil {
		return err
	}
	for _, m := range places {
		if err := tx.RemoveGroupMember(ctx, &m); err != nil {
			return err
		}
	}
	return nil
}

// KnownIdentity is a machine with what else is worth knowing of it.
type KnownIdentity struct {
	store.Identity
	Methods []store.LoginMethod
	Role    store.Role // what it has everywhere in the organisation for good; a built-in one has a name only
	// Secrets tells whether it may have client secrets, or has some.
	Secrets bool
}

// Identity gives one machine.
func (s *Service) Identity(ctx context.Context, name string) (KnownIdentity, error) {
	var out KnownIdentity
	err := s.ask(ctx, "identity", func(org domain.OrgID) (err error) {
		if out.Identity, err = identity(ctx, s.db.Queries, org, name); err != nil {
			return err
		}
		return s.know(ctx, s.db.Queries, &out)
	})
	return out, err
}

// KnownIdentities lists the machines.
func (s *Service) KnownIdentities(ctx context.Context) ([]KnownIdentity, error) {
	var out []KnownIdentity
	err := s.ask(ctx, "identities", func(org domain.OrgID) error {
		all, err := s.db.Identities(ctx, org)
		for _, row := range all {
			k := KnownIdentity{Identity: row}
			if err := s.know(ctx, s.db.Queries, &k); err != nil {
				return err
			}
			out = append(out, k)
		}
		return err
	})
	return out, err
}

func (s *Service) know(ctx context.Context, q store.Queries, out *KnownIdentity) error {
	var err error
	if out.Methods, err = q.LoginMethods(ctx, out.ID); err != nil {
		return err
	}
	if out.Secrets = out.SecretsAt != 0; !out.Secrets {
		all, err := q.ClientSecrets(ctx, out.ID)
		if err != nil {
			return err
		}
		out.Secrets = slices.ContainsFunc(all, func(c store.ClientSecret) bool { return c.RevokedAt == 0 })
	}
	grants, err := q.GrantsOf(ctx, string(out.ID))
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.Project != "" || g.Path != "" || g.ExpiresAt != 0 || g.Cause != "" {
			continue
		}
		if out.Role, err = roleOfGrant(ctx, q, g); err != nil {
			return err
		}
	}
	return nil
}

// roleOfGrant gives the role of a grant; a built-in one has a name and no id.
func roleOfGrant(ctx context.Context, q store.Queries, g store.Grant) (store.Role, error) {
	if g.Role.IsBuiltIn() {
		return store.Role{Name: domain.Slug(g.Role)}, nil
	}
	row, err := q.Role(ctx, domain.RoleID(g.Role))
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return store.Role{ID: domain.RoleID(g.Role), Name: domain.Slug(g.Role)}, nil
	}
	return row, err
}

// methodClientSecret marks the tokens that client secrets gave.
const methodClientSecret = "client-secret"

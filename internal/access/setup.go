package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Setup says who may create the first admin, so that no stranger claims a fresh server.
type Setup struct {
	// Loopback lets callers from this machine in without a token: development mode only.
	Loopback bool
	// Token is shown by the start of the server; empty when there is none.
	Token sensitive.Value
}

// FirstAdmin is what set-up gives back.
type FirstAdmin struct {
	Token sensitive.Value
	User  domain.UserID
	Org   domain.OrgID
	// Organization is that which was made, or was there.
	Organization store.Org
	// Machine and MachineToken are of the machine that was asked for.
	Machine      store.Identity
	MachineToken sensitive.Value
}

// SetupInput is what set-up needs. Direct is true when the request came straight from this machine.
type SetupInput struct {
	Email    string
	Name     string
	Org      string
	Password sensitive.Value
	Token    sensitive.Value
	Direct   bool
	// Machine names a machine that is made with the rights of the first admin and a token, for programs that go on by
	// themselves; "" for none.
	Machine string
}

// NeedsSetup tells whether nobody was set up yet.
func (s *Service) NeedsSetup(ctx context.Context) (bool, error) {
	any, err := s.db.AnyPerson(ctx)
	return !any, err
}

// SetUp creates the organisation and its first admin, once.
func (s *Service) SetUp(ctx context.Context, in SetupInput) (FirstAdmin, error) {
	var out FirstAdmin
	op := guard.Op{Action: policy.SetUp}
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	if err := s.mayDoSetup(in); err != nil {
		return out, s.fail(ctx, op, err)
	}
	email, err := domain.ParseEmail(in.Email)
	if err != nil {
		return out, err
	}
	if err := CheckPassword(in.Password, in.Email, in.Name, in.Org); err != nil {
		return out, err
	}
	if in.Name == "" {
		in.Name = string(email)
	}
	if in.Org == "" {
		in.Org = "Main"
	}
	name, err := domain.ParseLabel(in.Name)
	if err != nil {
		return out, err
	}
	org, err := domain.ParseLabel(in.Org)
	if err != nil {
		return out, err
	}
	slug := domain.Slugify(in.Org)
	if slug == "" {
		slug = "main"
	}
	hash, err := s.hashPassword(ctx, in.Password)
	if err != nil {
		return out, err
	}
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if any, err := tx.AnyPerson(ctx); err != nil {
			return err
		} else if any {
			return fault.New(fault.Exists, "this server has its first admin already").WithHint("log in with: keyturn login")
		}
		o, err := FoundOrg(ctx, tx, slug, org)
		if err != nil {
			return err
		}
		row := store.Person{ID: domain.NewID[domain.UserID](), Org: o.ID, Email: email, Name: name, Password: hash, PasswordAt: tx.Now(), CreatedAt: tx.Now()}
		if err := tx.PutPerson(ctx, &row); err != nil {
			return err
		}
		grant := store.Grant{ID: domain.NewID[string](), Org: o.ID, PrincipalKind: domain.User, PrincipalID: string(row.ID), Role: domain.Admin, CreatedAt: tx.Now()}
		if err := tx.PutGrant(ctx, &grant); err != nil {
			return err
		}
		token, value, err := putToken(ctx, tx, store.Token{Org: o.ID, Kind: domain.SessionToken, Name: "set-up", PrincipalKind: domain.User,
			PrincipalID: string(row.ID), ExpiresAt: tx.Now() + SessionTTL.Milliseconds(), Method: "set-up", AuthAt: tx.Now(), Idle: defaultIdle.Milliseconds(),
			Address: guard.CallerOf(ctx).Address, Agent: guard.CallerOf(ctx).Agent})
		if err != nil {
			return err
		}
		p.As(&domain.Principal{Kind: domain.User, ID: string(row.ID), Name: string(name), Org: o.ID, Token: token.ID})
		out = FirstAdmin{Token: value, User: row.ID, Org: o.ID, Organization: o}
		if in.Machine != "" {
			if out.Machine, out.MachineToken, err = firstMachine(ctx, tx, o.ID, in.Machine, s); err != nil {
				return err
			}
			p.Note("machine", string(out.Machine.ID))
		}
		return s.changed(ctx, tx)
	})
	return out, err
}

// firstMachine makes a machine that may do everything, with a token that lives as long as one may.
func firstMachine(ctx context.Context, tx *store.Tx, org domain.OrgID, name string, s *Service) (store.Identity, sensitive.Value, error) {
	label, err := domain.ParseLabel(name)
	if err != nil {
		return store.Identity{}, sensitive.Value{}, err
	}
	row := store.Identity{ID: domain.NewID[domain.IdentityID](), Org: org, Name: label, TokenTTL: defaultTokenTTL.Milliseconds(), CreatedAt: tx.Now(), ChangedAt: tx.Now(), Member: true}
	if err := tx.PutIdentity(ctx, &row); err != nil {
		return row, sensitive.Value{}, err
	}
	grant := store.Grant{ID: domain.NewID[string](), Org: org, PrincipalKind: domain.Identity, PrincipalID: string(row.ID), Role: domain.Admin, CreatedAt: tx.Now()}
	if err := tx.PutGrant(ctx, &grant); err != nil {
		return row, sensitive.Value{}, err
	}
	m, err := s.putTokenMethod(ctx, tx, row, Limits{TTL: maxTokenTTL})
	if err != nil {
		return row, sensitive.Value{}, err
	}
	_, value, err := issueToken(ctx, tx, row, m, "set-up", &domain.Principal{})
	return row, value, err
}

// FoundOrg finds the organisation or makes it.
func FoundOrg(ctx context.Context, tx *store.Tx, slug domain.Slug, name domain.Label) (store.Org, error) {
	all, err := tx.Orgs(ctx)
	if err != nil {
		return store.Org{}, err
	}
	if len(all) > 0 {
		return all[0], nil
	}
	o := store.Org{ID: domain.NewID[domain.OrgID](), Slug: slug, Name: name, CreatedAt: tx.Now()}
	return o, tx.PutOrg(ctx, &o)
}

func (s *Service) mayDoSetup(in SetupInput) error {
	if s.setup.Loopback && in.Direct {
		return nil
	}
	got, want := sha256.Sum256(in.Token.Reveal()), sha256.Sum256(s.setup.Token.Reveal())
	if !s.setup.Token.Empty() && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return nil
	}
	return fault.New(fault.Denied, "set-up needs the token that the start of the server printed").
		WithHint("look at the server's first lines, then: keyturn bootstrap --setup-token TOKEN ...")
}

func anonymous(c *guard.Caller) *guard.Caller {
	out := *c
	out.Principal = &domain.Principal{Kind: domain.Anonymous}
	return &out
}

// changed tells every server to forget what it knows of principals.
func (s *Service) changed(ctx context.Context, tx *store.Tx) error {
	return tx.Announce(ctx, store.Feed{Kind: store.FeedAccess})
}

package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/access/weak"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds of client secrets that the dialect calls secret ids.
const (
	// minCustomSecret is the shortest secret that somebody may choose, in characters. It is stored under a fast hash, as our own
	// are, so it must be one that nobody can try out: the UUIDs of the originals have 36.
	minCustomSecret = 32
	maxCustomSecret = 1024 // bytes
	maxSecretMeta   = 64   // names
	maxMetaName     = 128  // bytes
	maxMetaText     = 512  // bytes
	maxSecretIDs    = 10_000
)

// secretHash gives what a client secret is found by. One that somebody chose is bound to its machine, so that two machines may
// have the same and neither learns of the other.
func secretHash(id domain.IdentityID, secret sensitive.Value) [32]byte {
	text := string(secret.Reveal())
	if kind, err := domain.CheckToken(text); err == nil && kind == domain.ClientSecret {
		return domain.TokenHash(text)
	}
	return sha256.Sum256([]byte("keyturn chosen client secret v1\x00" + string(id) + "\x00" + text))
}

// secretReachable refuses a login from outside of the networks of the machine, of its role and of the secret.
func (s *Service) secretReachable(ctx context.Context, i store.Identity, row store.ClientSecret) error {
	address := guard.CallerOf(ctx).Address
	if err := reachable(row.Networks, address); err != nil {
		return err
	}
	if err := reachable(i.Networks, address); err != nil {
		return err
	}
	role, err := s.db.AuthRoleOf(ctx, i.ID)
	if err != nil {
		return hiddenGone(err)
	}
	return reachable(role.Settings.SecretNetworks, address)
}

// SecretIDInput is a new client secret of a role. What is nil is as the role says.
type SecretIDInput struct {
	Chosen        sensitive.Value // empty: a random one is made
	TTL           *time.Duration
	Uses          *int64
	Networks      []string // where it may log in from, CIDR, inside those of the role
	TokenNetworks []string // where its tokens may come from, CIDR, inside those of the role
	Metadata      map[string]string
}

func (in *SecretIDInput) check() error {
	if len(in.Metadata) > maxSecretMeta {
		return fault.New(fault.Invalid, "too much metadata: at most %d names", maxSecretMeta).WithField("/metadata", "too many")
	}
	for name, text := range in.Metadata {
		if name == "" || len(name) > maxMetaName || len(text) > maxMetaText || !utf8.ValidString(name) || !utf8.ValidString(text) {
			return fault.New(fault.Invalid, "the metadata is not valid: want names of 1 to %d bytes, texts of at most %d", maxMetaName, maxMetaText).WithField("/metadata", "not valid")
		}
	}
	if in.Chosen.Empty() {
		return nil
	}
	text := string(in.Chosen.Reveal())
	if n := utf8.RuneCountInString(text); n < minCustomSecret || len(text) > maxCustomSecret || weak.Pieces(text, "keyturn") < weak.MinPieces {
		return fault.New(fault.Invalid, "the secret id is too weak: want %d characters to %d bytes that nobody can guess", minCustomSecret, maxCustomSecret).
			WithHint("take a random UUID, or let one be made").WithField("/secret_id", "too weak")
	}
	if _, err := domain.CheckToken(text); err == nil {
		return fault.New(fault.Invalid, "the secret id has the form of a token of this server").WithHint("choose another one, or let one be made").WithField("/secret_id", "not allowed")
	}
	return nil
}

// AddSecretID makes a client secret for a role; it is shown once.
func (s *Service) AddSecretID(ctx context.Context, mount AuthMount, role string, in SecretIDInput) (store.ClientSecret, sensitive.Value, error) {
	if err := in.check(); err != nil {
		return store.ClientSecret{}, sensitive.Value{}, err
	}
	value := in.Chosen
	if value.Empty() {
		value = domain.NewToken(domain.ClientSecret)
	}
	var row store.ClientSecret
	err := s.onSecretIDs(ctx, mount, role, "add", func(tx *store.Tx, p guard.Permit, r AuthRole) error {
		if err := s.mayActAs(ctx, tx.Queries, p, string(r.Identity)); err != nil {
			return err
		}
		all, err := tx.ClientSecrets(ctx, r.Identity)
		if err != nil {
			return err
		}
		if len(all) >= maxSecretIDs {
			return fault.New(fault.Exhausted, "the role has %d secret ids already, and no more are kept", maxSecretIDs).WithHint("tidy those that have ended")
		}
		hash := secretHash(r.Identity, value)
		for _, other := range all {
			if slices.Equal(other.Hash, hash[:]) {
				return fault.New(fault.Exists, "SecretID is already registered")
			}
		}
		row = store.ClientSecret{ID: domain.NewID[string](), Org: p.Org(), Identity: r.Identity, Hash: hash[:], Name: authMethod, CreatedAt: tx.Now(), Metadata: in.Metadata}
		if err := in.limit(&row, r, tx.Now()); err != nil {
			return err
		}
		p.Note("secret", row.ID)
		return tx.PutClientSecret(ctx, &row)
	})
	return row, value, err
}

// limit puts the bounds of a role and of the input together: what is asked for may only be narrower.
func (in *SecretIDInput) limit(row *store.ClientSecret, r AuthRole, now int64) error {
	ttl, uses := r.Settings.SecretTTL, r.Settings.SecretUses
	if in.TTL != nil {
		asked := in.TTL.Milliseconds()
		if asked < 0 || asked > 10*maxTokenTTL.Milliseconds() || ttl > 0 && (asked == 0 || asked > ttl) {
			return fault.New(fault.Invalid, "ttl cannot be longer than the role's secret_id_ttl").WithField("/ttl", "out of range")
		}
		ttl = asked
	}
	if in.Uses != nil {
		if *in.Uses < 0 || *in.Uses > maxTokenUses || uses > 0 && (*in.Uses == 0 || *in.Uses > uses) {
			return fault.New(fault.Invalid, "num_uses cannot be higher than the role's secret_id_num_uses").WithField("/num_uses", "out of range")
		}
		uses = *in.Uses
	}
	if ttl > 0 {
		row.ExpiresAt = now + ttl
	}
	row.Uses = uses
	var err error
	if row.Networks, err = inside("/cidr_list", in.Networks, r.Settings.SecretNetworks); err == nil {
		row.TokenNetworks, err = inside("/token_bound_cidrs", in.TokenNetworks, r.Networks)
	}
	return err
}

// inside takes networks that lie in one of the outer ones each; no outer ones are all.
func inside(field string, texts, outer []string) ([]string, error) {
	out, err := checkNetworks(field, texts)
	if err != nil || outer == nil {
		return out, err
	}
	bounds, err := parseNetworks(outer)
	if err != nil {
		return nil, err
	}
	for _, text := range out {
		n, err := parseNetwork(text)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(bounds, func(b netip.Prefix) bool { return b.Bits() <= n.Bits() && b.Contains(n.Addr()) }) {
			return nil, fault.New(fault.Invalid, "a network reaches beyond those of the role").WithField(field, "beyond the role")
		}
	}
	return out, nil
}

func (s *Service) onSecretIDs(ctx context.Context, mount AuthMount, role, what string, work func(*store.Tx, guard.Permit, AuthRole) error) error {
	facts := map[string]string{"auth": mount.Path, "identity": domain.RecordedLabel(role), "client_secret": what}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		r, err := s.authRoleNamed(ctx, tx.Queries, p.Org(), mount.Path, role)
		if err != nil {
			return err
		}
		return work(tx, p, r)
	})
}

// liveSecretIDs lists those of a role that still work.
func liveSecretIDs(ctx context.Context, q store.Queries, id domain.IdentityID, now int64) ([]store.ClientSecret, error) {
	all, err := q.ClientSecrets(ctx, id)
	return slices.DeleteFunc(all, func(row store.ClientSecret) bool { return !usable(row, id, now) }), err
}

// SecretIDs lists the client secrets of a role that still work, without the secrets.
func (s *Service) SecretIDs(ctx context.Context, mount AuthMount, role string) ([]store.ClientSecret, error) {
	var out []store.ClientSecret
	err := s.ask(ctx, "client secrets", func(org domain.OrgID) error {
		r, err := s.authRoleNamed(ctx, s.db.Queries, org, mount.Path, role)
		if err == nil {
			out, err = liveSecretIDs(ctx, s.db.Queries, r.Identity, time.Now().UnixMilli())
		}
		return err
	})
	return out, err
}

// SecretIDChoice names one client secret of a role: by itself, or by its id.
type SecretIDChoice struct {
	Secret   sensitive.Value
	Accessor string
}

func (c SecretIDChoice) of(id domain.IdentityID, rows []store.ClientSecret) (store.ClientSecret, bool) {
	var hash []byte
	if !c.Secret.Empty() {
		sum := secretHash(id, c.Secret)
		hash = sum[:]
	}
	i := slices.IndexFunc(rows, func(row store.ClientSecret) bool {
		return hash != nil && slices.Equal(row.Hash, hash) || hash == nil && row.ID == c.Accessor
	})
	if i < 0 {
		return store.ClientSecret{}, false
	}
	return rows[i], true
}

// SecretID shows one client secret of a role that still works. That there is none is no failure.
func (s *Service) SecretID(ctx context.Context, mount AuthMount, role string, choice SecretIDChoice) (row store.ClientSecret, found bool, err error) {
	err = s.ask(ctx, "client secret", func(org domain.OrgID) error {
		r, err := s.authRoleNamed(ctx, s.db.Queries, org, mount.Path, role)
		if err != nil {
			return err
		}
		all, err := liveSecretIDs(ctx, s.db.Queries, r.Identity, time.Now().UnixMilli())
		row, found = choice.of(r.Identity, all)
		return err
	})
	return row, found, err
}

// DestroySecretID ends one client secret of a role, and tells whether there was one.
func (s *Service) DestroySecretID(ctx context.Context, mount AuthMount, role string, choice SecretIDChoice) (found bool, err error) {
	err = s.onSecretIDs(ctx, mount, role, "revoke", func(tx *store.Tx, p guard.Permit, r AuthRole) error {
		all, err := liveSecretIDs(ctx, tx.Queries, r.Identity, tx.Now())
		if err != nil {
			return err
		}
		var row store.ClientSecret
		if row, found = choice.of(r.Identity, all); !found {
			return nil
		}
		p.Note("secret", row.ID)
		row.RevokedAt = tx.Now()
		return tx.PutClientSecret(ctx, &row)
	})
	return found, err
}

// TidySecretIDs removes what is left of client secrets of a place's roles that have ended. It gives how many.
func (s *Service) TidySecretIDs(ctx context.Context, mount AuthMount) (int, error) {
	n := 0
	err := s.manage(ctx, map[string]string{"auth": mount.Path, "client_secret": "tidy"}, func(tx *store.Tx, p guard.Permit) error {
		rows, err := tx.AuthRoles(ctx, p.Org(), mount.Path)
		if err != nil {
			return err
		}
		n = 0
		for _, role := range rows {
			all, err := tx.ClientSecrets(ctx, role.Identity)
			if err != nil {
				return err
			}
			for _, row := range all {
				if usable(row, role.Identity, tx.Now()) {
					continue
				}
				if err := tx.RemoveClientSecret(ctx, &row); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return n, err
}

// LoginAppRole checks a role id and a secret id. Which of both is wrong is not told.
func (s *Service) LoginAppRole(ctx context.Context, mount AuthMount, roleID string, secret sensitive.Value) (Session, error) {
	id, role, err := s.roleOfID(ctx, roleID)
	if err != nil {
		return Session{}, err
	}
	account := string(id)
	if id == "" { // it may be a secret id that somebody put into the wrong field, which is not for the log
		sum := sha256.Sum256([]byte("keyturn unknown role id v1\x00" + roleID))
		account = "unknown role id " + hex.EncodeToString(sum[:4])
	}
	return s.login(ctx, account, func() (Proof, error) {
		proof, row, err := s.proveSecret(ctx, id, secret)
		if err != nil {
			return proof, err
		}
		// An identity is a role at the first place, and a role of another place is one there only.
		if row.Org != mount.Org || cmp.Or(role.Mount, AuthAppRole) != mount.Path {
			return Proof{}, badLogin()
		}
		name := cmp.Or(role.Name, proof.Name)
		proof.Meta = maps.Clone(row.Metadata)
		if proof.Meta == nil {
			proof.Meta = map[string]string{}
		}
		proof.Meta["role_name"] = name
		proof.Attributes = map[string]string{"role_name": name}
		mount.mark(&proof, role.Settings, "")
		return proof, nil
	})
}

// roleOfID finds the identity that a role id leads to, "" when there is none, and what is set for its role, if anything is.
func (s *Service) roleOfID(ctx context.Context, roleID string) (domain.IdentityID, store.AuthRole, error) {
	if !plainRoleID(roleID) { // nothing that a store would be asked for
		return "", store.AuthRole{}, nil
	}
	role, err := s.db.AuthRoleByRoleID(ctx, roleID)
	if err == nil || fault.KindOf(err) != fault.NotFound {
		return role.Identity, role, err
	}
	if !domain.IsID(roleID) {
		return "", role, nil
	}
	i, err := s.db.Identity(ctx, domain.IdentityID(roleID))
	if err != nil {
		return "", role, hiddenGone(err)
	}
	role, err = s.db.AuthRoleOf(ctx, i.ID)
	return i.ID, role, hiddenGone(err)
}

// mark notes at a proof where and how somebody logged in, and what the role says of the token.
func (m *AuthMount) mark(proof *Proof, set RoleSettings, user string) {
	of := func(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
	proof.Display, proof.Path = strings.ReplaceAll(m.Path, "/", "-"), "auth/"+m.Path+"/login"
	if user != "" {
		proof.Display, proof.Path = proof.Display+"-"+user, proof.Path+"/"+user
	}
	proof.Period, proof.ExplicitMax = of(set.Period), of(set.LongestTTL)
	if proof.Period > 0 { // renewed for as long as somebody does, unless a longest lifetime is set
		proof.TTL, proof.MaxTTL = proof.Period, proof.ExplicitMax
	}
	proof.Batch = set.TokenType == "batch"
}

package access

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// AuthSecret is the secret of a place: empty to leave the one that is there.
type AuthSecret struct {
	Value  sensitive.Value
	Forget bool
}

// RoleSettings are those of a role: times are milliseconds, 0 for the default of the place.
type RoleSettings = store.RoleSettings

// AuthRole is a role at a place: a machine identity, with the limits of its tokens and the roles of ours that it was given in the
// whole organisation, which the dialect calls policies.
type AuthRole struct {
	Name     string
	Identity domain.IdentityID // "" while it is being made
	RoleID   string            // what it logs in as: the client id, or the other name that somebody gave it
	Policies []string
	Settings RoleSettings
	Networks []string // where logins and tokens may come from, CIDR; nil for anywhere
	Uses     int64    // how often one token may be used; 0 for any number
	// Method is how it logs in beside client secrets. Nil leaves what is there.
	Method *AuthMethod

	row store.AuthRole
	id  store.Identity
}

// AuthMethod is the login method of a role.
type AuthMethod struct {
	Kind     string
	Settings []byte // JSON
	Secret   bool   // the secret of the place is the method's too
}

const (
	authMethod    = "vault" // name of the login method of a role
	maxAuthRoleID = 256     // bytes of a name that somebody chose for a client id
	minAuthRoleID = 8
)

// ParseAuthRole gives the name of a role as it is kept: in small letters, without slashes.
func ParseAuthRole(name string) (string, error) {
	_, err := domain.ParseLabel(name) // before the folding, which makes something of bytes that are no text
	name = strings.ToLower(name)
	switch {
	case err != nil || strings.Contains(name, "/"):
		return "", fault.New(fault.Invalid, "the name of a role is not valid: want printable characters without slashes")
	case name == "login":
		return "", fault.New(fault.Invalid, "a role cannot be called login: its paths would be those of logins")
	}
	return name, nil
}

// authIdentity is what the identity of a role is called. Those of the first AppRole place are the identities of the organisation.
func authIdentity(mount, name string) domain.Label {
	if mount == AuthAppRole {
		return domain.Label(name)
	}
	return domain.Label(mount + "/" + name)
}

// authRoleNamed finds a role. At the first AppRole place every identity is one, in its own spelling.
func (s *Service) authRoleNamed(ctx context.Context, q store.Queries, org domain.OrgID, mount, name string) (AuthRole, error) {
	missing := fault.New(fault.NotFound, "there is no such role")
	if _, err := domain.ParseLabel(name); err != nil {
		return AuthRole{}, missing
	}
	for _, spelling := range []string{name, strings.ToLower(name)} {
		row, err := q.AuthRole(ctx, org, mount, spelling)
		if err == nil {
			return s.authRole(ctx, q, row)
		}
		if fault.KindOf(err) != fault.NotFound {
			return AuthRole{}, err
		}
		if mount != AuthAppRole || strings.Contains(spelling, "/") {
			continue
		}
		i, err := q.IdentityByName(ctx, org, domain.Label(spelling))
		if err == nil {
			return s.plainRole(ctx, q, i)
		}
		if fault.KindOf(err) != fault.NotFound {
			return AuthRole{}, err
		}
	}
	return AuthRole{}, missing
}

// authRole completes a role with what its identity holds.
func (s *Service) authRole(ctx context.Context, q store.Queries, row store.AuthRole) (AuthRole, error) {
	i, err := q.Identity(ctx, row.Identity)
	if err != nil {
		return AuthRole{}, err
	}
	r := AuthRole{Name: row.Name, Identity: i.ID, RoleID: cmp.Or(row.RoleID, string(i.ID)), Settings: row.Settings, Networks: i.Networks, Uses: i.TokenUses, row: row, id: i}
	r.Policies, err = policiesOf(ctx, q, string(i.ID))
	return r, err
}

// plainRole shows an identity as a role that nobody has set anything for. Tokens that cannot be renewed are those whose longest
// lifetime is their lifetime.
func (s *Service) plainRole(ctx context.Context, q store.Queries, i store.Identity) (AuthRole, error) {
	r := AuthRole{Name: string(i.Name), Identity: i.ID, RoleID: string(i.ID), Settings: RoleSettings{TTL: i.TokenTTL, MaxTTL: max(i.MaxTTL, i.TokenTTL)}, Networks: i.Networks, Uses: i.TokenUses, id: i}
	var err error
	r.Policies, err = policiesOf(ctx, q, string(i.ID))
	return r, err
}

// AuthRole shows a role.
func (s *Service) AuthRole(ctx context.Context, mount AuthMount, name string) (AuthRole, error) {
	var out AuthRole
	err := s.ask(ctx, "auth role", func(org domain.OrgID) (err error) {
		out, err = s.authRoleNamed(ctx, s.db.Queries, org, mount.Path, name)
		return err
	})
	return out, err
}

// AuthRoles lists the names of the roles at a place, unsorted.
func (s *Service) AuthRoles(ctx context.Context, mount AuthMount) ([]string, error) {
	var out []string
	err := s.ask(ctx, "auth roles", func(org domain.OrgID) error {
		rows, err := s.db.AuthRoles(ctx, org, mount.Path)
		if err != nil {
			return err
		}
		taken := map[domain.IdentityID]bool{}
		for _, row := range rows {
			out = append(out, row.Name)
			taken[row.Identity] = true
		}
		if mount.Path != AuthAppRole {
			return nil
		}
		all, err := s.db.Identities(ctx, org)
		for _, i := range all {
			if !taken[i.ID] && !strings.Contains(string(i.Name), "/") {
				out = append(out, string(i.Name))
			}
		}
		return err
	})
	return out, err
}

// ChangeAuthRole changes a role, or makes it where create is set. Whoever does so must be able to give all that it has, before and
// after. The change may run more than once.
func (s *Service) ChangeAuthRole(ctx context.Context, mount AuthMount, name string, create bool, change func(AuthMount, *AuthRole) error) error {
	facts := map[string]string{"auth": mount.Path, "identity": domain.RecordedLabel(name), "change": "role"}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		m, err := authMountNamed(ctx, tx.Queries, p.Org(), mount.Path)
		if err != nil {
			return err
		}
		r, err := s.authRoleNamed(ctx, tx.Queries, p.Org(), m.Path, name)
		switch {
		case err != nil && (fault.KindOf(err) != fault.NotFound || !create):
			return err
		case err != nil:
			if r.Name, err = ParseAuthRole(name); err != nil {
				return err
			}
			if _, err := tx.IdentityByName(ctx, p.Org(), authIdentity(m.Path, r.Name)); err == nil {
				return fault.New(fault.Exists, "there is an identity of this name, which is no role of this place")
			} else if fault.KindOf(err) != fault.NotFound {
				return err
			}
		default:
			if err := s.mayActAs(ctx, tx.Queries, p, string(r.Identity)); err != nil {
				return err
			}
		}
		if err := change(m, &r); err != nil {
			return err
		}
		return s.putAuthRole(ctx, tx, p, m, &r)
	})
}

// limits gives those of the tokens of a role.
func (r *AuthRole) limits(m AuthMount) (Limits, error) {
	ttl, longest := m.Lease()
	of := func(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
	set := r.Settings
	if set.TTL > 0 && set.MaxTTL > 0 && set.TTL > set.MaxTTL {
		return Limits{}, fault.New(fault.Invalid, "'token_ttl' cannot be greater than 'token_max_ttl'")
	}
	longest = cmp.Or(of(set.MaxTTL), max(longest, of(set.TTL)))
	if set.LongestTTL > 0 {
		longest = min(longest, of(set.LongestTTL))
	}
	l := Limits{TTL: min(cmp.Or(of(set.TTL), ttl), longest), MaxTTL: longest, Uses: r.Uses, Networks: r.Networks}
	return l, l.check("token_")
}

func (s *Service) putAuthRole(ctx context.Context, tx *store.Tx, p guard.Permit, m AuthMount, r *AuthRole) error {
	l, err := r.limits(m)
	if err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if r.Identity == "" {
		name, err := domain.ParseLabel(string(authIdentity(m.Path, r.Name)))
		if err != nil {
			return err
		}
		r.id = store.Identity{ID: domain.NewID[domain.IdentityID](), Org: p.Org(), Name: name, CreatedAt: tx.Now()}
		r.Identity = r.id.ID
	}
	if r.row.ID == "" {
		r.row = store.AuthRole{ID: domain.NewID[string](), Org: p.Org(), Mount: m.Path, Name: r.Name, Identity: r.Identity, CreatedAt: tx.Now()}
	}
	r.id.TokenTTL, r.id.MaxTTL, r.id.TokenUses, r.id.Networks = l.TTL.Milliseconds(), l.MaxTTL.Milliseconds(), l.Uses, l.Networks
	if err := tx.PutIdentity(ctx, &r.id); err != nil {
		return err
	}
	r.row.Settings = r.Settings
	if r.row.RoleID, err = s.roleID(ctx, tx, r); err != nil {
		return err
	}
	if err := tx.PutAuthRole(ctx, &r.row); err != nil {
		return err
	}
	if err := s.setPolicies(ctx, tx, p, domain.Identity, string(r.Identity), r.Policies); err != nil {
		return err
	}
	if r.Method != nil {
		return s.putAuthMethod(ctx, tx, m, r, l)
	}
	row, err := tx.LoginMethod(ctx, r.Identity, authMethod)
	if err != nil {
		return hiddenGone(err)
	}
	return putMethodLimits(ctx, tx, &row, l)
}

func putMethodLimits(ctx context.Context, tx *store.Tx, row *store.LoginMethod, l Limits) error {
	row.TTL, row.MaxTTL, row.Uses, row.Networks = l.TTL.Milliseconds(), l.MaxTTL.Milliseconds(), l.Uses, l.Networks
	return tx.PutLoginMethod(ctx, row)
}

// check bounds what is set for a role.
func (r *AuthRole) check() error {
	set, size := &r.Settings, 0
	for _, text := range set.Fields {
		size += len(text)
	}
	switch {
	case size > maxAuthFields:
		return fault.New(fault.Exhausted, "the role is too large: at most %d bytes", maxAuthFields)
	case set.SecretTTL < 0 || set.SecretTTL > 10*maxTokenTTL.Milliseconds():
		return fault.New(fault.Invalid, "secret_id_ttl is out of range: want up to ten years")
	case set.SecretUses < 0 || set.SecretUses > maxTokenUses:
		return fault.New(fault.Invalid, "secret_id_num_uses is out of range: want 0 for any number, or more")
	case set.Period < 0 || set.Period > maxTokenTTL.Milliseconds():
		return fault.New(fault.Invalid, "token_period is out of range: want up to 366 days")
	case set.TokenType == "batch" && (set.Period > 0 || r.Uses > 0):
		return fault.New(fault.Invalid, "'token_type' cannot be 'batch' when the token has a period or a number of uses")
	case set.LongestTTL < 0:
		return fault.New(fault.Invalid, "token_explicit_max_ttl is out of range")
	case len(r.Policies) > maxPolicies:
		return fault.New(fault.Exhausted, "too many policies: at most %d", maxPolicies)
	}
	var err error
	set.SecretNetworks, err = checkNetworks("/secret_id_bound_cidrs", set.SecretNetworks)
	return err
}

// roleID gives the name beside the client id, "" when it is the client id. Nobody can take one that leads to somebody else.
func (s *Service) roleID(ctx context.Context, tx *store.Tx, r *AuthRole) (string, error) {
	chosen := cmp.Or(r.RoleID, string(r.Identity))
	if chosen == string(r.Identity) || chosen == r.row.RoleID {
		return r.row.RoleID, nil
	}
	if !plainRoleID(chosen) {
		return "", fault.New(fault.Invalid, "the role id is not valid: want %d to %d printable ASCII characters without blanks", minAuthRoleID, maxAuthRoleID)
	}
	taken := fault.New(fault.Exists, "role_id already in use")
	if other, err := tx.AuthRoleByRoleID(ctx, chosen); err == nil && other.ID != r.row.ID {
		return "", taken
	} else if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	if _, err := tx.Identity(ctx, domain.IdentityID(chosen)); err == nil {
		return "", taken
	} else if fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	return chosen, nil
}

// plainRoleID tells whether a text can be a role id.
func plainRoleID(text string) bool {
	if _, err := domain.CheckToken(text); err == nil { // a secret in the wrong place, which neither database nor log should see
		return false
	}
	return len(text) >= minAuthRoleID && len(text) <= maxAuthRoleID && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}

func (s *Service) putAuthMethod(ctx context.Context, tx *store.Tx, m AuthMount, r *AuthRole, l Limits) error {
	var secrets []sensitive.Value
	if r.Method.Secret && m.Secret {
		v, err := s.kept(ctx, tx.Queries, store.AuthSecret(m.ID))
		if err != nil {
			return err
		}
		defer v.Wipe()
		secrets = append(secrets, v)
	}
	stored, err := login.Check(login.Kind(r.Method.Kind), r.Method.Settings, len(secrets))
	if err != nil {
		return err
	}
	row, err := tx.LoginMethod(ctx, r.Identity, authMethod)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err != nil {
		row = store.LoginMethod{ID: domain.NewID[string](), Org: r.id.Org, Identity: r.Identity, Name: authMethod, CreatedAt: tx.Now()}
	} else if err := s.forgetMethodSecrets(ctx, tx, row); err != nil {
		return err
	}
	row.Kind, row.Settings, row.Secrets = r.Method.Kind, string(stored), int64(len(secrets))
	if err := s.keepMethodSecrets(ctx, tx, row.ID, login.Kind(row.Kind), secrets); err != nil {
		return err
	}
	return putMethodLimits(ctx, tx, &row, l)
}

// DeleteAuthRole removes a role: the identity, its client secrets, tokens and all that it was given.
func (s *Service) DeleteAuthRole(ctx context.Context, mount AuthMount, name string) error {
	facts := map[string]string{"auth": mount.Path, "identity": domain.RecordedLabel(name), "change": "delete"}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		r, err := s.authRoleNamed(ctx, tx.Queries, p.Org(), mount.Path, name)
		if err != nil {
			return hiddenGone(err)
		}
		return s.removeIdentity(ctx, tx, p, r.id)
	})
}

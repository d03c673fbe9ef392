package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/store"
)

// The types of places at which one logs in, as the Vault dialect calls them.
const (
	AuthToken      = "token"
	AuthAppRole    = "approle"
	AuthUserpass   = "userpass"
	AuthLDAP       = "ldap"
	AuthJWT        = "jwt"
	AuthOIDC       = "oidc"
	AuthKubernetes = "kubernetes"
	AuthCert       = "cert"
)

// authTypes lists them all. Each is a place of its own name from the beginning, until somebody takes it away.
var authTypes = []string{AuthAppRole, AuthCert, AuthJWT, AuthKubernetes, AuthLDAP, AuthOIDC, AuthToken, AuthUserpass}

const (
	// AuthTTL is how long tokens live and can be renewed whose role and place say nothing: what programs expect that were written
	// for the dialect.
	AuthTTL = 32 * 24 * time.Hour
	// maxAuthMounts bounds the places of an organisation: each login looks through them.
	maxAuthMounts = 100
	maxAuthPath   = 128 // bytes of one path
	maxAuthFields = 96 << 10
)

// AuthMount is a place at which one logs in.
type AuthMount struct {
	store.AuthMount
	// Accessor is a short name that does not change while the place is there.
	Accessor string
}

// Lease gives the lifetimes of tokens whose role says nothing.
func (m *AuthMount) Lease() (ttl, longest time.Duration) {
	longest = cmp.Or(time.Duration(m.Settings.MaxTTL)*time.Millisecond, AuthTTL)
	return min(cmp.Or(time.Duration(m.Settings.TTL)*time.Millisecond, AuthTTL), longest), longest
}

func authMount(row store.AuthMount) AuthMount {
	sum := sha256.Sum256([]byte("keyturn auth mount v1\x00" + string(row.Org) + "\x00" + row.Path + "\x00" + row.ID))
	return AuthMount{row, "auth_" + row.Type + "_" + hex.EncodeToString(sum[:4])}
}

// authMountsOf lists the places of an organisation by path: those that somebody made and those that are always there.
func authMountsOf(ctx context.Context, q store.Queries, org domain.OrgID) ([]AuthMount, error) {
	rows, err := q.AuthMounts(ctx, org)
	if err != nil {
		return nil, err
	}
	var out []AuthMount
	known := map[string]bool{}
	for _, row := range rows {
		known[row.Path] = true
		if !row.Disabled {
			out = append(out, authMount(row))
		}
	}
	for _, kind := range authTypes {
		if !known[kind] {
			out = append(out, authMount(store.AuthMount{Org: org, Path: kind, Type: kind}))
		}
	}
	slices.SortFunc(out, func(a, b AuthMount) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// AuthMounts lists the places at which one logs in.
func (s *Service) AuthMounts(ctx context.Context) ([]AuthMount, error) {
	var out []AuthMount
	err := s.ask(ctx, "auth mounts", func(org domain.OrgID) (err error) {
		out, err = authMountsOf(ctx, s.db.Queries, org)
		return err
	})
	return out, err
}

// AuthMount gives one of them.
func (s *Service) AuthMount(ctx context.Context, path string) (AuthMount, error) {
	var out AuthMount
	err := s.ask(ctx, "auth mount", func(org domain.OrgID) (err error) {
		out, err = authMountNamed(ctx, s.db.Queries, org, path)
		return err
	})
	return out, err
}

func authMountNamed(ctx context.Context, q store.Queries, org domain.OrgID, path string) (AuthMount, error) {
	all, err := authMountsOf(ctx, q, org)
	i := slices.IndexFunc(all, func(m AuthMount) bool { return m.Path == path })
	if err != nil || i < 0 {
		return AuthMount{}, cmp.Or[error](err, fault.New(fault.NotFound, "there is no such place to log in"))
	}
	return all[i], nil
}

// AuthRoute finds the place that a path below auth/ belongs to, and what of the path follows it. The organisation is the caller's,
// and of somebody who is not known yet the only one, or the one whose slug the namespace begins with. Which places there are is
// no secret, so nothing is recorded; a path of no place is fault.NotFound.
func (s *Service) AuthRoute(ctx context.Context, namespace, path string) (AuthMount, string, error) {
	org := guard.CallerOf(ctx).Principal.Org
	if org == "" {
		var err error
		if org, err = s.loginOrg(ctx, namespace); err != nil {
			return AuthMount{}, "", err
		}
	}
	all, err := authMountsOf(ctx, s.db.Queries, org)
	if err != nil {
		return AuthMount{}, "", err
	}
	var found AuthMount
	for _, m := range all {
		if (path == m.Path || strings.HasPrefix(path, m.Path+"/")) && len(m.Path) > len(found.Path) {
			found = m
		}
	}
	if found.Path == "" {
		return found, "", fault.New(fault.NotFound, "there is no such place to log in")
	}
	return found, strings.TrimPrefix(strings.TrimPrefix(path, found.Path), "/"), nil
}

func (s *Service) loginOrg(ctx context.Context, namespace string) (domain.OrgID, error) {
	all, err := s.db.Orgs(ctx)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(namespace, "/")
	for _, o := range all {
		if string(o.Slug) == first {
			return o.ID, nil
		}
	}
	if len(all) != 1 {
		return "", fault.New(fault.NotFound, "there is no such organisation")
	}
	return all[0].ID, nil
}

// VisibleAuth lists the places that somebody made visible to people who are not logged in. It is no secret which they are.
func (s *Service) VisibleAuth(ctx context.Context, namespace string) ([]AuthMount, error) {
	org := guard.CallerOf(ctx).Principal.Org
	if org == "" {
		var err error
		if org, err = s.loginOrg(ctx, namespace); err != nil {
			return nil, hiddenGone(err)
		}
	}
	all, err := authMountsOf(ctx, s.db.Queries, org)
	return slices.DeleteFunc(all, func(m AuthMount) bool { return m.Settings.Visibility != "unauth" }), err
}

// AuthMountInput is a new place.
type AuthMountInput struct {
	Path, Type, Description string
	Settings                store.AuthSettings
}

// EnableAuth makes a place. One that is there from the beginning can be made once as well, since programs do so before they use it.
func (s *Service) EnableAuth(ctx context.Context, in AuthMountInput) error {
	return s.manage(ctx, map[string]string{"auth": recordedPath(in.Path), "change": "enable", "type": domain.RecordedName(in.Type)}, func(tx *store.Tx, p guard.Permit) error {
		if err := checkAuthPath(in.Path); err != nil {
			return err
		}
		if !slices.Contains(authTypes, in.Type) || in.Type == AuthToken {
			return fault.New(fault.Unsupported, "there is no such way to log in").WithField("/type", "want one of %s", strings.Join(authTypes, ", "))
		}
		rows, err := tx.AuthMounts(ctx, p.Org())
		if err != nil {
			return err
		}
		if len(rows) >= maxAuthMounts {
			return fault.New(fault.Exhausted, "there are %d places to log in already, and no more are kept", maxAuthMounts)
		}
		row := store.AuthMount{ID: domain.NewID[string](), Org: p.Org(), Path: in.Path, Type: in.Type, Description: in.Description, Settings: in.Settings, CreatedAt: tx.Now()}
		for _, other := range rows {
			if other.Path == in.Path && other.Disabled {
				row.ID = other.ID
			} else if overlaps(other.Path, in.Path) {
				return inUse(other.Path)
			}
		}
		for _, kind := range authTypes {
			if kind != in.Type && kind == in.Path || kind != in.Path && overlaps(kind, in.Path) {
				return inUse(kind)
			}
		}
		if err := checkAuthMount(&row); err != nil {
			return err
		}
		return tx.PutAuthMount(ctx, &row)
	})
}

func overlaps(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// PathInUse is the cause of a fault that says that a path belongs to a place already.
type PathInUse struct{ Path string }

// Error implements error.
func (p *PathInUse) Error() string { return "path is already in use at " + p.Path + "/" }

func inUse(path string) error {
	return fault.Wrap(fault.Exists, &PathInUse{path}, "the path belongs to another place already")
}

// recordedPath gives a path that somebody typed as the log may keep it.
func recordedPath(path string) string {
	if checkAuthPath(path) != nil {
		return domain.RecordedName("")
	}
	return path
}

// checkAuthPath takes paths whose segments cannot be mistaken for the end of a login.
func checkAuthPath(path string) error {
	bad := fault.New(fault.Invalid, "the path of a place to log in is not valid: want segments of letters, digits, '-', '_' and '.', none of them \"login\"").WithField("/path", "not valid")
	if path == "" || len(path) > maxAuthPath {
		return bad
	}
	for segment := range strings.SplitSeq(path, "/") {
		if _, err := domain.ParseSecretName(segment); err != nil || segment == "login" {
			return bad
		}
	}
	return nil
}

func checkAuthMount(row *store.AuthMount) error {
	if row.Description != "" {
		if _, err := domain.ParseLabel(row.Description); err != nil {
			return fault.As(err).WithField("/description", "not valid")
		}
	}
	set, size := row.Settings, 0
	for _, text := range set.Fields {
		size += len(text)
	}
	switch {
	case size > maxAuthFields:
		return fault.New(fault.Exhausted, "the configuration is too large: at most %d bytes", maxAuthFields)
	case set.TTL < 0 || set.MaxTTL < 0 || set.TTL > maxTokenTTL.Milliseconds() || set.MaxTTL > maxTokenTTL.Milliseconds():
		return fault.New(fault.Invalid, "a lifetime is out of range: want up to 366 days").WithField("/default_lease_ttl", "out of range")
	case set.MaxTTL > 0 && set.TTL > set.MaxTTL:
		return fault.New(fault.Invalid, "the default lifetime is longer than the longest").WithField("/default_lease_ttl", "out of range")
	}
	return nil
}

// ChangeAuth changes a place and all roles there that depend on it: whoever does so must be able to give all that they have. again derives the login method of a role anew; it is nil where
// places of this type have none. A secret that is given replaces the one that the place had.
func (s *Service) ChangeAuth(ctx context.Context, path string, change func(*AuthMount) (AuthSecret, error), again func(AuthMount, *AuthRole) error) error {
	return s.manage(ctx, map[string]string{"auth": recordedPath(path), "change": "tune"}, func(tx *store.Tx, p guard.Permit) error {
		m, err := authMountNamed(ctx, tx.Queries, p.Org(), path)
		if err != nil {
			return err
		}
		secret, err := change(&m)
		if err != nil {
			return err
		}
		if err := checkAuthMount(&m.AuthMount); err != nil {
			return err
		}
		if m.ID == "" {
			m.ID, m.CreatedAt = domain.NewID[string](), tx.Now()
		}
		switch {
		case secret.Forget && m.Secret:
			m.Secret = false
			if err := tx.RemoveInstanceSecret(ctx, store.AuthSecret(m.ID)); err != nil {
				return err
			}
		case !secret.Value.Empty():
			if secret.Value.Len() > maxSecretLen {
				return fault.New(fault.Invalid, "the secret is longer than %d bytes", maxSecretLen)
			}
			m.Secret = true
			if err := s.keep(ctx, tx, store.AuthSecret(m.ID), secret.Value); err != nil {
				return err
			}
		}
		if err := tx.PutAuthMount(ctx, &m.AuthMount); err != nil {
			return err
		}
		rows, err := tx.AuthRoles(ctx, p.Org(), path)
		if err != nil {
			return err
		}
		for _, row := range rows {
			// Whoever says how a role logs in could log in as it.
			if err := s.mayActAs(ctx, tx.Queries, p, string(row.Identity)); err != nil {
				return err
			}
			r, err := s.authRole(ctx, tx.Queries, row)
			if err == nil && again != nil {
				err = again(m, &r)
			}
			if err == nil {
				err = s.putAuthRole(ctx, tx, p, m, &r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// DisableAuth takes a place away with all roles that were made there, and ends their tokens. One that is not there is gone already.
func (s *Service) DisableAuth(ctx context.Context, path string) error {
	return s.manage(ctx, map[string]string{"auth": recordedPath(path), "change": "disable"}, func(tx *store.Tx, p guard.Permit) error {
		m, err := authMountNamed(ctx, tx.Queries, p.Org(), path)
		if err != nil {
			return hiddenGone(err)
		}
		if m.Type == AuthToken {
			return fault.New(fault.Invalid, "tokens cannot be taken away")
		}
		rows, err := tx.AuthRoles(ctx, p.Org(), path)
		if err != nil {
			return err
		}
		for _, row := range rows {
			i, err := tx.Identity(ctx, row.Identity)
			if err == nil {
				err = s.removeIdentity(ctx, tx, p, i)
			}
			if err != nil {
				return err
			}
		}
		if m.Secret {
			if err := tx.RemoveInstanceSecret(ctx, store.AuthSecret(m.ID)); err != nil {
				return err
			}
		}
		if slices.Contains(authTypes, path) {
			row := store.AuthMount{ID: cmp.Or(m.ID, domain.NewID[string]()), Org: p.Org(), Path: path, Type: m.Type, CreatedAt: tx.Now(), Disabled: true}
			return tx.PutAuthMount(ctx, &row)
		}
		return tx.RemoveAuthMount(ctx, &m.AuthMount)
	})
}

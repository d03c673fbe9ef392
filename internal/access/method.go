package access

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// machines is what logins of machines need beside the rest of the service.
type machines struct {
	calls  outbound.Rules
	keys   login.Keys
	issuer string // of identity tokens, "" for none
}

// CallWith sets how the addresses of login methods are called. Without it only public addresses are.
func (s *Service) CallWith(calls outbound.Rules) { s.machines.calls = calls }

// Bounds of login methods.
const (
	maxMethods   = 32 // of one identity
	maxTokenUses = 1 << 40
	maxSecretLen = 8 << 10 // bytes of one secret of a method
)

// Limits are what is set for the access tokens of a machine.
type Limits struct {
	TTL      time.Duration // 0 for that of the identity
	MaxTTL   time.Duration // how far a token can be renewed; 0 for not at all
	Uses     int64         // how often one token may be used; 0 for any number
	Networks []string      // where logins and tokens may come from; nil for anywhere
}

// check refuses limits that are out of range; prefix stands before the fields in what is said: "token_" of an identity's.
func (l *Limits) check(prefix string) error {
	switch {
	case l.TTL < 0 || l.TTL > maxTokenTTL || l.TTL > 0 && l.TTL < minTokenTTL:
		return fault.New(fault.Invalid, "the token lifetime must be between %v and 366 days", minTokenTTL).WithField("/"+prefix+"ttl", "out of range")
	case l.MaxTTL < 0 || l.MaxTTL > maxTokenTTL || l.MaxTTL > 0 && l.MaxTTL < l.TTL:
		return fault.New(fault.Invalid, "the longest lifetime must be between the lifetime and 366 days").WithField("/max_ttl", "out of range")
	case l.Uses < 0 || l.Uses > maxTokenUses:
		return fault.New(fault.Invalid, "the number of uses is out of range").WithField("/uses", "want 0 for any number, or more")
	}
	var err error
	l.Networks, err = checkNetworks("/networks", l.Networks)
	return err
}

// MethodInput is a new way for a machine to log in.
type MethodInput struct {
	Name     string
	Kind     string
	Settings []byte // JSON, as the kind understands it
	// Secrets are shared secrets of a JWT, or the token of a reviewer. They are sealed and never shown again.
	Secrets []sensitive.Value
	Limits
}

func methodSecret(id string, i int) string { return fmt.Sprintf("method.%s.%d", id, i) }

// AddMethod gives a machine one more way to log in.
func (s *Service) AddMethod(ctx context.Context, machine string, in MethodInput) (store.LoginMethod, error) {
	facts := map[string]string{"identity": domain.RecordedLabel(machine), "method": "add", "name": domain.RecordedName(in.Name), "kind": domain.RecordedName(in.Kind)}
	var row store.LoginMethod
	err := s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		if _, err := domain.ParseSlug(in.Name); err != nil {
			return err
		}
		if err := in.check(""); err != nil {
			return err
		}
		stored, err := login.Check(login.Kind(in.Kind), in.Settings, len(in.Secrets))
		if err != nil {
			return err
		}
		i, err := identity(ctx, tx.Queries, p.Org(), machine)
		if err != nil {
			return err
		}
		if err := s.mayActAs(ctx, tx.Queries, p, string(i.ID)); err != nil {
			return err
		}
		all, err := tx.LoginMethods(ctx, i.ID)
		if err != nil {
			return err
		}
		if len(all) >= maxMethods {
			return fault.New(fault.Exhausted, "the identity has %d login methods already, and no more are kept", maxMethods)
		}
		for _, other := range all {
			if other.Name == in.Name {
				return fault.New(fault.Exists, "the identity has a login method of this name")
			}
		}
		row = store.LoginMethod{ID: domain.NewID[string](), Org: i.Org, Identity: i.ID, Kind: in.Kind, Name: in.Name, Settings: string(stored), Secrets: int64(len(in.Secrets)),
			TTL: in.TTL.Milliseconds(), MaxTTL: in.MaxTTL.Milliseconds(), Uses: in.Uses, Networks: in.Networks, CreatedAt: tx.Now()}
		if err := s.keepMethodSecrets(ctx, tx, row.ID, login.Kind(in.Kind), in.Secrets); err != nil {
			return err
		}
		return tx.PutLoginMethod(ctx, &row)
	})
	return row, err
}

func (s *Service) keepMethodSecrets(ctx context.Context, tx *store.Tx, id string, kind login.Kind, secrets []sensitive.Value) error {
	for n, secret := range secrets {
		if secret.Empty() || secret.Len() > maxSecretLen || kind == login.KindJWT && secret.Len() < login.MinSharedSecret {
			return fault.New(fault.Invalid, "a secret of the method is too short or too long").WithField("/secrets", "want 1 to %d bytes; shared secrets of JWT at least %d", maxSecretLen, login.MinSharedSecret)
		}
		if err := s.keep(ctx, tx, methodSecret(id, n), secret); err != nil {
			return err
		}
	}
	return nil
}

// SetMethodSecrets replaces the secrets of a method: first the new one beside the old, later the new one alone.
func (s *Service) SetMethodSecrets(ctx context.Context, machine, name string, secrets []sensitive.Value) error {
	return s.changeMethod(ctx, machine, name, "secrets", func(tx *store.Tx, row *store.LoginMethod) error {
		if _, err := login.Check(login.Kind(row.Kind), []byte(row.Settings), len(secrets)); err != nil {
			return err
		}
		if err := s.forgetMethodSecrets(ctx, tx, *row); err != nil {
			return err
		}
		row.Secrets = int64(len(secrets))
		if err := s.keepMethodSecrets(ctx, tx, row.ID, login.Kind(row.Kind), secrets); err != nil {
			return err
		}
		return tx.PutLoginMethod(ctx, row)
	})
}

func (s *Service) forgetMethodSecrets(ctx context.Context, tx *store.Tx, row store.LoginMethod) error {
	for n := range int(row.Secrets) {
		if err := tx.RemoveInstanceSecret(ctx, methodSecret(row.ID, n)); err != nil {
			return err
		}
	}
	return nil
}

// DisableMethod switches a method off or on. Tokens that it gave are another matter: see [Service.RevokeTokensOf].
func (s *Service) DisableMethod(ctx context.Context, machine, name string, disabled bool) error {
	what := map[bool]string{true: "disable", false: "enable"}[disabled]
	return s.changeMethod(ctx, machine, name, what, func(tx *store.Tx, row *store.LoginMethod) error {
		row.Disabled = disabled
		return tx.PutLoginMethod(ctx, row)
	})
}

// RemoveMethod takes a way to log in away, with its secrets.
func (s *Service) RemoveMethod(ctx context.Context, machine, name string) error {
	return s.changeMethod(ctx, machine, name, "remove", func(tx *store.Tx, row *store.LoginMethod) error {
		if err := s.forgetMethodSecrets(ctx, tx, *row); err != nil {
			return err
		}
		return tx.RemoveLoginMethod(ctx, row)
	})
}

func (s *Service) changeMethod(ctx context.Context, machine, name, what string, change func(*store.Tx, *store.LoginMethod) error) error {
	facts := map[string]string{"identity": domain.RecordedLabel(machine), "method": what, "name": domain.RecordedName(name)}
	return s.manage(ctx, facts, func(tx *store.Tx, p guard.Permit) error {
		i, err := identity(ctx, tx.Queries, p.Org(), machine)
		if err != nil {
			return err
		}
		if what != "remove" && what != "disable" {
			if err := s.mayActAs(ctx, tx.Queries, p, string(i.ID)); err != nil {
				return err
			}
		}
		row, err := tx.LoginMethod(ctx, i.ID, name)
		if err != nil {
			return err
		}
		return change(tx, &row)
	})
}

// Methods lists the ways in which a machine may log in, beside client secrets.
func (s *Service) Methods(ctx context.Context, machine string) ([]store.LoginMethod, error) {
	var out []store.LoginMethod
	err := s.ask(ctx, "login methods", func(org domain.OrgID) error {
		i, err := identity(ctx, s.db.Queries, org, machine)
		if err != nil {
			return err
		}
		out, err = s.db.LoginMethods(ctx, i.ID)
		return err
	})
	return out, err
}

// MachineLogin is what a machine shows.
type MachineLogin struct {
	Identity string // id
	Method   string // name of the method
	login.Credential
}

// LoginMachine checks the credential of a machine by one of its login methods.
func (s *Service) LoginMachine(ctx context.Context, in MachineLogin) (Session, error) {
	id, err := domain.ParseID[domain.IdentityID](in.Identity)
	if err != nil {
		return Session{}, fault.New(fault.Invalid, "the identity is not an id").WithField("/identity", "want the UUID that \"identity create\" printed")
	}
	return s.login(ctx, string(id), func() (Proof, error) {
		proof, _, err := s.proveMethod(ctx, id, in.Method, in.Credential)
		return proof, err
	})
}

// proveMethod checks a credential by one method of a machine, and gives what it proves.
func (s *Service) proveMethod(ctx context.Context, id domain.IdentityID, method string, c login.Credential) (Proof, login.Evidence, error) {
	i, row, err := s.loginMethod(ctx, s.db.Queries, id, method)
	if err != nil {
		return Proof{}, login.Evidence{}, err
	}
	if err := reachable(row.Networks, guard.CallerOf(ctx).Address); err != nil {
		return Proof{}, login.Evidence{}, err
	}
	v, err := s.verifier(ctx, row)
	if err != nil {
		return Proof{}, login.Evidence{}, err
	}
	e, err := v.Verify(ctx, c)
	if err != nil {
		return Proof{}, e, err
	}
	ttl := row.TTL
	if ttl == 0 {
		ttl = i.TokenTTL
	}
	attributes := e.Attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["subject"] = cut(e.Subject, maxSubjectNote)
	return Proof{Kind: domain.Identity, ID: string(id), Name: string(i.Name), Method: row.Kind + ":" + row.Name, TTL: time.Duration(ttl) * time.Millisecond,
		MaxTTL: time.Duration(row.MaxTTL) * time.Millisecond, Uses: row.Uses, Networks: row.Networks, Attributes: attributes,
		then: func(ctx context.Context, tx *store.Tx, p guard.Permit) error {
			p.Note("subject", attributes["subject"])
			_, again, err := s.loginMethod(ctx, tx.Queries, id, method)
			if err == nil && (again.ID != row.ID || again.Settings != row.Settings) {
				err = badLogin() // it was changed while the credential was looked at
			}
			return err
		}}, e, nil
}

const maxSubjectNote = 256 // bytes of a subject in the log and among the attributes

// cut gives the beginning of what somebody else wrote in a form that a line of text can hold.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// loginMethod finds a method that works. What is not there, disabled, or of a disabled machine is all the same.
func (s *Service) loginMethod(ctx context.Context, q store.Queries, id domain.IdentityID, name string) (store.Identity, store.LoginMethod, error) {
	i, err := q.Identity(ctx, id)
	var row store.LoginMethod
	if err == nil {
		row, err = q.LoginMethod(ctx, id, name)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return i, row, err
	}
	if err != nil || i.Disabled || row.Disabled {
		return i, row, badLogin()
	}
	return i, row, nil
}

func (s *Service) verifier(ctx context.Context, row store.LoginMethod) (login.Verifier, error) {
	around := login.Around{Calls: s.machines.calls, Keys: &s.machines.keys}
	for n := range int(row.Secrets) {
		secret, err := s.kept(ctx, s.db.Queries, methodSecret(row.ID, n))
		if err != nil {
			return nil, err
		}
		around.Secrets = append(around.Secrets, secret)
	}
	return login.Open(login.Kind(row.Kind), []byte(row.Settings), around)
}

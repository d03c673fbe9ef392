package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// codeTTL is how long a finished login waits for whoever takes its session: a redirect.
	codeTTL = time.Minute
	// ConsoleCallback is the page of the console that takes the session of a finished login: it gets the parameter code, and
	// calls [Service.ExchangeSSO] with the verifier that it kept.
	ConsoleCallback = "/login/sso"
)

// FinishSSO takes the answer of an OpenID provider from the browser, and gives the address to go on to, with a code for the
// session.
func (s *Service) FinishSSO(ctx context.Context, name, cookie string, params url.Values) (string, error) {
	if len(params["state"]) > 1 {
		return "", fault.New(fault.Unauthenticated, "a parameter stands there twice")
	}
	return s.finish(ctx, name, ssoOIDC, cookie, params.Get("state"), func(row store.SSOConnection, f login.Flow) (login.Person, error) {
		redirect, err := s.ssoAddress(name, "callback")
		if err != nil {
			return login.Person{}, err
		}
		provider, err := s.provider(ctx, row, false)
		if err != nil {
			return login.Person{}, err
		}
		return provider.Finish(ctx, f, params, redirect)
	})
}

// FinishSAML takes the answer of a SAML identity provider that the browser posted, and gives the address to go on to, with a
// code for the session.
func (s *Service) FinishSAML(ctx context.Context, name, cookie, relayState, response string) (string, error) {
	return s.finish(ctx, name, ssoSAML, cookie, relayState, func(row store.SSOConnection, f login.Flow) (login.Person, error) {
		provider, err := s.samlProvider(row)
		if err != nil {
			return login.Person{}, err
		}
		return provider.Finish(f, response)
	})
}

func (s *Service) finish(ctx context.Context, name, kind, cookie, state string, prove func(store.SSOConnection, login.Flow) (login.Person, error)) (string, error) {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	c := guard.CallerOf(ctx)
	op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"sso": domain.RecordedName(name), "step": "provider"}}
	account := "sso " + name
	if err := s.attempts.take(c.Address, account); err != nil {
		return "", s.fail(ctx, op, err)
	}
	row, f, who, err := s.proveSSO(ctx, name, kind, cookie, state, prove)
	if err != nil {
		if fault.KindOf(err) != fault.Unauthenticated {
			s.attempts.giveBack(c.Address, account)
		}
		return "", s.fail(ctx, op, err)
	}
	s.attempts.giveBack(c.Address, account)
	code := onceCode()
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		once := store.SSOOnce{ID: f.Key(), Kind: store.OnceState, Connection: row.ID, ExpiresAt: f.ExpiresAt()}
		if err := tx.TakeOnce(ctx, &once); err != nil {
			if fault.KindOf(err) == fault.Conflict {
				return fault.Wrap(fault.Unauthenticated, err, "this login was finished already").WithHint("begin again")
			}
			return err
		}
		person, err := s.admitSSO(ctx, tx, p, row, who)
		if err != nil {
			return err
		}
		return tx.TakeOnce(ctx, &store.SSOOnce{ID: codeHash(code), Kind: store.OnceCode, Challenge: f.Challenge, Connection: row.ID, User: person.ID, MFA: who.MFA,
			ExpiresAt: tx.Now() + codeTTL.Milliseconds()})
	})
	if err != nil {
		return "", err
	}
	q := url.Values{"code": {code}}
	if f.Client != "" {
		q.Set("state", f.Client)
	}
	if f.Port != 0 {
		return "http://127.0.0.1:" + strconv.Itoa(f.Port) + "/?" + q.Encode(), nil
	}
	return s.sso.base + ConsoleCallback + "?" + q.Encode(), nil
}

func (s *Service) proveSSO(ctx context.Context, name, kind, cookie, state string, prove func(store.SSOConnection, login.Flow) (login.Person, error)) (store.SSOConnection, login.Flow, login.Person, error) {
	row, err := s.openConnection(ctx, name, kind)
	if err != nil {
		return row, login.Flow{}, login.Person{}, err
	}
	key, err := s.cookieKey(ctx)
	if err != nil {
		return row, login.Flow{}, login.Person{}, err
	}
	defer key.Wipe()
	f, err := login.OpenFlow(key, cookie, row.ID, state, time.Now())
	if err != nil {
		return row, f, login.Person{}, err
	}
	who, err := prove(row, f)
	return row, f, who, err
}

// onceCode makes a code of 256 random bits.
func onceCode() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func codeHash(code string) []byte {
	sum := sha256.Sum256([]byte("keyturn sso code v1\x00" + code))
	return sum[:]
}

func badSSOCode() *fault.Error {
	return fault.New(fault.Unauthenticated, "the code is not right: unknown, used, expired or begun by somebody else").WithHint("log in again")
}

// ExchangeSSO takes the session of a login that was finished in a browser. The code works once, for a minute, and only with the
// verifier of the challenge that the login was begun with.
func (s *Service) ExchangeSSO(ctx context.Context, code, verifier string) (Session, error) {
	return s.login(ctx, "sso code", func() (Proof, error) {
		row, err := s.db.Once(ctx, codeHash(code))
		if err != nil {
			if fault.KindOf(err) == fault.NotFound {
				err = badSSOCode()
			}
			return Proof{}, err
		}
		if row.Kind != store.OnceCode || time.Now().UnixMilli() >= row.ExpiresAt || !login.Fits(row.Challenge, verifier) {
			return Proof{}, badSSOCode()
		}
		c, err := s.db.SSOConnection(ctx, row.Connection)
		if err != nil {
			return Proof{}, err
		}
		proof, err := s.ssoProof(ctx, c, row.User, row.MFA)
		proof.then = func(ctx context.Context, tx *store.Tx, _ guard.Permit) error {
			again, err := tx.Once(ctx, row.ID) // two at once: one is first
			if fault.KindOf(err) == fault.NotFound && err != nil {
				return badSSOCode()
			}
			if err != nil {
				return err
			}
			return tx.RemoveOnce(ctx, &again)
		}
		return proof, err
	})
}

// ssoProof is what a connection proves about a person.
func (s *Service) ssoProof(ctx context.Context, c store.SSOConnection, user domain.UserID, mfa bool) (Proof, error) {
	if !c.Enabled {
		return Proof{}, badLogin()
	}
	person, err := s.db.Person(ctx, user)
	if err != nil {
		return Proof{}, err
	}
	if person.Disabled || person.Org != c.Org {
		return Proof{}, badLogin()
	}
	set, err := settingsOf(ctx, s.db.Queries, person.Org)
	return Proof{Kind: domain.User, ID: string(user), Name: string(person.Email), Method: ssoMethod(c), TTL: set.SessionMax, Idle: set.Idle, MFA: mfa,
		Attributes: map[string]string{"sso": c.Name}}, err
}

// LoginLDAP checks a person's password of a directory.
func (s *Service) LoginLDAP(ctx context.Context, name, account string, password sensitive.Value) (Session, error) {
	return s.loginLDAP(ctx, name, account, password, func(*Proof) {})
}

// loginLDAP is [Service.LoginLDAP]; finish adds to what was proved.
func (s *Service) loginLDAP(ctx context.Context, name, account string, password sensitive.Value, finish func(*Proof)) (Session, error) {
	canonical, err := login.Account(account)
	if err != nil {
		return Session{}, err
	}
	row, err := s.openConnection(ctx, name, ssoLDAP)
	if err != nil {
		anybody := guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
		return Session{}, s.fail(anybody, guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"sso": domain.RecordedLabel(name)}}, err)
	}
	return s.login(ctx, "ldap "+name+" "+canonical, func() (Proof, error) {
		l, err := s.directoryOf(row)
		if err != nil {
			return Proof{}, err
		}
		search, err := s.ssoSecretOf(ctx, row)
		if err != nil {
			return Proof{}, err
		}
		who, err := l.Login(ctx, s.sso.rules.DialContext, search, canonical, password)
		if err != nil {
			return Proof{}, err
		}
		var person store.Person
		op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"sso": name, "step": "provider"}}
		ctx := guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
		err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			person, err = s.admitSSO(ctx, tx, p, row, who)
			return err
		})
		if err != nil {
			return Proof{}, err
		}
		proof, err := s.ssoProof(ctx, row, person.ID, false)
		finish(&proof)
		return proof, err
	})
}

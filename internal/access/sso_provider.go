package access

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// providerKept is how long the metadata of an OpenID provider is taken as it was; its keys are asked for when they change.
const providerKept = 10 * time.Minute

// discovered is a provider whose metadata is at hand.
type discovered struct {
	provider *login.Provider
	settings []byte // that it was discovered with
	at       time.Time
}

func (s *Service) forgetProvider(id string) {
	s.sso.mu.Lock()
	defer s.sso.mu.Unlock()
	delete(s.sso.providers, id)
}

// ssoSecretOf opens the secret of a connection; one that has none gives the empty value.
func (s *Service) ssoSecretOf(ctx context.Context, row store.SSOConnection) (sensitive.Value, error) {
	v, err := s.kept(ctx, s.db.Queries, ssoSecret(row.ID))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return sensitive.FromString(""), nil
	}
	return v, err
}

// provider gives the OpenID provider of a connection, discovered lately.
func (s *Service) provider(ctx context.Context, row store.SSOConnection, fresh bool) (*login.Provider, error) {
	s.sso.mu.Lock()
	known, ok := s.sso.providers[row.ID]
	s.sso.mu.Unlock()
	if ok && !fresh && bytes.Equal(known.settings, row.Settings) && time.Since(known.at) < providerKept {
		return known.provider, nil
	}
	var o login.OIDC
	if err := json.Unmarshal(row.Settings, &o); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the settings of a connection are damaged")
	}
	secret, err := s.ssoSecretOf(ctx, row)
	if err != nil {
		return nil, err
	}
	p, err := o.Discover(ctx, s.sso.rules.Client(ssoTimeout), secret)
	if err != nil {
		return nil, err
	}
	s.sso.mu.Lock()
	defer s.sso.mu.Unlock()
	if len(s.sso.providers) >= maxConnections { // of connections that are long gone
		clear(s.sso.providers)
	}
	s.sso.providers[row.ID] = discovered{p, row.Settings, time.Now()}
	return p, nil
}

func (s *Service) samlProvider(row store.SSOConnection) (*login.IdentityProvider, error) {
	var settings login.SAML
	if err := json.Unmarshal(row.Settings, &settings); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the settings of a connection are damaged")
	}
	us, err := s.ssoService(row.Name)
	if err != nil {
		return nil, err
	}
	return settings.Open(us)
}

func (s *Service) directoryOf(row store.SSOConnection) (login.LDAP, error) {
	var l login.LDAP
	if err := json.Unmarshal(row.Settings, &l); err != nil {
		return l, fault.Wrap(fault.Internal, err, "the settings of a connection are damaged")
	}
	return l, nil
}

// TestSSO calls the provider of a connection and tells what it found, without anybody logging in.
func (s *Service) TestSSO(ctx context.Context, name string) (string, error) {
	var said string
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"sso": domain.RecordedName(name), "change": "test"}}
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		row, err := s.ssoNamed(ctx, s.db.Queries, p.Org(), name)
		if err != nil {
			return err
		}
		switch row.Kind {
		case ssoOIDC:
			if _, err := s.ssoAddress(name, "callback"); err != nil {
				return err
			}
			provider, err := s.provider(ctx, row, true)
			if err != nil {
				return err
			}
			said = "the provider publishes its metadata and its keys"
			return provider.Keys(ctx)
		case ssoSAML:
			provider, err := s.samlProvider(row)
			if err != nil {
				return err
			}
			ends := provider.CertificateEnds()
			if ends.Before(time.Now()) {
				return fault.New(fault.Expired, "the certificates of the identity provider have expired").WithHint("fetch its metadata again and update the connection")
			}
			said = "the metadata of " + provider.Entity() + " is whole; its last certificate ends " + ends.UTC().Format(time.DateOnly)
			return nil
		case ssoLDAP:
			l, err := s.directoryOf(row)
			if err != nil {
				return err
			}
			secret, err := s.ssoSecretOf(ctx, row)
			if err != nil {
				return err
			}
			said = "the directory answers, and shows its bases"
			return l.Test(ctx, s.sso.rules.DialContext, secret)
		}
		said = "a directory calls us: there is nothing to call"
		return nil
	})
	return said, err
}

// SSOMetadata gives our metadata for a SAML connection: it is public, and says what the provider must know.
func (s *Service) SSOMetadata(ctx context.Context, name string) ([]byte, error) {
	if _, err := s.openConnection(ctx, name, ssoSAML); err != nil {
		return nil, err
	}
	us, err := s.ssoService(name)
	if err != nil {
		return nil, err
	}
	return us.Metadata()
}

// openConnection finds one through which people may log in.
func (s *Service) openConnection(ctx context.Context, name string, kinds ...string) (store.SSOConnection, error) {
	missing := fault.New(fault.NotFound, "there is no such way to log in").WithHint("ask an admin for the name of the connection")
	if _, err := domain.ParseSlug(name); err != nil {
		return store.SSOConnection{}, missing
	}
	row, err := s.db.SSOConnectionByName(ctx, name)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return row, err
	}
	for _, kind := range kinds {
		if err == nil && row.Enabled && row.Kind == kind {
			return row, nil
		}
	}
	return store.SSOConnection{}, missing
}

// cookieKey opens the key of cookies.
func (s *Service) cookieKey(ctx context.Context) (sensitive.Value, error) {
	return s.kept(ctx, s.db.Queries, cookieSecret)
}

// SSOStart says what a login through a browser begins with.
type SSOStart struct {
	Challenge string // S256 of the verifier of whoever takes the session (RFC 7636)
	Port      int    // of a listener on loopback (RFC 8252); 0 when the console takes the session
	State     string // what the listener wants to see again
	Nonce     string // lets the script of a page through the content security policy
}

// SSOStarted is where the browser goes: an address, or a page that posts itself there; and the cookie that it must bring back.
type SSOStarted struct {
	Address string
	Page    []byte
	Cookie  string
	Posts   bool // the answer comes by POST from another site, which decides how strict the cookie can be
	Secure  bool // people open the server by https
}

// StartSSO begins a login through a connection.
func (s *Service) StartSSO(ctx context.Context, name string, in SSOStart) (SSOStarted, error) {
	out := SSOStarted{Secure: strings.HasPrefix(s.sso.base, "https://")}
	row, err := s.openConnection(ctx, name, ssoOIDC, ssoSAML)
	if err != nil {
		return out, err
	}
	f, err := login.NewFlow(row.ID, in.Challenge, in.Port, in.State, time.Now())
	if err != nil {
		return out, err
	}
	key, err := s.cookieKey(ctx)
	if err != nil {
		return out, err
	}
	defer key.Wipe()
	if out.Cookie, err = f.Cookie(key); err != nil {
		return out, err
	}
	if row.Kind == ssoSAML {
		provider, err := s.samlProvider(row)
		if err != nil {
			return out, err
		}
		out.Posts = true
		out.Address, out.Page, err = provider.Start(f, in.Nonce)
		return out, err
	}
	redirect, err := s.ssoAddress(name, "callback")
	if err != nil {
		return out, err
	}
	provider, err := s.provider(ctx, row, false)
	if err != nil {
		return out, err
	}
	out.Address = provider.Start(f, redirect)
	return out, nil
}

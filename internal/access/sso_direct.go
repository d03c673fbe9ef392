package access

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// directCallback is the path of the listener that the clients of the dialect open.
const directCallback = "/oidc/callback"

// StartDirectSSO begins a login of a person whose client gets the provider's answer itself, and gives the address to open in a
// browser: "" when the client's own address is one that is not allowed. Allowed are listeners on loopback (RFC 8252) and the
// pages of this server.
func (s *Service) StartDirectSSO(ctx context.Context, mount AuthMount, role, redirect, nonce string) (string, error) {
	name, err := s.connectionOf(ctx, mount, role, ssoOIDC)
	if err != nil {
		return "", err
	}
	if !s.directRedirect(mount, redirect) {
		return "", nil
	}
	row, err := s.openConnection(ctx, name, ssoOIDC)
	if err != nil {
		return "", err
	}
	key, err := s.cookieKey(ctx)
	if err != nil {
		return "", err
	}
	defer key.Wipe()
	f, err := login.NewDirectFlow(key, row.ID, redirect, nonce, time.Now())
	if err != nil {
		return "", err
	}
	provider, err := s.provider(ctx, row, false)
	if err != nil {
		return "", err
	}
	return provider.Start(f.Flow, redirect), nil
}

func (s *Service) directRedirect(mount AuthMount, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	if s.sso.base != "" && address == s.sso.base+"/ui/vault/auth/"+mount.Path+directCallback {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	port, err := strconv.Atoi(u.Port())
	return u.Scheme == "http" && u.Path == directCallback && err == nil && port > 0 && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// FinishDirectSSO takes the provider's answer from the client that began with the same nonce. The faults of a wrong nonce have
// [login.ErrClientNonce] in them.
func (s *Service) FinishDirectSSO(ctx context.Context, mount AuthMount, nonce string, params url.Values) (Session, error) {
	account := "sso " + mount.Path
	return s.login(ctx, account, func() (Proof, error) {
		row, f, err := s.directFlow(ctx, mount, nonce, params)
		if err != nil {
			return Proof{}, err
		}
		provider, err := s.provider(ctx, row, false)
		if err != nil {
			return Proof{}, err
		}
		who, err := provider.Finish(ctx, f.Flow, params, f.Redirect)
		if err != nil {
			return Proof{}, err
		}
		var person store.Person
		op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"sso": row.Name, "step": "provider"}}
		anybody := guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
		err = s.door.Do(anybody, op, func(tx *store.Tx, p guard.Permit) error {
			once := store.SSOOnce{ID: f.Key(), Kind: store.OnceState, Connection: row.ID, ExpiresAt: f.ExpiresAt()}
			if err := tx.TakeOnce(ctx, &once); err != nil {
				if fault.KindOf(err) == fault.Conflict {
					return fault.Wrap(fault.Unauthenticated, errLostState, "this login was finished already").WithHint("begin again")
				}
				return err
			}
			person, err = s.admitSSO(ctx, tx, p, row, who)
			return err
		})
		if err != nil {
			return Proof{}, err
		}
		proof, err := s.ssoProof(ctx, row, person.ID, who.MFA)
		mount.mark(&proof, RoleSettings{}, "")
		proof.Path, proof.Display = "auth/"+mount.Path+directCallback, proof.Display+"-"+string(person.Email)
		proof.Meta = map[string]string{"role": row.Name, "username": string(person.Email)}
		return proof, err
	})
}

var errLostState = errors.New("the state is not one of a login under way")

// LostState tells whether a login failed because it was not begun here, too long ago, or was finished before.
func LostState(err error) bool { return errors.Is(err, errLostState) }

// directFlow finds the connection and the flow that an answer belongs to.
func (s *Service) directFlow(ctx context.Context, mount AuthMount, nonce string, params url.Values) (store.SSOConnection, login.DirectFlow, error) {
	if slices.ContainsFunc([]string{"state", "code", "client_nonce", "error"}, func(name string) bool { return len(params[name]) > 1 }) {
		return store.SSOConnection{}, login.DirectFlow{}, fault.New(fault.Unauthenticated, "a parameter stands there twice")
	}
	gone := fault.Wrap(fault.Unauthenticated, errLostState, "this login was not begun here, or took too long").WithHint("begin again")
	rows, err := s.db.SSOConnections(ctx, mount.Org)
	if err != nil {
		return store.SSOConnection{}, login.DirectFlow{}, err
	}
	key, err := s.cookieKey(ctx)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound { // there was never a connection
			err = gone
		}
		return store.SSOConnection{}, login.DirectFlow{}, err
	}
	defer key.Wipe()
	for _, row := range rows {
		if !row.Enabled || row.Kind != ssoOIDC {
			continue
		}
		f, err := login.OpenDirectFlow(key, params.Get("state"), nonce, row.ID, time.Now())
		if err == nil || errors.Is(err, login.ErrClientNonce) {
			return row, f, err
		}
	}
	return store.SSOConnection{}, login.DirectFlow{}, gone
}

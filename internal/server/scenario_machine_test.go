package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/api"
)

// signJWT makes a token under the shared secret of the tests.
func signJWT(t tb, secret string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(secret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(claims)
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := signed.CompactSerialize()
	return out
}

func serviceClaims() map[string]any {
	return map[string]any{"iss": "https://app.example.test", "aud": "keyturn", "sub": "service:backend", "exp": time.Now().Add(time.Minute).Unix()}
}

// withMethod makes a machine that logs in with a JWT.
func (w *world) withMethod(t tb, change ...func(*api.MethodRequest)) (api.Identity, func() reply) {
	t.Helper()
	i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: w.fresh("machine-")})
	m := jwtMethod("app")
	for _, f := range change {
		f(&m)
	}
	send[api.Method](t, w.admin, "POST", "/identities/"+i.Name+"/methods", m)
	return i, func() reply {
		return w.admin.with("").do(t, "POST", "/login/machine", api.MachineLoginRequest{Identity: i.ID, Method: m.Name, JWT: signJWT(t, sharedSecret, serviceClaims())})
	}
}

func (r reply) session(t tb) api.Session {
	t.Helper()
	var s api.Session
	r.fits(t, &s)
	return s
}

func TestAMachineLogsInWithAJWT(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i, login := w.withMethod(t)
		s := login().session(t)
		who := get[api.Principal](t, w.admin.with(s.Token), "/whoami")
		if who.ID != i.ID || who.Kind != "identity" {
			t.Errorf("%+v", who)
		}
		if left := time.Until(s.ExpiresAt); left > 5*time.Minute || left < 4*time.Minute {
			t.Errorf("the token lives for %v", left)
		}
		list := get[api.Methods](t, w.admin, "/identities/"+i.Name+"/methods")
		if len(list.Methods) != 1 || list.Methods[0].Secrets != 1 || strings.Contains(fmt.Sprint(list), sharedSecret) {
			t.Errorf("%+v", list)
		}
		path := "/identities/" + i.Name + "/methods/app"

		// A new secret beside the old one, then alone.
		const next = "test-value-the-next-shared-secret-of-32-bytes"
		send[api.Done](t, w.admin, "PATCH", path, api.MethodChange{Secrets: []string{next, sharedSecret}})
		login().session(t)
		send[api.Done](t, w.admin, "PATCH", path, api.MethodChange{Secrets: []string{next}})
		login().refused(t, "unauthenticated", "signature")

		send[api.Done](t, w.admin, "PATCH", path, api.MethodChange{Secrets: []string{sharedSecret}})
		send[api.Done](t, w.admin, "PATCH", path, api.MethodChange{Disabled: ptr(true)})
		login().refused(t, "unauthenticated", "not right")
		send[api.Done](t, w.admin, "PATCH", path, api.MethodChange{Disabled: ptr(false)})
		login().session(t)
		send[api.Done](t, w.admin, "DELETE", path, nil)
		login().refused(t, "unauthenticated", "not right")

		w.admin.do(t, "POST", "/identities/"+i.Name+"/methods", api.MethodRequest{Name: "open", Kind: "github", Settings: json.RawMessage(`{"audience":["a"]}`)}).refused(t, "invalid", "claim")
		w.admin.do(t, "POST", "/identities/"+i.Name+"/methods", api.MethodRequest{Name: "unknown", Kind: "carrier pigeon", Settings: json.RawMessage(`{}`)}).refused(t, "invalid", "kind")
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

func TestTheLimitsOfAMethodHoldForItsTokens(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("uses", func(t *testing.T) {
			_, login := w.withMethod(t, func(m *api.MethodRequest) { m.Uses = 3 })
			p := w.admin.with(login().session(t).Token)
			var good atomic.Int64
			var all sync.WaitGroup
			for range 12 { // however many come at once
				all.Go(func() {
					if r, err := p.try("GET", "/whoami", nil); err == nil && r.status == 200 {
						good.Add(1)
					}
				})
			}
			all.Wait()
			if good.Load() != 3 {
				t.Errorf("a token for 3 uses was used %d times", good.Load())
			}
			again := w.admin.with(login().session(t).Token)
			e := w.project(t)
			again.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1m"}).refused(t, "not_found")
		})
		t.Run("networks", func(t *testing.T) {
			_, login := w.withMethod(t, func(m *api.MethodRequest) { m.Networks = []string{"192.0.2.0/24"} })
			login().refused(t, "unauthenticated", "address")
			i, inside := w.withMethod(t, func(m *api.MethodRequest) { m.Networks = []string{"127.0.0.0/8", "::1"} })
			p := w.admin.with(inside().session(t).Token)
			get[api.Principal](t, p, "/whoami")
			for _, tok := range get[api.Tokens](t, w.admin, "/tokens?all=true&order=last_used").Tokens {
				if tok.PrincipalID == i.ID && (len(tok.Networks) != 2 || tok.LastUsedAt == nil || tok.Method != "jwt:app") {
					t.Errorf("%+v", tok)
				}
			}
			e := w.project(t)
			key := api.APIKeyRequest{Identity: i.Name, Name: "elsewhere", Project: e.project, Scopes: "dev:/:read", TTL: "1h", Networks: []string{"192.0.2.7"}}
			outside := send[api.NewToken](t, w.admin, "POST", "/api-keys", key)
			w.admin.with(outside.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated", "address")
		})
		t.Run("renewal", func(t *testing.T) {
			_, login := w.withMethod(t, func(m *api.MethodRequest) { m.TTL, m.MaxTTL = "1m", "10m" })
			s := login().session(t)
			p := w.admin.with(s.Token)
			longer := send[api.TokenInfo](t, p, "POST", "/tokens/renew", api.RenewRequest{TTL: "5m"})
			if !longer.ExpiresAt.After(s.ExpiresAt.Add(3 * time.Minute)) {
				t.Errorf("renewed to %v", longer.ExpiresAt)
			}
			most := send[api.TokenInfo](t, p, "POST", "/tokens/renew", api.RenewRequest{TTL: "24h"})
			if most.RenewUntil == nil || !most.ExpiresAt.Equal(*most.RenewUntil) || time.Until(most.ExpiresAt) > 10*time.Minute {
				t.Errorf("renewed past the longest lifetime: %+v", most)
			}
			if same := send[api.TokenInfo](t, p, "POST", "/tokens/renew", api.RenewRequest{TTL: "1s"}); !same.ExpiresAt.Equal(most.ExpiresAt) {
				t.Errorf("renewing made it shorter: %v", same.ExpiresAt)
			}
			send[api.Done](t, p, "POST", "/logout", nil)
			p.do(t, "POST", "/tokens/renew", api.RenewRequest{}).refused(t, "unauthenticated")
		})
		t.Run("a short login makes no long token", func(t *testing.T) {
			e := w.project(t)
			i, login := w.withMethod(t)
			send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.Name, Project: e.project, Role: "developer"})
			p := w.admin.with(login().session(t).Token)
			p.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "365d"}).refused(t, "denied", "outlives")
			send[api.NewToken](t, p, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1m"})
		})
	})
}

func TestAClientSecretIsGoodForSoManyLogins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: "counted", MaxTokenTTL: "2h"})
		c := send[api.ClientSecret](t, w.admin, "POST", "/identities/counted/client-secrets", api.ClientSecretRequest{Name: "once", Uses: 1})
		var good atomic.Int64
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				r, err := w.admin.with("").try("POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: c.Secret})
				if err == nil && r.status == 200 {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 {
			t.Errorf("a secret for one login gave %d", good.Load())
		}
		list := get[api.ClientSecrets](t, w.admin, "/identities/counted/client-secrets").ClientSecrets
		if len(list) != 1 || list[0].Used != 1 || list[0].LastUsedAt == nil {
			t.Errorf("%+v", list)
		}
		w.admin.do(t, "POST", "/identities/counted/client-secrets", api.ClientSecretRequest{Uses: -1}).refused(t, "invalid")
	})
}

func TestAPIKeysOfApplications(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/billing", "A", "test-value"), set("/other", "B", "test-value"))
		i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: "billing"})
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: "billing", Project: e.project, Role: "developer"})
		made := send[api.NewToken](t, w.admin, "POST", "/api-keys", api.APIKeyRequest{Identity: "billing", Name: "invoices", Project: e.project, Scopes: "dev:/billing:read", TTL: "90d"})
		if made.PrincipalID != i.ID || made.Owner == "" || !strings.HasPrefix(made.Token, "ktk_") {
			t.Errorf("%+v", made.TokenInfo)
		}
		key := e.as(w.admin.with(made.Token))
		if key.value(t, "/billing", "A") != "test-value" {
			t.Error("another value")
		}
		key.ask(t, "/other", "B").refused(t, "not_found")
		key.attempt(t, set("/billing", "A", "x")).refused(t, "not_found")
		key.do(t, "POST", "/tokens/jwt", api.IdentityTokenRequest{Audience: "x"}).refused(t, "denied")
		list := get[api.Tokens](t, w.admin, "/api-keys?identity=billing").Tokens
		if len(list) != 1 || list[0].LastUsedAt == nil || list[0].ID != made.ID {
			t.Errorf("%+v", list)
		}
		send[api.Done](t, w.admin, "DELETE", "/api-keys/"+made.ID, nil)
		key.ask(t, "/billing", "A").refused(t, "unauthenticated")

		// All at once, and after the machine was switched off.
		two := send[api.NewToken](t, w.admin, "POST", "/api-keys", api.APIKeyRequest{Identity: "billing", Name: "two", Project: e.project, Scopes: "dev:/billing:read", TTL: "1h"})
		three := send[api.NewToken](t, w.admin, "POST", "/api-keys", api.APIKeyRequest{Identity: "billing", Name: "three", Project: e.project, Scopes: "dev:/billing:read", TTL: "1h"})
		if r := send[api.Revoked](t, w.admin, "DELETE", "/identities/billing/tokens", nil); r.Revoked != 2 {
			t.Errorf("%d tokens ended", r.Revoked)
		}
		for _, k := range []api.NewToken{two, three} {
			w.admin.with(k.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		}
		four := send[api.NewToken](t, w.admin, "POST", "/api-keys", api.APIKeyRequest{Identity: "billing", Name: "four", Project: e.project, Scopes: "dev:/billing:read", TTL: "1h"})
		send[api.Done](t, w.admin, "PATCH", "/identities/billing", api.EnabledRequest{Disabled: true})
		w.admin.with(four.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	})
}

func TestARevokedAPIKeyIsRefusedWithinASecondOnTwoServers(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e := a.project(t)
	send[api.Identity](t, a.admin, "POST", "/identities", api.IdentityRequest{Name: "app"})
	key := send[api.NewToken](t, a.admin, "POST", "/api-keys", api.APIKeyRequest{Identity: "app", Name: "key", Project: e.project, Scopes: "dev:/:read", TTL: "1h"})
	eventually(t, heardWithin, "the other server takes the key", func() bool { return b.admin.with(key.Token).do(t, "GET", "/whoami", nil).status == 200 })
	send[api.Done](t, a.admin, "DELETE", "/api-keys/"+key.ID, nil)
	if got := a.admin.with(key.Token).do(t, "GET", "/whoami", nil).status; got != 401 {
		t.Errorf("status %d on the server that revoked it", got)
	}
	eventually(t, heardWithin, "401 on the other server", func() bool { return b.admin.with(key.Token).do(t, "GET", "/whoami", nil).status == 401 })
}

func TestAFirstSecretIsHandedOverOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: "fresh"})
		c := send[api.ClientSecret](t, w.admin, "POST", "/identities/fresh/client-secrets", api.ClientSecretRequest{Name: "first", Wrap: "10m"})
		if c.Secret != "" || !strings.HasPrefix(c.WrapToken, "ktw_") {
			t.Fatalf("%+v", c)
		}
		nobody := w.admin.with("")
		var opened []api.Unwrapped
		var late []reply
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				r, err := nobody.try("POST", "/unwrap", api.UnwrapRequest{Token: c.WrapToken})
				mu.Lock()
				defer mu.Unlock()
				if err == nil && r.status == 200 {
					var u api.Unwrapped
					_ = json.Unmarshal(r.body, &u)
					opened = append(opened, u)
				} else {
					late = append(late, r)
				}
			})
		}
		all.Wait()
		if len(opened) != 1 || opened[0].What != "client secret of fresh" {
			t.Fatalf("opened %d times: %+v", len(opened), opened)
		}
		for _, r := range late {
			r.refused(t, "conflict", "opened before", "127.0.0.1")
		}
		send[api.Session](t, nobody, "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: opened[0].Value})
		nobody.with(c.WrapToken).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		loud := 0
		for _, raw := range get[api.Entries](t, w.admin, "/audit/entries?limit=50").Entries {
			if strings.Contains(string(raw.Entry), "opened_before") {
				loud++
			}
		}
		if loud != len(late) {
			t.Errorf("%d of %d late openings are in the log", loud, len(late))
		}

		short := send[api.Wrapping](t, w.admin, "POST", "/wrap", api.WrapRequest{What: "a password", Value: "test-value", TTL: "1s"})
		eventually(t, 5*time.Second, "it ends", func() bool {
			return time.Now().After(short.ExpiresAt)
		})
		nobody.do(t, "POST", "/unwrap", api.UnwrapRequest{Token: short.Token}).refused(t, "expired", "not opened in time")
		w.admin.do(t, "POST", "/wrap", api.WrapRequest{What: "a password", Value: "test-value", TTL: "365d"}).refused(t, "invalid")
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

// keySet serves the published keys of a server over an address that a login method may name.
func keySet(t *testing.T, w *world) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	w.admin.with("").do(t, "GET", w.admin.url+"/.well-known/jwks.json", nil).fits(t, &set)
	return set
}

func TestIdentityTokensSurviveATurnOfTheirKey(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, i, _ := w.machineID(t)
		issue := func() string {
			return send[api.IdentityToken](t, p, "POST", "/tokens/jwt", api.IdentityTokenRequest{Audience: "https://billing.example.test", TTL: "10m"}).Token
		}
		verify := func(text string) (map[string]any, bool) {
			sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
			if err != nil {
				t.Fatal(err)
			}
			set := keySet(t, w)
			for _, k := range set.Key(sig.Signatures[0].Header.KeyID) {
				if payload, err := sig.Verify(k.Key); err == nil {
					var c map[string]any
					_ = json.Unmarshal(payload, &c)
					return c, true
				}
			}
			return nil, false
		}
		old := issue()
		c, ok := verify(old)
		if !ok || c["sub"] != "identity:"+i.ID || c["aud"] != "https://billing.example.test" || c["keyturn_name"] != i.Name {
			t.Fatalf("%v %v", c, ok)
		}
		var doc map[string]any
		w.admin.with("").do(t, "GET", w.admin.url+"/.well-known/openid-configuration", nil).fits(t, &doc)
		if doc["issuer"] != c["iss"] || doc["jwks_uri"] != fmt.Sprint(c["iss"], "/.well-known/jwks.json") {
			t.Errorf("%v does not fit the issuer %v", doc, c["iss"])
		}
		turn := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", api.KeyRotation{Layer: "tokens"}).Turns[0]
		fresh := issue()
		for name, text := range map[string]string{"before": old, "after": fresh} {
			if _, ok := verify(text); !ok {
				t.Errorf("a token made %s the turn is refused in the overlap", name)
			}
		}
		if n := len(keySet(t, w).Keys); n != 2 {
			t.Errorf("%d keys are published in the overlap", n)
		}
		send[api.KeyTurn](t, w.admin, "POST", "/keys/turns/"+turn.ID+"/finish", nil)
		eventually(t, 20*time.Second, "the old key is not published any more", func() bool { return len(keySet(t, w).Keys) == 1 })
		if _, ok := verify(old); ok {
			t.Error("a token of a destroyed key is taken")
		}
		if _, ok := verify(fresh); !ok {
			t.Error("a token of the new key is refused")
		}
		p.do(t, "GET", "/whoami", nil)
		w.admin.with(fresh[:100]).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		p.do(t, "POST", "/tokens/jwt", api.IdentityTokenRequest{Audience: "x", TTL: "48h"}).refused(t, "invalid")
		p.do(t, "POST", "/tokens/jwt", api.IdentityTokenRequest{}).refused(t, "invalid")
	})
}

func TestASigningSecretIsChangedWithoutLoggingAnybodyOut(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/backend", "JWT_SECRET", sharedSecret))
		path := e.path() + "/jwt/rotate"
		e.do(t, "POST", path, api.JWTRotation{Path: "/backend", Name: "JWT_SECRET"}).refused(t, "invalid", "lifetime")
		e.do(t, "POST", path, api.JWTRotation{Path: "/backend", Name: "MISSING", Lifetime: "1h"}).refused(t, "not_found")
		first := send[api.JWTSecret](t, e.person, "POST", path, api.JWTRotation{Path: "/backend", Name: "JWT_SECRET", Lifetime: "2s"})
		if first.PreviousEndsAt == nil || first.Version != 2 {
			t.Fatalf("%+v", first)
		}
		now, before := e.value(t, "/backend", "JWT_SECRET"), e.value(t, "/backend", "JWT_SECRET_PREVIOUS")
		if before != sharedSecret || now == sharedSecret || len(now) < 32 {
			t.Errorf("%d characters now, %v before", len(now), before == sharedSecret)
		}
		e.do(t, "POST", path, api.JWTRotation{Path: "/backend", Name: "JWT_SECRET"}).refused(t, "conflict", "in use until")
		list := get[api.JWTSecrets](t, e.person, e.path()+"/jwt").Secrets
		if len(list) != 1 || list[0].PreviousEndsAt == nil || list[0].Lifetime != "2s" {
			t.Errorf("%+v", list)
		}
		eventually(t, 20*time.Second, "the value before is gone when every token under it has ended", func() bool {
			return e.ask(t, "/backend", "JWT_SECRET_PREVIOUS").status == 404
		})
		if time.Now().Before(*first.PreviousEndsAt) {
			t.Error("it went before its time")
		}
		if e.value(t, "/backend", "JWT_SECRET") != now {
			t.Error("the present value changed")
		}
		// Again, now without saying the lifetime; and at once after a leak.
		second := send[api.JWTSecret](t, e.person, "POST", path, api.JWTRotation{Path: "/backend", Name: "JWT_SECRET", Lifetime: "1h"})
		third := send[api.JWTSecret](t, e.person, "POST", path, api.JWTRotation{Path: "/backend", Name: "JWT_SECRET", Force: true})
		if third.Version != second.Version+1 || third.Lifetime != "1h0m0s" {
			t.Errorf("%+v then %+v", second, third)
		}
		viewer := e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"}))
		viewer.do(t, "POST", path, api.JWTRotation{Path: "/backend", Name: "JWT_SECRET", Force: true}).refused(t, "denied")
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

func TestWhoManagesAccessOfAPartCannotBecomeAMachineThatMayMore(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		_, strong, _ := w.machineID(t, api.GrantRequest{Role: "admin"})
		weak := w.machine(t, api.GrantRequest{Project: e.project, Role: "admin"})
		for _, r := range []reply{
			weak.do(t, "POST", "/identities/"+strong.Name+"/client-secrets", api.ClientSecretRequest{}),
			weak.do(t, "POST", "/identities/"+strong.Name+"/methods", jwtMethod("mine")),
			weak.do(t, "POST", "/api-keys", api.APIKeyRequest{Identity: strong.Name, Name: "mine", Project: e.project, Scopes: "dev:/:read", TTL: "1h"}),
		} {
			r.refused(t, "denied")
		}
	})
}

func TestALoginMethodDoesNotCallAddressesInside(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		var asked atomic.Int64
		inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		t.Cleanup(inside.Close)
		u, _ := url.Parse(inside.URL)
		settings := fmt.Sprintf(`{"issuer":"https://app.example.test","audience":["keyturn"],"bound":{"sub":["service:*"]},"jwks_url":"http://127.0.0.1:%s/keys"}`, u.Port())
		i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: "inside"})
		send[api.Method](t, w.admin, "POST", "/identities/inside/methods", api.MethodRequest{Name: "keys", Kind: "jwks", Settings: json.RawMessage(settings)})
		head := "eyJhbGciOiJSUzI1NiJ9." // {"alg":"RS256"}
		token := signJWT(t, sharedSecret, serviceClaims())
		r := w.admin.with("").do(t, "POST", "/login/machine", api.MachineLoginRequest{Identity: i.ID, Method: "keys", JWT: head + token[strings.Index(token, ".")+1:]})
		if r.status == 200 || asked.Load() != 0 {
			t.Errorf("status %d, %d calls to an address inside: %s", r.status, asked.Load(), r.body)
		}
	})
}

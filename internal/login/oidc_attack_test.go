package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// issuer is an OpenID provider that lies as a test wants.
type issuer struct {
	*httptest.Server
	key    *rsa.PrivateKey
	token  func(claims map[string]any) string // of the token endpoint
	claims map[string]any
	info   map[string]any
	meta   map[string]any
	codes  atomic.Int64 // how many were redeemed
	form   url.Values   // of the last redemption
}

var signingKey, otherKey = newRSA(), newRSA()

func newRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{key: signingKey, meta: map[string]any{}}
	i.token = func(claims map[string]any) string { return signed(t, jose.RS256, i.key, "k1", claims) }
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		meta := map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"userinfo_endpoint": i.URL + "/me", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
		maps.Copy(meta, i.meta)
		answer(w, meta)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, _ *http.Request) { answer(w, i.info) })
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		i.codes.Add(1)
		_ = r.ParseForm()
		i.form = r.PostForm
		answer(w, map[string]any{"access_token": "test-value", "token_type": "Bearer", "expires_in": 60, "id_token": i.token(i.claims)})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, kid string, claims any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func b64(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// honest gives claims that are taken.
func (i *issuer) honest(f login.Flow) map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": i.URL, "sub": "ann", "aud": "client", "iat": now, "exp": now + 300, "nonce": f.Nonce(),
		"email": "ann@example.test", "email_verified": true, "name": "Ann"}
}

func (i *issuer) discover(t *testing.T, o login.OIDC) *login.Provider {
	t.Helper()
	o.Issuer, o.ClientID = i.URL, "client"
	p, err := o.Discover(t.Context(), guarded(t), sensitive.FromString("test-value"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func came(f login.Flow) url.Values { return url.Values{"state": {f.State()}, "code": {"code-1"}} }

func TestAnHonestTokenIsTaken(t *testing.T) {
	i := newIssuer(t)
	p, f := i.discover(t, login.OIDC{MFAValues: []string{"otp"}}), newFlow(t)
	i.claims = i.honest(f)
	i.claims["amr"] = []string{"pwd", "otp"}
	who, err := p.Finish(t.Context(), f, came(f), callback)
	if err != nil || who.Subject != "ann" || who.Email != "ann@example.test" || !who.MFA {
		t.Fatalf("%+v, %v", who, err)
	}
	if !login.Fits(must(url.Parse(p.Start(f, callback))).Query().Get("code_challenge"), i.form.Get("code_verifier")) {
		t.Error("the verifier does not fit the challenge")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestATokenThatBreaksARuleIsRefused(t *testing.T) {
	now := time.Now().Unix()
	for name, change := range map[string]func(map[string]any){
		"another issuer":               func(c map[string]any) { c["iss"] = "https://evil.example.test" },
		"issuer with a slash":          func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" },
		"no issuer":                    func(c map[string]any) { delete(c, "iss") },
		"another audience":             func(c map[string]any) { c["aud"] = "other" },
		"another audience as well":     func(c map[string]any) { c["aud"] = []string{"client", "other"}; c["azp"] = "client" },
		"no audience":                  func(c map[string]any) { delete(c, "aud") },
		"another party":                func(c map[string]any) { c["azp"] = "other" },
		"expired":                      func(c map[string]any) { c["iat"], c["exp"] = now-7200, now-3600 },
		"no expiry":                    func(c map[string]any) { delete(c, "exp") },
		"no time":                      func(c map[string]any) { delete(c, "iat") },
		"from the future":              func(c map[string]any) { c["iat"], c["exp"] = now+86400, now+90000 },
		"not before long":              func(c map[string]any) { c["nbf"] = now + 86400 },
		"for years":                    func(c map[string]any) { c["exp"] = now + 10*365*86400 },
		"made long ago":                func(c map[string]any) { c["iat"] = now - 10*86400 },
		"nonce of another login":       func(c map[string]any) { c["nonce"] = "dBjftJeZ4CVP" },
		"no nonce":                     func(c map[string]any) { delete(c, "nonce") },
		"nobody":                       func(c map[string]any) { c["sub"] = "" },
		"a subject of a megabyte":      func(c map[string]any) { c["sub"] = strings.Repeat("a", 1000) },
		"a subject with a line":        func(c map[string]any) { c["sub"] = "ann\nbob" },
		"address not verified":         func(c map[string]any) { c["email_verified"] = false },
		"address verified in words":    func(c map[string]any) { c["email_verified"] = "yes" },
		"nothing said of the address":  func(c map[string]any) { delete(c, "email_verified") },
		"an address with a line":       func(c map[string]any) { c["email"] = "ann@example.test\nbcc: x@example.test" },
		"hash of another access token": func(c map[string]any) { c["at_hash"] = "dBjftJeZ4CVPdBjftJeZ4C" },
		"groups that are a tree":       func(c map[string]any) { c["groups"] = map[string]any{"a": "b"} },
		"groups that are numbers":      func(c map[string]any) { c["groups"] = []int{1} },
		"groups that were left out": func(c map[string]any) {
			c["_claim_names"] = map[string]string{"groups": "s"}
			c["_claim_sources"] = map[string]any{"s": map[string]string{"endpoint": "http://127.0.0.1:1/"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			p, f := i.discover(t, login.OIDC{GroupsClaim: "groups"}), newFlow(t)
			i.claims = i.honest(f)
			i.info = map[string]any{"sub": "ann", "email_verified": true}
			change(i.claims)
			if who, err := p.Finish(t.Context(), f, came(f), callback); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

func TestATokenThatWasNotSignedByTheProviderIsRefused(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := must(x509.MarshalPKIXPublicKey(signingKey.Public()))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	hs256 := func(key []byte, claims map[string]any) string {
		text := b64(map[string]string{"alg": "HS256", "kid": "k1"}) + "." + b64(claims)
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	for name, token := range map[string]func(*issuer, map[string]any) string{
		"alg none": func(_ *issuer, c map[string]any) string {
			return b64(map[string]string{"alg": "none"}) + "." + b64(c) + "."
		},
		"alg nOnE": func(_ *issuer, c map[string]any) string {
			return b64(map[string]string{"alg": "nOnE"}) + "." + b64(c) + "."
		},
		"no signature": func(_ *issuer, c map[string]any) string {
			return b64(map[string]string{"alg": "RS256"}) + "." + b64(c) + "."
		},
		"HMAC with PEM": func(_ *issuer, c map[string]any) string { return hs256(public, c) },
		"HMAC with DER": func(_ *issuer, c map[string]any) string { return hs256(der, c) },
		"HMAC with the client secret": func(_ *issuer, c map[string]any) string {
			return hs256([]byte("test-value"), c)
		},
		"another key": func(_ *issuer, c map[string]any) string { return signed(t, jose.RS256, otherKey, "k1", c) },
		"unknown kid": func(_ *issuer, c map[string]any) string { return signed(t, jose.RS256, otherKey, "../../k1", c) },
		"key in the token": func(_ *issuer, c map[string]any) string {
			signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ec}, &jose.SignerOptions{EmbedJWK: true}))
			return must(must(signer.Sign(must(json.Marshal(c)))).CompactSerialize())
		},
		"address of a key": func(i *issuer, c map[string]any) string {
			o := (&jose.SignerOptions{}).WithHeader("jku", i.URL+"/evil").WithHeader("x5u", i.URL+"/evil")
			signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: otherKey}, o))
			return must(must(signer.Sign(must(json.Marshal(c)))).CompactSerialize())
		},
		"a changed claim": func(i *issuer, c map[string]any) string {
			parts := strings.Split(signed(t, jose.RS256, i.key, "k1", c), ".")
			c["sub"] = "root"
			return parts[0] + "." + b64(c) + "." + parts[2]
		},
		"a megabyte": func(i *issuer, c map[string]any) string {
			c["padding"] = strings.Repeat("x", 600<<10)
			return signed(t, jose.RS256, i.key, "k1", c)
		},
		"two parts": func(_ *issuer, c map[string]any) string { return b64(map[string]string{"alg": "RS256"}) + "." + b64(c) },
		"nothing":   func(*issuer, map[string]any) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			p, f := i.discover(t, login.OIDC{}), newFlow(t)
			i.claims = i.honest(f)
			i.token = func(c map[string]any) string { return token(i, c) }
			if who, err := p.Finish(t.Context(), f, came(f), callback); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

func TestUserinfoOfSomebodyElseIsRefused(t *testing.T) {
	i := newIssuer(t)
	p, f := i.discover(t, login.OIDC{}), newFlow(t)
	i.claims = i.honest(f)
	delete(i.claims, "email")
	for _, sub := range []string{"bob", ""} {
		i.info = map[string]any{"sub": sub, "email": "boss@example.test", "email_verified": true}
		if who, err := p.Finish(t.Context(), f, came(f), callback); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%+v, %v", who, err)
		}
	}
}

func TestAnAnswerThatBreaksARuleSpendsNoCode(t *testing.T) {
	i := newIssuer(t)
	p, f := i.discover(t, login.OIDC{}), newFlow(t)
	i.claims = i.honest(f)
	for name, params := range map[string]url.Values{
		"an error":             {"error": {"access_denied"}},
		"an error with a code": {"error": {"x<script>"}, "code": {"c"}},
		"no code":              {},
		"two codes":            {"code": {"a", "b"}},
		"two issuers":          {"code": {"a"}, "iss": {i.URL, "https://evil.example.test"}},
		"another issuer":       {"code": {"a"}, "iss": {"https://evil.example.test"}},
		"a long code":          {"code": {strings.Repeat("a", 9000)}},
	} {
		_, err := p.Finish(t.Context(), f, params, callback)
		if fault.KindOf(err) != fault.Unauthenticated || strings.Contains(err.Error(), "script") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := i.codes.Load(); n != 0 {
		t.Errorf("%d codes were sent on", n)
	}
}

func TestAProviderThatIsNotWhatItSaysIsRefused(t *testing.T) {
	for name, meta := range map[string]map[string]any{
		"issuer of another":     {"issuer": "https://evil.example.test"},
		"tokens in clear":       {"token_endpoint": "http://example.test/token"},
		"keys from a file":      {"jwks_uri": "file:///etc/passwd"},
		"no authorization":      {"authorization_endpoint": ""},
		"metadata of megabytes": {"padding": strings.Repeat("x", 2<<20)},
	} {
		i := newIssuer(t)
		i.meta = meta
		o := login.OIDC{Issuer: i.URL, ClientID: "client"}
		if _, err := o.Discover(t.Context(), guarded(t), sensitive.Value{}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, address := range []string{"", "example.test", "http://example.test", "https://user@example.test", "https://example.test?x=y", "https://example.test#x", "ftp://example.test"} {
		o := login.OIDC{Issuer: address, ClientID: "client"}
		if _, err := o.Discover(t.Context(), guarded(t), sensitive.Value{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", address, err)
		}
	}
	o := login.OIDC{Issuer: "https://example.test", ClientID: "client", Algorithms: []string{"HS256"}}
	if err := o.Check(); fault.KindOf(err) != fault.Invalid {
		t.Errorf("HS256 is allowed: %v", err)
	}
}

func TestAFailureNeverHoldsCodeSecretOrToken(t *testing.T) {
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			_ = r.ParseForm()
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"code %s by %s"}`, r.PostForm.Get("code"), r.Header.Get("Authorization"))
			return
		}
		base := "http://" + r.Host
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": base, "authorization_endpoint": base + "/auth", "token_endpoint": base + "/token", "jwks_uri": base + "/keys"})
	}))
	defer broken.Close()
	p, err := login.OIDC{Issuer: broken.URL, ClientID: "client"}.Discover(t.Context(), guarded(t), sensitive.FromString("hidden-test-value"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFlow(t)
	_, err = p.Finish(context.Background(), f, url.Values{"code": {"hidden-code"}}, callback)
	if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("%v", err)
	}
}

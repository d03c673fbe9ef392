package login

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// testSecret is what the tests of HS256 sign with.
const testSecret = "test-value-shared-secret-of-at-least-32-bytes"

// tokenIssuer signs tokens and serves its keys over TLS.
type tokenIssuer struct {
	url, ca string
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	ed      ed25519.PrivateKey

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	calls   int
	status  int    // of answers, when it is not 0
	claimed string // issuer in the discovery document, when it is not empty
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newIssuerServer(t *testing.T) *tokenIssuer {
	t.Helper()
	i := &tokenIssuer{rsa: rsaKey()}
	i.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, i.ed, _ = ed25519.GenerateKey(rand.Reader)
	i.keys = []jose.JSONWebKey{
		{Key: i.rsa.Public(), KeyID: "rsa-1", Algorithm: "RS256", Use: "sig"},
		{Key: i.ec.Public(), KeyID: "ec-1", Algorithm: "ES256", Use: "sig"},
		{Key: i.ed.Public(), KeyID: "ed-1", Algorithm: "EdDSA", Use: "sig"},
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.calls++
		if i.status != 0 {
			w.WriteHeader(i.status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
			name := i.url
			if i.claimed != "" {
				name = i.claimed
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": name, "jwks_uri": i.url + "/keys"})
		case strings.HasSuffix(r.URL.Path, "/keys"):
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	i.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return i
}

func (i *tokenIssuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls
}

func (i *tokenIssuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func around(t *testing.T, secrets ...string) Around {
	t.Helper()
	rules, err := outbound.ParseRules("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	a := Around{Calls: rules, Keys: &Keys{}}
	for _, s := range secrets {
		a.Secrets = append(a.Secrets, sensitive.FromString(s))
	}
	return a
}

func opened(t *testing.T, kind Kind, settings any, a Around) Verifier {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := Check(kind, text, len(a.Secrets))
	if err != nil {
		t.Fatalf("settings of %s: %v %+v", kind, err, fault.As(err).Fields)
	}
	v, err := Open(kind, stored, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a JWT from the texts of header and claims, whatever they are.
func (i *tokenIssuer) sign(alg, header, claims string) string {
	text := base64url([]byte(header)) + "." + base64url([]byte(claims))
	digest := sha256.Sum256([]byte(text))
	var sig []byte
	switch alg {
	case "HS256":
		sig = mac(testSecret, text)
	case "RS256":
		sig, _ = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, digest[:])
	case "ES256":
		r, s, _ := ecdsa.Sign(rand.Reader, i.ec, digest[:])
		sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "EdDSA":
		sig = ed25519.Sign(i.ed, []byte(text))
	}
	return text + "." + base64url(sig)
}

func mac(key, text string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// kids are the key ids of the issuer by algorithm.
var kids = map[string]string{"RS256": "rsa-1", "ES256": "ec-1", "EdDSA": "ed-1", "HS256": "shared"}

func headerOf(alg string) string {
	b, _ := json.Marshal(map[string]any{"alg": alg, "typ": "JWT", "kid": kids[alg]})
	return string(b)
}

func textOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func shows(v Verifier, token string) (Evidence, error) {
	return v.Verify(context.Background(), Credential{Token: sensitive.FromString(token)})
}

// refuses checks that a token is refused for a reason that holds some words.
func refuses(t *testing.T, v Verifier, token, words string) {
	t.Helper()
	e, err := shows(v, token)
	if err == nil {
		t.Fatalf("taken as %q, want refused: %s", e.Subject, words)
	}
	if fault.KindOf(err) != fault.Unauthenticated || !strings.Contains(err.Error(), words) {
		t.Fatalf("refused with %q (%s), want words %q", err, fault.KindOf(err), words)
	}
}

func unix(d time.Duration) int64 { return time.Now().Add(d).Unix() }

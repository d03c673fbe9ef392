package login

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
)

func keyed(t *testing.T, i *tokenIssuer, a Around) (Verifier, func(kid string) string) {
	t.Helper()
	v := opened(t, KindJWKS, rulesOf(i, map[string]any{"jwks_url": i.url + "/keys", "ca": i.ca}), a)
	return v, func(kid string) string {
		c := standard(i, "service:backend")
		c["exp"] = unix(time.Minute)
		header, _ := json.Marshal(map[string]string{"alg": "RS256", "kid": kid})
		return i.sign("RS256", string(header), textOf(c))
	}
}

func TestKeysAreAskedForOnceAndForAnUnknownOneOnceMore(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	v, token := keyed(t, i, around(t))
	for range 5 {
		if _, err := shows(v, token("rsa-1")); err != nil {
			t.Fatal(err)
		}
	}
	if n := i.asked(); n != 1 {
		t.Errorf("%d requests for one key set", n)
	}
	// A flood of made-up key ids is one request.
	for range 50 {
		refuses(t, v, token("made-up-"+rand.Text()), "no key")
	}
	if n := i.asked(); n != 2 {
		t.Errorf("%d requests after a flood of unknown key ids", n)
	}
}

func TestANewKeyIsFoundAndAnOldOneForgotten(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	a := around(t)
	v, token := keyed(t, i, a)
	if _, err := shows(v, token("rsa-1")); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys[0].KeyID = "rsa-2" })
	if _, err := shows(v, token("rsa-2")); err != nil {
		t.Errorf("a key that was published since: %v", err)
	}
	refuses(t, v, token("rsa-1"), "no key")
}

// aged moves the memory of key sets into the past.
func aged(k *Keys, by time.Duration) {
	for _, s := range k.sources {
		s.at, s.tried, s.unknown = s.at.Add(-by), s.tried.Add(-by), s.unknown.Add(-by)
	}
}

func TestKeysOutliveAnOutageForABoundedTime(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	a := around(t)
	v, token := keyed(t, i, a)
	if _, err := shows(v, token("rsa-1")); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.status = http.StatusInternalServerError })
	aged(a.Keys, keysFresh+time.Second)
	if _, err := shows(v, token("rsa-1")); err != nil {
		t.Errorf("an outage of the issuer ends logins at once: %v", err)
	}
	aged(a.Keys, keysLast)
	if _, err := shows(v, token("rsa-1")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("keys that nobody could renew are still used: %v", err)
	}
	asked := i.asked()
	for range 20 {
		if _, err := shows(v, token("rsa-1")); err == nil {
			t.Error("taken")
		}
	}
	if i.asked() > asked+1 {
		t.Errorf("%d requests to an issuer that is down", i.asked()-asked)
	}
	i.set(func() { i.status = 0 })
	aged(a.Keys, time.Minute)
	if _, err := shows(v, token("rsa-1")); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestAKeyThatIsNoLongerPublishedEndsWithinTheFreshness(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	a := around(t)
	v, token := keyed(t, i, a)
	if _, err := shows(v, token("rsa-1")); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys = i.keys[1:] })
	aged(a.Keys, keysFresh+time.Second)
	refuses(t, v, token("rsa-1"), "no key")
}

func TestHopelessTokensCauseNoRequest(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	v, _ := keyed(t, i, around(t))
	c := standard(i, "service:backend")
	c["exp"] = unix(-time.Hour)
	refuses(t, v, i.sign("RS256", headerOf("RS256"), textOf(c)), "expired")
	c["exp"], c["iss"] = unix(time.Minute), "https://evil.example.test"
	refuses(t, v, i.sign("RS256", headerOf("RS256"), textOf(c)), "issuer")
	if n := i.asked(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestKeysInsideAreNotAskedForUnlessAllowed(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	a := around(t)
	a.Calls = outbound.Rules{}
	v, token := keyed(t, i, a)
	if _, err := shows(v, token("rsa-1")); fault.KindOf(err) != fault.Denied {
		t.Errorf("an address inside: %v", err)
	}
	if n := i.asked(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestADiscoveryDocumentOfAnotherIssuerIsRefused(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	i.claimed = "https://evil.example.test"
	v := opened(t, KindOIDC, rulesOf(i, map[string]any{"ca": i.ca}), around(t))
	c := standard(i, "service:backend")
	c["exp"] = unix(time.Minute)
	if _, err := shows(v, i.sign("RS256", headerOf("RS256"), textOf(c))); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("mixed up: %v", err)
	}
}

func TestARedirectOfKeysToAnotherPlaceIsNotFollowed(t *testing.T) {
	t.Parallel()
	i := newIssuerServer(t)
	s := httptest.NewTLSServer(http.RedirectHandler(i.url+"/keys", http.StatusFound))
	t.Cleanup(s.Close)
	ca := i.ca + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	v := opened(t, KindJWKS, rulesOf(i, map[string]any{"jwks_url": s.URL + "/keys", "ca": ca}), around(t))
	c := standard(i, "service:backend")
	c["exp"] = unix(time.Minute)
	if _, err := shows(v, i.sign("RS256", headerOf("RS256"), textOf(c))); err == nil || i.asked() != 0 {
		t.Errorf("followed: %v, %d requests", err, i.asked())
	}
}

func TestKeySetsWithNothingOfUseAreRefused(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := jose.JSONWebKey{Key: small.Public(), KeyID: "a"}
	if fits(weak, jose.RS256) {
		t.Error("an RSA key of 1024 bits is taken")
	}
	if fits(jose.JSONWebKey{Key: rsaKey().Public(), Use: "enc"}, jose.RS256) || fits(jose.JSONWebKey{Key: rsaKey().Public(), Algorithm: "RS512"}, jose.RS256) {
		t.Error("a key for something else is taken")
	}
	for _, text := range []string{"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`, `{"keys":{}}`, `{"keys":[{"kty":"RSA"}]}`,
		`{"keys":[` + strings.Repeat(`{"kty":"RSA"},`, maxKeys) + `{"kty":"RSA"}]}`, textOf(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey(), KeyID: "private"}}})} {
		if keys, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%d keys from %.60s", len(keys), text)
		}
	}
}

// Clerk signs with RS256 and publishes its keys at /jwks, as its own description of the API says.
func TestClerkSessionsLogIn(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/clerk.json")
	if err != nil {
		t.Fatal(err)
	}
	i := newIssuerServer(t)
	set := jose.JSONWebKeySet{Keys: i.keys[:1]}
	var plain any
	if err := json.Unmarshal([]byte(textOf(set)), &plain); err != nil {
		t.Fatal(err)
	}
	answer := doc.Paths.Value("/jwks").Get.Responses.Value("200").Value.Content.Get("application/json").Schema.Value
	if err := answer.VisitJSON(plain); err != nil {
		t.Fatalf("the key set of the test is not one of Clerk: %v", err)
	}
	i.set(func() { i.keys = set.Keys })
	v := opened(t, KindJWKS, map[string]any{"issuer": i.url, "audience": []string{"keyturn"}, "jwks_url": i.url + "/keys", "ca": i.ca, "max_lifetime": "5m",
		"bound": map[string][]string{"azp": {"https://app.example.test"}, "org_role": {"org:deployer"}}}, around(t))
	session := map[string]any{"iss": i.url, "aud": "keyturn", "azp": "https://app.example.test", "sub": "user_test-value", "sid": "sess_test-value", "org_role": "org:deployer",
		"iat": unix(0), "nbf": unix(-10 * time.Second), "exp": unix(time.Minute), "v": 2}
	e, err := shows(v, i.sign("RS256", headerOf("RS256"), textOf(session)))
	if err != nil || e.Subject != "user_test-value" || e.Attributes["org_role"] != "org:deployer" {
		t.Fatalf("%+v, %v", e, err)
	}
	session["azp"] = "https://evil.example.test"
	refuses(t, v, i.sign("RS256", headerOf("RS256"), textOf(session)), "azp")
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		for _, k := range keys {
			if !k.IsPublic() {
				t.Fatal("a key that is not public is kept")
			}
		}
	})
}

package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/testoidc"
	"github.com/keyturn/keyturn/keyturntest"
)

// startWithProvider is a server whose people may log in at a real OpenID provider.
func startWithProvider(t *testing.T) *keyturntest.Server {
	t.Helper()
	s := keyturntest.Start(t, keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" }))
	op := testoidc.Start(t, testoidc.Options{Redirects: []string{s.PublicURL + api.Prefix + "/sso/corp/callback"},
		Accounts: map[string]testoidc.Account{"ann": {"email": "ann@example.test", "email_verified": true, "name": "Ann"}}})
	c, err := client.New(s.URL, s.Token)
	must(t, err)
	_, err = c.CreateSSOConnection(t.Context(), api.SSORequest{Name: "corp", Secret: testoidc.ClientSecret, Create: true, Domains: []string{"example.test"},
		OIDC: &api.OIDCSettings{Issuer: op.Issuer, ClientID: testoidc.ClientID, Scopes: []string{"email", "profile"}}})
	must(t, err)
	return s
}

func TestSomebodyComesThroughAnIdentityProvider(t *testing.T) {
	t.Parallel()
	b := open(t, startWithProvider(t))
	b.visit("/account")
	b.sees("Log in with corp")
	b.shot("login-sso")
	b.click(`a[href^="/login/sso/corp"]`)
	b.fill(`input[name=login]`, "ann")
	b.fill(`input[name=password]`, "whatever")
	b.click(`button[type=submit]`)
	b.sees("Authorize")
	b.click(`button[type=submit]`)
	b.sees("Your account", "ann@example.test")
	if b.where() != "/account" {
		t.Errorf("came to %s", b.where())
	}
	b.click(".out button")
	b.sees("You are logged out")
}

func TestALoginAtAProviderIsForTheBrowserThatBeganIt(t *testing.T) {
	t.Parallel()
	s := startWithProvider(t)
	victim := &browser{T: t, url: s.URL}
	for what, query := range map[string]string{"no login begun": "code=test-value&state=test-value", "nothing": "", "a state of nobody": "state="} {
		if a := victim.ask("GET", "/login/sso?"+query, nil); a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.body, "has begun no such login") {
			t.Errorf("%s: %d", what, a.StatusCode)
		}
	}
	// Begun here, but with the state and the code of somebody else.
	if a := victim.ask("GET", "/login/sso/corp?next="+url.QueryEscape("//evil.example.test"), nil); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), api.Prefix+"/sso/corp/start?") {
		t.Fatalf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := victim.ask("GET", "/login/sso?code=test-value&state=test-value", nil); a.StatusCode != http.StatusUnauthorized || strings.Contains(a.Header.Get("Set-Cookie"), "kts_") {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Set-Cookie"))
	}
	if a := victim.ask("GET", "/login/sso/no-such", nil); a.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", a.StatusCode)
	}
}

package login_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/testoidc"
)

const callback = "http://127.0.0.1:8420/keyturn/v1/sso/corp/callback"

// challenge is S256 of a verifier, as a client sends it.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func guarded(t *testing.T) *http.Client {
	t.Helper()
	rules, err := outbound.ParseRules("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	return rules.Client(20 * time.Second)
}

func newFlow(t *testing.T) login.Flow {
	t.Helper()
	f, err := login.NewFlow("0198c0de-0000-7000-8000-000000000000", challenge, 0, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPeopleLogInThroughARealProvider(t *testing.T) {
	for _, userinfo := range []bool{false, true} {
		accounts := map[string]testoidc.Account{
			"ann": {"email": "Ann@Example.test", "email_verified": true, "name": "Ann Example", "groups": []string{"eng", "admins", "eng"}},
			"bob": {"email": "bob@example.test", "email_verified": false, "name": "Bob"},
		}
		op := testoidc.Start(t, testoidc.Options{Redirects: []string{callback}, Accounts: accounts, UserInfo: userinfo})
		settings := login.OIDC{Issuer: op.Issuer, ClientID: testoidc.ClientID, Scopes: []string{"email", "profile", "groups"}, GroupsClaim: "groups"}
		p, err := settings.Discover(t.Context(), guarded(t), sensitive.FromString(testoidc.ClientSecret))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Keys(t.Context()); err != nil {
			t.Fatal(err)
		}
		f := newFlow(t)
		back := op.Browser(t).Login(t, p.Start(f, callback), "ann")
		if back.Query().Get("iss") != op.Issuer || back.Query().Get("state") != f.State() {
			t.Fatalf("the provider sends back %v", back.Query())
		}
		who, err := p.Finish(t.Context(), f, back.Query(), callback)
		if err != nil {
			t.Fatal(err)
		}
		if who.Subject != "ann" || who.Email != "ann@example.test" || who.Name != "Ann Example" || !slices.Equal(who.Groups, []string{"admins", "eng"}) || who.MFA {
			t.Errorf("userinfo %v: %+v", userinfo, who)
		}

		if _, err := p.Finish(t.Context(), f, back.Query(), callback); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("a code is good twice: %v", err)
		}
		other := newFlow(t)
		back = op.Browser(t).Login(t, p.Start(other, callback), "ann")
		if _, err := p.Finish(t.Context(), newFlow(t), back.Query(), callback); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("a code is good with the verifier of another login: %v", err)
		}
		back = op.Browser(t).Login(t, p.Start(other, callback), "ann")
		mixed := back.Query()
		mixed.Set("iss", "https://evil.example.test")
		if _, err := p.Finish(t.Context(), other, mixed, callback); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("the iss of another provider is taken: %v", err)
		}
		mixed.Del("iss")
		if _, err := p.Finish(t.Context(), other, mixed, callback); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("an answer without the iss that the provider promises is taken: %v", err)
		}
		back = op.Browser(t).Login(t, p.Start(f, callback), "bob")
		if _, err := p.Finish(t.Context(), f, back.Query(), callback); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("an address that is not verified is taken: %v", err)
		}
	}
}

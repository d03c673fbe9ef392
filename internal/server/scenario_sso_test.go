package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/testldap"
	"github.com/keyturn/keyturn/internal/testoidc"
	"github.com/keyturn/keyturn/internal/testsaml"
	"github.com/keyturn/keyturn/keyturntest"
)

// ssoWorld is a server that may call this machine.
func ssoWorld(t *testing.T) *world {
	t.Helper()
	return newWorld(keyturntest.Start(t, keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" })))
}

// visitor is a browser on our side: it keeps cookies, and is told where it is sent.
type visitor struct {
	t      *testing.T
	w      *world
	client *http.Client
}

func (w *world) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// public turns an address of the server into the one that people open, whose host name the cookies belong to.
func (v *visitor) public(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return v.w.server.PublicURL + api.Prefix + path
}

func (v *visitor) answer(resp *http.Response, err error) (status int, to, body string) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(b)
}

func (v *visitor) get(path string) (int, string, string) {
	v.t.Helper()
	return v.answer(v.client.Get(v.public(path)))
}

func (v *visitor) post(path string, form url.Values) (int, string, string) {
	v.t.Helper()
	return v.answer(v.client.PostForm(v.public(path), form))
}

const ssoVerifier = "test-value-test-value-test-value-test-value-0"

func ssoChallenge() string {
	sum := sha256.Sum256([]byte(ssoVerifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begin gives where the server sends a browser that wants to log in.
func (v *visitor) begin(connection string) string {
	v.t.Helper()
	status, to, body := v.get("/sso/" + connection + "/start?challenge=" + ssoChallenge() + "&port=5000&state=s1")
	if status != http.StatusSeeOther {
		v.t.Fatalf("start: %d %s", status, body)
	}
	return to
}

// code is what stands in the address that a finished login goes on to.
func code(t *testing.T, to string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil || u.Host != "127.0.0.1:5000" || u.Query().Get("state") != "s1" || u.Query().Get("code") == "" {
		t.Fatalf("the login goes on to %q", to)
	}
	return u.Query().Get("code")
}

func (w *world) exchange(t *testing.T, code string) reply {
	t.Helper()
	return w.admin.with("").do(t, "POST", "/login/sso", api.SSOCodeRequest{Code: code, Verifier: ssoVerifier})
}

func (w *world) session(t *testing.T, code string) person {
	t.Helper()
	var s api.Session
	w.exchange(t, code).fits(t, &s)
	return w.admin.with(s.Token)
}

func (w *world) oidc(t *testing.T, accounts map[string]testoidc.Account, change func(*api.SSORequest)) *testoidc.Provider {
	t.Helper()
	op := testoidc.Start(t, testoidc.Options{Redirects: []string{w.server.PublicURL + api.Prefix + "/sso/corp/callback"}, Accounts: accounts})
	r := api.SSORequest{Name: "corp", Secret: testoidc.ClientSecret, Create: true, Domains: []string{"example.test"},
		OIDC: &api.OIDCSettings{Issuer: op.Issuer, ClientID: testoidc.ClientID, Scopes: []string{"email", "profile", "groups"}, GroupsClaim: "groups"}}
	if change != nil {
		change(&r)
	}
	made := send[api.SSOConnection](t, w.admin, "POST", "/sso/connections", r)
	if made.RedirectURI != w.server.PublicURL+api.Prefix+"/sso/corp/callback" {
		t.Fatalf("%+v", made)
	}
	return op
}

func rolesOf(p api.Principal) []string {
	var out []string
	for _, g := range p.Grants {
		out = append(out, g.Role)
	}
	slices.Sort(out)
	return out
}

func TestPeopleComeThroughAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	home := w.project(t)
	ann := testoidc.Account{"email": "ann@example.test", "email_verified": true, "name": "Ann", "groups": []string{"eng"}}
	op := w.oidc(t, map[string]testoidc.Account{"ann": ann}, func(r *api.SSORequest) {
		r.Groups = []api.SSOGroup{{Value: "eng", Role: "viewer", Project: home.project}, {Value: "boss", Role: "admin"}}
	})
	if found := send[api.SSOTest](t, w.admin, "POST", "/sso/connections/corp/test", nil); found.Found == "" {
		t.Error("the test of the connection found nothing")
	}
	browser := op.Browser(t)
	enter := func() person {
		v := w.visitor(t)
		_, to, _ := v.get(browser.Login(t, v.begin("corp"), "ann").String())
		return w.session(t, code(t, to))
	}
	me := enter()
	if who := get[api.Principal](t, me, "/whoami"); who.Name != "ann@example.test" || !slices.Equal(rolesOf(who), []string{"viewer"}) {
		t.Errorf("%+v", who)
	}
	ann["groups"] = []string{"boss"}
	op.Change(t, "ann", ann)
	if who := get[api.Principal](t, enter(), "/whoami"); !slices.Equal(rolesOf(who), []string{"admin"}) {
		t.Errorf("after another group: %v", rolesOf(who))
	}
	ann["groups"] = []string{}
	op.Change(t, "ann", ann)
	again := enter()
	if who := get[api.Principal](t, again, "/whoami"); len(who.Grants) != 0 {
		t.Errorf("after no group: %v", rolesOf(who))
	}
	if who := get[api.Principal](t, me, "/whoami"); len(who.Grants) != 0 {
		t.Errorf("the first session keeps %v", rolesOf(who))
	}
	w.admin.with("").do(t, "POST", "/login", api.LoginRequest{Email: "ann@example.test", Password: testPassword}).refused(t, "unauthenticated")

	// Whoever is switched off is out at once, and stays out.
	id := get[api.Principal](t, again, "/whoami").ID
	send[api.Done](t, w.admin, "PATCH", "/users/"+id, api.EnabledRequest{Disabled: true})
	again.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	v := w.visitor(t)
	if status, _, _ := v.get(browser.Login(t, v.begin("corp"), "ann").String()); status != http.StatusUnauthorized {
		t.Errorf("a disabled person: %d", status)
	}
	send[api.Done](t, w.admin, "PATCH", "/users/"+id, api.EnabledRequest{})

	// A connection that goes takes its sessions with it.
	last := enter()
	send[api.Done](t, w.admin, "DELETE", "/sso/connections/corp", nil)
	last.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	if status, _, _ := v.get("/sso/corp/start?challenge=" + ssoChallenge()); status != http.StatusNotFound {
		t.Errorf("start through a connection that is gone: %d", status)
	}
}

func TestALoginIsGoodOnceAndForWhoeverBeganIt(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	op := w.oidc(t, map[string]testoidc.Account{"ann": {"email": "ann@example.test", "email_verified": true}}, nil)
	browser := op.Browser(t)
	refused := func(what string, status int) {
		t.Helper()
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	mine, other := w.visitor(t), w.visitor(t)
	back := browser.Login(t, mine.begin("corp"), "ann").String()
	status, _, _ := other.get(back)
	refused("a browser without the cookie", status)
	other.begin("corp")
	status, _, _ = other.get(back)
	refused("a browser with the cookie of another login", status)
	status, _, _ = mine.get(strings.Replace(back, "state=", "state=x", 1))
	refused("another state", status) // and the cookie is gone with it
	status, _, _ = mine.get(back)
	refused("a cookie that was used", status)

	mine = w.visitor(t)
	address := mine.begin("corp")
	base, err := url.Parse(w.server.PublicURL)
	if err != nil {
		t.Fatal(err)
	}
	kept := mine.client.Jar.Cookies(base)
	back = browser.Login(t, address, "ann").String()
	_, to, _ := mine.get(back)
	first := code(t, to)
	mine.client.Jar.SetCookies(base, kept) // an attacker who has copied all
	status, _, _ = mine.get(back)
	refused("an answer that was taken", status)

	w.admin.with("").do(t, "POST", "/login/sso", api.SSOCodeRequest{Code: first, Verifier: strings.Repeat("x", 43)}).refused(t, "unauthenticated")
	w.exchange(t, "x"+first).refused(t, "unauthenticated")
	w.exchange(t, first).fits(t, &api.Session{})
	w.exchange(t, first).refused(t, "unauthenticated")

	for _, path := range []string{"/sso/corp/callback", "/sso/corp/callback?state=&code=", "/sso/corp/callback?state=a&state=b", "/sso/corp/callback?error=access_denied&state=x"} {
		status, _, body := mine.get(path)
		refused(path, status)
		if !strings.Contains(body, "The login failed") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if status, _, _ := mine.post("/sso/corp/acs", url.Values{"SAMLResponse": {"x"}, "RelayState": {"y"}}); status != http.StatusNotFound {
		t.Errorf("SAML through a connection of OpenID: %d", status)
	}
	for path, want := range map[string]int{"/sso/corp/start": 400, "/sso/corp/start?challenge=x": 400, "/sso/corp/start?port=80&challenge=" + ssoChallenge(): 400,
		"/sso/CORP/start?challenge=" + ssoChallenge(): 404, "/sso/corp/metadata": 404} {
		if status, _, _ := mine.get(path); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestAnAccountIsNotTakenByItsAddress(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	accounts := map[string]testoidc.Account{"evil": {"email": w.server.Email, "email_verified": true}, "new": {"email": "new@other.test", "email_verified": true}}
	op := w.oidc(t, accounts, func(r *api.SSORequest) { r.Domains = []string{"somewhere.test"} })
	try := func(account string) int {
		v := w.visitor(t)
		status, _, _ := v.get(op.Browser(t).Login(t, v.begin("corp"), account).String())
		return status
	}
	if status := try("evil"); status != http.StatusForbidden {
		t.Errorf("the address of the admin, from a provider that does not speak for it: %d", status)
	}
	if status := try("new"); status != http.StatusForbidden {
		t.Errorf("an address of another domain: %d", status)
	}
	update := func(change func(*api.SSORequest)) {
		r := api.SSORequest{Name: "corp", OIDC: &api.OIDCSettings{Issuer: op.Issuer, ClientID: testoidc.ClientID}} // the secret stays
		change(&r)
		send[api.SSOConnection](t, w.admin, "PUT", "/sso/connections/corp", r)
	}
	update(func(*api.SSORequest) {})
	if status := try("new"); status != http.StatusForbidden {
		t.Errorf("somebody whom nobody invited: %d", status)
	}
	update(func(r *api.SSORequest) { r.Domains = []string{"example.test"} })
	if status := try("evil"); status != http.StatusSeeOther {
		t.Errorf("the address of the admin, from a provider that speaks for it: %d", status)
	}
	// The address goes to another person at the provider.
	op.Change(t, "second", testoidc.Account{"email": w.server.Email, "email_verified": true})
	if status := try("second"); status != http.StatusForbidden {
		t.Errorf("the same address with another subject: %d", status)
	}
}

func TestPasswordsEndWhereSingleSignOnIsEnforced(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	bob := api.LoginRequest{Email: "bob@example.test", Password: testPassword}
	send[api.User](t, w.admin, "POST", "/users", api.UserRequest{Email: bob.Email, Password: bob.Password})
	session := w.admin.with(send[api.Session](t, w.admin.with(""), "POST", "/login", bob).Token)
	enforce := api.SSOEnforcement{Enforced: true, Exempt: w.server.Email}
	w.admin.do(t, "PUT", "/sso/enforcement", enforce).refused(t, "conflict") // there is no connection
	op := w.oidc(t, map[string]testoidc.Account{"bob": {"email": bob.Email, "email_verified": true}}, nil)
	w.admin.do(t, "PUT", "/sso/enforcement", api.SSOEnforcement{Enforced: true}).refused(t, "invalid", "admin")
	w.admin.do(t, "PUT", "/sso/enforcement", api.SSOEnforcement{Enforced: true, Exempt: bob.Email}).refused(t, "invalid", "admin")
	send[api.Done](t, w.admin, "PUT", "/sso/enforcement", enforce)
	session.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	w.admin.with("").do(t, "POST", "/login", bob).refused(t, "unauthenticated", "single sign-on")
	send[api.Session](t, w.admin.with(""), "POST", "/login", api.LoginRequest{Email: w.server.Email, Password: w.server.Password})
	v := w.visitor(t)
	_, to, _ := v.get(op.Browser(t).Login(t, v.begin("corp"), "bob").String())
	get[api.Principal](t, w.session(t, code(t, to)), "/whoami")
	w.admin.do(t, "DELETE", "/sso/connections/corp", nil).refused(t, "conflict")
	list := get[api.SSOConnections](t, w.admin, "/sso/connections")
	if !list.Enforced || list.Exempt == "" || len(list.Connections) != 1 {
		t.Errorf("%+v", list)
	}
	send[api.Done](t, w.admin, "PUT", "/sso/enforcement", api.SSOEnforcement{})
	send[api.Session](t, w.admin.with(""), "POST", "/login", bob)
}

func TestPeopleComeThroughASAMLProvider(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	idp := testsaml.Start(t, testsaml.User{Name: "ann", Email: "ann@example.test", CommonName: "Ann", Groups: []string{"eng"}})
	made := send[api.SSOConnection](t, w.admin, "POST", "/sso/connections", api.SSORequest{Name: "saml", Create: true,
		SAML: &api.SAMLSettings{Metadata: idp.Metadata, SubjectAttribute: "uid", GroupsAttribute: "eduPersonAffiliation"}, Groups: []api.SSOGroup{{Value: "eng", Role: "viewer"}}})
	v := w.visitor(t)
	_, _, metadata := v.get(made.Metadata)
	idp.Trust(t, []byte(metadata))
	if found := send[api.SSOTest](t, w.admin, "POST", "/sso/connections/saml/test", nil); !strings.Contains(found.Found, idp.URL) {
		t.Errorf("%+v", found)
	}
	form := idp.Login(t, v.begin("saml"), "ann")
	base, err := url.Parse(w.server.PublicURL)
	if err != nil {
		t.Fatal(err)
	}
	kept := v.client.Jar.Cookies(base)
	if status, _, _ := w.visitor(t).post(made.ACS, form); status != http.StatusUnauthorized {
		t.Errorf("another browser: %d", status)
	}
	status, to, body := v.post(made.ACS, form)
	if status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, body)
	}
	if who := get[api.Principal](t, w.session(t, code(t, to)), "/whoami"); who.Name != "ann@example.test" || !slices.Equal(rolesOf(who), []string{"viewer"}) {
		t.Errorf("%+v", who)
	}
	v.client.Jar.SetCookies(base, kept)
	if status, _, _ := v.post(made.ACS, form); status != http.StatusUnauthorized {
		t.Errorf("an answer that was taken: %d", status)
	}
	if status, _, _ := v.post(made.ACS, url.Values{"SAMLResponse": form["SAMLResponse"]}); status != http.StatusBadRequest {
		t.Errorf("an answer that nobody asked for: %d", status)
	}
}

func TestPeopleComeThroughADirectory(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	s := testldap.Start(t, "", testldap.Person("ann", "ann@example.test", "Ann"), testldap.Group("eng", "ann"))
	send[api.SSOConnection](t, w.admin, "POST", "/sso/connections", api.SSORequest{Name: "ldap", Create: true, Secret: testldap.Password,
		LDAP: &api.LDAPSettings{URL: s.URL, CA: s.CA, BindDN: testldap.Root, BaseDN: testldap.People, GroupBase: testldap.Groups}, Groups: []api.SSOGroup{{Value: "eng", Role: "viewer"}}})
	send[api.SSOTest](t, w.admin, "POST", "/sso/connections/ldap/test", nil)
	anyone := w.admin.with("")
	login := func(account, password string) reply {
		return anyone.do(t, "POST", "/login/ldap", api.LDAPLoginRequest{Connection: "ldap", Account: account, Password: password})
	}
	var session api.Session
	login("Ann", testldap.Password).fits(t, &session)
	if who := get[api.Principal](t, w.admin.with(session.Token), "/whoami"); who.Name != "ann@example.test" || !slices.Equal(rolesOf(who), []string{"viewer"}) {
		t.Errorf("%+v", who)
	}
	login("ann", "").refused(t, "unauthenticated")
	login("*", testldap.Password).refused(t, "unauthenticated")
	anyone.do(t, "POST", "/login/ldap", api.LDAPLoginRequest{Connection: "other", Account: "ann", Password: testldap.Password}).refused(t, "not_found")
	// All spellings of a name share its tries.
	last := reply{}
	for i, account := range []string{"ann", "ANN", " ann", "ａｎｎ", "Ann", "aNn", "anN", "ann ", "AnN", "aNN", "ann", "ANN"} {
		if last = login(account, "wrong test-value"); last.status == http.StatusTooManyRequests {
			if i < 5 {
				t.Errorf("after %d tries", i)
			}
			break
		}
	}
	last.refused(t, "exhausted")
}

package web_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/keyturntest"
)

// browser is a plain client with one cookie, for what a real browser does not let a test do.
type browser struct {
	*testing.T
	url    string
	cookie *http.Cookie
}

// answer is what came, with its body.
type answer struct {
	*http.Response
	body string
}

// ask sends a request as a browser would from our own page; headers come in pairs and replace those.
func (b *browser) ask(method, path string, form url.Values, header ...string) answer {
	b.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, b.url+path, body)
	must(b.T, err)
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != nil {
		req.AddCookie(b.cookie)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows nothing
	must(b.T, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(b.T, err)
	for _, c := range resp.Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			b.cookie = &http.Cookie{Name: c.Name, Value: c.Value}
		}
	}
	return answer{resp, string(raw)}
}

func enter(t *testing.T, s *keyturntest.Server) *browser {
	t.Helper()
	b := &browser{T: t, url: s.URL}
	if a := b.ask("POST", "/login", url.Values{"email": {s.Email}, "password": {s.Password}}); a.StatusCode != http.StatusSeeOther || b.cookie == nil {
		t.Fatalf("status %d, cookie %v: %s", a.StatusCode, b.cookie, a.body)
	}
	return b
}

func TestTheCookieIsForThisHostAndForNoScript(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	login := url.Values{"email": {s.Email}, "password": {s.Password}}
	// As through a proxy that speaks TLS to the browser, and on the machine itself in development.
	for host, want := range map[string]string{"keyturn.example.test": "__Host-keyturn", "localhost:8420": "keyturn-development"} {
		b := &browser{T: t, url: s.URL}
		a := b.ask("POST", "/login", login, "Host", host)
		if len(a.Cookies()) != 1 {
			t.Fatalf("%s: %d cookies", host, len(a.Cookies()))
		}
		c := a.Cookies()[0]
		if c.Name != want || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != strings.HasPrefix(want, "__Host-") || c.Expires.IsZero() {
			t.Errorf("%s: %s", host, a.Header.Get("Set-Cookie"))
		}
		if !strings.HasPrefix(c.Value, "kts_") {
			t.Errorf("%s: the cookie holds no session token", host)
		}
		// The name of one place opens nothing at the other.
		other := map[string]string{"keyturn.example.test": "localhost:8420", "localhost:8420": "keyturn.example.test"}[host]
		if a := b.ask("GET", "/account", nil, "Host", other); a.StatusCode != http.StatusSeeOther {
			t.Errorf("a cookie of %s is good at %s: %d", host, other, a.StatusCode)
		}
	}
}

func TestTheAPITakesNoCookieAndThePagesNoToken(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := enter(t, s)
	if a := b.ask("GET", "/keyturn/v1/whoami", nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the API took a cookie: %d", a.StatusCode)
	}
	bare := &browser{T: t, url: s.URL}
	if a := bare.ask("GET", "/account", nil, "Authorization", "Bearer "+s.Token); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a page took a bearer token: %d", a.StatusCode)
	}
	// A token that was made for a program is no session, in a cookie either.
	c, err := client.New(s.URL, s.Token)
	must(t, err)
	_, err = c.CreateProject(t.Context(), api.ProjectRequest{Slug: "shop"})
	must(t, err)
	made, err := c.CreateToken(t.Context(), api.TokenRequest{Project: "shop", Scopes: "*:/:read", TTL: "1h"})
	must(t, err)
	for _, value := range []string{made.Token, "kts_test-value", "", strings.Repeat("a", 5000)} {
		bare.cookie = &http.Cookie{Name: b.cookie.Name, Value: value}
		if a := bare.ask("GET", "/account", nil); a.StatusCode != http.StatusSeeOther {
			t.Errorf("the cookie %.8s is good: %d", value, a.StatusCode)
		}
	}
}

func TestAnotherSitesPageChangesNothing(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := enter(t, s)
	for what, header := range map[string][]string{
		"another site":         {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example.test"},
		"a neighbour's domain": {"Sec-Fetch-Site", "same-site", "Origin", "https://other.example.test"},
		"an old browser":       {"Origin", "https://evil.example.test"},
		"a sandboxed frame":    {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
		"no site":              {"Origin", "null"},
	} {
		for _, path := range []string{"/logout", "/login", "/account/factors", "/account/passkeys/begin", "/account/sessions/end", "/verify"} {
			if a := b.ask("POST", path, url.Values{"email": {s.Email}, "password": {s.Password}}, header...); a.StatusCode != http.StatusForbidden || a.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: POST %s: %d", what, path, a.StatusCode)
			}
		}
	}
	if a := b.ask("GET", "/logout", nil); a.StatusCode != http.StatusOK {
		t.Errorf("%d", a.StatusCode)
	}
	if a := b.ask("GET", "/account", nil); a.StatusCode != http.StatusOK {
		t.Errorf("something ended the session: %d", a.StatusCode)
	}
	// Our own page may, also behind a proxy that changes the host.
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin", "Origin", s.PublicURL}, {"Origin", s.PublicURL, "Host", "10.0.0.7:8420"}} {
		if a := b.ask("POST", "/verify", url.Values{"password": {s.Password}, "next": {"/account"}}, header...); a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d", header, a.StatusCode)
		}
	}
}

func TestEveryPageCarriesItsPolicyAndIsKeptNowhere(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := enter(t, s)
	for _, path := range []string{"/", "/account", "/login", "/logout", "/verify", "/no/such/page"} {
		a := b.ask("GET", path, nil)
		h := a.Header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %q, %q", path, csp, h.Get("X-Frame-Options"))
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "same-origin" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, h)
		}
		if regexp.MustCompile(`<script>|\son[a-z]+=|style=|javascript:`).MatchString(a.body) {
			t.Errorf("%s has a script or style in it", path)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			if f := b.ask("GET", m[1], nil); f.StatusCode != http.StatusOK || !strings.Contains(f.Header.Get("Cache-Control"), "immutable") || f.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %s", m[1], f.StatusCode, f.Header.Get("Cache-Control"))
			}
		}
	}
	if a := b.ask("GET", "/static/keyturn.css", nil); a.StatusCode != http.StatusNotFound {
		t.Errorf("a file without its hash: %d", a.StatusCode)
	}
	if a := b.ask("GET", "/no/such/page", nil, "Accept", "*/*"); a.StatusCode != http.StatusNotFound || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a program gets %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
	if a := b.ask("POST", "/logout", url.Values{}); !strings.Contains(a.Header.Get("Clear-Site-Data"), "cache") {
		t.Error("a browser may keep what it has shown")
	}
}

func TestALoginLeadsToOurOwnPagesOnly(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	for next, want := range map[string]string{
		"/account": "/account", "/account?a=b": "/account?a=b", "": "/", "account": "/",
		"https://evil.example.test": "/", "//evil.example.test": "/", "/\\evil.example.test": "/", "\\\\evil.example.test": "/",
		"///evil.example.test": "/", "/\t/evil.example.test": "/", "/%2f/evil.example.test": "/", "/\n//evil.example.test": "/",
		"javascript:alert(1)": "/", "https:evil.example.test": "/", "/..//evil.example.test": "/", "/" + strings.Repeat("a", 2000): "/",
	} {
		b := &browser{T: t, url: s.URL}
		a := b.ask("POST", "/login", url.Values{"email": {s.Email}, "password": {s.Password}, "next": {next}})
		got := a.Header.Get("Location")
		if got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
		if u, err := url.Parse(s.URL + "/login"); err != nil {
			t.Fatal(err)
		} else if to, err := u.Parse(got); err != nil || "http://"+to.Host != s.URL {
			t.Errorf("%q leads away, to %s", next, to)
		}
		if a := b.ask("GET", "/login?next="+url.QueryEscape(next), nil); a.StatusCode == http.StatusSeeOther && a.Header.Get("Location") != want {
			t.Errorf("%q leads a visitor who is logged in to %q", next, a.Header.Get("Location"))
		}
	}
}

func TestASessionThatSomebodyElsePlantedIsReplaced(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	attacker := enter(t, s)
	victim := &browser{T: t, url: s.URL, cookie: attacker.cookie}
	victim.ask("POST", "/login", url.Values{"email": {s.Email}, "password": {s.Password}})
	if victim.cookie.Value == attacker.cookie.Value {
		t.Fatal("the planted session goes on")
	}
	if a := attacker.ask("GET", "/account", nil); a.StatusCode != http.StatusSeeOther {
		t.Errorf("what was planted is still good: %d", a.StatusCode)
	}
	if a := victim.ask("GET", "/account", nil); a.StatusCode != http.StatusOK {
		t.Errorf("%d", a.StatusCode)
	}
	// After a logout the cookie is worth nothing, wherever a copy of it lies.
	copied := *victim
	victim.ask("POST", "/logout", url.Values{})
	if a := copied.ask("GET", "/account", nil); a.StatusCode != http.StatusSeeOther {
		t.Errorf("a copy of the cookie outlives the logout: %d", a.StatusCode)
	}
}

func TestNamesAreTextWhateverTheySay(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	c, err := client.New(s.URL, s.Token)
	must(t, err)
	const name = `<img src=x onerror=alert(1)>"'</script><script>alert(2)</script>`
	_, err = c.CreateProject(t.Context(), api.ProjectRequest{Slug: "shop", Name: name})
	must(t, err)
	b := enter(t, s)
	for _, path := range []string{"/", "/login?next=" + url.QueryEscape(`/"><script>alert(1)</script>`), "/account?done=" + url.QueryEscape(name)} {
		a := b.ask("GET", path, nil, "User-Agent", name)
		if strings.Contains(a.body, "<img src=x") || strings.Contains(a.body, "<script>") {
			t.Errorf("%s holds markup of others: %s", path, a.body)
		}
	}
	bare := &browser{T: t, url: s.URL}
	if a := bare.ask("POST", "/login", url.Values{"email": {name + "@example.test"}, "password": {name}}); strings.Contains(a.body, "<script>") || strings.Contains(a.body, "alert(2)&lt;/script&gt;&#34; autofocus") {
		t.Errorf("%s", a.body)
	}
	window := open(t, s)
	window.login(s.Email, s.Password)
	window.sees("<img src=x onerror=alert(1)>")
}

func TestNothingSecretIsInAnAddressOrComesBack(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	bare := &browser{T: t, url: s.URL}
	a := bare.ask("POST", "/login", url.Values{"email": {s.Email}, "password": {"a wrong test-value"}})
	if strings.Contains(a.body, "a wrong test-value") || strings.Contains(a.Header.Get("Location"), "test-value") {
		t.Error("the password comes back")
	}
	// Forms are not read from addresses, so that nobody is led to send one there.
	if a := bare.ask("POST", "/login?email="+url.QueryEscape(s.Email)+"&password="+url.QueryEscape(s.Password), url.Values{}); a.StatusCode == http.StatusSeeOther {
		t.Error("a login was taken from an address")
	}
	for what, kind := range map[string]string{"JSON": "application/json", "a file": "multipart/form-data; boundary=x", "plain text": "text/plain"} {
		if a := bare.ask("POST", "/login", url.Values{"email": {s.Email}, "password": {s.Password}}, "Content-Type", kind); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s was taken as a form: %d", what, a.StatusCode)
		}
	}
	if a := bare.ask("POST", "/login", url.Values{"email": {strings.Repeat("a", 200_000)}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a form of 200 kB: %d", a.StatusCode)
	}
}

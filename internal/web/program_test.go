package web_test

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/keyturntest"
)

// terminal is the program that waits: it listens as the foreign command does, for one origin.
type terminal struct {
	port  string
	calls atomic.Int64
	heard chan []byte
}

func wait(t *testing.T, origin string) *terminal {
	t.Helper()
	out := &terminal{heard: make(chan []byte, 1)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != origin {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Methods", "POST")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
		w.Header().Set("Access-Control-Allow-Private-Network", "true")
		if r.Method != http.MethodPost {
			return
		}
		out.calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err == nil && r.URL.Path == "/" && r.Header.Get("Content-Type") == "application/json" {
			out.heard <- body
		}
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	must(t, err)
	out.port = u.Port()
	return out
}

// handed reads what the program was given, and uses it.
func handed(t *testing.T, s *keyturntest.Server, body []byte) string {
	t.Helper()
	var got map[string]string
	must(t, json.Unmarshal(body, &got))
	if len(got) != 4 || got["email"] != s.Email || got["privateKey"] != "" || got["RefreshToken"] != "" || strings.Count(got["JTWToken"], ".") != 2 {
		t.Fatalf("%v", got)
	}
	req, err := http.NewRequest("POST", s.URL+"/api/v1/auth/checkAuth", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+got["JTWToken"])
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the token is refused: %d", resp.StatusCode)
	}
	return got["JTWToken"]
}

func TestAProgramIsLoggedInByTheBrowser(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	waiting := wait(t, s.PublicURL)
	b := open(t, s)
	b.visit("/login?callback_port=" + waiting.port)
	b.fill(`input[name=email]`, s.Email)
	b.fill(`input[name=password]`, s.Password)
	b.click(`form[action="/login"] button`)
	b.sees("Log a program in as you?", "port "+waiting.port, s.Email, "somebody wants to be you")
	b.shot("program-asks")
	if waiting.calls.Load() != 0 {
		t.Error("it was handed over before anybody agreed")
	}
	b.click(`form[action="/login/program"] button`)
	b.sees("The program is logged in")
	token := handed(t, s, <-waiting.heard)
	b.shot("program-done")

	// The session of the program is another one than that of the browser, and is seen there.
	b.visit("/account")
	b.sees("Infisical CLI, by this browser")
	c, err := client.New(s.URL, token)
	must(t, err)
	if who, err := c.WhoAmI(t.Context()); err != nil || who.Name != s.Email {
		t.Errorf("%+v %v", who, err)
	}
	b.visit("/logout")
	b.click(`main form[action="/logout"] button`)
	b.sees("You are logged out")
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestATokenIsPastedWhenTheProgramDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	elsewhere := wait(t, "https://another.example.test") // it answers another site only
	b := open(t, s)
	b.login(s.Email, s.Password)
	b.sees("Projects")
	b.visit("/login?callback_port=" + elsewhere.port) // who is logged in already is asked at once
	b.sees("Log a program in as you?")
	b.tolerate()
	b.click(`form[action="/login/program"] button`)
	b.sees("The program did not answer")
	b.shot("program-paste")
	ctx := b.ctx
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("textarea").value`))
	must(t, err)
	raw, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	handed(t, s, raw)
	if elsewhere.calls.Load() != 0 {
		t.Error("a listener of another site was told")
	}
}

func TestASessionIsHandedToThisComputerAloneAndAfterAYes(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	b := enter(t, s)
	sessions := func() int {
		t.Helper()
		c, err := client.New(s.URL, b.cookie.Value)
		must(t, err)
		list, err := c.Sessions(t.Context(), "")
		must(t, err)
		return len(list.Sessions)
	}
	before := sessions()
	for _, port := range []string{"", "0", "80", "1023", "65536", "99999999999", "-8080", "+8080", "08080", "0x1f90", "8080.0", " 8080", "8080 ", "8080@evil.example.test", "8080/x", "8080#", "8080;script-src", "evil.example.test", "127.0.0.1:8080", "８０８０"} {
		q := url.Values{"callback_port": {port}}
		for _, a := range []answer{b.ask("GET", "/login?"+q.Encode(), nil), b.ask("GET", "/login/program?"+q.Encode(), nil), b.ask("POST", "/login/program", q)} {
			if a.StatusCode != http.StatusBadRequest || strings.Contains(a.Header.Get("Content-Security-Policy"), "127.0.0.1") {
				t.Errorf("%q: %d %s", port, a.StatusCode, a.Header.Get("Content-Security-Policy"))
			}
		}
	}
	// Opening the address does nothing, and the page that asks may call nobody.
	a := b.ask("GET", "/login?callback_port=8085&next=https://evil.example.test", nil)
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/login/program?callback_port=8085" {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	a = b.ask("GET", "/login/program?callback_port=8085", nil)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.Header.Get("Content-Security-Policy"), "connect-src 'self';") || strings.Contains(a.body, "JTWToken") {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Content-Security-Policy"))
	}
	// Another site's page cannot send the form, by a link neither.
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.test"}, {"Sec-Fetch-Site", "same-site"}} {
		if a := b.ask("POST", "/login/program", url.Values{"callback_port": {"8085"}}, header...); a.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %d", header, a.StatusCode)
		}
	}
	nobody := &browser{T: t, url: s.URL}
	if a := nobody.ask("POST", "/login/program", url.Values{"callback_port": {"8085"}}); a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "/login?") {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("Location"))
	}
	if after := sessions(); after != before {
		t.Errorf("%d sessions where there were %d", after, before)
	}
	a = b.ask("POST", "/login/program", url.Values{"callback_port": {"8085"}})
	csp := a.Header.Get("Content-Security-Policy")
	if a.StatusCode != http.StatusOK || !strings.Contains(csp, "; connect-src http://127.0.0.1:8085; ") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q", a.StatusCode, csp)
	}
	if regexp.MustCompile(`<script>|\son[a-z]+=|style=|javascript:`).MatchString(a.body) || sessions() != before+1 {
		t.Error("the page has a script in it, or no session was made")
	}
	m := regexp.MustCompile(`data-address="([^"]*)" data-body="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil || m[1] != "http://127.0.0.1:8085/" {
		t.Fatalf("%v", m)
	}
	handed(t, s, []byte(html.UnescapeString(m[2])))
}

func TestNoProgramIsLoggedInWhereItsDialectIsOff(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t, keyturntest.WithConfig(func(c *config.Config) { c.Dialects = nil }))
	b := enter(t, s)
	for _, a := range []answer{b.ask("GET", "/login?callback_port=8085", nil), b.ask("GET", "/login/program?callback_port=8085", nil), b.ask("POST", "/login/program", url.Values{"callback_port": {"8085"}})} {
		if a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusNotImplemented {
			t.Errorf("%d", a.StatusCode)
		}
	}
}

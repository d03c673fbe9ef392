package cli

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/testoidc"
	"github.com/keyturn/keyturn/keyturntest"
)

// TestABrowserLogsTheCommandLineIn goes the whole way: command line, server, a real provider, and back to the listener.
func TestABrowserLogsTheCommandLineIn(t *testing.T) {
	s := keyturntest.Start(t, keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" }))
	op := testoidc.Start(t, testoidc.Options{Redirects: []string{s.PublicURL + api.Prefix + "/sso/corp/callback"},
		Accounts: map[string]testoidc.Account{"ann": {"email": "ann@example.test", "email_verified": true}}})
	admin, err := client.New(s.URL, s.Token)
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.CreateSSOConnection(t.Context(), api.SSORequest{Name: "corp", Create: true, Secret: testoidc.ClientSecret, OIDC: &api.OIDCSettings{Issuer: op.Issuer, ClientID: testoidc.ClientID}})
	if err != nil {
		t.Fatal(err)
	}
	a := testApp(t, "KEYTURN_SERVER", s.URL)
	said, says := io.Pipe()
	var out bytes.Buffer
	a.out, a.err = &out, says
	done := make(chan int, 1)
	go func() {
		done <- a.execute(context.Background(), []string{"login", "--sso", "corp", "--no-browser", "--print-token"})
		_ = says.Close()
	}()
	lines := bufio.NewScanner(said)
	address := ""
	for address == "" && lines.Scan() {
		if text := strings.TrimSpace(lines.Text()); strings.HasPrefix(text, "http") {
			address = text
		}
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var to string
	ours := &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		to = next.URL.String()
		if !strings.HasPrefix(to, s.PublicURL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	get := func(address string) {
		t.Helper()
		resp, err := ours.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= 400 {
			t.Fatalf("%s: %d", address, resp.StatusCode)
		}
	}
	get(address)
	get(op.Browser(t).Login(t, to, "ann").String())
	if resp, err := http.Get(strings.Split(to, "?")[0] + "?code=x&state=y"); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("the listener takes a code of somebody else: %v", err)
	}
	get(to)
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d", code)
	}
	me, err := client.New(s.URL, strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	if who, err := me.WhoAmI(t.Context()); err != nil || who.Name != "ann@example.test" {
		t.Errorf("%+v, %v", who, err)
	}
}

// Package testoidc starts a real, certified OpenID provider for tests, on loopback, for as long as the test runs: the npm
// package oidc-provider at the version that package-lock.json pins, under node from Debian. It is installed once into the
// user's cache. A missing node or npm is a failure, never a skip.
package testoidc

import (
	"bufio"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	//go:embed package.json
	manifest []byte
	//go:embed package-lock.json
	lock []byte
	//go:embed provider.mjs
	script []byte
)

// Credentials of the one application that the provider knows.
const (
	ClientID     = "keyturn"
	ClientSecret = "test-value-of-the-client"
)

// startWithin bounds the start of node on a busy machine.
const startWithin = time.Minute

// Account is what the provider says of somebody, by claim.
type Account map[string]any

// Provider is a running one.
type Provider struct {
	Issuer string
	in     io.Writer
}

// Options say what the provider knows.
type Options struct {
	Redirects []string           // of the application
	Accounts  map[string]Account // by login
	// UserInfo leaves claims out of ID tokens, as the standard has it: they are asked for at the userinfo endpoint.
	UserInfo bool
}

// Start starts a provider; it ends with the test.
func Start(tb testing.TB, o Options) *Provider {
	tb.Helper()
	folder, err := install()
	if err != nil {
		tb.Fatalf("testoidc: %v", err)
	}
	config, err := json.Marshal(map[string]any{"client_id": ClientID, "client_secret": ClientSecret, "redirects": o.Redirects, "accounts": o.Accounts, "userinfo": o.UserInfo})
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("node", "provider.mjs")
	cmd.Dir = folder
	var problems strings.Builder
	cmd.Stderr = &problems
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		tb.Fatalf("testoidc: start node: %v", err)
	}
	tb.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	})
	if _, err := in.Write(append(config, '\n')); err != nil {
		tb.Fatalf("testoidc: %v", err)
	}
	lines := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			if strings.HasPrefix(s.Text(), "http://") {
				lines <- s.Text()
			}
		}
		close(lines)
	}()
	select {
	case issuer, ok := <-lines:
		if !ok {
			_ = cmd.Wait()
			tb.Fatalf("testoidc: the provider ended: %s", problems.String())
		}
		return &Provider{issuer, in}
	case <-time.After(startWithin):
		_ = cmd.Process.Kill()
		tb.Fatalf("testoidc: the provider did not start within %v", startWithin)
	}
	return nil
}

// Change replaces what the provider says of somebody.
func (p *Provider) Change(tb testing.TB, account string, claims Account) {
	tb.Helper()
	line, err := json.Marshal(map[string]Account{account: claims})
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	if err != nil {
		tb.Fatalf("testoidc: %v", err)
	}
}

// install gives the folder with the provider and all it needs, and makes it the first time.
func install() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	h := sha256.New()
	for _, b := range [][]byte{manifest, lock, script} {
		h.Write(b)
	}
	parent := filepath.Join(cache, "keyturn-test")
	folder := filepath.Join(parent, "oidc-"+hex.EncodeToString(h.Sum(nil)[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(parent, "new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(fresh) }()
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock, "provider.mjs": script} {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, text)
	}
	if err := os.Rename(fresh, folder); err != nil {
		if _, there := os.Stat(folder); there == nil { // another test binary was quicker
			return folder, nil
		}
		return "", err
	}
	return folder, nil
}

// Browser is somebody at a browser: it keeps cookies and follows redirects within the provider.
type Browser struct {
	client *http.Client
	origin string
}

// Browser gives a fresh one.
func (p *Provider) Browser(tb testing.TB) *Browser {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	b := &Browser{origin: p.Issuer}
	b.client = &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(next.URL.String(), b.origin+"/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

var (
	formAction = regexp.MustCompile(`<form[^>]*action="([^"]+)"`)
	formPrompt = regexp.MustCompile(`name="prompt" value="([^"]+)"`)
)

// Login goes to the authorization endpoint, logs in, consents, and gives the address that the provider sends the browser back to.
func (b *Browser) Login(tb testing.TB, address, account string) *url.URL {
	tb.Helper()
	resp, err := b.client.Get(address)
	for range 5 { // login, consent, and room
		if err != nil {
			tb.Fatalf("testoidc: %v", err)
		}
		body, err2 := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		if err2 != nil {
			tb.Fatalf("testoidc: %v", err2)
		}
		if to := resp.Header.Get("Location"); to != "" {
			u, err := url.Parse(to)
			if err != nil {
				tb.Fatalf("testoidc: %v", err)
			}
			return u
		}
		action, prompt := formAction.FindSubmatch(body), formPrompt.FindSubmatch(body)
		if action == nil || prompt == nil {
			tb.Fatalf("testoidc: status %d and no form: %s", resp.StatusCode, body)
		}
		resp, err = b.client.PostForm(html.UnescapeString(string(action[1])), url.Values{"prompt": {string(prompt[1])}, "login": {account}, "password": {"test-value"}})
	}
	tb.Fatal("testoidc: the provider asks on and on")
	return nil
}

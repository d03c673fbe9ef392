// Package testsaml runs a real SAML 2.0 identity provider inside a test: crewjam's samlidp. It shares its authors with the
// library on our side, so answers that no honest provider gives are made by hand where they are tested.
package testsaml

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"html"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/crewjam/saml/samlidp"
	dsig "github.com/russellhaering/goxmldsig"
)

// IdP is a running identity provider.
type IdP struct {
	URL      string
	Metadata string
	Key      *rsa.PrivateKey
	Cert     *x509.Certificate
}

// User is somebody whom the provider knows; the password is [Password].
type User struct {
	Name, Email, CommonName string
	Groups                  []string
}

// Password is that of all users.
const Password = "test-value"

// Certificate makes a key and a certificate that it signed itself.
func Certificate(tb testing.TB) (*rsa.PrivateKey, *x509.Certificate) {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.example.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return key, cert
}

// Start starts a provider that knows users; it ends with the test. Tell it of an application with [IdP.Trust].
func Start(tb testing.TB, users ...User) *IdP {
	tb.Helper()
	p := &IdP{}
	p.Key, p.Cert = Certificate(tb)
	var handler http.Handler
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	tb.Cleanup(front.Close)
	p.URL = front.URL
	at, err := url.Parse(front.URL)
	if err != nil {
		tb.Fatal(err)
	}
	server, err := samlidp.New(samlidp.Options{URL: *at, Key: p.Key, Certificate: p.Cert, Logger: log.New(io.Discard, "", 0), Store: &samlidp.MemoryStore{}})
	if err != nil {
		tb.Fatal(err)
	}
	server.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod // SHA-1 otherwise
	handler = server
	for _, u := range users {
		password := Password
		body, err := json.Marshal(samlidp.User{Name: u.Name, Email: u.Email, CommonName: u.CommonName, Groups: u.Groups, PlaintextPassword: &password})
		if err != nil {
			tb.Fatal(err)
		}
		p.put(tb, "/users/"+url.PathEscape(u.Name), body)
	}
	p.Metadata = string(read(tb, p.URL+"/metadata"))
	return p
}

// Trust tells the provider of an application by its metadata.
func (p *IdP) Trust(tb testing.TB, metadata []byte) {
	tb.Helper()
	p.put(tb, "/services/application", metadata)
}

func (p *IdP) put(tb testing.TB, path string, body []byte) {
	tb.Helper()
	r, err := http.NewRequest(http.MethodPut, p.URL+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		tb.Fatalf("testsaml: %s: status %d", path, resp.StatusCode)
	}
}

func read(tb testing.TB, address string) []byte {
	tb.Helper()
	resp, err := http.Get(address)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

var field = regexp.MustCompile(`name="(SAMLRequest|SAMLResponse|RelayState)" value="([^"]*)"`)

func fields(page []byte) url.Values {
	out := url.Values{}
	for _, m := range field.FindAllSubmatch(page, -1) {
		out.Set(string(m[1]), html.UnescapeString(string(m[2])))
	}
	return out
}

// Login follows the address that the application sent the browser to, logs in, and gives the form that the browser would post
// back: SAMLResponse and RelayState.
func (p *IdP) Login(tb testing.TB, address, user string) url.Values {
	tb.Helper()
	at, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	// The provider's form repeats the request in the binding for POST, so the page is asked for first.
	return p.post(tb, fields(read(tb, at.String())), user)
}

func (p *IdP) post(tb testing.TB, form url.Values, user string) url.Values {
	tb.Helper()
	form.Set("user", user)
	form.Set("password", Password)
	resp, err := http.PostForm(p.URL+"/sso", form)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	out := fields(body)
	if out.Get("SAMLResponse") == "" {
		tb.Fatalf("testsaml: status %d and no answer: %s", resp.StatusCode, body)
	}
	return out
}

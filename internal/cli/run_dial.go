package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
)

// runDialTimeout is how long run waits for a host that is not there before it looks for the offline copy.
const runDialTimeout = 3 * time.Second

// dialRun makes a client that also hears how long a copy may be kept.
func (a *app) dialRun(address, token string, age *offlineAge) (*client.Client, error) {
	pool, err := certificates(a.getenv("KEYTURN_CA_FILE"))
	if err != nil {
		return nil, err
	}
	through := &listening{age: age, next: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: runDialTimeout}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
		TLSHandshakeTimeout: runDialTimeout,
		ForceAttemptHTTP2:   true,
	}}
	h := &http.Client{
		Transport: through,
		// A redirect would carry the token to a place that nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c, err := client.New(address, token, client.WithUserAgent("keyturn-cli/"+a.version), client.WithHTTPClient(h))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s", err).WithHint("look at --server, --token, KEYTURN_SERVER and KEYTURN_TOKEN")
	}
	return c, nil
}

// certificates gives the system's and those of a file; nil, which means the system's alone, without a file.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fault.New(fault.Invalid, "%s holds no certificate in PEM form", file).WithHint("look at KEYTURN_CA_FILE")
	}
	return pool, nil
}

// listening tells age of every good answer.
type listening struct {
	age  *offlineAge
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (l *listening) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusOK && r.URL.Query().Get("reveal") == "true" {
		l.age.hear(resp.Header)
	}
	return resp, err
}

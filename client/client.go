// Package client speaks Keyturn's native HTTP API: one typed method per route, over the wire types of package api. It needs
// the standard library only.
//
//	c, err := client.New("https://keyturn.example.test", os.Getenv("KEYTURN_TOKEN"))
//	s, err := c.Get(ctx, client.Place{Project: "shop", Env: "prod", Path: "/backend"}, "DATABASE_URL", client.GetOptions{})
//
// Failures that the server tells are [*Error]; test their sort with errors.Is(err, client.NotFound). When no server answers,
// errors.Is(err, client.ErrUnreachable) holds. Values are plaintext here: the caller decides where they go.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Bounds of waiting and reading.
const (
	dialTimeout    = 5 * time.Second  // a host that is not there, so that callers can fall back soon
	requestTimeout = 2 * time.Minute  // the largest import over a slow line
	idleTimeout    = 90 * time.Second // below the server's, so that we close first
	maxAnswer      = 1 << 30          // bytes; a list of 10,000 values of 64 KiB, escaped, is below it
	maxProblem     = 1 << 20          // bytes of a problem body
)

// Client calls one server with one token. It is safe for use by several goroutines.
type Client struct {
	base  string // without a slash at the end
	token string
	agent string
	http  *http.Client
	prove func(context.Context, *Client) error
}

// Place names a folder: project and environment by slug or id, and a path; an empty path is the root.
type Place struct {
	Project, Env, Path string
}

// Option changes how a [Client] works.
type Option func(*settings) error

type settings struct {
	http  *http.Client
	agent string
	pool  *x509.CertPool
	prove func(context.Context, *Client) error
}

// WithHTTPClient makes the client send through h. Redirects are h's own business then.
func WithHTTPClient(h *http.Client) Option {
	return func(s *settings) error {
		s.http = h
		return nil
	}
}

// WithUserAgent says what the client calls itself; the audit log keeps it.
func WithUserAgent(agent string) Option {
	return func(s *settings) error {
		s.agent = agent
		return nil
	}
}

// WithReauth is asked when the server wants a fresh proof of who holds the session before it does something dangerous. It calls
// [Client.Reauth] of the client that it is given; when it returns nil, the request is sent once more.
func WithReauth(prove func(context.Context, *Client) error) Option {
	return func(s *settings) error {
		s.prove = prove
		return nil
	}
}

// WithCA trusts the certificates of a PEM file, beside those of the system.
func WithCA(file string) Option {
	return func(s *settings) error {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read certificates: %w", err)
		}
		if s.pool, err = x509.SystemCertPool(); err != nil {
			s.pool = x509.NewCertPool()
		}
		if !s.pool.AppendCertsFromPEM(b) {
			return fmt.Errorf("%s holds no certificate in PEM form", file)
		}
		return nil
	}
}

// New makes a client for the server at an address such as https://keyturn.example.test. The token may be empty for Setup,
// Login, LoginIdentity and Ready.
func New(server, token string, options ...Option) (*Client, error) {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the server's address is not valid: want http://HOST:PORT or https://HOST")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the server's address must not hold a user, a query or a fragment")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token is not valid: it holds a blank or a character that no token has")
	}
	s := settings{agent: "keyturn-sdk"}
	for _, o := range options {
		if err := o(&s); err != nil {
			return nil, err
		}
	}
	if s.http == nil {
		s.http = &http.Client{
			Transport: transport(s.pool),
			// A redirect would carry the token, or a value in a body, to a place that nobody named.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Client{base: strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), token: token, agent: s.agent, http: s.http, prove: s.prove}, nil
}

// Server gives the address that the client calls.
func (c *Client) Server() string { return c.base }

func transport(pool *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     idleTimeout,
	}
}

package login

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxAnswer bounds every answer of a provider, in bytes: metadata, key sets, tokens. Large federations publish more, but one
// provider's own document is some kilobytes.
const maxAnswer = 1 << 20

var errTooLong = errors.New("the answer is longer than is taken")

// bounded gives a client whose answers end with an error at the limit: the libraries of protocols read bodies to their end.
func bounded(c *http.Client, limit int64) *http.Client {
	out := *c
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	out.Transport = boundedTransport{next, limit}
	return &out
}

type boundedTransport struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip implements [http.RoundTripper].
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{resp.Body, t.limit}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements [io.Reader].
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.ReadCloser.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// checkURL takes an address of a provider: https, or http on this very machine, without user, query or fragment.
func checkURL(field, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	bad := fault.New(fault.Invalid, "the address is not valid: want https://host/path, or http:// for this machine only").WithField(field, "not valid")
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, bad
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, bad
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

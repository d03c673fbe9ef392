// Package outbound is the one way out: HTTP clients and dialers for addresses that a person or a tenant configured, such as
// webhooks, identity providers and key sets. The address is checked when the connection is made, after names were resolved,
// so that neither a name that points inside nor a redirect nor an answer of DNS that changes reaches what only this machine
// may reach (SSRF; OWASP Server-Side Request Forgery Prevention).
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	connectTimeout = 5 * time.Second
	maxRedirects   = 3
	maxHeader      = 64 << 10 // bytes of the headers of an answer
	keptIdle       = 30 * time.Second
)

// Rules say which addresses may be reached beside those of the public internet.
type Rules struct {
	allowed []netip.Prefix
	// resolver finds addresses; nil for the system's.
	resolver *net.Resolver
	roots    *tls.Config
}

// ParseRules reads a list of networks that are allowed although they lie inside, separated by commas or blanks:
// "10.1.0.0/16 192.168.7.9". The empty list allows public addresses only.
func ParseRules(text string) (Rules, error) {
	var r Rules
	for item := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == ',' || c == ' ' || c == '\n' || c == '\t' }) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			ip, ipErr := netip.ParseAddr(item)
			if ipErr != nil {
				return Rules{}, fault.New(fault.Invalid, "not a list of networks: want addresses or CIDR such as 10.1.0.0/16")
			}
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
		if prefix.Addr().Is4In6() {
			return Rules{}, fault.New(fault.Invalid, "not a list of networks: write IPv4 addresses as such")
		}
		r.allowed = append(r.allowed, prefix.Masked())
	}
	return r, nil
}

// WithResolver gives rules that find addresses with a resolver of one's own.
func (r Rules) WithResolver(resolver *net.Resolver) Rules { r.resolver = resolver; return r }

// WithTLS gives rules whose clients use a copy of the TLS configuration, for example other roots.
func (r Rules) WithTLS(c *tls.Config) Rules { r.roots = c; return r }

// inside lists what is not the public internet and that [netip.Addr] has no word for. (IANA special-purpose address registries,
// RFC 6890.)
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by carriers, and metadata of some clouds
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // IPv4 by NAT64: could be any address inside
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),      // discard
	netip.MustParsePrefix("2001::/23"),     // protocol assignments, Teredo
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4: could be any address inside
	netip.MustParsePrefix("fec0::/10"),     // site local of old
}

// Allows tells whether an address may be reached.
func (r Rules) Allows(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if slices.ContainsFunc(r.allowed, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return true
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(inside, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// errInside is the cause of a refused connection.
var errInside = errors.New("the address lies inside")

// Refused is the failure of an address that may not be reached.
func Refused() *fault.Error {
	return fault.Wrap(fault.Denied, errInside, "the address lies inside a private network, which the server does not call").
		WithHint("name the network in KEYTURN_OUTBOUND_ALLOW if it is meant")
}

// Dialer connects to addresses that the rules allow. The check sees the address that is really connected to.
func (r Rules) Dialer() *net.Dialer {
	return &net.Dialer{Timeout: connectTimeout, Resolver: r.resolver, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !r.Allows(at.Addr()) {
			return errInside
		}
		return nil
	}}
}

// DialContext connects, with the failure of a refused address in our own form.
func (r Rules) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.Dialer().DialContext(ctx, network, address)
	if errors.Is(err, errInside) {
		return nil, Refused()
	}
	return conn, err
}

// Client makes a client: no proxy, no cookies, redirects only within one host and never to a weaker scheme, and a limit for
// the whole exchange. Callers bound what they read of a body with [ReadAll].
func (r Rules) Client(timeout time.Duration) *http.Client {
	var config *tls.Config
	if r.roots != nil {
		config = r.roots.Clone()
	}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: r.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: connectTimeout,
			MaxResponseHeaderBytes: maxHeader, IdleConnTimeout: keptIdle, MaxIdleConnsPerHost: 2, ResponseHeaderTimeout: timeout,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			from := via[0].URL
			if len(via) > maxRedirects || next.URL.Host != from.Host || from.Scheme == "https" && next.URL.Scheme != "https" {
				return fault.New(fault.Denied, "the answer is a redirect to another place, which is not followed").WithHint("configure the final address")
			}
			return nil
		},
	}
}

// ReadAll reads a body of at most limit bytes; a longer one is [fault.Exhausted].
func ReadAll(body io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the answer was cut off")
	}
	if int64(len(b)) > limit {
		return nil, fault.New(fault.Exhausted, "the answer is longer than %d bytes", limit)
	}
	return b, nil
}

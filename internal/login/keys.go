package login

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
)

// How key sets are kept.
const (
	keysFresh     = 10 * time.Minute // after this they are asked for again
	keysLast      = time.Hour        // a set that cannot be renewed serves so long, and no longer: a key that was taken back must end
	retryAfter    = 5 * time.Second  // between two tries that fail
	unknownEvery  = time.Minute      // an unknown key id causes at most one more request in this time
	callTimeout   = 10 * time.Second
	maxKeySet     = 256 << 10 // bytes; sets of the big issuers have less than ten thousand
	maxKeys       = 64
	maxSources    = 1000 // addresses that are remembered; past it all are forgotten
	maxCA         = 64 << 10
	maxDiscovered = 64 << 10
)

// Keys remembers key sets by their address, for all methods of a server. The zero Keys is ready.
type Keys struct {
	mu      sync.Mutex
	sources map[[32]byte]*source
}

// source is one address of a key set.
type source struct {
	client *http.Client
	url    string // of the key set, or of the issuer when discover is set
	// discover asks the issuer where the key set is (OpenID Connect Discovery 1.0 section 4).
	discover bool
	bearer   func() string // sent along, where the set is not public

	mu      sync.Mutex // held during a request, so that many who wait cause one
	keys    []jose.JSONWebKey
	at      time.Time // of the request that gave keys
	tried   time.Time // of the last request
	unknown time.Time // of the last request for an unknown key id
}

func (k *Keys) source(calls outbound.Rules, address, ca string, discover bool) (*source, error) {
	roots, err := pool(ca)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, part := range []string{address, ca} {
		h.Write([]byte(part + "\x00"))
	}
	id := [32]byte(h.Sum(nil))
	if discover {
		id[0] ^= 1
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.sources[id]; s != nil {
		return s, nil
	}
	if k.sources == nil || len(k.sources) >= maxSources {
		k.sources = map[[32]byte]*source{}
	}
	s := &source{client: client(calls, roots), url: address, discover: discover}
	k.sources[id] = s
	return s, nil
}

func newSource(a Around, address, ca string) (*source, error) {
	return a.Keys.source(a.Calls, address, ca, false)
}

func newIssuerSource(a Around, issuer, ca string) (*source, error) {
	return a.Keys.source(a.Calls, issuer, ca, true)
}

func client(calls outbound.Rules, roots *x509.CertPool) *http.Client {
	if roots != nil {
		calls = calls.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	}
	return calls.Client(callTimeout)
}

// find gives the keys among which that of a key id is, if there is one: from memory while they are fresh, else by a request.
func (s *source) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	age := now.Sub(s.at)
	known := kid == ""
	for _, k := range s.keys {
		known = known || k.KeyID == kid
	}
	stale := s.keys == nil || age >= keysFresh
	switch {
	case !stale && (known || now.Sub(s.unknown) < unknownEvery):
		return s.keys, nil
	case !stale:
		s.unknown = now
	case now.Sub(s.tried) < retryAfter: // it failed just now
		if s.keys != nil && age < keysLast {
			return s.keys, nil
		}
		return nil, noKeys(nil)
	}
	s.tried = now
	keys, err := s.fetch(ctx)
	if err != nil {
		if s.keys != nil && age < keysLast && known {
			return s.keys, nil
		}
		return nil, err
	}
	s.keys, s.at = keys, now
	return keys, nil
}

// asDenied finds the dialer's own words, which say more.
func asDenied(cause error) (*fault.Error, bool) {
	f, ok := errors.AsType[*fault.Error](cause)
	return f, ok && f.Kind == fault.Denied
}

func noKeys(cause error) error {
	if f, ok := asDenied(cause); ok {
		return f
	}
	return fault.Wrap(fault.Unavailable, cause, "the keys of the issuer cannot be had").WithHint("the server must reach the address in the settings of the method; try again")
}

func (s *source) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	at := s.url
	if s.discover {
		var err error
		if at, err = s.where(ctx); err != nil {
			return nil, err
		}
	}
	body, err := s.get(ctx, at, maxKeySet)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, noKeys(err)
	}
	return keys, nil
}

// where asks the issuer for the address of its keys. The document must be of that very issuer.
func (s *source) where(ctx context.Context) (string, error) {
	body, err := s.get(ctx, trimSlash(s.url)+"/.well-known/openid-configuration", maxDiscovered)
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", noKeys(err)
	}
	if doc.Issuer != s.url {
		return "", fault.New(fault.Unavailable, "the issuer's own document is of another issuer").WithHint("write the issuer as it is in its discovery document, to the last slash")
	}
	if err := checkAddress("jwks_uri", doc.Keys); err != nil {
		return "", noKeys(err)
	}
	return doc.Keys, nil
}

func trimSlash(s string) string {
	for len(s) > 0 && s[len(s)-1] == '/' {
		s = s[:len(s)-1]
	}
	return s
}

func (s *source) get(ctx context.Context, at string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, noKeys(err)
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	if s.bearer != nil {
		req.Header.Set("Authorization", "Bearer "+s.bearer())
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, noKeys(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fault.New(fault.Unavailable, "the issuer answers with status %d instead of its keys", resp.StatusCode)
	}
	return outbound.ReadAll(resp.Body, limit)
}

// parseKeys reads a JWK set (RFC 7517 section 5) and keeps what can verify signatures. Keys of unknown types are passed over, as
// the RFC wants; symmetric and private ones are, too.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fault.New(fault.Invalid, "it is not a JWK set")
	}
	if len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return nil, fault.New(fault.Invalid, "want 1 to %d keys", maxKeys)
	}
	out := []jose.JSONWebKey{}
	for _, raw := range set.Keys {
		// Certificates and addresses in a key are of no use here, and parsing them only gives an attacker something to play with.
		for _, name := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
			delete(raw, name)
		}
		one, err := json.Marshal(raw)
		if err != nil {
			continue
		}
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(one); err != nil || !k.IsPublic() || !k.Valid() {
			continue
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "it has no public key of a known type")
	}
	return out, nil
}

// checkAddress wants https, or http to this very machine; no user, no query, no fragment.
func checkAddress(field, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(address) > 1024 {
		return fault.New(fault.Invalid, "an address is not valid").WithField(field, "want https://HOST/PATH without user, query and fragment")
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fault.New(fault.Invalid, "an address is not valid").WithField(field, "want https")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// pool reads a CA bundle, PEM; nil for the system's.
func pool(ca string) (*x509.CertPool, error) {
	if ca == "" {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if len(ca) > maxCA || !roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, fault.New(fault.Invalid, "the CA bundle has no certificate that can be read").WithField("/settings/ca", "want PEM")
	}
	return roots, nil
}

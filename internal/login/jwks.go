package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/internal/fault"
)

// PublishedJWT is a method for JWTs that are signed with a private key whose public half stands in a JSON Web Key Set (RFC
// 7517): published at an address, or given here. Clerk, Auth0, Supabase's signing keys and many more do this.
type PublishedJWT struct {
	Rules
	URL  string `json:"jwks_url,omitzero"`
	Keys string `json:"jwks,omitzero"` // the key set itself, JSON, instead of an address
	CA   string `json:"ca,omitzero"`   // PEM of the authorities of the address; empty for those of the system
	// Algorithms are what signatures may be of, default RS256; one is best (RFC 8725 section 3.1).
	Algorithms []string `json:"algorithms,omitzero"`
}

// asymmetric are the algorithms that a key set may be used with. HMAC is not among them: a public key is no secret.
var asymmetric = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

func (s *PublishedJWT) check() error {
	if len(s.Algorithms) == 0 {
		s.Algorithms = []string{string(jose.RS256)}
	}
	if err := checkAlgorithms(s.Algorithms); err != nil {
		return err
	}
	if (s.URL == "") == (s.Keys == "") {
		return fault.New(fault.Invalid, "a jwks method needs either the address of a key set or the set itself").WithField("/settings/jwks_url", "want one of jwks_url and jwks")
	}
	if s.URL != "" {
		if err := checkAddress("/settings/jwks_url", s.URL); err != nil {
			return err
		}
	} else if _, err := parseKeys([]byte(s.Keys)); err != nil {
		return fault.New(fault.Invalid, "the key set cannot be read").WithField("/settings/jwks", "%v", err)
	}
	if _, err := pool(s.CA); err != nil {
		return err
	}
	return s.Rules.check()
}

func checkAlgorithms(names []string) error {
	for _, name := range names {
		if !slices.Contains(asymmetric, jose.SignatureAlgorithm(name)) {
			return fault.New(fault.Invalid, "no such algorithm").WithField("/settings/algorithms", "want some of %v", asymmetric)
		}
	}
	return nil
}

func algorithms(names []string) []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(names))
	for i, name := range names {
		out[i] = jose.SignatureAlgorithm(name)
	}
	return out
}

func (s *PublishedJWT) needs() (least, most int) { return 0, 0 }

func (s *PublishedJWT) open(a Around) (Verifier, error) {
	v := &keyedJWT{rules: s.Rules, algs: algorithms(s.Algorithms)}
	if s.Keys != "" {
		set, err := parseKeys([]byte(s.Keys))
		v.keys = func(context.Context, string) ([]jose.JSONWebKey, error) { return set, nil }
		return v, err
	}
	at, err := newSource(a, s.URL, s.CA)
	v.keys = at.find
	return v, err
}

// keyedJWT verifies tokens by public keys.
type keyedJWT struct {
	rules Rules
	algs  []jose.SignatureAlgorithm
	keys  func(ctx context.Context, kid string) ([]jose.JSONWebKey, error) // those that may fit a key id
	// also looks at the claims of a token that is good so far.
	also func(claims, *Evidence) error
}

// Verify implements [Verifier].
func (v *keyedJWT) Verify(ctx context.Context, c Credential) (Evidence, error) {
	t, err := parse(c.Token, v.algs)
	if err != nil {
		return Evidence{}, err
	}
	now := time.Now()
	// What is hopeless anyway causes no call to anybody.
	if err := v.rules.times(t.claims, now); err != nil {
		return Evidence{}, err
	}
	if iss, ok := t.claims["iss"].(string); !ok || iss != v.rules.Issuer {
		return Evidence{}, rejected("it is not of the issuer that the method trusts")
	}
	keys, err := v.keys(ctx, t.header.Kid)
	if err != nil {
		return Evidence{}, err
	}
	alg := jose.SignatureAlgorithm(t.header.Alg)
	if !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool {
		return (t.header.Kid == "" || k.KeyID == "" || k.KeyID == t.header.Kid) && fits(k, alg) && t.signedBy(k.Key, []jose.SignatureAlgorithm{alg})
	}) {
		return Evidence{}, rejected("no key of the issuer made its signature")
	}
	e, err := v.rules.accept(t.claims, now)
	if err == nil && v.also != nil {
		err = v.also(t.claims, &e)
	}
	return e, err
}

// minRSA is the shortest modulus that is taken, bits (RFC 7518 section 3.3).
const minRSA = 2048

// fits tells whether a key is one of the algorithm, for signatures, and public.
func fits(k jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(alg) {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return alg == jose.RS256 && key.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

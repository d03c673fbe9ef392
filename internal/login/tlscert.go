package login

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// TLS is a method for client certificates. The handshake proves that the client has the key; the chain, the names and the time
// are checked here, against the authorities of the method and no others. It needs a connection that ends at this server: a proxy
// in front that ends TLS takes the certificate away.
type TLS struct {
	CA string `json:"ca"` // PEM of the authorities that certificates must come from
	// Each list that is not empty must have a pattern that fits one of the certificate's names of that kind.
	CommonNames []Pattern `json:"common_names,omitempty"`
	DNS         []Pattern `json:"dns,omitempty"`
	Emails      []Pattern `json:"emails,omitempty"`
	URIs        []Pattern `json:"uris,omitempty"` // such as spiffe://prod.example.com/ns/shop/sa/*
	Units       []Pattern `json:"organizational_units,omitempty"`
	// Revoked are serial numbers, hexadecimal, that are refused before they end.
	Revoked []string `json:"revoked,omitempty"`
}

const (
	maxChain   = 10 // certificates of a client
	maxRevoked = 1000
)

func (s *TLS) names() map[string][]Pattern {
	return map[string][]Pattern{"common_names": s.CommonNames, "dns": s.DNS, "emails": s.Emails, "uris": s.URIs, "organizational_units": s.Units}
}

func (s *TLS) check() error {
	if s.CA == "" {
		return fault.New(fault.Invalid, "a tls method needs the authority").WithField("/settings/ca", "missing")
	}
	if _, err := pool(s.CA); err != nil {
		return err
	}
	bound := 0
	for field, patterns := range s.names() {
		if err := checkPatterns("/settings/"+field, patterns); err != nil {
			return err
		}
		bound += len(patterns)
	}
	if bound == 0 {
		return fault.New(fault.Invalid, "a tls method must bind names").WithHint("otherwise every certificate of the authority could log in").WithField("/settings/common_names", "want patterns here or in dns, emails, uris")
	}
	if len(s.Revoked) > maxRevoked {
		return fault.New(fault.Invalid, "more than %d serial numbers", maxRevoked).WithField("/settings/revoked", "too many")
	}
	for i, serial := range s.Revoked {
		s.Revoked[i] = strings.TrimLeft(strings.ReplaceAll(strings.ToLower(serial), ":", ""), "0")
	}
	return nil
}

func (s *TLS) needs() (least, most int) { return 0, 0 }

func (s *TLS) open(Around) (Verifier, error) {
	roots, err := pool(s.CA)
	return &clientCertificate{s, roots}, err
}

type clientCertificate struct {
	s     *TLS
	roots *x509.CertPool
}

// Verify implements [Verifier].
func (v *clientCertificate) Verify(_ context.Context, c Credential) (Evidence, error) {
	if len(c.Certificates) == 0 {
		return Evidence{}, rejected("the connection has no client certificate").WithHint("connect to the server itself, over TLS, with --tls-cert and --tls-key")
	}
	if len(c.Certificates) > maxChain {
		return Evidence{}, rejected("the chain has more than %d certificates", maxChain)
	}
	leaf, between := c.Certificates[0], x509.NewCertPool()
	for _, cert := range c.Certificates[1:] {
		between.AddCert(cert)
	}
	if leaf.IsCA {
		return Evidence{}, rejected("it is the certificate of an authority")
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return Evidence{}, rejected("the certificate is not of the method's authority, not for clients, or not valid now")
	}
	serial := strings.TrimLeft(hex.EncodeToString(leaf.SerialNumber.Bytes()), "0")
	if slices.Contains(v.s.Revoked, serial) {
		return Evidence{}, rejected("the certificate is revoked")
	}
	var uris []string
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	has := map[string][]string{"common_names": {leaf.Subject.CommonName}, "dns": leaf.DNSNames, "emails": leaf.EmailAddresses, "uris": uris, "organizational_units": leaf.Subject.OrganizationalUnit}
	e := Evidence{Subject: leaf.Subject.CommonName, Attributes: map[string]string{}, ExpiresAt: leaf.NotAfter}
	if len(uris) > 0 {
		e.Subject = uris[0]
	}
	for kind, patterns := range v.s.names() {
		if len(patterns) == 0 {
			continue
		}
		i := slices.IndexFunc(has[kind], func(name string) bool { return name != "" && matchesAny(patterns, name) })
		if i < 0 {
			return Evidence{}, rejected("its names are not ones that the method allows")
		}
		note(e.Attributes, kind, has[kind][i])
	}
	print := sha256.Sum256(leaf.Raw)
	note(e.Attributes, "common_name", leaf.Subject.CommonName)
	note(e.Attributes, "serial", serial)
	note(e.Attributes, "fingerprint", hex.EncodeToString(print[:]))
	return e, nil
}

package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	a := authority{}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.cert = a.make(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, a)
	return a
}

func (a authority) make(t *testing.T, c *x509.Certificate, by authority) *x509.Certificate {
	t.Helper()
	if c.SerialNumber == nil {
		c.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<60))
	}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	}
	parent := by.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &a.key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func selfSigned(t *testing.T) string { return newAuthority(t, "somebody else").pem() }

func TestClientCertificatesLogIn(t *testing.T) {
	t.Parallel()
	ca, evil := newAuthority(t, "test authority"), newAuthority(t, "test authority")
	spiffe, _ := url.Parse("spiffe://prod.example.test/ns/shop/sa/backend")
	issue := func(by authority, change func(*x509.Certificate)) []*x509.Certificate {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: "backend", OrganizationalUnit: []string{"shop"}}, DNSNames: []string{"backend.shop.example.test"},
			URIs: []*url.URL{spiffe}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature, SerialNumber: big.NewInt(0xabc)}
		change(c)
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return []*x509.Certificate{authority{nil, key}.make(t, c, by)}
	}
	same := func(*x509.Certificate) {}
	base := map[string]any{"ca": ca.pem(), "uris": []string{"spiffe://prod.example.test/ns/shop/sa/*"}, "revoked": []string{"0D:EF"}}
	with := func(more map[string]any) Verifier {
		all := map[string]any{}
		for k, v := range base {
			all[k] = v
		}
		for k, v := range more {
			all[k] = v
		}
		return opened(t, KindTLS, all, around(t))
	}
	show := func(v Verifier, certs []*x509.Certificate) (Evidence, error) {
		return v.Verify(context.Background(), Credential{Certificates: certs})
	}
	v := with(nil)
	e, err := show(v, issue(ca, same))
	if err != nil || e.Subject != spiffe.String() || e.Attributes["common_name"] != "backend" || e.Attributes["serial"] != "abc" {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, x := range []struct {
		name string
		v    Verifier
		c    []*x509.Certificate
	}{
		{"none", v, nil},
		{"of another authority with the same name", v, issue(evil, same)},
		{"another authority in the chain", v, append(issue(evil, same), evil.cert)},
		{"expired", v, issue(ca, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		})},
		{"not valid yet", v, issue(ca, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		})},
		{"for servers", v, issue(ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		{"of an authority", v, []*x509.Certificate{ca.cert}},
		{"revoked", v, issue(ca, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0xdef) })},
		{"another path", v, issue(ca, func(c *x509.Certificate) {
			c.URIs[0] = &url.URL{Scheme: "spiffe", Host: "prod.example.test", Path: "/ns/shop/sa/a/b"}
		})},
		{"another trust domain", v, issue(ca, func(c *x509.Certificate) {
			c.URIs[0] = &url.URL{Scheme: "spiffe", Host: "prod.example.test.evil", Path: "/ns/shop/sa/a"}
		})},
		{"no name of the kind", v, issue(ca, func(c *x509.Certificate) { c.URIs = nil })},
		{"one of two kinds", with(map[string]any{"dns": []string{"frontend.shop.example.test"}}), issue(ca, same)},
		{"a chain without end", v, []*x509.Certificate{ca.cert, ca.cert, ca.cert, ca.cert, ca.cert, ca.cert, ca.cert, ca.cert, ca.cert, ca.cert, ca.cert}},
	} {
		spiffe, _ = url.Parse("spiffe://prod.example.test/ns/shop/sa/backend")
		if _, err := show(x.v, x.c); fault.KindOf(err) != fault.Unauthenticated || err == nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	if _, err := show(with(map[string]any{"common_names": []string{"back*"}, "organizational_units": []string{"shop"}}), issue(ca, same)); err != nil {
		t.Error(err)
	}
	if strings.Contains(ca.pem(), "PRIVATE") {
		t.Error("the bundle holds a key")
	}
}

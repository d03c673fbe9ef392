package login

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

// maxPEMKeys bounds the public keys of one method: an issuer has one or two, and some more while it changes them.
const maxPEMKeys = 16

// KeySetOfPEM turns public keys in PEM, each a key or a certificate, into a JSON Web Key Set (RFC 7517), and gives the algorithms
// that they can be of.
func KeySetOfPEM(texts []string) (set string, algorithms []string, err error) {
	if len(texts) > maxPEMKeys {
		return "", nil, fault.New(fault.Invalid, "there are more than %d public keys", maxPEMKeys)
	}
	var out jose.JSONWebKeySet
	for _, text := range texts {
		key, alg, err := publicKey(text)
		if err != nil {
			return "", nil, err
		}
		out.Keys = append(out.Keys, jose.JSONWebKey{Key: key, Use: "sig", Algorithm: alg})
		if !slices.Contains(algorithms, alg) {
			algorithms = append(algorithms, alg)
		}
	}
	raw, err := json.Marshal(out)
	return string(raw), algorithms, err
}

func publicKey(text string) (any, string, error) {
	bad := fault.New(fault.Invalid, "a public key is not valid: want PEM of an RSA, P-256 or Ed25519 key")
	block, rest := pem.Decode([]byte(text))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, "", bad
	}
	var key any
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	}
	if err != nil {
		return nil, "", bad
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k, string(jose.RS256), nil
	case ed25519.PublicKey:
		return k, string(jose.EdDSA), nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return k, string(jose.ES256), nil
		}
	}
	return nil, "", bad
}

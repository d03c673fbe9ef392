package transit

import (
	"crypto/elliptic"
)

// Kind is the type of a key, in the words of the Vault dialect.
type Kind string

// The kinds of keys.
const (
	AES128   Kind = "aes128-gcm96"      // AES-GCM with random 96-bit nonces (NIST SP 800-38D)
	AES256   Kind = "aes256-gcm96"      // the same with 256 bits; what is made when nothing is said
	ChaCha20 Kind = "chacha20-poly1305" // RFC 8439
	Ed25519  Kind = "ed25519"           // RFC 8032
	P256     Kind = "ecdsa-p256"        // FIPS 186-5
	P384     Kind = "ecdsa-p384"
	P521     Kind = "ecdsa-p521"
	RSA2048  Kind = "rsa-2048" // RFC 8017: OAEP with SHA-256 to encrypt, PSS or PKCS #1 v1.5 to sign
	RSA3072  Kind = "rsa-3072"
	RSA4096  Kind = "rsa-4096"
	HMAC     Kind = "hmac" // RFC 2104 only
)

// traits say what keys of a kind can do.
type traits struct {
	encrypts, derives, signs bool
	hashes                   bool // a signature is of a digest
	size                     int  // of a symmetric key or a seed, in bytes
	curve                    elliptic.Curve
	bits                     int // of an RSA modulus
}

func (k Kind) traits() (traits, bool) {
	switch k {
	case AES128:
		return traits{encrypts: true, derives: true, size: 16}, true
	case AES256, ChaCha20:
		return traits{encrypts: true, derives: true, size: 32}, true
	case Ed25519:
		return traits{derives: true, signs: true, size: 32}, true
	case P256:
		return traits{signs: true, hashes: true, curve: elliptic.P256()}, true
	case P384:
		return traits{signs: true, hashes: true, curve: elliptic.P384()}, true
	case P521:
		return traits{signs: true, hashes: true, curve: elliptic.P521()}, true
	case RSA2048:
		return traits{encrypts: true, signs: true, hashes: true, bits: 2048}, true
	case RSA3072:
		return traits{encrypts: true, signs: true, hashes: true, bits: 3072}, true
	case RSA4096:
		return traits{encrypts: true, signs: true, hashes: true, bits: 4096}, true
	case HMAC:
		return traits{size: hmacSize}, true
	}
	return traits{}, false
}

// Encrypts tells whether keys of the kind encrypt and decrypt.
func (k Kind) Encrypts() bool { t, _ := k.traits(); return t.encrypts }

// Derives tells whether keys of the kind can have a key of its own for each context.
func (k Kind) Derives() bool { t, _ := k.traits(); return t.derives }

// Signs tells whether keys of the kind sign.
func (k Kind) Signs() bool { t, _ := k.traits(); return t.signs }

// RSA tells whether keys of the kind are RSA keys.
func (k Kind) RSA() bool { t, _ := k.traits(); return t.bits != 0 }

// ECDSA tells whether keys of the kind are on a NIST curve.
func (k Kind) ECDSA() bool { t, _ := k.traits(); return t.curve != nil }

// Symmetric tells whether the kind has no public half.
func (k Kind) Symmetric() bool { t, ok := k.traits(); return ok && !t.signs }

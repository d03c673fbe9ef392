package transit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/keyturn/keyturn/internal/fault"
)

// cipherer seals and opens with one key. Sealed bytes are nonce, ciphertext and tag, or the block of OAEP.
type cipherer interface {
	seal(plaintext, associated []byte) ([]byte, error)
	open(sealed, associated []byte) ([]byte, error)
}

const (
	nonceSize = 12
	tagSize   = 16
	// saltNonce tells the key that nonces are made with from the one that encrypts: both come from the same material.
	saltNonce = "keyturn transit nonce v1"
	// maxContext bounds the context of a derived key, in bytes: it names a user or a record.
	maxContext = 64 << 10
)

// aead is an AEAD with 96-bit nonces. With nonceKey the nonce is made from what is sealed and is not random.
type aead struct {
	cipher.AEAD
	nonceKey []byte
}

func newCipher(kind Kind, key []byte) (cipherer, error) {
	a, err := newAEAD(kind, key)
	return aead{AEAD: a}, err
}

func newAEAD(kind Kind, key []byte) (cipher.AEAD, error) {
	if kind == ChaCha20 {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// derive gives what encrypts for one context: HKDF-SHA256 (RFC 5869) of the key without salt, the context as info. A convergent
// key has its nonces from HMAC-SHA256, cut to 96 bits, of associated data and plaintext, under a second derived key that has a
// salt of its own: a synthetic IV (Rogaway and Shrimpton, "Deterministic Authenticated-Encryption", 2006). Equal plaintexts under
// equal context and associated data give equal ciphertexts; that they are equal is all that shows. The associated data is part of
// what the nonce is made from, since two ciphertexts with one nonce and different associated data would give GCM's
// authentication key away.
func derive(kind Kind, key, context []byte, convergent bool) (cipherer, error) {
	sub, err := derivedKey(kind, key, context)
	if err != nil {
		return nil, err
	}
	out := aead{}
	if out.AEAD, err = newAEAD(kind, sub); err != nil {
		return nil, err
	}
	clear(sub)
	if convergent {
		if out.nonceKey, err = hkdf.Key(sha256.New, key, []byte(saltNonce), string(context), sha256.Size); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// derivedKey gives the key of one context, as long as those of the kind are.
func derivedKey(kind Kind, key, context []byte) ([]byte, error) {
	switch {
	case len(context) == 0:
		return nil, fault.New(fault.Invalid, "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key")
	case len(context) > maxContext:
		return nil, fault.New(fault.Invalid, "the context is longer than %d bytes", maxContext)
	}
	t, _ := kind.traits()
	return hkdf.Key(sha256.New, key, nil, string(context), t.size)
}

func (a aead) nonce(plaintext, associated []byte) []byte {
	if a.nonceKey == nil {
		return random(nonceSize)
	}
	mac := hmac.New(sha256.New, a.nonceKey)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(associated))))
	mac.Write(associated)
	mac.Write(plaintext)
	return mac.Sum(nil)[:nonceSize]
}

func (a aead) seal(plaintext, associated []byte) ([]byte, error) {
	out := make([]byte, nonceSize, nonceSize+len(plaintext)+tagSize)
	copy(out, a.nonce(plaintext, associated))
	return a.Seal(out, out, plaintext, associated), nil
}

func (a aead) open(sealed, associated []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, fault.New(fault.Invalid, "invalid ciphertext length")
	}
	plaintext, err := a.Open(nil, sealed[:nonceSize], sealed[nonceSize:], associated)
	if err != nil {
		return nil, unauthentic()
	}
	return plaintext, nil
}

// unauthentic is all that is told of a ciphertext that does not open: of another key, context or associated data, or altered.
func unauthentic() error { return fault.New(fault.Invalid, "cipher: message authentication failed") }

// oaep is RSAES-OAEP with SHA-256 and an empty label (RFC 8017, section 7.1). PKCS #1 v1.5 is not offered to encrypt: whoever can
// ask whether a ciphertext opens could read it.
type oaep func() *rsa.PrivateKey

func (k oaep) seal(plaintext, associated []byte) ([]byte, error) {
	if len(associated) > 0 {
		return nil, noAssociated()
	}
	out, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &k().PublicKey, plaintext, nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the plaintext is too long for an RSA key: encrypt it with a data key, and that with the RSA key")
	}
	return out, nil
}

func (k oaep) open(sealed, associated []byte) ([]byte, error) {
	if len(associated) > 0 {
		return nil, noAssociated()
	}
	out, err := rsa.DecryptOAEP(sha256.New(), nil, k(), sealed, nil)
	if err != nil {
		return nil, unauthentic()
	}
	return out, nil
}

func noAssociated() error {
	return fault.New(fault.Invalid, "associated_data is not supported by keys of this type")
}

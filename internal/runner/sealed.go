package runner

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// The layout of a cache file, version 1:
//
//	"KTRUN" | version (1) | salt (32) | nonce (12) | AES-256-GCM of the snapshot and its tag (16)
//
// The key is HKDF-SHA256 (RFC 5869) of the token with the salt. Nonce, ciphertext and tag are as
// [cipher.NewGCMWithRandomNonce] makes them (NIST SP 800-38D section 8.2.2); the salt makes the key new each time. All
// before the nonce, then the canonical [CacheKey], is associated data: a file put under another name does not open.
const (
	magic       = "KTRUN"
	version     = 1
	saltSize    = 32
	headerSize  = len(magic) + 1 + saltSize
	sealedExtra = 12 + 16 // nonce and tag
	keySize     = 32
	keyInfo     = "keyturn run cache v1"
)

var errSealed = errors.New("not a sealed snapshot of a known version")

func seal(key CacheKey, token sensitive.Value, plain []byte) ([]byte, error) {
	header := make([]byte, headerSize, headerSize+sealedExtra+len(plain))
	copy(header, magic)
	header[len(magic)] = version
	_, _ = rand.Read(header[headerSize-saltSize:]) // never fails
	aead, err := aeadFor(token, header)
	if err != nil {
		return nil, err
	}
	return aead.Seal(header, nil, plain, associated(header, key)), nil
}

func open(key CacheKey, token sensitive.Value, file []byte) ([]byte, error) {
	if len(file) < headerSize+sealedExtra || !bytes.HasPrefix(file, []byte(magic)) || file[len(magic)] != version {
		return nil, errSealed
	}
	header := file[:headerSize]
	aead, err := aeadFor(token, header)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, file[headerSize:], associated(header, key))
}

func aeadFor(token sensitive.Value, header []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, token.Reveal(), header[headerSize-saltSize:headerSize], keyInfo, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func associated(header []byte, key CacheKey) []byte {
	return append(bytes.Clone(header[:headerSize]), key.canonical()...)
}

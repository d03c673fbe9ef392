package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/keyturn/keyturn/internal/fault"
)

// The one format and algorithm so far. A later one gets the next number; these stay readable for ever.
const (
	formatOne        byte = 1
	algorithmAES256G byte = 1 // AES-256-GCM, random 96-bit nonce, 128-bit tag (NIST SP 800-38D)
	algorithmHPKE    byte = 2 // of slots only: HPKE (RFC 9180), see hpke.go
)

// Sizes of the parts of an envelope, in bytes.
const (
	headerSize = 1 + 1 + 16 + 4 // format, algorithm, key id, generation
	nonceSize  = 12
	tagSize    = 16

	// Overhead is how many bytes an envelope is longer than what it seals.
	Overhead = headerSize + nonceSize + tagSize
)

// MaxPlaintext bounds what one envelope may hold, in bytes. A value is at most 64 KiB; sixteen times that leaves room for
// stored credentials with certificate chains, and still lets nobody make the server hold a gigabyte in one piece.
const MaxPlaintext = 1 << 20

// Purposes are the first field of all associated data, so that no envelope of one kind opens as another.
const (
	purposeValue = "keyturn envelope v1"
	purposeKey   = "keyturn key v1"
	purposeSlot  = "keyturn slot v1"
	purposeSlot2 = "keyturn slot v2"
	purposeProof = "keyturn slot proof v1"
	purposeTest  = "keyturn slot test v1"
)

// Header is the clear front of an envelope. It says which key opens it, and is authenticated.
//
//	offset  0  format      1 byte
//	offset  1  algorithm   1 byte
//	offset  2  key id     16 bytes
//	offset 18  generation  4 bytes, big-endian
//	offset 22  nonce      12 bytes, then ciphertext, then tag of 16 bytes
type Header struct {
	Format, Algorithm byte
	Key               KeyID
	Generation        uint32
}

// ParseHeader reads the front of a whole envelope. An unknown format or algorithm is [fault.Unsupported] (a newer server
// wrote it); a length that no envelope has, or generation 0, is [ErrDamaged].
func ParseHeader(envelope []byte) (Header, error) { return parseHeader(envelope, algorithmAES256G) }

func parseHeader(envelope []byte, algorithm byte) (Header, error) {
	switch n := len(envelope); {
	case n < Overhead:
		return Header{}, damaged("envelope of %d bytes is shorter than the shortest possible, %d bytes", n, Overhead)
	case n > Overhead+MaxPlaintext:
		return Header{}, damaged("envelope of %d bytes is longer than the longest possible, %d bytes", n, Overhead+MaxPlaintext)
	}
	h := Header{
		Format:     envelope[0],
		Algorithm:  envelope[1],
		Key:        KeyID(envelope[2:18]),
		Generation: binary.BigEndian.Uint32(envelope[18:headerSize]),
	}
	switch {
	case h.Format != formatOne:
		return Header{}, fault.New(fault.Unsupported, "envelope has format %d, which this version does not know", h.Format)
	case h.Algorithm != algorithm:
		return Header{}, fault.New(fault.Unsupported, "envelope has algorithm %d, which this version does not know", h.Algorithm)
	case h.Generation == 0:
		return Header{}, damaged("envelope names generation 0 of key %s", h.Key)
	}
	return h, nil
}

// headerOf is the header of what is sealed under a key from now on.
func headerOf(id KeyID, generation uint32) Header {
	return Header{formatOne, algorithmAES256G, id, generation}
}

// EnvelopesUnder is what all envelopes under a key begin with. The bare id is not enough to find them: it stands in indexes too.
func EnvelopesUnder(id KeyID) []byte { return headerOf(id, 0).append(nil)[:headerSize-4] }

func (h Header) append(b []byte) []byte {
	b = append(b, h.Format, h.Algorithm)
	b = append(b, h.Key[:]...)
	return binary.BigEndian.AppendUint32(b, h.Generation)
}

// field appends one field of associated data: its length as 4 bytes, big-endian, and its bytes. Without lengths
// ("ab", "c") and ("a", "bc") would authenticate the same.
func field[T string | []byte](b []byte, f T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
	return append(b, f...)
}

func fields(b []byte, fs ...string) []byte {
	for _, f := range fs {
		b = field(b, f)
	}
	return b
}

// newAEAD panics only if the length of key is wrong, which is fixed at every call.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("keyring: a key has the wrong length")
	}
	// This constructor makes the nonce itself: no caller can repeat one, and it is the one that FIPS 140-3 mode allows.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("keyring: no AES-GCM with random nonces")
	}
	return aead
}

// sealWith gives header, nonce, ciphertext and tag in one piece.
func sealWith(aead cipher.AEAD, h Header, plaintext, associated []byte) []byte {
	out := make([]byte, 0, Overhead+len(plaintext))
	return aead.Seal(h.append(out), nil, plaintext, associated)
}

// openWith gives the plaintext, or false if envelope or associated data are not those that were sealed.
func openWith(aead cipher.AEAD, envelope, associated []byte) ([]byte, bool) {
	plaintext, err := aead.Open(nil, nil, envelope[headerSize:], associated)
	return plaintext, err == nil
}

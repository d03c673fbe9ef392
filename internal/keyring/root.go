package keyring

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// keySize is the length of every key here, in bytes: AES-256, HMAC-SHA256 and Ed25519 seeds all take 32.
const keySize = 32

// rootText is how many hex characters a root key has.
const rootText = 2 * keySize

// Purposes of what is derived from a root key by HKDF-SHA256 (RFC 5869). The root key itself touches no data.
const (
	purposeRootWrap        = "keyturn root wrap v1"
	purposeRootCheck       = "keyturn root check v1"
	purposeRootFingerprint = "keyturn root fingerprint v1"
	purposeRootPair        = "keyturn root key pair v1"
)

// Root is the key outside the database. The zero Root is no key: [Create] and [Unlock] refuse it. It prints as
// [sensitive.Redacted] everywhere.
type Root struct{ key sensitive.Value }

// NewRoot makes a root key from the system's randomness.
func NewRoot() Root {
	b := make([]byte, keySize)
	_, _ = rand.Read(b) // never fails: crypto/rand stops the process instead
	return Root{sensitive.New(b)}
}

// ParseRoot reads 64 hex characters of either case. One trailing newline or CRLF is tolerated, since files and here-documents
// add it. Everything else is [fault.Invalid] with a text that says what is wrong and never shows any of the input.
func ParseRoot(text []byte) (Root, error) { return parseRoot("root key", text) }

// parseRoot is ParseRoot with a name that says where the text came from.
func parseRoot(name string, text []byte) (Root, error) {
	if cut, ok := bytes.CutSuffix(text, []byte("\n")); ok {
		text = bytes.TrimSuffix(cut, []byte("\r"))
	}
	wrong := func(problem string, args ...any) (Root, error) {
		return Root{}, fault.New(fault.Invalid, "%s %s", name, fmt.Sprintf(problem, args...)).
			WithHint("a root key is 64 hex characters; make one with: openssl rand -hex 32")
	}
	switch n := utf8.RuneCount(text); {
	case n == 0:
		return wrong("is empty")
	case n < rootText:
		return wrong("is too short: it has %d characters, needed are %d", n, rootText)
	case n > rootText:
		return wrong("is too long: it has %d characters, needed are %d", n, rootText)
	}
	key := make([]byte, keySize)
	// The decoder's own error shows the offending character, so it is dropped. The length is checked first, because the
	// text counts characters and may have more bytes than fit.
	if len(text) != rootText {
		return wrong("has a character that is not hex")
	}
	if _, err := hex.Decode(key, text); err != nil {
		clear(key)
		return wrong("has a character that is not hex")
	}
	if bytes.Count(key, key[:1]) == keySize {
		if key[0] == 0 {
			return wrong("is all zeros")
		}
		return wrong("is one byte repeated")
	}
	return Root{sensitive.New(key)}, nil
}

// RootOf makes a root key of the 32 bytes that a source of root keys gave, and takes ownership of them. Another length is
// [fault.Invalid].
func RootOf(key sensitive.Value) (Root, error) {
	if key.Len() != keySize {
		return Root{}, fault.New(fault.Invalid, "the root key has %d bytes, needed are %d", key.Len(), keySize)
	}
	return Root{key}, nil
}

// Bytes gives the 32 bytes that [RootOf] takes. The value is shared, not copied.
func (r Root) Bytes() sensitive.Value { return r.key }

// Copy gives a root key of its own, so that either can be wiped.
func (r Root) Copy() Root { return Root{sensitive.New(bytes.Clone(r.key.Reveal()))} }

// Hex gives the 64 lower-case characters that [ParseRoot] reads.
func (r Root) Hex() sensitive.Value {
	return sensitive.New(hex.AppendEncode(nil, r.key.Reveal()))
}

// Fingerprint names the root key without telling anything about it: 64 bits of HKDF-SHA256 as 16 hex characters in groups
// of four, "ab12-cd34-ef56-7890". It is safe to print and is kept for ever. The zero Root has the empty fingerprint.
func (r Root) Fingerprint() string {
	if r.missing() {
		return ""
	}
	h := hex.EncodeToString(r.derive(purposeRootFingerprint, 8))
	return h[0:4] + "-" + h[4:8] + "-" + h[8:12] + "-" + h[12:16]
}

func (r Root) missing() bool { return r.key.Len() != keySize }

// derive gives n bytes that stand for one purpose only.
func (r Root) derive(purpose string, n int) []byte {
	b, err := hkdf.Key(sha256.New, r.key.Reveal(), nil, purpose, n)
	if err != nil {
		panic("keyring: hkdf refused a fixed length")
	}
	return b
}

// wrapper is the AEAD that wraps instance keys.
func (r Root) wrapper() cipher.AEAD {
	key := r.derive(purposeRootWrap, keySize)
	defer clear(key)
	return newAEAD(key)
}

// check is the key check value of one slot: HMAC-SHA256 under a derived key, so that it is no help against the wrapping.
func (r Root) check(instanceID, slotID string) []byte {
	key := r.derive(purposeRootCheck, keySize)
	defer clear(key)
	m := hmac.New(sha256.New, key)
	m.Write(fields(nil, "keyturn key check v1", instanceID, slotID))
	return m.Sum(nil)
}

// String shows [sensitive.Redacted], as do the methods after it.
func (r Root) String() string { return sensitive.Redacted }

// GoString implements [fmt.GoStringer].
func (r Root) GoString() string { return sensitive.Redacted }

// Format implements [fmt.Formatter] for every verb.
func (r Root) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(sensitive.Redacted)) }

// LogValue implements [slog.LogValuer].
func (r Root) LogValue() slog.Value { return slog.StringValue(sensitive.Redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (r Root) MarshalText() ([]byte, error) { return []byte(sensitive.Redacted), nil }

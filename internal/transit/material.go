package transit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// materialFormat is the first byte of what is sealed.
	materialFormat byte = 1
	// hmacSize is the length of keys for authentication codes, in bytes: that of SHA-256.
	hmacSize = 32
	// minHMAC and maxHMAC bound the length of a key of kind hmac, in bytes.
	minHMAC, maxHMAC = 32, 512
)

// material is what a version is made of.
//
// Sealed it is the byte 1, the length of the key for authentication codes as two bytes, that key, and then the key itself: a
// symmetric key or an Ed25519 seed as it is, other private keys as PKCS #8. Keys of kind hmac have only the second.
type material struct {
	raw    sensitive.Value
	hmac   sensitive.Value
	public []byte // SubjectPublicKeyInfo, nil of symmetric keys
	// signer gives the private key; it is behind a function so that it prints nowhere.
	signer func() crypto.Signer
	cipher cipherer // of keys that are not derived
}

// Format implements [fmt.Formatter] for every verb: a cipher holds its key where fmt would find it.
func (material) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(sensitive.Redacted)) }

// generate makes fresh material. size is that of a key of kind hmac, 0 for the usual one.
func generate(kind Kind, size int) (*material, error) {
	t, ok := kind.traits()
	if !ok {
		return nil, unknownKind()
	}
	if kind == HMAC {
		if size == 0 {
			size = hmacSize
		}
		if size < minHMAC || size > maxHMAC {
			return nil, fault.New(fault.Invalid, "invalid key_size: the key of an HMAC has %d to %d bytes", minHMAC, maxHMAC)
		}
		return newMaterial(kind, random(size), nil, nil)
	}
	var private crypto.Signer
	var err error
	switch {
	case t.bits != 0:
		private, err = rsa.GenerateKey(rand.Reader, t.bits)
	case t.curve != nil:
		private, err = ecdsa.GenerateKey(t.curve, rand.Reader)
	default:
		return newMaterial(kind, random(t.size), random(hmacSize), nil)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return newMaterial(kind, der, random(hmacSize), private)
}

func unknownKind() error { return fault.New(fault.Invalid, "unknown key type") }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// newMaterial takes over the bytes of a key and refuses those that are no key of the kind.
func newMaterial(kind Kind, raw, code []byte, private crypto.Signer) (*material, error) {
	t, ok := kind.traits()
	m := &material{raw: sensitive.New(raw), hmac: sensitive.New(code)}
	switch {
	case !ok:
		return nil, unknownKind()
	case kind == HMAC:
		m.hmac = m.raw
		if len(raw) < minHMAC || len(raw) > maxHMAC {
			return nil, notOf(kind)
		}
		return m, nil
	case len(code) != hmacSize:
		return nil, notOf(kind)
	case t.size != 0:
		if len(raw) != t.size {
			return nil, notOf(kind)
		}
		if kind == Ed25519 {
			private = ed25519.NewKeyFromSeed(raw)
			break
		}
		var err error
		m.cipher, err = newCipher(kind, raw)
		return m, err
	case private == nil:
		parsed, err := x509.ParsePKCS8PrivateKey(raw)
		if err != nil {
			return nil, notOf(kind)
		}
		private, _ = parsed.(crypto.Signer)
	}
	switch p := private.(type) {
	case *rsa.PrivateKey:
		ok = p.N.BitLen() == t.bits
		m.cipher = oaep(func() *rsa.PrivateKey { return p })
	case *ecdsa.PrivateKey:
		ok = p.Curve == t.curve
	case ed25519.PrivateKey:
		ok = kind == Ed25519
	default:
		ok = false
	}
	if !ok {
		return nil, notOf(kind)
	}
	m.signer = func() crypto.Signer { return private }
	var err error
	m.public, err = x509.MarshalPKIXPublicKey(private.Public())
	return m, err
}

func notOf(kind Kind) error {
	return fault.New(fault.Invalid, "the material is not a key of type %s", kind)
}

// encode gives what is sealed.
func (m *material) encode(kind Kind) sensitive.Value {
	code := m.hmac.Reveal()
	if kind == HMAC {
		code = nil
	}
	raw := m.raw.Reveal()
	b := make([]byte, 0, 3+len(code)+len(raw))
	b = append(b, materialFormat)
	b = binary.BigEndian.AppendUint16(b, uint16(len(code)))
	return sensitive.New(append(append(b, code...), raw...))
}

// decode reads it again. It keeps parts of the value.
func decode(kind Kind, v sensitive.Value) (*material, error) {
	b := v.Reveal()
	if len(b) < 3 || b[0] != materialFormat {
		return nil, notOf(kind)
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if b = b[3:]; len(b) < n {
		return nil, notOf(kind)
	}
	return newMaterial(kind, b[n:], b[:n:n], nil)
}

// place is where an envelope belongs: to this version of this key.
func place(row *store.TransitVersion) keyring.Place {
	return keyring.Place{Project: string(row.Project), Record: row.ID, Field: fieldKey, Version: row.Version}
}

// seal makes the next row of a key, in the transaction that stores it.
func (s *Service) seal(ctx context.Context, tx *store.Tx, row *store.TransitKey, number int64, m *material) (*store.TransitVersion, error) {
	v := store.NewTransitVersion(row, number, tx.Now())
	v.Public = m.public
	encoded := m.encode(Kind(row.Kind))
	defer encoded.Wipe()
	var err error
	if v.Value, err = s.ring.Seal(place(&v), encoded); err != nil {
		return nil, err
	}
	return &v, s.keys.Reserve(ctx, tx)
}

// open gives the material of a version. The permit is proof that somebody asked at the door.
func (s *Service) open(ctx context.Context, p guard.Permit, v *version) (*material, error) {
	if !p.Valid() {
		return nil, fault.New(fault.Denied, "no permit")
	}
	if m := v.opened.Load(); m != nil {
		return m, nil
	}
	v.opening.Lock()
	defer v.opening.Unlock()
	if m := v.opened.Load(); m != nil {
		return m, nil
	}
	sealed, err := s.ring.Open(place(&v.row), v.row.Value)
	if err != nil {
		sealed, err = s.openAnew(ctx, &v.row, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open version %d of a key: %w", v.row.Version, err)
	}
	m, err := decode(v.kind, sealed)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "version %d of a key is damaged", v.row.Version)
	}
	if !bytes.Equal(m.public, v.row.Public) && (len(m.public) > 0 || len(v.row.Public) > 0) {
		return nil, fault.New(fault.Internal, "the public half of version %d of a key is not that of its private half", v.row.Version).
			WithHint("run: keyturn audit verify --deep")
	}
	v.opened.Store(m)
	return m, nil
}

// openAnew opens what did not open as it was at hand: keys may have turned since it was read.
func (s *Service) openAnew(ctx context.Context, row *store.TransitVersion, cause error) (sensitive.Value, error) {
	if err := s.keys.Refresh(ctx); err != nil {
		return sensitive.Value{}, errors.Join(cause, err)
	}
	versions, err := s.db.TransitVersions(ctx, row.Key)
	if err != nil {
		return sensitive.Value{}, err
	}
	for i := range versions {
		if versions[i].ID == row.ID {
			return s.ring.Open(place(&versions[i]), versions[i].Value)
		}
	}
	return sensitive.Value{}, cause
}

// envelopeOverhead is how many bytes an envelope is longer than what it seals.
const envelopeOverhead = keyring.Overhead

package transit

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// ToSign is something to sign or to make a code of.
type ToSign struct {
	Input   []byte
	Context []byte // of derived keys
}

// Signature is a signature, or why there is none.
type Signature struct {
	Bytes   []byte // in the form of the scheme
	Version int64
	Public  []byte // of a derived key the public half for the context, 32 bytes; else nil
	Err     error
}

// ToVerify is something with a signature or code.
type ToVerify struct {
	Input   []byte
	Context []byte
	Bytes   []byte // of the signature or code
	Version int64  // that made it; 0 tries all from the newest, for dialects whose signatures do not tell
}

// Verdict tells whether a signature or code is good, or why that cannot be said.
type Verdict struct {
	Valid bool
	Err   error
}

// FormatSignature writes a signature as the Vault dialect has it.
func FormatSignature(s Signature, m Marshaling) string {
	return format(s.Version, s.Bytes, m.encoding())
}

// ParseSignature reads one.
func ParseSignature(text string, m Marshaling) (version int64, b []byte, err error) {
	return parse(text, m.encoding(), ofSignature)
}

// FormatHMAC writes an authentication code as the Vault dialect has it.
func FormatHMAC(s Signature) string { return format(s.Version, s.Bytes, base64.StdEncoding) }

// ParseHMAC reads one.
func ParseHMAC(text string) (version int64, b []byte, err error) {
	return parse(text, base64.StdEncoding, ofHMAC)
}

const (
	noSigning      = "key type %v does not support signing"
	noVerification = "key type %v does not support verification"
	newerSignature = "invalid signature: version is too new"
	newerHMAC      = "invalid HMAC: version is too new"
	olderHMAC      = "cannot verify HMAC: version is too old (disallowed by policy)"
)

// signs bounds batches of keys whose signatures take milliseconds.
func (k *key) signs(does bool, not string, n int) error {
	if err := k.can(does, not, n); err != nil {
		return err
	}
	if n > maxSlowBatch && k.kind().Signs() && k.kind() != Ed25519 {
		return fault.New(fault.Invalid, "too many items in one request: at most %d with a key of this type", maxSlowBatch)
	}
	return nil
}

// signer gives the private key of a version, for a context where the key is derived.
func (s *Service) signer(ctx context.Context, p guard.Permit, k *key, v *version, context []byte) (crypto.Signer, error) {
	m, err := s.open(ctx, p, v)
	if err != nil {
		return nil, err
	}
	if !k.row.Derived {
		return m.signer(), nil
	}
	seed, err := derivedKey(v.kind, m.raw.Reveal(), context)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Sign signs each item.
func (s *Service) Sign(ctx context.Context, ref Ref, scheme Scheme, version int64, items []ToSign) ([]Signature, error) {
	out := make([]Signature, len(items))
	err := s.use(ctx, policy.TransitSign, ref, "", func(p guard.Permit, k *key) error {
		if err := k.signs(k.kind().Signs(), noSigning, len(items)); err != nil {
			return err
		}
		if err := scheme.check(k.kind()); err != nil {
			return err
		}
		v, err := k.forUse(version, "signing")
		if err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) error {
			private, err := s.signer(ctx, p, k, v, items[i].Context)
			if err != nil {
				return err
			}
			out[i].Version = v.row.Version
			if k.row.Derived {
				out[i].Public, _ = private.Public().(ed25519.PublicKey)
			}
			out[i].Bytes, err = scheme.sign(v.kind, private, items[i].Input)
			return err
		}, func(i int, err error) { out[i] = Signature{Err: err} })
	})
	return out, err
}

// Verify tells of each item whether its signature is good.
func (s *Service) Verify(ctx context.Context, ref Ref, scheme Scheme, items []ToVerify) ([]Verdict, error) {
	out := make([]Verdict, len(items))
	err := s.use(ctx, policy.TransitVerify, ref, "", func(p guard.Permit, k *key) error {
		if err := k.signs(k.kind().Signs(), noVerification, len(items)); err != nil {
			return err
		}
		if err := scheme.check(k.kind()); err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) (err error) {
			if k, err = s.newest(ctx, k, items[i].Version); err != nil {
				return err
			}
			out[i].Valid, err = s.verifyAny(k, &items[i], newerSignature, tooOldText, func(v *version) (bool, error) {
				private, err := s.signer(ctx, p, k, v, items[i].Context)
				if err != nil {
					return false, err
				}
				return scheme.verify(v.kind, private.Public(), items[i].Input, items[i].Bytes, k.sole())
			})
			return err
		}, func(i int, err error) { out[i] = Verdict{Err: err} })
	})
	return out, err
}

// maxTried bounds the versions that are tried for a signature that does not tell its own: the newest.
const maxTried = 16

// verifyAny asks the version that made something, or the newest ones one after the other when that is not known.
func (s *Service) verifyAny(k *key, in *ToVerify, tooNew, tooOld string, good func(*version) (bool, error)) (bool, error) {
	if in.Version != 0 {
		v, err := k.made(in.Version, tooNew, tooOld)
		if err != nil {
			return false, err
		}
		return good(v)
	}
	for number := k.row.Latest; number >= max(1, k.row.MinDecryption, k.row.Latest-maxTried+1); number-- {
		v, err := k.made(number, tooNew, tooOld)
		if err != nil {
			return false, err
		}
		if ok, err := good(v); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// sole tells that the material never left this service nor came from outside, so that every signature was made here.
func (k *key) sole() bool { return !k.row.Exportable && !k.row.PlainBackup && !k.row.Imported }

// code gives an authentication code: HMAC (RFC 2104) under a key that each version has for nothing else.
func (s *Service) code(ctx context.Context, p guard.Permit, v *version, h crypto.Hash, input []byte) ([]byte, error) {
	m, err := s.open(ctx, p, v)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(h.New, m.hmac.Reveal())
	mac.Write(input)
	return mac.Sum(nil), nil
}

func (h Hash) forHMAC() (crypto.Hash, error) {
	a, ok := h.algorithm()
	if !ok {
		return 0, fault.New(fault.Invalid, "unsupported algorithm")
	}
	return a, nil
}

// HMAC makes an authentication code of each item. Keys of all kinds do that.
func (s *Service) HMAC(ctx context.Context, ref Ref, hash Hash, version int64, items []ToSign) ([]Signature, error) {
	h, err := hash.forHMAC()
	if err != nil {
		return nil, err
	}
	out := make([]Signature, len(items))
	err = s.use(ctx, policy.TransitHMAC, ref, "", func(p guard.Permit, k *key) error {
		if err := k.bounded(len(items)); err != nil {
			return err
		}
		v, err := k.forUse(version, "HMAC")
		if err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) (err error) {
			out[i].Version = v.row.Version
			out[i].Bytes, err = s.code(ctx, p, v, h, items[i].Input)
			return err
		}, func(i int, err error) { out[i] = Signature{Err: err} })
	})
	return out, err
}

// VerifyHMAC tells of each item whether its code is good.
func (s *Service) VerifyHMAC(ctx context.Context, ref Ref, hash Hash, items []ToVerify) ([]Verdict, error) {
	h, err := hash.forHMAC()
	if err != nil {
		return nil, err
	}
	out := make([]Verdict, len(items))
	err = s.use(ctx, policy.TransitVerify, ref, "hmac", func(p guard.Permit, k *key) error {
		if err := k.bounded(len(items)); err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) (err error) {
			if k, err = s.newest(ctx, k, items[i].Version); err != nil {
				return err
			}
			out[i].Valid, err = s.verifyAny(k, &items[i], newerHMAC, olderHMAC, func(v *version) (bool, error) {
				want, err := s.code(ctx, p, v, h, items[i].Input)
				return hmac.Equal(want, items[i].Bytes), err
			})
			return err
		}, func(i int, err error) { out[i] = Verdict{Err: err} })
	})
	return out, err
}

package transit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // so that crypto.Hash knows them
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"math/big"

	"github.com/keyturn/keyturn/internal/fault"
)

// Hash names a hash algorithm.
type Hash string

// NoHash is none: PKCS #1 v1.5 of what the caller has prepared, without the name of a hash in it.
const NoHash Hash = "none"

// algorithm finds a hash by its name in the Vault dialect. SHA-1 is none of them: signatures with it are forged.
func (h Hash) algorithm() (crypto.Hash, bool) {
	switch h {
	case "", "sha2-256":
		return crypto.SHA256, true
	case "sha2-224":
		return crypto.SHA224, true
	case "sha2-384":
		return crypto.SHA384, true
	case "sha2-512":
		return crypto.SHA512, true
	case "sha3-224":
		return crypto.SHA3_224, true
	case "sha3-256":
		return crypto.SHA3_256, true
	case "sha3-384":
		return crypto.SHA3_384, true
	case "sha3-512":
		return crypto.SHA3_512, true
	}
	return 0, false
}

// Padding says how an RSA key signs.
type Padding string

// The paddings (RFC 8017, sections 8.1 and 8.2). PSS is used when nothing is said.
const (
	PSS     Padding = "pss"
	PKCS1v1 Padding = "pkcs1v15"
)

// Marshaling says how a signature is written.
type Marshaling string

// The forms of signatures. An ECDSA signature is a DER sequence of r and s, or for JWS both as fixed-length numbers one after the
// other (RFC 7518, section 3.4).
const (
	ASN1 Marshaling = "asn1"
	JWS  Marshaling = "jws"
)

// Encoding is the base64 that goes with a form: JWS has the one for URLs without padding.
func (m Marshaling) encoding() *base64.Encoding {
	if m == JWS {
		return base64.RawURLEncoding
	}
	return base64.StdEncoding
}

// SaltLength is that of PSS in bytes; below zero it is one of these.
const (
	SaltAuto = -1 // as long as fits to sign, whatever it is to verify
	SaltHash = -2 // as long as the digest
)

// Scheme is how signatures are made and verified.
type Scheme struct {
	Hash       Hash // empty for sha2-256
	Prehashed  bool // the input is the digest
	Padding    Padding
	Marshaling Marshaling
	SaltLength int
	// Only refuses keys of other kinds, for dialects whose schemes are of one kind; nil takes all.
	Only func(Kind) bool
}

func (s Scheme) check(kind Kind) error {
	_, known := s.Hash.algorithm()
	switch {
	case s.Only != nil && !s.Only(kind):
		return fault.New(fault.Invalid, "the signing algorithm does not go with the key")
	case s.Hash == NoHash && kind.RSA() && !(s.Prehashed && s.Padding == PKCS1v1):
		return fault.New(fault.Invalid, "hash_algorithm=none requires both prehashed=true and signature_algorithm=pkcs1v15")
	case !known && s.Hash != NoHash, s.Hash == NoHash && kind.ECDSA() && !s.Prehashed:
		return fault.New(fault.Invalid, "invalid hash algorithm")
	case s.Padding != "" && s.Padding != PSS && s.Padding != PKCS1v1:
		return fault.New(fault.Invalid, "unsupported signature algorithm")
	case s.Marshaling != "" && s.Marshaling != ASN1 && s.Marshaling != JWS:
		return fault.New(fault.Invalid, "unsupported marshaling algorithm")
	case s.SaltLength < SaltHash, s.SaltLength > maxSalt:
		return fault.New(fault.Invalid, "salt length is invalid")
	}
	return nil
}

// maxSalt bounds the salt of a signature, in bytes: the modulus of the largest key. More could never be used, and would be made first.
const maxSalt = 512

// minDigest and maxDigest bound a digest that the caller made, in bytes.
const minDigest, maxDigest = 20, 64

// digest gives what is signed: the input as it is for Ed25519, else its digest.
func (s Scheme) digest(kind Kind, input []byte) ([]byte, crypto.Hash, error) {
	if kind == Ed25519 {
		return input, 0, nil
	}
	h, _ := s.Hash.algorithm()
	switch {
	case !s.Prehashed:
		d := h.New()
		d.Write(input)
		return d.Sum(nil), h, nil
	case kind.RSA() && s.Hash != NoHash && len(input) != h.Size():
		return nil, 0, fault.New(fault.Invalid, "the prehashed input is not as long as a digest of the hash algorithm")
	case kind.ECDSA() && (len(input) < minDigest || len(input) > maxDigest):
		return nil, 0, fault.New(fault.Invalid, "the prehashed input is no digest")
	}
	return input, h, nil
}

func (s Scheme) pss(h crypto.Hash) *rsa.PSSOptions {
	o := &rsa.PSSOptions{SaltLength: s.SaltLength, Hash: h}
	switch s.SaltLength {
	case SaltAuto:
		o.SaltLength = rsa.PSSSaltLengthAuto
	case SaltHash:
		o.SaltLength = rsa.PSSSaltLengthEqualsHash
	}
	return o
}

// sign makes a signature in the form that the scheme asks for.
func (s Scheme) sign(kind Kind, private crypto.Signer, input []byte) ([]byte, error) {
	digest, h, err := s.digest(kind, input)
	if err != nil {
		return nil, err
	}
	var out []byte
	switch p := private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(p, digest), nil
	case *ecdsa.PrivateKey:
		if out, err = p.Sign(rand.Reader, digest, h); err != nil {
			return nil, err
		}
		return s.marshal(p.Curve.Params().N, out)
	case *rsa.PrivateKey:
		switch {
		case s.Hash == NoHash:
			out, err = rsa.SignPKCS1v15(nil, p, 0, digest)
		case s.Padding == PKCS1v1:
			out, err = rsa.SignPKCS1v15(nil, p, h, digest)
		default:
			out, err = rsa.SignPSS(rand.Reader, p, h, digest, s.pss(h))
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the input cannot be signed so with a key of this length")
		}
		return out, nil
	}
	return nil, fault.New(fault.Internal, "a key cannot sign")
}

// verify tells whether a signature is one of the input. strict refuses the second signature that everybody can make of each ECDSA
// signature, (r, n-s); it is for keys whose every signature was made here.
func (s Scheme) verify(kind Kind, public crypto.PublicKey, input, signature []byte, strict bool) (bool, error) {
	digest, h, err := s.digest(kind, input)
	if err != nil {
		return false, err
	}
	switch p := public.(type) {
	case ed25519.PublicKey:
		return len(signature) == ed25519.SignatureSize && ed25519.Verify(p, digest, signature), nil
	case *ecdsa.PublicKey:
		der, low, ok := s.unmarshal(p.Curve.Params().N, signature)
		return ok && (low || !strict) && ecdsa.VerifyASN1(p, digest, der), nil
	case *rsa.PublicKey:
		switch {
		case s.Hash == NoHash:
			err = rsa.VerifyPKCS1v15(p, 0, digest, signature)
		case s.Padding == PKCS1v1:
			err = rsa.VerifyPKCS1v15(p, h, digest, signature)
		default:
			err = rsa.VerifyPSS(p, h, digest, signature, s.pss(h))
		}
		return err == nil, nil
	}
	return false, fault.New(fault.Internal, "a key cannot verify")
}

// pair is an ECDSA signature (RFC 3279, section 2.2.3).
type pair struct{ R, S *big.Int }

// marshal gives the smaller of s and n-s, in the form of the scheme. Both numbers are public.
func (s Scheme) marshal(n *big.Int, der []byte) ([]byte, error) {
	var sig pair
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) > 0 {
		return nil, fault.New(fault.Internal, "a signature is not in its form")
	}
	if !isLow(n, sig.S) {
		sig.S.Sub(n, sig.S)
	}
	if s.Marshaling != JWS {
		return asn1.Marshal(sig)
	}
	size := (n.BitLen() + 7) / 8
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}

// unmarshal gives the one DER spelling of a signature; what is spelled otherwise is none.
func (s Scheme) unmarshal(n *big.Int, b []byte) (der []byte, low, ok bool) {
	var sig pair
	if s.Marshaling == JWS {
		size := (n.BitLen() + 7) / 8
		if len(b) != 2*size {
			return nil, false, false
		}
		sig.R, sig.S = new(big.Int).SetBytes(b[:size]), new(big.Int).SetBytes(b[size:])
	} else if rest, err := asn1.Unmarshal(b, &sig); err != nil || len(rest) > 0 {
		return nil, false, false
	}
	der, err := asn1.Marshal(sig)
	if err != nil || s.Marshaling != JWS && string(der) != string(b) {
		return nil, false, false
	}
	return der, isLow(n, sig.S), true
}

func isLow(n, s *big.Int) bool { return s.Cmp(new(big.Int).Rsh(n, 1)) <= 0 }

package shamir

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// MinShares and MaxShares bound how many people a key is divided among, and how many are needed. One share alone would be
	// the key itself; more than 16 cannot be kept track of.
	MinShares = 2
	MaxShares = 16
)

// The layout of a share: a version, the set, index, k, n, the binding, the point, the MAC. It has 70 bytes, which are 16
// groups of 35 bits.
const (
	version     = 1
	setSize     = 16
	bindingSize = 8 // only names the slot; what proves it are the MAC and the verifier
	tagSize     = 10
	headerSize  = 1 + setSize + 3 + bindingSize
	shareSize   = headerSize + rootkey.Size + tagSize
)

// Domains keep the three hashes of a share apart.
const (
	domainTag      = "keyturn share tag v1\x00"
	domainVerifier = "keyturn share verifier v1\x00"
)

// Share is one person's part of a root key. The zero Share is none.
type Share struct {
	set     [setSize]byte
	index   byte // the point at which the polynomials were evaluated, 1 to n
	k, n    byte
	binding [bindingSize]byte
	point   sensitive.Value // the values there, one a byte of the key
}

// Index numbers the share within its set, from 1.
func (s Share) Index() int { return int(s.index) }

// Set names the set by the first eight hex characters of its id. It may be shown.
func (s Share) Set() string { return setName(s.set) }

// Threshold tells how many shares of the set are needed and how many there are.
func (s Share) Threshold() (k, n int) { return int(s.k), int(s.n) }

// Wipe overwrites the secret part.
func (s Share) Wipe() { s.point.Wipe() }

func setName(set [setSize]byte) string { return hex.EncodeToString(set[:4]) }

func (s Share) header() []byte {
	out := make([]byte, 0, shareSize)
	out = append(out, version)
	out = append(out, s.set[:]...)
	out = append(out, s.index, s.k, s.n)
	return append(out, s.binding[:]...)
}

// tag is a MAC of the header under the secret part: nobody who does not have the share can alter what it says about itself.
func (s Share) tag() []byte {
	m := hmac.New(sha256.New, s.point.Reveal())
	m.Write([]byte(domainTag))
	m.Write(s.header())
	return m.Sum(nil)[:tagSize]
}

// verifier is what the slot keeps of the share.
func (s Share) verifier(b rootkey.Binding) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(domainVerifier))
	h.Write(s.header())
	h.Write(b.Bytes())
	h.Write(s.point.Reveal())
	return [sha256.Size]byte(h.Sum(nil))
}

// Split divides root, of [rootkey.Size] bytes, into n shares of which k are needed, 2 <= k <= n <= 16, for one slot. kept is
// what the slot must keep to judge shares, at most 560 bytes; it tells nothing about the key. Numbers out of range and a root
// of another size are [fault.Invalid]. The caller gives each share to one person and wipes it.
func Split(root sensitive.Value, k, n int, b rootkey.Binding) (shares []Share, kept []byte, err error) {
	if k < MinShares || n > MaxShares || k > n {
		return nil, nil, fault.New(fault.Invalid, "a key cannot be divided like that").
			WithHint("take at least %d needed shares, at most %d shares, and not more needed than there are", MinShares, MaxShares)
	}
	if root.Len() != rootkey.Size {
		return nil, nil, fault.New(fault.Invalid, "a root key has %d bytes", rootkey.Size)
	}
	var set [setSize]byte
	_, _ = rand.Read(set[:]) // never fails: crypto/rand stops the process instead
	coefficients := make([]byte, rootkey.Size*(k-1))
	_, _ = rand.Read(coefficients) // every value, zero too: leaving one out would tell something
	defer clear(coefficients)
	secret := root.Reveal()
	digest := b.Digest()
	v := verifiers{set: set, k: byte(k), binding: digest}
	for x := byte(1); int(x) <= n; x++ {
		point := make([]byte, rootkey.Size)
		for i := range point {
			point[i] = evaluate(secret[i], coefficients[i*(k-1):(i+1)*(k-1)], x)
		}
		s := Share{set, x, byte(k), byte(n), [bindingSize]byte(digest[:]), sensitive.New(point)}
		shares = append(shares, s)
		v.hashes = append(v.hashes, s.verifier(b))
	}
	return shares, v.bytes(), nil
}

// combine gives the key back from k shares of one set that have been judged.
func combine(shares []Share) sensitive.Value {
	xs := make([]byte, len(shares))
	for i, s := range shares {
		xs[i] = s.index
	}
	root := make([]byte, rootkey.Size)
	for i, w := range weights(xs) {
		for j, y := range shares[i].point.Reveal() {
			root[j] ^= multiply(y, w)
		}
	}
	return sensitive.New(root)
}

package shamir

import (
	"bytes"
	"crypto/subtle"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// The text of a share: "kt-share-", then 16 groups of eight characters with hyphens between. Seven characters of a group carry
// 35 bits in Crockford's base 32 (no I, L, O, U), the eighth checks them and the place of the group, so that a mistake is told
// with its place: every single wrong character and every two characters that changed places are found.
const (
	prefix    = "kt-share-"
	alphabet  = "0123456789abcdefghjkmnpqrstvwxyz"
	groups    = 16
	carrying  = 7
	groupSize = carrying + 1
	groupBits = 5 * carrying
	// maxText bounds what is read, in bytes; it leaves room for blanks and line ends.
	maxText = 512
)

// Text is the share for people, in lower case. It is the secret itself.
func (s Share) Text() sensitive.Value {
	raw := append(append(s.header(), s.point.Reveal()...), s.tag()...)
	defer clear(raw)
	return sensitive.New(text(raw))
}

// text writes the bytes of a share in groups.
func text(raw []byte) []byte {
	out := make([]byte, 0, len(prefix)+groups*(groupSize+1))
	out = append(out, prefix...)
	for g := range groups {
		if g > 0 {
			out = append(out, '-')
		}
		var values [carrying]byte
		for i := range values {
			for bit := range 5 {
				at := g*groupBits + 5*i + bit
				values[i] = values[i]<<1 | raw[at/8]>>(7-at%8)&1
			}
			out = append(out, letter(values[i]))
		}
		out = append(out, letter(checksum(g, values)))
		clear(values[:])
	}
	return out
}

// ParseShare reads what people type: either case, O for 0, I and L for 1, blanks and hyphens anywhere, with or without the
// prefix. A text that is no share is [fault.Invalid] and names the first group with a mistake, never its characters. The
// caller wipes text and the share.
func ParseShare(text sensitive.Value) (Share, error) {
	words, err := split(text)
	if err != nil {
		return Share{}, err
	}
	defer clear(words)
	raw := make([]byte, shareSize)
	defer clear(raw)
	for g := range groups {
		var values [groupSize]byte
		good := byte(1)
		for i, c := range words[g*groupSize : (g+1)*groupSize] {
			var known byte
			values[i], known = value(c)
			good &= known
		}
		carried := [carrying]byte(values[:])
		good &= byte(subtle.ConstantTimeByteEq(checksum(g, carried), values[carrying]))
		if good != 1 {
			return Share{}, fault.New(fault.Invalid, "the share has a mistake in group %d of %d", g+1, groups).
				WithHint("compare that group with the paper; letters and digits that look alike are read as the digit")
		}
		for i, v := range carried {
			for bit := range 5 {
				at := g*groupBits + 5*i + bit
				raw[at/8] |= v >> (4 - bit) & 1 << (7 - at%8)
			}
		}
	}
	return parse(raw)
}

// parse reads the bytes of a share.
func parse(raw []byte) (Share, error) {
	if raw[0] != version {
		return Share{}, fault.New(fault.Unsupported, "the share was made by a newer version").WithHint("update the server")
	}
	s := Share{set: [setSize]byte(raw[1:]), index: raw[1+setSize], k: raw[1+setSize+1], n: raw[1+setSize+2]}
	s.binding = [bindingSize]byte(raw[1+setSize+3:])
	s.point = sensitive.New(bytes.Clone(raw[headerSize : headerSize+rootkey.Size]))
	tag := s.tag()
	if subtle.ConstantTimeCompare(tag, raw[headerSize+rootkey.Size:]) != 1 ||
		s.k < MinShares || s.n > MaxShares || s.k > s.n || s.index < 1 || s.index > s.n {
		s.Wipe()
		return Share{}, fault.New(fault.Invalid, "the share is damaged").
			WithHint("its groups are well formed but do not belong together: enter it again, all %d groups from the same paper", groups)
	}
	return s, nil
}

// split takes away prefix, blanks and hyphens, and leaves groups*groupSize characters in lower case.
func split(text sensitive.Value) ([]byte, error) {
	typed := text.Reveal()
	if len(typed) > maxText {
		return nil, fault.New(fault.Invalid, "the share is too long: more than %d characters", maxText)
	}
	lower := make([]byte, len(typed))
	for i, c := range typed {
		lower[i] = c | 0x20*isUpper(c)
	}
	defer clear(lower)
	words := bytes.FieldsFunc(bytes.TrimPrefix(bytes.TrimSpace(lower), []byte(prefix)), func(r rune) bool {
		return strings.ContainsRune("- \t\r\n", r)
	})
	whole := bytes.Join(words, nil)
	if len(whole) == groups*groupSize {
		return whole, nil
	}
	clear(whole)
	bad := fault.New(fault.Invalid, "the share has %d characters after %s, needed are %d", len(whole), strings.TrimSuffix(prefix, "-"), groups*groupSize).
		WithHint("enter all %d groups of %d", groups, groupSize)
	if len(words) == groups {
		for g, w := range words {
			if len(w) != groupSize {
				return nil, bad.WithHint("group %d has %d characters, needed are %d", g+1, len(w), groupSize)
			}
		}
	}
	return nil, bad
}

// isUpper is 1 for A to Z.
func isUpper(c byte) byte {
	return byte(subtle.ConstantTimeLessOrEq('A', int(c)) & subtle.ConstantTimeLessOrEq(int(c), 'Z'))
}

// letter and value go through the whole alphabet, because an index would tell the secret through the cache.
func letter(v byte) byte {
	var c byte
	for i := range len(alphabet) {
		c |= alphabet[i] & -byte(subtle.ConstantTimeByteEq(byte(i), v))
	}
	return c
}

// value gives what a lower-case character stands for; known is 0 for one that is none.
func value(c byte) (v, known byte) {
	for i := range len(alphabet) {
		same := byte(subtle.ConstantTimeByteEq(alphabet[i], c))
		v |= byte(i) & -same
		known |= same
	}
	for _, alike := range []struct{ c, v byte }{{'o', 0}, {'i', 1}, {'l', 1}} {
		same := byte(subtle.ConstantTimeByteEq(alike.c, c))
		v |= alike.v & -same
		known |= same
	}
	return v, known
}

// checksum is a weighted sum over GF(2^5): the weights are the powers 1 to 7 of x, distinct and not zero, and the place of the
// group has another.
func checksum(group int, values [carrying]byte) byte {
	sum := times(byte(group), 1)
	weight := byte(1)
	for _, v := range values {
		weight = times(weight, 2)
		sum ^= times(v, weight)
	}
	return sum
}

// times multiplies in GF(2^5) modulo x^5+x^2+1.
func times(a, b byte) byte {
	var product byte
	for range 5 {
		product ^= a & -(b & 1)
		b >>= 1
		a = (a<<1 ^ 0x05&-(a>>4&1)) & 0x1f
	}
	return product
}

package shamir

import (
	"bytes"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// The arithmetic, for tests of the field.
var (
	Evaluate = evaluate
	Multiply = multiply
	Inverse  = inverse
)

// Size is the size of a share in bytes.
const Size = shareSize

// Point shows the secret part of a share.
func Point(s Share) []byte { return s.point.Reveal() }

// Disguise gives a share of one set the set id and the index of another one.
func Disguise(s, as Share) Share {
	as.point = s.point
	return as
}

// Fields are what a share says about itself.
type Fields struct{ Index, K, N byte }

// Alter gives a copy of s that says something else about itself, under a MAC that fits.
func Alter(s Share, change func(*Fields)) Share {
	f := Fields{s.index, s.k, s.n}
	change(&f)
	s.index, s.k, s.n = f.Index, f.K, f.N
	s.point = sensitive.New(bytes.Clone(s.point.Reveal()))
	return s
}

// Flip gives the text of a share of which one bit is another one, with groups that check.
func Flip(s Share, bit int) string {
	raw := append(append(s.header(), s.point.Reveal()...), s.tag()...)
	raw[bit/8] ^= 1 << (7 - bit%8)
	return string(text(raw))
}

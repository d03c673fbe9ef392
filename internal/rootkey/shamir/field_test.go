package shamir_test

import (
	"testing"

	"github.com/keyturn/keyturn/internal/rootkey/shamir"
)

// slow multiplies as a schoolbook does, polynomial first and remainder then.
func slow(a, b byte) byte {
	var long uint16
	for i := range 8 {
		if b>>i&1 == 1 {
			long ^= uint16(a) << i
		}
	}
	for i := 15; i >= 8; i-- {
		if long>>i&1 == 1 {
			long ^= 0x11b << (i - 8)
		}
	}
	return byte(long)
}

func TestTheFieldIsAField(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := shamir.Multiply(byte(a), byte(b)), slow(byte(a), byte(b)); got != want {
				t.Fatalf("%d*%d is %d, want %d", a, b, got, want)
			}
		}
		if a > 0 && shamir.Multiply(byte(a), shamir.Inverse(byte(a))) != 1 {
			t.Fatalf("1/%d is wrong", a)
		}
	}
	// FIPS 197 section 4.2.
	if shamir.Multiply(0x57, 0x83) != 0xc1 || shamir.Multiply(0x57, 0x13) != 0xfe {
		t.Error("the examples of FIPS 197 do not hold")
	}
}

// One share of a set that needs two: for each secret, every value comes from exactly one polynomial. So the share has the same
// distribution whatever the secret is, and tells nothing. This is a proof for one byte, and all bytes are shared alike.
func TestOneShareOfTwoIsIndependentOfTheSecret(t *testing.T) {
	for x := 1; x <= 16; x++ {
		for secret := range 256 {
			var seen [256]bool
			for c := range 256 {
				y := shamir.Evaluate(byte(secret), []byte{byte(c)}, byte(x))
				if seen[y] {
					t.Fatalf("at %d, secret %d gives %d twice", x, secret, y)
				}
				seen[y] = true
			}
		}
	}
}

// Two shares of a set that needs three: every pair of values from exactly one polynomial.
func TestTwoSharesOfThreeAreIndependentOfTheSecret(t *testing.T) {
	for _, at := range [][2]byte{{1, 2}, {3, 16}, {7, 9}} {
		for _, secret := range []byte{0, 1, 0x53, 0xff} {
			var seen [1 << 16]bool
			for c := range 1 << 16 {
				coefficients := []byte{byte(c), byte(c >> 8)}
				pair := int(shamir.Evaluate(secret, coefficients, at[0]))<<8 | int(shamir.Evaluate(secret, coefficients, at[1]))
				if seen[pair] {
					t.Fatalf("at %v, secret %d gives a pair twice", at, secret)
				}
				seen[pair] = true
			}
		}
	}
}

package shamir

// The field GF(2^8) modulo x^8+x^4+x^3+x+1 (FIPS 197 section 4.2), without tables and branches on what is secret: a table
// would tell the secret through the cache.

// multiply gives a*b.
func multiply(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= a & -(b & 1) // -1 is all ones in two's complement
		b >>= 1
		a = a<<1 ^ 0x1b&-(a>>7)
	}
	return product
}

// inverse gives 1/a as a^254, and 0 for 0.
func inverse(a byte) byte {
	result := byte(1)
	for range 7 { // 254 is 11111110 in binary
		a = multiply(a, a)
		result = multiply(result, a)
	}
	return result
}

// evaluate gives the polynomial with the constant term secret and the coefficients of x, x^2 and so on, at x.
func evaluate(secret byte, coefficients []byte, x byte) byte {
	var y byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = multiply(y^coefficients[i], x)
	}
	return y ^ secret
}

// weights gives the Lagrange basis at 0 for distinct points that are not 0, which are public.
func weights(xs []byte) []byte {
	w := make([]byte, len(xs))
	for i, xi := range xs {
		w[i] = 1
		for j, xj := range xs {
			if i != j {
				w[i] = multiply(w[i], multiply(xj, inverse(xi^xj)))
			}
		}
	}
	return w
}

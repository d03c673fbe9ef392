package measure

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
)

// ValueSize is the size of every secret in the benchmark, in bytes.
const ValueSize = 256

// Name is the i-th secret's name: a valid environment variable.
func Name(i int) string { return "K" + strconv.Itoa(i) }

// Value is the value of the i-th secret in its given generation: ValueSize
// printable bytes, different for every pair, the same in every run, and
// plainly a test value.
func Value(i, generation int) string {
	out := make([]byte, 0, ValueSize+base64.RawURLEncoding.EncodedLen(sha256.Size))
	out = append(out, "test-value-"...)
	var seed [24]byte
	binary.BigEndian.PutUint64(seed[0:], uint64(i))
	binary.BigEndian.PutUint64(seed[8:], uint64(generation))
	for block := uint64(0); len(out) < ValueSize; block++ {
		binary.BigEndian.PutUint64(seed[16:], block)
		sum := sha256.Sum256(seed[:])
		out = base64.RawURLEncoding.AppendEncode(out, sum[:])
	}
	return string(out[:ValueSize])
}

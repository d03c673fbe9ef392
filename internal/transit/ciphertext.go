package transit

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// prefix begins ciphertexts, signatures and authentication codes: "vault:v3:" and base64. Clients of the Vault dialect look for
// it.
const prefix = "vault:v"

// maxVersionDigits bounds the number of a version in a text, so that it fits.
const maxVersionDigits = 9

// words are what is told of a text that cannot be read; they differ by what the text is.
type words struct{ noPrefix, fields, number, base64 string }

var (
	ofCiphertext = words{"invalid ciphertext: no prefix", "invalid ciphertext: wrong number of fields", "invalid ciphertext: version number could not be decoded",
		"invalid ciphertext: could not decode base64"}
	ofSignature = words{"invalid signature: no prefix", "invalid signature: wrong number of fields", "invalid signature: version number could not be decoded",
		"invalid base64 signature value"}
	ofHMAC = words{"invalid HMAC to verify: no prefix", "invalid HMAC: wrong number of fields", "invalid HMAC: version number could not be decoded",
		"invalid HMAC: could not decode base64"}
)

// format writes a version and bytes.
func format(version int64, b []byte, encoding *base64.Encoding) string {
	out := make([]byte, 0, len(prefix)+maxVersionDigits+1+encoding.EncodedLen(len(b)))
	out = append(out, prefix...)
	out = strconv.AppendInt(out, version, 10)
	out = append(out, ':')
	return string(encoding.AppendEncode(out, b))
}

// parse reads them again. There is one spelling for each: no blanks, line ends, signs, leading zeros or loose bits.
func parse(text string, encoding *base64.Encoding, w words) (version int64, b []byte, err error) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return 0, nil, fault.New(fault.Invalid, "%s", w.noPrefix)
	}
	number, code, ok := strings.Cut(rest, ":")
	if !ok {
		return 0, nil, fault.New(fault.Invalid, "%s", w.fields)
	}
	version, err = strconv.ParseInt(number, 10, 64)
	if err != nil || version < 1 || len(number) > maxVersionDigits || strconv.FormatInt(version, 10) != number {
		return 0, nil, fault.New(fault.Invalid, "%s", w.number)
	}
	if strings.ContainsAny(code, "\r\n") {
		return 0, nil, fault.New(fault.Invalid, "%s", w.base64)
	}
	if b, err = encoding.Strict().DecodeString(code); err != nil {
		return 0, nil, fault.New(fault.Invalid, "%s", w.base64)
	}
	return version, b, nil
}

// VersionOf gives the version of the key that a ciphertext names, 0 of what is no ciphertext.
func VersionOf(ciphertext string) int64 {
	rest, ok := strings.CutPrefix(ciphertext, prefix)
	number, _, found := strings.Cut(rest, ":")
	version, err := strconv.ParseInt(number, 10, 64)
	if !ok || !found || err != nil {
		return 0
	}
	return version
}

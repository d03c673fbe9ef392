package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
)

const (
	defaultRandom = 32
	// maxRandom bounds the random bytes of one answer, as the originals do.
	maxRandom = 128 << 10
)

// hashes are those that can be asked for.
var hashes = map[string]func() hash.Hash{
	"sha2-224": sha256.New224, "sha2-256": sha256.New, "sha2-384": sha512.New384, "sha2-512": sha512.New,
	"sha3-224": func() hash.Hash { return sha3.New224() }, "sha3-256": func() hash.Hash { return sha3.New256() },
	"sha3-384": func() hash.Hash { return sha3.New384() }, "sha3-512": func() hash.Hash { return sha3.New512() },
}

// sysTools answers the calls that need nothing of ours but a token.
func (s *Surface) sysTools(ctx context.Context, c *call) (*reply, error) {
	rest, _ := c.below("sys/tools/")
	op, arg, _ := strings.Cut(rest, "/")
	if op != "random" && op != "hash" {
		return nil, nothing(c)
	}
	if c.verb != verbWrite {
		return nil, unsupported()
	}
	if err := s.Access.Ask(ctx, op); err != nil {
		return nil, err
	}
	if op == "random" {
		return random(c.fields, arg)
	}
	return hashed(c.fields, arg)
}

// random gives bytes of the system's generator.
func random(f fields, arg string) (*reply, error) {
	source, rest, more := strings.Cut(arg, "/")
	switch source {
	case "platform", "seal", "all": // there is one source
		arg = rest
	default:
		if more {
			return nil, bad("unsupported entropy source; must be \"platform\", \"seal\" or \"all\"")
		}
	}
	n := int64(defaultRandom)
	var err error
	if arg != "" {
		if n, err = strconv.ParseInt(arg, 10, 32); err != nil {
			return nil, bad("error parsing url-provided byte count")
		}
	} else if f.has("bytes") {
		if n, err = f.integer("bytes"); err != nil {
			return nil, err
		}
	}
	switch {
	case n < 1:
		return nil, bad(`"bytes" cannot be less than 1`)
	case n > maxRandom:
		return nil, bad(`"bytes" should be less than ` + strconv.Itoa(maxRandom))
	}
	encode, err := encoding(f, "base64")
	if err != nil {
		return nil, err
	}
	bytes := make([]byte, n)
	_, _ = rand.Read(bytes) // never fails (crypto/rand)
	return &reply{data: map[string]any{"random_bytes": encode(bytes)}}, nil
}

// hashed gives the hash of what is sent in base64.
func hashed(f fields, arg string) (*reply, error) {
	input, err := f.text("input")
	if err != nil {
		return nil, err
	}
	if arg == "" {
		if arg, err = f.text("algorithm"); err != nil {
			return nil, err
		}
	}
	if arg == "" {
		arg = "sha2-256"
	}
	fresh, ok := hashes[arg]
	if !ok {
		return nil, bad("unsupported algorithm")
	}
	encode, err := encoding(f, "hex")
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(input)
	if err != nil {
		return nil, bad("unable to decode input as base64: " + err.Error()) // it names a place in the input, not what is there
	}
	h := fresh()
	_, _ = h.Write(raw)
	return &reply{data: map[string]any{"sum": encode(h.Sum(nil))}}, nil
}

// encoding gives the form in which bytes are wanted.
func encoding(f fields, otherwise string) (func([]byte) string, error) {
	format, err := f.text("format")
	if err != nil {
		return nil, err
	}
	if format == "" {
		format = otherwise
	}
	switch format {
	case "hex":
		return hex.EncodeToString, nil
	case "base64":
		return base64.StdEncoding.EncodeToString, nil
	}
	return nil, bad(`unsupported encoding format; must be "hex" or "base64"`)
}

package vault

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strconv"

	"github.com/keyturn/keyturn/internal/transit"
)

// hashOf gives the hash algorithm of a call: the segment of the path goes before the fields, of which the second is the older.
func (t *transitCall) hashOf(segment int) (transit.Hash, error) {
	if len(t.args) > segment {
		return transit.Hash(t.args[segment]), nil
	}
	for _, name := range []string{"hash_algorithm", "algorithm"} {
		if s, err := t.fields.text(name); err != nil || s != "" {
			return transit.Hash(s), err
		}
	}
	return "", nil
}

func (t *transitCall) scheme() (transit.Scheme, error) {
	var out transit.Scheme
	var err error
	if out.Hash, err = t.hashOf(1); err != nil {
		return out, err
	}
	if out.Prehashed, err = t.fields.boolean("prehashed", false); err != nil {
		return out, err
	}
	padding, err := t.fields.text("signature_algorithm")
	if err != nil {
		return out, err
	}
	form, err := t.fields.text("marshaling_algorithm")
	if err != nil {
		return out, err
	}
	out.Padding, out.Marshaling = transit.Padding(padding), transit.Marshaling(form)
	salt, err := t.fields.text("salt_length")
	switch salt {
	case "", "auto":
		out.SaltLength = transit.SaltAuto
	case "hash":
		out.SaltLength = transit.SaltHash
	default:
		n, err := strconv.Atoi(salt)
		if err != nil || n < 0 {
			return out, bad("salt length is invalid")
		}
		out.SaltLength = n
	}
	return out, err
}

func inputOf(missing string) func(fields) (transit.ToSign, error) {
	return func(f fields) (transit.ToSign, error) {
		if !f.has("input") {
			return transit.ToSign{}, bad(missing)
		}
		input, err := f.decodedInput()
		if err != nil {
			return transit.ToSign{}, err
		}
		context, err := f.bytesOf("context", "failed to base64-decode context")
		return transit.ToSign{Input: input, Context: context}, err
	}
}

// decodedInput gives the bytes of the field input.
func (f fields) decodedInput() ([]byte, error) {
	text, err := f.text("input")
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, bad("unable to decode input as base64: " + err.Error())
	}
	return b, nil
}

func (t *transitCall) sign(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 1, 2); err != nil {
		return nil, err
	}
	scheme, err := t.scheme()
	if err != nil {
		return nil, err
	}
	version, err := t.fields.integer("key_version")
	if err != nil {
		return nil, err
	}
	return t.signed(inputOf("missing input"), func(items []transit.ToSign) ([]transit.Signature, error) {
		out, err := t.service.Sign(ctx, t.key(0), scheme, version, items)
		return out, orMissing(err, "signing key not found")
	}, func(s transit.Signature, b *batch) map[string]any {
		data := map[string]any{"signature": transit.FormatSignature(s, scheme.Marshaling), "key_version": s.Version}
		if s.Public != nil {
			name := "public_key"
			if b.whole {
				name = "publickey" // so it is called in the original
			}
			data[name] = base64.StdEncoding.EncodeToString(s.Public)
		}
		return data
	})
}

// signed does the work of a call that makes something of inputs.
func (t *transitCall) signed(parse func(fields) (transit.ToSign, error), do func([]transit.ToSign) ([]transit.Signature, error), show func(transit.Signature, *batch) map[string]any) (*reply, error) {
	b, err := t.readBatch()
	if err != nil {
		return nil, err
	}
	items, err := readItems(b, parse)
	if err != nil {
		return nil, err
	}
	var out []transit.Signature
	if len(items) > 0 {
		out, err = do(items)
		if err = b.settle(err, len(out), firstErr(out, func(s transit.Signature) error { return s.Err })); err != nil {
			return nil, err
		}
	}
	return b.answer(func(i int) (map[string]any, error) { return show(out[i], b), out[i].Err })
}

func (t *transitCall) hmac(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 1, 2); err != nil {
		return nil, err
	}
	hash, err := t.hashOf(1)
	if err != nil {
		return nil, err
	}
	version, err := t.fields.integer("key_version")
	if err != nil {
		return nil, err
	}
	return t.signed(inputOf("missing input for HMAC"), func(items []transit.ToSign) ([]transit.Signature, error) {
		out, err := t.service.HMAC(ctx, t.key(0), hash, version, items)
		return out, orMissing(err, noTransitKey)
	}, func(s transit.Signature, _ *batch) map[string]any {
		return map[string]any{"hmac": transit.FormatHMAC(s)}
	})
}

// verify checks signatures, or authentication codes: all items of a call are of one sort.
func (t *transitCall) verify(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 1, 2); err != nil {
		return nil, err
	}
	b, err := t.readBatch()
	if err != nil {
		return nil, err
	}
	codes, err := sortOf(b)
	if err != nil {
		return nil, err
	}
	scheme, err := t.scheme()
	if err != nil {
		return nil, err
	}
	items, err := readItems(b, toVerify(codes, scheme.Marshaling))
	if err != nil {
		return nil, err
	}
	var out []transit.Verdict
	if len(items) > 0 {
		if codes {
			out, err = t.service.VerifyHMAC(ctx, t.key(0), scheme.Hash, items)
		} else {
			out, err = t.service.Verify(ctx, t.key(0), scheme, items)
		}
		if err = b.settle(orMissing(err, "signature verification key not found"), len(out), firstErr(out, func(v transit.Verdict) error { return v.Err })); err != nil {
			return nil, err
		}
	}
	return b.answer(func(i int) (map[string]any, error) { return map[string]any{"valid": out[i].Valid}, out[i].Err })
}

// sortOf tells whether authentication codes are to be verified and not signatures.
func sortOf(b *batch) (codes bool, err error) {
	for i, item := range b.items {
		signature, code := item.has("signature"), item.has("hmac")
		switch {
		case signature && code:
			return false, bad("provide one of 'signature' or 'hmac'")
		case !signature && !code:
			return false, bad("one of 'signature' or 'hmac' must be supplied")
		case i > 0 && code != codes:
			return false, bad("elements of batch_input must all provide either 'signature' or 'hmac'")
		}
		codes = code
	}
	return codes, nil
}

func toVerify(codes bool, form transit.Marshaling) func(fields) (transit.ToVerify, error) {
	return func(f fields) (transit.ToVerify, error) {
		in, err := inputOf("missing input")(f)
		if err != nil {
			return transit.ToVerify{}, err
		}
		out := transit.ToVerify{Input: in.Input, Context: in.Context}
		name := "signature"
		if codes {
			name = "hmac"
		}
		text, err := f.text(name)
		if err != nil {
			return out, err
		}
		if codes {
			out.Version, out.Bytes, err = transit.ParseHMAC(text)
		} else {
			out.Version, out.Bytes, err = transit.ParseSignature(text, form)
		}
		return out, err
	}
}

// randomBytes is how many bytes are given when nothing is said.
const randomBytes = 32

// random gives random bytes. The path may name a source, which all are the operating system's here, and a number.
func (t *transitCall) random(ctx context.Context) (*reply, error) {
	if t.verb != verbWrite && t.verb != verbRead {
		return nil, unsupported()
	}
	n, err := t.fields.integer("bytes")
	if err != nil {
		return nil, err
	}
	if !t.fields.has("bytes") {
		n = randomBytes
	}
	for _, arg := range t.args {
		if arg == "platform" || arg == "seal" || arg == "all" {
			continue
		}
		if n, err = strconv.ParseInt(arg, 10, 64); err != nil {
			return nil, bad("error parsing url-set byte count")
		}
	}
	form, err := t.fields.text("format")
	if err != nil {
		return nil, err
	}
	write := base64.StdEncoding.EncodeToString
	switch form {
	case "", "base64":
	case "hex":
		write = hex.EncodeToString
	default:
		return nil, bad(`unsupported encoding format; must be "hex" or "base64"`)
	}
	b, err := t.service.Random(ctx, n)
	if err != nil {
		return nil, err
	}
	return &reply{data: map[string]any{"random_bytes": write(b)}}, nil
}

func (t *transitCall) hash(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 0, 1); err != nil {
		return nil, err
	}
	hash, err := t.hashOf(0)
	if err != nil {
		return nil, err
	}
	input, err := t.fields.decodedInput()
	if err != nil {
		return nil, err
	}
	form, err := t.fields.text("format")
	if err != nil {
		return nil, err
	}
	write := hex.EncodeToString
	switch form {
	case "", "hex":
	case "base64":
		write = base64.StdEncoding.EncodeToString
	default:
		return nil, bad(`unsupported encoding format; must be "hex" or "base64"`)
	}
	sum, err := t.service.Sum(ctx, hash, input)
	if err != nil {
		return nil, err
	}
	return &reply{data: map[string]any{"sum": write(sum)}}, nil
}

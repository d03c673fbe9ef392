package vault

import (
	"context"
	"encoding/base64"

	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/transit"
)

// What a caller says of an item beside its text.
type transitExtras struct {
	context, associated []byte
	version             int64
}

// extras reads them. A nonce of the caller's own is refused: two plaintexts under one nonce give the key of the tags away.
func (f fields) extras(encrypts bool) (transitExtras, error) {
	var out transitExtras
	var err error
	if out.context, err = f.bytesOf("context", "failed to base64-decode context"); err != nil {
		return out, err
	}
	if out.associated, err = f.bytesOf("associated_data", "failed to base64-decode associated_data"); err != nil {
		return out, err
	}
	if out.version, err = f.integer("key_version"); err != nil {
		return out, err
	}
	padding, err := f.text("padding_scheme")
	if err != nil {
		return out, err
	}
	if padding != "" && padding != "oaep" { // whoever can ask whether a PKCS #1 v1.5 ciphertext opens could read it
		return out, bad("unsupported padding scheme: RSA keys encrypt with oaep only")
	}
	nonce, err := f.text("nonce")
	if err == nil && nonce != "" && encrypts {
		err = bad("provided nonce not allowed for this key")
	}
	return out, err
}

func plainOf(f fields) (transit.Plain, error) {
	if !f.has("plaintext") {
		return transit.Plain{}, bad("missing plaintext to encrypt")
	}
	b, err := f.bytesOf("plaintext", "")
	if err != nil {
		return transit.Plain{}, err
	}
	x, err := f.extras(true)
	return transit.Plain{Plaintext: sensitive.New(b), Context: x.context, Associated: x.associated, Version: x.version}, err
}

func closedOf(encrypts bool) func(fields) (transit.Closed, error) {
	return func(f fields) (transit.Closed, error) {
		text, err := f.text("ciphertext")
		if err != nil {
			return transit.Closed{}, err
		}
		if text == "" {
			return transit.Closed{}, bad("missing ciphertext to decrypt")
		}
		x, err := f.extras(encrypts)
		return transit.Closed{Ciphertext: text, Context: x.context, Associated: x.associated, Version: x.version}, err
	}
}

func (t *transitCall) encrypt(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 1, 1); err != nil {
		return nil, err
	}
	b, err := t.readBatch()
	if err != nil {
		return nil, err
	}
	items, err := readItems(b, plainOf)
	if err != nil {
		return nil, err
	}
	var out []transit.Sealed
	if len(items) > 0 {
		missing, err := t.newKey()
		if err != nil {
			return nil, err
		}
		missing.Derived = len(items[0].Context) > 0
		out, err = t.service.Encrypt(ctx, t.key(0), items, &missing)
		if err = b.settle(orMissing(err, noTransitKey), len(out), firstErr(out, func(s transit.Sealed) error { return s.Err })); err != nil {
			return nil, err
		}
	}
	return b.answer(sealedResult(out))
}

func firstErr[T any](all []T, of func(T) error) error {
	if len(all) == 0 {
		return nil
	}
	return of(all[0])
}

func sealedResult(out []transit.Sealed) func(int) (map[string]any, error) {
	return func(i int) (map[string]any, error) {
		return map[string]any{"ciphertext": out[i].Ciphertext, "key_version": out[i].Version}, out[i].Err
	}
}

func (t *transitCall) decrypt(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 1, 1); err != nil {
		return nil, err
	}
	b, err := t.readBatch()
	if err != nil {
		return nil, err
	}
	items, err := readItems(b, closedOf(false))
	if err != nil {
		return nil, err
	}
	var out []transit.Opened
	if len(items) > 0 {
		out, err = t.service.Decrypt(ctx, t.key(0), items)
		if err = b.settle(orMissing(err, noTransitKey), len(out), firstErr(out, func(o transit.Opened) error { return o.Err })); err != nil {
			return nil, err
		}
	}
	return b.answer(func(i int) (map[string]any, error) {
		return map[string]any{"plaintext": inBase64(out[i].Plaintext)}, out[i].Err
	})
}

// inBase64 writes a value of the encryption service into an answer.
func inBase64(v sensitive.Value) string { return base64.StdEncoding.EncodeToString(v.Reveal()) }

func (t *transitCall) rewrap(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 1, 1); err != nil {
		return nil, err
	}
	b, err := t.readBatch()
	if err != nil {
		return nil, err
	}
	items, err := readItems(b, closedOf(true))
	if err != nil {
		return nil, err
	}
	var out []transit.Sealed
	if len(items) > 0 {
		out, err = t.service.Rewrap(ctx, t.key(0), items)
		if err = b.settle(orMissing(err, noTransitKey), len(out), firstErr(out, func(s transit.Sealed) error { return s.Err })); err != nil {
			return nil, err
		}
	}
	return b.answer(sealedResult(out))
}

// dataKeyBits is the length of a data key when none is asked for.
const dataKeyBits = 256

func (t *transitCall) dataKey(ctx context.Context) (*reply, error) {
	if err := t.takes(verbWrite, 2, 2); err != nil {
		return nil, err
	}
	open := t.args[0] == "plaintext"
	if !open && t.args[0] != "wrapped" {
		return nil, bad("Invalid path, must be 'plaintext' or 'wrapped'")
	}
	bits, err := t.fields.integer("bits")
	if err != nil {
		return nil, err
	}
	if !t.fields.has("bits") {
		bits = dataKeyBits
	}
	x, err := t.fields.extras(true)
	if err != nil {
		return nil, err
	}
	value, out, err := t.service.DataKey(ctx, t.key(1), bits, transit.Plain{Context: x.context, Associated: x.associated, Version: x.version})
	if err != nil {
		return nil, orMissing(err, noTransitKey)
	}
	defer value.Wipe()
	data := map[string]any{"ciphertext": out.Ciphertext, "key_version": out.Version}
	if open {
		data["plaintext"] = inBase64(value)
	}
	return &reply{data: data}, nil
}

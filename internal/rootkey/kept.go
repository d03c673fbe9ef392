package rootkey

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

// keptVersion is the format of [kept] that is written and read.
const keptVersion = 1

const (
	maxKeptText = 16 << 10 // bytes of the whole; what a slot has room for, see [Wrapper.Wrap]
	maxWrapped  = 8 << 10  // bytes of ciphertext; the largest, of AWS, is at most 6 KiB
)

// kept is what a slot keeps of a root key that a service wrapped, as one JSON object. Its first member says the format, so that
// a change is seen before anything else is read.
type kept struct {
	Version int    `json:"keyturn_wrapped_root"`
	Kind    string `json:"kind"`             // as [Source.Kind]
	Key     string `json:"key"`              // what the service calls the key that it used
	Wrapped []byte `json:"wrapped"`          // the service's ciphertext
	Sealed  []byte `json:"sealed,omitempty"` // nonce, ciphertext and tag of the root key under the wrapped key, where the service binds nothing
	Check   []byte `json:"check"`            // see commitment
}

// text is the one spelling of k.
func (k kept) text() ([]byte, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a wrapped root key cannot be written")
	}
	if len(b) > maxKeptText || len(k.Wrapped) > maxWrapped {
		return nil, fault.New(fault.Internal, "a wrapped root key is longer than any service makes it")
	}
	return b, nil
}

// parseKept reads what text wrote and nothing else: not another order, spacing or spelling of the same.
func parseKept(kind string, b []byte) (kept, error) {
	wrong := func(problem string) (kept, error) {
		return kept{}, fault.New(fault.Invalid, "what the slot keeps of its root key %s", problem).
			WithHint("the slot was made by another source or is damaged; open the server by another slot and make this one anew")
	}
	if len(b) > maxKeptText {
		return wrong("is too long")
	}
	var k kept
	if err := json.Unmarshal(b, &k, json.RejectUnknownMembers(true)); err != nil {
		return wrong("is no wrapped root key") // the decoder's error may show input
	}
	if k.Version != keptVersion {
		return wrong("is in a format that this version does not read")
	}
	if k.Kind != kind {
		return wrong("was made by another kind of source")
	}
	if len(k.Wrapped) == 0 || len(k.Wrapped) > maxWrapped || len(k.Check) != sha256.Size {
		return wrong("has parts of a wrong length")
	}
	if again, err := json.Marshal(k); err != nil || !bytes.Equal(again, b) {
		return wrong("is not in its one spelling")
	}
	return k, nil
}

// commitment lets [Wrapper.Unwrap] tell that a service gave back another secret than it was given, which a bare decryption
// cannot: HMAC-SHA256 under the secret, of a domain and of what the secret is bound to. The secrets are 32 random bytes, so
// that nobody finds them from it by trying.
func commitment(secret, context []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("keyturn wrapped root key check v1\x00"))
	mac.Write(context)
	return mac.Sum(nil)
}

package rootkey

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"unicode"

	"strings"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// maxBindingPart bounds the ids of a [Binding]; ours have 36 characters, and every service takes 128 without a question.
const maxBindingPart = 128

// service is what differs between those who wrap over the network. secret always has [Size] bytes.
type service interface {
	// binds tells whether the service itself ties a ciphertext to a binding. Where it does not, it is given a fresh key
	// instead of the root key, and the binding is sealed under that.
	binds() bool
	// owns tells whether a key that a kept text names is the configured one. It decides before anything is sent.
	owns(key string) bool
	// encrypt gives the service's name of the key that it used, for which owns is true, and the ciphertext.
	encrypt(ctx context.Context, b Binding, secret []byte) (key string, wrapped []byte, err error)
	// decrypt gives what the service says that wrapped holds. The caller checks and wipes it.
	decrypt(ctx context.Context, b Binding, key string, wrapped []byte) ([]byte, error)
}

// wrapped is a [Wrapper] over a service.
type wrapped struct {
	kind, name string
	label      string // the service for people, such as "AWS KMS"
	service    service
}

// Kind implements [Source].
func (w wrapped) Kind() string { return w.kind }

// Name implements [Source]: the URI as the configuration has it.
func (w wrapped) Name() string { return w.name }

// Wrap implements [Wrapper].
func (w wrapped) Wrap(ctx context.Context, b Binding, root sensitive.Value) ([]byte, error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	secret := root.Reveal()
	if len(secret) != Size {
		return nil, fault.New(fault.Invalid, "a root key has %d bytes, not %d", Size, len(secret))
	}
	k := kept{Version: keptVersion, Kind: w.kind}
	var err error
	if !w.service.binds() {
		fresh := make([]byte, Size)
		defer clear(fresh)
		_, _ = rand.Read(fresh) // never fails: crypto/rand stops the process instead
		if k.Sealed, err = sealRoot(fresh, b, secret); err != nil {
			return nil, err
		}
		secret = fresh
	}
	k.Key, k.Wrapped, err = w.service.encrypt(ctx, b, secret)
	if err != nil {
		return nil, err
	}
	if !w.service.owns(k.Key) {
		return nil, w.untrue("says that it used another key than the configured one")
	}
	if len(k.Wrapped) < Size || len(k.Wrapped) > maxWrapped {
		return nil, w.untrue("gave a ciphertext that is too short or too long to be one")
	}
	k.Check = commitment(secret, w.context(b))
	return k.text()
}

// Unwrap implements [Wrapper].
func (w wrapped) Unwrap(ctx context.Context, b Binding, text []byte) (sensitive.Value, error) {
	none := sensitive.Value{}
	if err := b.validate(); err != nil {
		return none, err
	}
	k, err := parseKept(w.kind, text)
	if err != nil {
		return none, err
	}
	if !w.service.owns(k.Key) {
		return none, fault.New(fault.Invalid, "the slot's root key was wrapped by another key of %s than the configured one", w.label).
			WithHint("name the key that made the slot, or open the server by another slot and make this one anew")
	}
	if w.service.binds() != (len(k.Sealed) == 0) {
		return none, fault.New(fault.Invalid, "what the slot keeps of its root key lacks a part or has one too many")
	}
	secret, err := w.service.decrypt(ctx, b, k.Key, k.Wrapped)
	if err != nil {
		return none, err
	}
	if len(secret) != Size {
		clear(secret)
		return none, w.untrue("gave back something that is no root key")
	}
	if !hmac.Equal(commitment(secret, w.context(b)), k.Check) {
		clear(secret)
		return none, w.untrue("gave back another secret than it was given")
	}
	if w.service.binds() {
		return sensitive.New(secret), nil
	}
	defer clear(secret)
	root, err := openRoot(secret, b, k.Sealed)
	if err != nil {
		return none, err
	}
	return sensitive.New(root), nil
}

// context is what the commitment is bound to. Where the binding is sealed it is left out, so that a wrong binding is told from
// a service that lies.
func (w wrapped) context(b Binding) []byte {
	if w.service.binds() {
		return b.Bytes()
	}
	return nil
}

// untrue is an answer that no honest service gives.
func (w wrapped) untrue(what string) error { return untrue(w.label, what) }

func untrue(label, what string) *fault.Error {
	return fault.New(fault.Internal, "%s %s", label, what).
		WithHint("something between here and the service answers in its place, or the service is broken; do not go on before you know which")
}

// validate refuses ids that a service could take for something else.
func (b Binding) validate() error {
	for _, part := range []string{b.Instance, b.Slot} {
		bad := strings.ContainsFunc(part, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) })
		if part == "" || len(part) > maxBindingPart || bad {
			return fault.New(fault.Invalid, "a root key is bound to ids of 1 to %d printable characters", maxBindingPart)
		}
	}
	return nil
}

// sealRoot seals a root key under key with AES-256-GCM and a random nonce of 96 bits (NIST SP 800-38D); key is used once.
func sealRoot(key []byte, b Binding, root []byte) ([]byte, error) {
	gcm, err := rootGCM(key)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, root, b.Bytes()), nil
}

// openRoot opens what sealRoot sealed for the same binding.
func openRoot(key []byte, b Binding, sealed []byte) ([]byte, error) {
	gcm, err := rootGCM(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) != Size+gcm.Overhead() {
		return nil, fault.New(fault.Invalid, "the slot's sealed root key has a wrong length")
	}
	root, err := gcm.Open(nil, nil, sealed, b.Bytes())
	if err != nil {
		return nil, notInThisBinding()
	}
	return root, nil
}

func rootGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.New(fault.Internal, "a key for sealing a root key has a wrong length")
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "AES-GCM is not to be had")
	}
	return gcm, nil
}

// notInThisBinding is a ciphertext that was moved or changed.
func notInThisBinding() *fault.Error {
	return fault.New(fault.Invalid, "the slot's root key does not open: it was made for another slot or installation, or by another key, or was changed").
		WithHint("open the server by another slot and make this one anew")
}

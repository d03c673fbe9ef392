// Package rootkey is where root keys come from. A root key is 32 random bytes outside the database; a key slot wraps the
// instance key under it. There are two manners of keeping one:
//
//   - a [Holder] gives the root key itself, as 64 hex characters: an environment variable, a file, a systemd credential, the
//     output of a command;
//   - a [Wrapper] never holds it: it encrypts a fresh root key, the slot keeps the ciphertext, and only the wrapper can turn
//     it back: a cloud KMS, a transit engine, an HSM, a TPM.
//
// What people hold (a passphrase, shares, a recovery identity) is neither: it is entered when it is needed, see passphrase.go,
// recovery.go and package shamir.
//
// Sources are named by URIs in the server's own configuration, one to a line, and never by the database: whoever can write
// to the database must not be able to make the server run a program or show its credentials to a host of his choice.
package rootkey

import (
	"context"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// Size is the length of a root key, in bytes.
const Size = 32

// Binding ties a wrapped root key to its place. Wrappers hand it to the vendor as encryption context or additional data, so
// that a ciphertext moved to another slot or instance does not open.
type Binding struct {
	Instance string // id of the installation
	Slot     string // id of the key slot
}

// Source is one place that keeps or guards root keys.
type Source interface {
	// Kind names the manner, such as "file" or "aws-kms". It is stored in the slot.
	Kind() string
	// Name is the URI by which the configuration names the source. It holds no credential, may be shown to anybody, and is
	// stored in the slot, so that a slot finds its source again.
	Name() string
}

// Holder gives the root key itself.
type Holder interface {
	Source
	// Root gives 64 hex characters, with at most one line end behind them. It reads anew each time, so that a file may be
	// swapped while the server runs. What cannot be had now is [fault.Unavailable] or, where only a person can mend it,
	// [fault.Sealed]. The caller wipes the value.
	Root(ctx context.Context) (sensitive.Value, error)
}

// Wrapper encrypts root keys for slots to keep.
type Wrapper interface {
	Source
	// Wrap encrypts root, which has [Size] bytes, and gives what the slot must keep, at most 16 KiB.
	Wrap(ctx context.Context, b Binding, root sensitive.Value) (kept []byte, err error)
	// Unwrap gives back what Wrap was given. A service that is away, slow or throttles is [fault.Unavailable]; one that
	// refuses is [fault.Denied]; a ciphertext that does not open in this binding is [fault.Invalid]; a service that answers
	// with something that cannot be true is [fault.Internal]. The caller wipes the value.
	Unwrap(ctx context.Context, b Binding, kept []byte) (sensitive.Value, error)
}

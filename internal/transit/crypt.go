package transit

import (
	"context"
	"encoding/base64"
	"strconv"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// maxBatch bounds the items of one request: what a server does in well under a second.
	maxBatch = 10_000
	// maxSlowBatch bounds those that use an RSA key, of which each takes a core for milliseconds.
	maxSlowBatch = 500
)

// Plain is something to encrypt.
type Plain struct {
	Plaintext  sensitive.Value
	Context    []byte // of derived keys
	Associated []byte // is authenticated and must be given again to decrypt; not of RSA keys
	Version    int64  // 0 for the latest
}

// Sealed is a ciphertext, or why there is none. Of a rewrapped one Version is the new one.
type Sealed struct {
	Ciphertext string // "vault:v3:" and base64
	Version    int64
	Err        error
}

// Closed is something to decrypt.
type Closed struct {
	Ciphertext string
	Context    []byte
	Associated []byte
	Version    int64 // that it is rewrapped to, 0 for the latest
}

// Opened is a plaintext, or why there is none.
type Opened struct {
	Plaintext sensitive.Value
	Err       error
}

// bounded refuses a batch that would take the server for too long.
func (k *key) bounded(n int) error {
	limit := maxBatch
	if Kind(k.row.Kind).RSA() {
		limit = maxSlowBatch
	}
	switch {
	case n == 0:
		return fault.New(fault.Invalid, "missing batch input to process")
	case n > limit:
		return fault.New(fault.Invalid, "too many items in one request: at most %d with a key of this type", limit)
	}
	return nil
}

// each does the items of a request. One alone that fails is the failure of the request as well;
// among several it stands with its own only.
func each(ctx context.Context, p guard.Permit, n int, do func(i int) error, fail func(i int, err error)) error {
	if n > 1 {
		p.Note("items", strconv.Itoa(n))
	}
	failed := 0
	for i := range n {
		if ctx.Err() != nil {
			return fault.Wrap(fault.Unavailable, ctx.Err(), "the client has left")
		}
		err := do(i)
		if err == nil {
			continue
		}
		if fault.KindOf(err) == fault.Internal {
			return err
		}
		fail(i, err)
		if n == 1 {
			return err
		}
		failed++
	}
	if failed > 0 {
		p.Note("failed", strconv.Itoa(failed))
	}
	return nil
}

// forUse finds the version to encrypt or sign with: the latest, or the one that was asked for if it may still be used.
func (k *key) forUse(asked int64, what string) (*version, error) {
	switch {
	case asked == 0:
		asked = k.row.Latest
	case asked < 0:
		return nil, fault.New(fault.Invalid, "requested version for %s is negative", what)
	case asked > k.row.Latest:
		return nil, fault.New(fault.Invalid, "requested version for %s is higher than the latest key version", what)
	case asked < max(k.row.MinEncryption, k.row.MinDecryption):
		return nil, fault.New(fault.Invalid, "requested version for %s is less than the minimum encryption key version", what)
	}
	v := k.versions[asked]
	if v == nil {
		return nil, fault.New(fault.Internal, "version %d of a key is missing", asked)
	}
	return v, nil
}

// made finds the version that something was made with.
func (k *key) made(number int64, tooNew, tooOld string) (*version, error) {
	if number > k.row.Latest {
		return nil, fault.New(fault.Invalid, "%s", tooNew)
	}
	v := k.versions[number]
	if number < k.row.MinDecryption || v == nil {
		return nil, fault.New(fault.Invalid, "%s", tooOld)
	}
	return v, nil
}

const (
	tooOldText   = "ciphertext or signature version is disallowed by policy (too old)"
	newerCipher  = "invalid ciphertext: version is too new"
	noEncryption = "message encryption not supported for key type %v"
	noDecryption = "message decryption not supported for key type %v"
)

// cipher gives what encrypts with a version.
func (s *Service) cipher(ctx context.Context, p guard.Permit, k *key, v *version, context []byte) (cipherer, error) {
	m, err := s.open(ctx, p, v)
	if err != nil {
		return nil, err
	}
	if k.row.Derived {
		return derive(v.kind, m.raw.Reveal(), context, k.row.Convergent)
	}
	return m.cipher, nil
}

func (s *Service) encrypt(ctx context.Context, p guard.Permit, k *key, in *Plain) (Sealed, error) {
	v, err := k.forUse(in.Version, "encryption")
	if err != nil {
		return Sealed{}, err
	}
	c, err := s.cipher(ctx, p, k, v, in.Context)
	if err != nil {
		return Sealed{}, err
	}
	b, err := c.seal(in.Plaintext.Reveal(), in.Associated)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{Ciphertext: format(v.row.Version, b, base64.StdEncoding), Version: v.row.Version}, nil
}

func (s *Service) decrypt(ctx context.Context, p guard.Permit, k *key, in *Closed) (sensitive.Value, error) {
	number, b, err := parse(in.Ciphertext, base64.StdEncoding, ofCiphertext)
	if err != nil {
		return sensitive.Value{}, err
	}
	v, err := k.made(number, newerCipher, tooOldText)
	if err != nil {
		return sensitive.Value{}, err
	}
	c, err := s.cipher(ctx, p, k, v, in.Context)
	if err != nil {
		return sensitive.Value{}, err
	}
	plaintext, err := c.open(b, in.Associated)
	return sensitive.New(plaintext), err
}

// newest gives the key anew when something names a version that this server has not heard of: another one may just have rotated.
func (s *Service) newest(ctx context.Context, k *key, number int64) (*key, error) {
	if number <= k.row.Latest || k.renewed {
		return k, nil
	}
	fresh, err := s.reload(ctx, spot{k.row.Org, k.row.Project, k.row.Name})
	if err != nil {
		return k, err // the other items of a batch go on with what is known
	}
	again := *fresh
	again.renewed = true // once for a request is enough, whatever versions it names
	return &again, nil
}

// Missing says how a key is made that is not there yet when something is to be encrypted with it.
type Missing = NewKey

// Encrypt encrypts each item. With missing, a key that is not there is made if the caller may do that too.
func (s *Service) Encrypt(ctx context.Context, ref Ref, items []Plain, missing *Missing) ([]Sealed, error) {
	if missing != nil {
		if err := s.provide(ctx, ref, *missing); err != nil {
			return nil, err
		}
	}
	out := make([]Sealed, len(items))
	err := s.use(ctx, policy.TransitEncrypt, ref, "", func(p guard.Permit, k *key) error {
		if err := k.can(k.kind().Encrypts(), noEncryption, len(items)); err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) (err error) {
			out[i], err = s.encrypt(ctx, p, k, &items[i])
			return err
		}, func(i int, err error) { out[i].Err = err })
	})
	return out, err
}

func (k *key) kind() Kind { return Kind(k.row.Kind) }

// can refuses what a key of this kind does not do, and too much of what it does.
func (k *key) can(does bool, not string, n int) error {
	if !does {
		return fault.New(fault.Invalid, not, k.row.Kind)
	}
	return k.bounded(n)
}

// Decrypt decrypts each item.
func (s *Service) Decrypt(ctx context.Context, ref Ref, items []Closed) ([]Opened, error) {
	out := make([]Opened, len(items))
	err := s.use(ctx, policy.TransitDecrypt, ref, "", func(p guard.Permit, k *key) error {
		if err := k.can(k.kind().Encrypts(), noDecryption, len(items)); err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) (err error) {
			if k, err = s.newest(ctx, k, VersionOf(items[i].Ciphertext)); err != nil {
				return err
			}
			out[i].Plaintext, err = s.decrypt(ctx, p, k, &items[i])
			return err
		}, func(i int, err error) { out[i].Err = err })
	})
	return out, err
}

// Rewrap encrypts each item anew with a newer version, and shows nobody what is in it: it asks for the right to encrypt only.
func (s *Service) Rewrap(ctx context.Context, ref Ref, items []Closed) ([]Sealed, error) {
	out := make([]Sealed, len(items))
	err := s.use(ctx, policy.TransitEncrypt, ref, "rewrap", func(p guard.Permit, k *key) error {
		if err := k.can(k.kind().Encrypts(), noDecryption, len(items)); err != nil {
			return err
		}
		return each(ctx, p, len(items), func(i int) (err error) {
			in := &items[i]
			if k, err = s.newest(ctx, k, VersionOf(in.Ciphertext)); err != nil {
				return err
			}
			plaintext, err := s.decrypt(ctx, p, k, in)
			if err != nil {
				return err
			}
			defer plaintext.Wipe()
			out[i], err = s.encrypt(ctx, p, k, &Plain{plaintext, in.Context, in.Associated, in.Version})
			return err
		}, func(i int, err error) { out[i].Err = err })
	})
	return out, err
}

// DataKey makes a random key of 128, 256 or 512 bits, in the open and encrypted; context, associated data and version are as of
// something to encrypt.
func (s *Service) DataKey(ctx context.Context, ref Ref, bits int64, in Plain) (sensitive.Value, Sealed, error) {
	if bits != 128 && bits != 256 && bits != 512 {
		return sensitive.Value{}, Sealed{}, fault.New(fault.Invalid, "invalid bit length")
	}
	var out Sealed
	in.Plaintext = sensitive.New(random(int(bits / 8)))
	err := s.use(ctx, policy.TransitEncrypt, ref, "data key", func(p guard.Permit, k *key) error {
		if err := k.can(k.kind().Encrypts(), noEncryption, 1); err != nil {
			return err
		}
		var err error
		out, err = s.encrypt(ctx, p, k, &in)
		return err
	})
	return in.Plaintext, out, err
}

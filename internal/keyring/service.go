package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// Digest is HMAC-SHA256 (RFC 2104) of v under the primary index key, 32 bytes: equal values have equal digests, in every
// project, and without the key nobody can try values against them. Store it beside [Ring.DigestKey].
func (r *Ring) Digest(v sensitive.Value) []byte {
	return r.service(LayerIndex).digest(v)
}

// DigestKey names the index key of [Ring.Digest].
func (r *Ring) DigestKey() KeyID { return r.service(LayerIndex).row.ID }

// DigestAll gives the digest under every index key whose digests may be stored: while the index key turns, a value is found
// under the old key or the new one.
func (r *Ring) DigestAll(v sensitive.Value) map[KeyID][]byte {
	all := make(map[KeyID][]byte, 2)
	for _, k := range r.view.Load().index {
		all[k.row.ID] = k.digest(v)
	}
	return all
}

func (k *key) digest(v sensitive.Value) []byte {
	m := hmac.New(sha256.New, k.bytes.Reveal())
	m.Write(v.Reveal())
	return m.Sum(nil)
}

// LogSeed gives the 32-byte Ed25519 seed (RFC 8032) that signs the audit log, and its key. The bytes are a copy: wipe them
// after use. Public keys of all generations are in [Ring.Rows].
func (r *Ring) LogSeed() (sensitive.Value, KeyID) { return r.service(LayerLog).seed() }

// TokenSeed is [Ring.LogSeed] for the key that signs tokens.
func (r *Ring) TokenSeed() (sensitive.Value, KeyID) { return r.service(LayerTokens).seed() }

func (k *key) seed() (sensitive.Value, KeyID) {
	return sensitive.New(bytes.Clone(k.bytes.Reveal())), k.row.ID
}

// service gives the primary of a layer that always has one, see choosePrimaries.
func (r *Ring) service(layer Layer) *key { return r.view.Load().primary[scope{layer: layer}] }

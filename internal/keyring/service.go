package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// DigestSize is the length of a digest: generation and HMAC.
const DigestSize = digestPrefix + sha256.Size

const digestPrefix = 4

// DigestPrefix is what all digests under one generation of the index key begin with, 4 bytes, big-endian: so those that are
// left under an old generation are one range of an index on the column.
func DigestPrefix(generation uint32) []byte { return binary.BigEndian.AppendUint32(nil, generation) }

// Digest is the generation of the primary index key and HMAC-SHA256 (RFC 2104) of v under it, [DigestSize] bytes: equal values
// have equal digests, in every project, and without the key nobody can try values against them.
func (r *Ring) Digest(v sensitive.Value) []byte {
	return r.service(LayerIndex).digest(v)
}

// DigestFits tells whether a stored digest is that of v, under whichever generation of the index key it was made.
func (r *Ring) DigestFits(v sensitive.Value, stored []byte) bool {
	if len(stored) != DigestSize {
		return false
	}
	generation, now := binary.BigEndian.Uint32(stored), r.view.Load()
	for _, k := range now.index { // nearly always one of these
		if k.row.Generation == generation {
			return hmac.Equal(k.digest(v), stored)
		}
	}
	for _, k := range now.keys {
		if k.row.Layer == LayerIndex && k.row.Generation == generation && k.loaded() {
			return hmac.Equal(k.digest(v), stored)
		}
	}
	return false
}

// DigestKey names the index key of [Ring.Digest].
func (r *Ring) DigestKey() KeyID { return r.service(LayerIndex).row.ID }

// KnowsDigest tells whether the key of a stored digest is at hand, so that [Ring.DigestFits] can decide.
func (r *Ring) KnowsDigest(stored []byte) bool {
	if len(stored) != DigestSize {
		return false
	}
	generation := binary.BigEndian.Uint32(stored)
	for _, k := range r.view.Load().keys {
		if k.row.Layer == LayerIndex && k.row.Generation == generation {
			return k.loaded()
		}
	}
	return false
}

// DigestAll gives the digest under every index key whose digests may be stored: while the index key turns, a value is found
// under the old key or the new one.
func (r *Ring) DigestAll(v sensitive.Value) [][]byte {
	index := r.view.Load().index
	all := make([][]byte, 0, len(index))
	for _, k := range index {
		all = append(all, k.digest(v))
	}
	return all
}

func (k *key) digest(v sensitive.Value) []byte {
	m := hmac.New(sha256.New, k.bytes.Reveal())
	m.Write(v.Reveal())
	return m.Sum(DigestPrefix(k.row.Generation))
}

// LogSeed gives the 32-byte Ed25519 seed (RFC 8032) that signs the audit log, and its key. The bytes are a copy: wipe them
// after use. Public keys of all generations are in [Ring.Rows].
func (r *Ring) LogSeed() (sensitive.Value, KeyID) { return r.service(LayerLog).seed() }

// TokenSeed is [Ring.LogSeed] for the key that signs tokens.
func (r *Ring) TokenSeed() (sensitive.Value, KeyID) { return r.service(LayerTokens).seed() }

// LogSeeds gives the seeds of every log-signing key that still signs: the primary first, then those of an overlap.
func (r *Ring) LogSeeds() []sensitive.Value {
	v := r.view.Load()
	primary := v.primary[scope{layer: LayerLog}]
	seed, _ := primary.seed()
	out := []sensitive.Value{seed}
	for _, k := range v.keys {
		if k.row.Layer == LayerLog && k.row.State == StateActive && k.loaded() {
			seed, _ := k.seed()
			out = append(out, seed)
		}
	}
	return out
}

func (k *key) seed() (sensitive.Value, KeyID) {
	return sensitive.New(bytes.Clone(k.bytes.Reveal())), k.row.ID
}

// service gives the primary of a layer that always has one, see choosePrimaries.
func (r *Ring) service(layer Layer) *key { return r.view.Load().primary[scope{layer: layer}] }

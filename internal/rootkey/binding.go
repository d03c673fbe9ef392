package rootkey

import (
	"crypto/sha256"
	"encoding/binary"
)

// Bytes is the binding as additional data: a domain, then each part behind its length, so that no two bindings have the
// same bytes.
func (b Binding) Bytes() []byte {
	out := []byte("keyturn root key binding v1\x00")
	for _, part := range []string{b.Instance, b.Slot} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

// Digest is SHA-256 of [Binding.Bytes], for places that have room for 32 bytes only.
func (b Binding) Digest() [sha256.Size]byte { return sha256.Sum256(b.Bytes()) }

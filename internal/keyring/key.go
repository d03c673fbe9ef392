package keyring

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// key is one loaded generation. It never changes; a new state makes a new key that shares the count of seals.
type key struct {
	row   KeyRow
	aead  func() cipher.AEAD // of instance and project keys; nil if not loaded. A function, because fmt would print key bytes
	bytes sensitive.Value    // of all but project keys: an instance key must be wrapped again for each new slot
	seals *allowance
}

// String names the key for errors: layer, id, generation, project.
func (k *key) String() string {
	if k.row.Project != "" {
		return fmt.Sprintf("project key %s (generation %d of project %s)", k.row.ID, k.row.Generation, k.row.Project)
	}
	return fmt.Sprintf("%s key %s (generation %d)", k.row.Layer, k.row.ID, k.row.Generation)
}

// emptyKey knows its row and opens nothing: destroyed keys, and instance keys in slots of other root keys.
func emptyKey(row KeyRow) *key {
	return &key{row: row.clone(), seals: newAllowance(row.SealsReserved)}
}

// loadedKey takes ownership of raw, which has keySize bytes.
func loadedKey(row KeyRow, raw []byte) (*key, error) {
	k := emptyKey(row)
	if row.Layer.sealsEnvelopes() {
		aead := newAEAD(raw) // the key schedule is made once, here
		k.aead = func() cipher.AEAD { return aead }
		if row.Layer == LayerInstance {
			k.bytes = sensitive.New(raw)
		} else {
			clear(raw)
		}
		return k, nil
	}
	if row.Layer.signs() && !bytes.Equal(publicOf(raw), row.Public) {
		clear(raw)
		return nil, damaged("%s has a public key that is not its own", k)
	}
	k.bytes = sensitive.New(raw)
	return k, nil
}

// with gives the same key in the state and wrapping of row.
func (k *key) with(row KeyRow) *key {
	next := &key{row: row.clone(), aead: k.aead, bytes: k.bytes, seals: k.seals}
	if row.State == StateDestroyed {
		next.aead, next.bytes = nil, sensitive.Value{}
	}
	return next
}

// loaded tells whether the key itself is in memory.
func (k *key) loaded() bool { return k.aead != nil || !k.bytes.Empty() }

// sameBytes compares an instance, index, log or tokens key in constant time.
func (k *key) sameBytes(raw []byte) bool { return k.bytes.Equal(sensitive.New(raw)) }

func publicOf(seed []byte) []byte {
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(private)
	return bytes.Clone(private[ed25519.SeedSize:])
}

// freshRow makes a key and its row, still without wrapping. The caller wipes raw.
func freshRow(layer Layer, project string, generation uint32, state State, nowMS int64) (row KeyRow, raw []byte) {
	raw = make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails: crypto/rand stops the process instead
	row = KeyRow{ID: newKeyID(), Layer: layer, Project: project, Generation: generation, State: state, CreatedMS: nowMS}
	if layer.signs() {
		row.Public = publicOf(raw)
	}
	return row, raw
}

// keyAssociated is what the wrapping of a key is bound to: all that never changes about the key, and the wrapping key.
func keyAssociated(instanceID string, h Header, row KeyRow) []byte {
	b := fields(nil, purposeKey, instanceID)
	b = field(b, h.append(nil))
	b = field(b, row.ID[:])
	b = fields(b, string(row.Layer), row.Project)
	return field(b, binary.BigEndian.AppendUint32(nil, row.Generation))
}

// wrap gives row with raw wrapped under the instance key by.
func wrap(instanceID string, by *key, row KeyRow, raw []byte) KeyRow {
	h := headerOf(by.row.ID, by.row.Generation)
	row.WrappedBy = by.row.ID
	row.Wrapped = sealWith(by.aead(), h, raw, keyAssociated(instanceID, h, row))
	return row
}

// unwrap gives the key bytes of row. The caller wipes them.
func (v *view) unwrap(instanceID string, row KeyRow) ([]byte, error) {
	name := emptyKey(row).String()
	by, ok := v.keys[row.WrappedBy]
	switch {
	case !ok:
		return nil, fault.New(fault.Unavailable, "%s is wrapped by instance key %s, which is not loaded", name, row.WrappedBy)
	case by.row.Layer != LayerInstance:
		return nil, damaged("%s is wrapped by a key that is no instance key", name)
	case !by.loaded():
		return nil, v.sealed(by, name)
	}
	h, err := ParseHeader(row.Wrapped)
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), err, "%s does not unwrap", name)
	}
	if h.Key != row.WrappedBy || h.Generation != by.row.Generation {
		return nil, damaged("%s does not lie under the instance key that its row names", name)
	}
	raw, ok := openWith(by.aead(), row.Wrapped, keyAssociated(instanceID, h, row))
	if !ok || len(raw) != keySize {
		return nil, damaged("%s does not open under %s", name, by)
	}
	return raw, nil
}

// load makes a key out of a row that is not an instance key.
func (v *view) load(instanceID string, row KeyRow) (*key, error) {
	if row.State == StateDestroyed {
		return emptyKey(row), nil
	}
	raw, err := v.unwrap(instanceID, row)
	if err != nil {
		return nil, err
	}
	return loadedKey(row, raw)
}

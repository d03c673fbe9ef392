package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// SlotDraft is a slot that shall be made.
type SlotDraft struct {
	Kind   string // where the root key comes from
	Source string // see SlotRow
	Kept   []byte // see SlotRow
	ID     string // of NewSlotID, where the source needed it before; empty: a fresh one
	Root   RootPublic
	NowMS  int64
}

// NewSlotID makes an id for a slot that shall be made.
func NewSlotID() string { return newKeyID().String() }

// slotInfo is what the wrapping in a slot is bound to: all that tells where its root key comes from.
func slotInfo(instanceID string, h Header, s SlotRow) []byte {
	kept := sha256.Sum256(s.Kept)
	b := fields(nil, purposeSlot2, instanceID)
	b = field(b, h.append(nil))
	b = fields(b, s.ID, s.Kind, s.Fingerprint, s.Source)
	b = field(b, kept[:])
	return field(b, s.Key[:])
}

// oldSlotAssociated is what the wrapping of the first format is bound to.
func oldSlotAssociated(instanceID string, h Header, s SlotRow) []byte {
	b := fields(nil, purposeSlot, instanceID)
	b = field(b, h.append(nil))
	b = fields(b, s.ID, s.Kind, s.Fingerprint)
	return field(b, s.Key[:])
}

// fillSlot wraps instance key k for the root key of s, and proves under k that whoever holds it made the slot.
func fillSlot(instanceID string, s SlotRow, k *key) (SlotRow, error) {
	id, err := ParseKeyID(s.ID)
	if err != nil {
		return s, damaged("key slot %s has an id that is none", s.ID)
	}
	s.Key, s.Check = k.row.ID, []byte{}
	h := Header{formatOne, algorithmHPKE, id, k.row.Generation}
	sealed, err := sealTo(s.Public, k.bytes.Reveal(), slotInfo(instanceID, h, s))
	if err != nil {
		return s, err
	}
	s.Wrapped = append(h.append(nil), sealed...)
	at := headerOf(k.row.ID, k.row.Generation)
	s.Proof = sealWith(k.aead(), at, nil, proofAssociated(instanceID, at, s))
	return s, nil
}

// proofAssociated is what the proof of a slot authenticates: everything but the wrapping itself, which is made by anybody
// who knows the public key.
func proofAssociated(instanceID string, h Header, s SlotRow) []byte {
	b := fields(nil, purposeProof)
	b = field(b, slotInfo(instanceID, h, s))
	b = field(b, s.Public)
	wrapped := sha256.Sum256(s.Wrapped)
	return field(b, wrapped[:])
}

// proven tells whether the slot was made by whoever held k. Without this, somebody who can write to the database could put in
// a public key of his own and wait until the instance key turns.
func (s SlotRow) proven(instanceID string, k *key) error {
	h, err := ParseHeader(s.Proof)
	if err != nil || h.Key != k.row.ID || h.Generation != k.row.Generation {
		return damaged("key slot %s has no proof that this instance made it", s.ID)
	}
	if _, ok := openWith(k.aead(), s.Proof, proofAssociated(instanceID, h, s)); !ok {
		return damaged("key slot %s was not made by this instance, or was altered", s.ID)
	}
	return nil
}

// belongs tells whether the slot is one of root's. Fingerprint and key must agree: if only one fits, the row was altered, and
// that is not the same as a wrong root key.
func (s SlotRow) belongs(root Root, public RootPublic, instanceID string) (bool, error) {
	named := s.Fingerprint == public.Fingerprint
	proved := bytes.Equal(s.Public, public.Key)
	if len(s.Public) == 0 {
		proved = hmac.Equal(s.Check, root.check(instanceID, s.ID))
	}
	if named != proved {
		return false, damaged("key slot %s has a check value that does not fit its fingerprint", s.ID)
	}
	return named, nil
}

// open gives the instance key in a slot that belongs to root. The caller wipes it.
func (s SlotRow) open(root Root, instanceID string, row KeyRow) ([]byte, error) {
	algorithm := algorithmHPKE
	if len(s.Public) == 0 {
		algorithm = algorithmAES256G
	}
	h, err := parseHeader(s.Wrapped, algorithm)
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), err, "key slot %s does not open", s.ID)
	}
	if h.Key.String() != s.ID || h.Generation != row.Generation {
		return nil, damaged("key slot %s holds the wrapping of another slot or generation", s.ID)
	}
	var raw []byte
	var ok bool
	if algorithm == algorithmHPKE {
		raw, ok = root.openFrom(s.Wrapped[headerSize:], slotInfo(instanceID, h, s))
	} else {
		raw, ok = openWith(root.wrapper(), s.Wrapped, oldSlotAssociated(instanceID, h, s))
	}
	if !ok || len(raw) != keySize {
		return nil, damaged("key slot %s does not open, although its root key is the right one", s.ID)
	}
	return raw, nil
}

// openSlots loads every instance key that root has a slot for, and knows the others by their rows.
func openSlots(root Root, instanceID string, rows Rows) (map[KeyID]*key, error) {
	keys := make(map[KeyID]*key, len(rows.Keys))
	for _, row := range rows.Keys {
		if row.Layer == LayerInstance {
			keys[row.ID] = emptyKey(row)
		}
	}
	if len(rows.Slots) == 0 {
		return nil, damaged("instance %s has no key slot", instanceID)
	}
	// All check values come first: a wrong root key is told before anything is opened.
	var mine []SlotRow
	public := root.Public()
	for _, s := range rows.Slots {
		ok, err := s.belongs(root, public, instanceID)
		if err != nil {
			return nil, err
		}
		if ok {
			mine = append(mine, s)
		}
	}
	if len(mine) == 0 {
		return nil, wrongRoot(root, rows.Slots)
	}
	opened := make(map[KeyID][]byte, len(mine))
	defer func() {
		for _, raw := range opened {
			clear(raw)
		}
	}()
	for _, s := range mine {
		k, ok := keys[s.Key]
		if !ok || k.row.State == StateDestroyed {
			return nil, damaged("key slot %s holds instance key %s, which does not exist", s.ID, s.Key)
		}
		raw, err := s.open(root, instanceID, k.row)
		if err != nil {
			return nil, err
		}
		if other, ok := opened[s.Key]; ok && subtle.ConstantTimeCompare(raw, other) != 1 {
			return nil, damaged("key slot %s holds another instance key than its row names", s.ID)
		}
		opened[s.Key] = slices.Clone(raw)
		if keys[s.Key], err = loadedKey(k.row, raw); err != nil {
			return nil, err
		}
	}
	// Also the slots of others: a forged one must be found before the instance key is ever wrapped for it.
	for _, s := range rows.Slots {
		if k := keys[s.Key]; len(s.Public) != 0 && k != nil && k.loaded() {
			if err := s.proven(instanceID, k); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}

// wrongRoot names what is needed and what was given, by fingerprint.
func wrongRoot(root Root, slots []SlotRow) error {
	return fault.New(fault.Sealed, "the root key %s does not open this instance: needed is %s",
		root.Fingerprint(), fingerprints(slots)).
		WithHint("set %s or %s to the root key with that fingerprint; nothing was changed", EnvRoot, EnvRootFile)
}

// sealed is the failure of a root key that has a slot, but none for the instance key that is needed for what.
func (v *view) sealed(by *key, what string) error {
	var holding []SlotRow
	for _, s := range v.slots {
		if s.Key == by.row.ID {
			holding = append(holding, s)
		}
	}
	if len(holding) == 0 {
		return damaged("%s needs %s, which is in no key slot", what, by)
	}
	return fault.New(fault.Sealed, "%s needs %s: needed is root key %s", what, by, fingerprints(holding))
}

// fingerprints lists each once, in order, joined by "or".
func fingerprints(slots []SlotRow) string {
	var all []string
	for _, s := range slots {
		all = append(all, s.Fingerprint)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " or ")
}

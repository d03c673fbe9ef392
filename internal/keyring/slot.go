package keyring

import (
	"crypto/hmac"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// slotAssociated is what the wrapping in a slot is bound to.
func slotAssociated(instanceID string, h Header, s SlotRow) []byte {
	b := fields(nil, purposeSlot, instanceID)
	b = field(b, h.append(nil))
	b = fields(b, s.ID, s.Kind, s.Fingerprint)
	return field(b, s.Key[:])
}

// fillSlot wraps raw, the instance key of row, under root. The header names the slot in place of a wrapping key, since a
// root key has no row of its own.
func fillSlot(root Root, kind, instanceID string, row KeyRow, raw []byte, nowMS int64) SlotRow {
	id := newKeyID()
	s := SlotRow{ID: id.String(), Kind: kind, Fingerprint: root.Fingerprint(), Key: row.ID, CreatedMS: nowMS}
	h := headerOf(id, row.Generation)
	s.Wrapped = sealWith(root.wrapper(), h, raw, slotAssociated(instanceID, h, s))
	s.Check = root.check(instanceID, s.ID)
	return s
}

// belongs tells whether the slot is one of root's. Fingerprint and check value must agree: if only one fits, the row was
// altered, and that is not the same as a wrong root key.
func (s SlotRow) belongs(root Root, instanceID string) (bool, error) {
	named := s.Fingerprint == root.Fingerprint()
	proved := hmac.Equal(s.Check, root.check(instanceID, s.ID))
	if named != proved {
		return false, damaged("key slot %s has a check value that does not fit its fingerprint", s.ID)
	}
	return named, nil
}

// open gives the instance key in a slot that belongs to root. The caller wipes it.
func (s SlotRow) open(root Root, instanceID string, row KeyRow) ([]byte, error) {
	h, err := ParseHeader(s.Wrapped)
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), err, "key slot %s does not open", s.ID)
	}
	if h.Key.String() != s.ID || h.Generation != row.Generation {
		return nil, damaged("key slot %s holds the wrapping of another slot or generation", s.ID)
	}
	raw, ok := openWith(root.wrapper(), s.Wrapped, slotAssociated(instanceID, h, s))
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
	for _, s := range rows.Slots {
		ok, err := s.belongs(root, instanceID)
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

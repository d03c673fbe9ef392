package keyring

import (
	"github.com/keyturn/keyturn/internal/fault"
)

// Create starts a new world: the first generation of the instance, index, log and tokens keys, and one slot that wraps the
// instance key under root. The caller stores rows and syncs them before the ring is used. slotKind is [SlotEnvironment] or
// another; instanceID is the immutable id of the installation, and every envelope is bound to it for ever. A missing root
// key, unknown kind or empty id is [fault.Invalid].
func Create(root Root, slotKind, instanceID string, nowMS int64) (*Ring, Rows, error) {
	return CreateIn(root, SlotDraft{Kind: slotKind, NowMS: nowMS}, instanceID)
}

// CreateIn is [Create] with all that the first slot shall tell of its root key.
func CreateIn(root Root, d SlotDraft, instanceID string) (*Ring, Rows, error) {
	nowMS := d.NowMS
	switch {
	case root.missing():
		return nil, Rows{}, fault.New(fault.Invalid, "an instance needs a root key")
	case d.Kind == "":
		return nil, Rows{}, fault.New(fault.Invalid, "a key slot needs a kind")
	case instanceID == "":
		return nil, Rows{}, fault.New(fault.Invalid, "an instance needs an id")
	}
	row, raw := freshRow(LayerInstance, "", 1, StatePrimary, nowMS)
	// The wrappings below are the first seals of this key, so its first block is taken out with it.
	row.SealsReserved = SealBlock
	instance, err := loadedKey(row, raw)
	if err != nil {
		return nil, Rows{}, err
	}
	public := root.Public()
	if d.ID == "" {
		d.ID = NewSlotID()
	}
	slot, err := fillSlot(instanceID, SlotRow{ID: d.ID, Kind: d.Kind, Source: d.Source, Kept: d.Kept, Fingerprint: public.Fingerprint, Public: public.Key,
		CreatedMS: nowMS, ProvedMS: nowMS}, instance)
	if err != nil {
		return nil, Rows{}, err
	}
	rows := Rows{Slots: []SlotRow{slot}, Keys: []KeyRow{row}}
	for _, layer := range serviceLayers() {
		service, raw := freshRow(layer, "", 1, StatePrimary, nowMS)
		rows.Keys = append(rows.Keys, wrap(instanceID, instance, service, raw))
		clear(raw)
	}
	// The rows themselves are opened, so that what is stored is known to open.
	ring, err := Unlock(root, instanceID, rows)
	if err != nil {
		return nil, Rows{}, err
	}
	primary := ring.view.Load().primary[scope{layer: LayerInstance}]
	primary.seals.left.Store(SealBlock - int64(len(serviceLayers())) - 1) // the services and the proof of the slot
	return ring, rows, nil
}

// Unlock opens the stored keys with root. A root key without a slot is [fault.Sealed], told by the check values before
// anything is opened, with the fingerprints of the needed and the given one. Rows that contradict themselves, each other or
// what they wrap are [ErrDamaged], by name. Rows are not kept and not changed.
func Unlock(root Root, instanceID string, rows Rows) (*Ring, error) {
	if root.missing() {
		return nil, fault.New(fault.Sealed, "there is no root key: needed is %s", fingerprints(rows.Slots)).
			WithHint("set %s or %s to the root key with that fingerprint", EnvRoot, EnvRootFile)
	}
	keys, err := openSlots(root, instanceID, rows)
	if err != nil {
		return nil, err
	}
	v := &view{keys: keys, slots: cloneSlots(rows.Slots)}
	if err := v.openOldInstanceKeys(instanceID, rows.Keys); err != nil {
		return nil, err
	}
	seen := make(map[KeyID]bool, len(rows.Keys))
	for _, row := range rows.Keys {
		if err := row.check(); err != nil {
			return nil, err
		}
		if seen[row.ID] {
			return nil, damaged("there are two rows of key %s", row.ID)
		}
		seen[row.ID] = true
		if row.Layer == LayerInstance {
			continue
		}
		// A ring that runs would be told to reload; at the start there is nothing else to load.
		if _, ok := keys[row.WrappedBy]; !ok && row.State != StateDestroyed {
			return nil, damaged("%s is wrapped by instance key %s, which does not exist", emptyKey(row), row.WrappedBy)
		}
		k, err := v.load(instanceID, row)
		if err != nil {
			return nil, err
		}
		keys[row.ID] = k
	}
	if err := v.choosePrimaries(); err != nil {
		return nil, err
	}
	return newRing(instanceID, v), nil
}

// openOldInstanceKeys loads instance keys that lie under a newer one, while a turn of that layer runs. The chain is as long as
// the turns that are not finished, so it is walked until nothing more opens.
func (v *view) openOldInstanceKeys(instanceID string, rows []KeyRow) error {
	for again := true; again; {
		again = false
		for _, row := range rows {
			if row.Layer != LayerInstance || len(row.Wrapped) == 0 || v.keys[row.ID].loaded() {
				continue
			}
			if by := v.keys[row.WrappedBy]; by == nil || !by.loaded() {
				continue
			}
			k, err := v.load(instanceID, row)
			if err != nil {
				return err
			}
			v.keys[row.ID], again = k, true
		}
	}
	return nil
}

// NewProjectKey makes the next generation of a project's key, wrapped under the primary instance key. The first generation
// is primary, a later one is pending. The ring does not use it yet: store the row together with [Ring.Reservations], then
// [Ring.Add] it. Layer, project and generation must be unique in the store, so that of two servers one fails.
func (r *Ring) NewProjectKey(projectID string, nowMS int64) (KeyRow, error) {
	if projectID == "" {
		return KeyRow{}, fault.New(fault.Invalid, "a project key needs a project id")
	}
	now := r.view.Load()
	by := now.primary[scope{layer: LayerInstance}]
	if err := r.spend(by); err != nil {
		return KeyRow{}, err
	}
	generation, state := uint32(1), StatePrimary
	for _, k := range now.keys {
		if k.row.Project == projectID && k.row.Generation >= generation {
			generation, state = k.row.Generation+1, StatePending
		}
	}
	row, raw := freshRow(LayerProject, projectID, generation, state, nowMS)
	defer clear(raw)
	return wrap(r.instanceID, by, row, raw), nil
}

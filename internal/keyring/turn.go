package keyring

import (
	"maps"

	"github.com/keyturn/keyturn/internal/fault"
)

// NewSlot makes a slot that holds the primary instance key for another root key. The ring does not know it yet: store it,
// then [Ring.Update]. A draft without kind or with a public key that is none is [fault.Invalid].
func (r *Ring) NewSlot(d SlotDraft) (SlotRow, error) {
	if d.Kind == "" || d.Root.Fingerprint == "" {
		return SlotRow{}, fault.New(fault.Invalid, "a key slot needs a kind and a root key")
	}
	k := r.view.Load().primary[scope{layer: LayerInstance}]
	if err := r.spend(k); err != nil {
		return SlotRow{}, err
	}
	s := SlotRow{ID: d.ID, Kind: d.Kind, Source: d.Source, Kept: d.Kept, Fingerprint: d.Root.Fingerprint, Public: d.Root.Key, CreatedMS: d.NowMS}
	if s.ID == "" {
		s.ID = NewSlotID()
	}
	return fillSlot(r.instanceID, s, k)
}

// Refilled gives the slots of the first format that root opens, in today's format. Store them, then [Ring.Update].
func (r *Ring) Refilled(root Root) ([]SlotRow, error) {
	var out []SlotRow
	public := root.Public()
	v := r.view.Load()
	for _, s := range v.slots {
		if len(s.Public) != 0 || s.Fingerprint != public.Fingerprint {
			continue
		}
		k := v.primary[scope{layer: LayerInstance}]
		if err := r.spend(k); err != nil {
			return nil, err
		}
		s.Public = public.Key
		s, err := fillSlot(r.instanceID, s, k)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// OpensSlot proves that root opens the slot and finds the instance key in it that this ring has. Anything else is
// [fault.Sealed] or [ErrDamaged].
func (r *Ring) OpensSlot(root Root, s SlotRow) error {
	k, ok := r.view.Load().keys[s.Key]
	if !ok || !k.loaded() {
		return damaged("key slot %s holds instance key %s, which is not loaded", s.ID, s.Key)
	}
	mine, err := s.belongs(root, root.Public(), r.instanceID)
	if err != nil {
		return err
	}
	if !mine {
		return wrongRoot(root, []SlotRow{s})
	}
	raw, err := s.open(root, r.instanceID, k.row)
	if err != nil {
		return err
	}
	defer clear(raw)
	if !k.sameBytes(raw) {
		return damaged("key slot %s holds another instance key than its row names", s.ID)
	}
	return nil
}

// Next makes the next generation of a layer, or of a project's key, and the row of the one before it as it stands then: the
// new one primary, the old one active. The ring does not use them yet: store both with [Ring.Reservations], then [Ring.Update].
// For the instance layer, slots are those of the database: the new key comes in them, wrapped for every root key, and the
// old instance key comes wrapped under the new one. A slot that this instance did not make is [ErrDamaged]; one of the first
// format is [fault.Unsupported].
func (r *Ring) Next(layer Layer, project string, slots []SlotRow, nowMS int64) (Rows, error) {
	v := r.view.Load()
	old, ok := v.primary[scope{layer, project}]
	if !ok {
		return Rows{}, fault.New(fault.NotFound, "there is no %s key to turn", layer)
	}
	by := v.primary[scope{layer: LayerInstance}]
	if err := r.spend(by); err != nil {
		return Rows{}, err
	}
	generation := old.row.Generation
	for _, k := range v.keys {
		if k.row.scope() == old.row.scope() {
			generation = max(generation, k.row.Generation)
		}
	}
	fresh, raw := freshRow(layer, project, generation+1, StatePrimary, nowMS)
	before := old.row.clone()
	before.State, before.SealsReserved = StateActive, old.seals.total.Load()
	if layer != LayerInstance {
		defer clear(raw)
		return Rows{Keys: []KeyRow{before, wrap(r.instanceID, by, fresh, raw)}}, nil
	}
	fresh.SealsReserved = SealBlock // the wrappings below are its first seals
	made, err := loadedKey(fresh, raw)
	if err != nil {
		return Rows{}, err
	}
	out := Rows{Keys: []KeyRow{wrap(r.instanceID, made, before, old.bytes.Reveal()), fresh}}
	for _, s := range slots {
		if len(s.Public) == 0 {
			return Rows{}, fault.New(fault.Unsupported, "key slot %s is of the first format, which the instance key cannot be wrapped for without its root key", s.ID).
				WithHint("start the server once with root key %s, or remove the slot: keyturn keys slot remove %s", s.Fingerprint, s.ID)
		}
		holding, ok := v.keys[s.Key]
		if !ok || !holding.loaded() {
			return Rows{}, damaged("key slot %s holds instance key %s, which is not loaded", s.ID, s.Key)
		}
		if err := s.proven(r.instanceID, holding); err != nil {
			return Rows{}, err
		}
		s, err := fillSlot(r.instanceID, s, made)
		if err != nil {
			return Rows{}, err
		}
		out.Slots = append(out.Slots, s)
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	if r.made == nil {
		r.made = make(map[KeyID]*key)
	}
	r.made[fresh.ID] = made // until its row is committed and told to Update
	return out, nil
}

// Rewrap gives the row of a key wrapped under the primary instance key, whichever wraps it now. Store it, then [Ring.Update].
func (r *Ring) Rewrap(row KeyRow) (KeyRow, error) {
	v := r.view.Load()
	raw, err := v.unwrap(r.instanceID, row)
	if err != nil {
		return row, err
	}
	defer clear(raw)
	by := v.primary[scope{layer: LayerInstance}]
	if err := r.spend(by); err != nil {
		return row, err
	}
	return wrap(r.instanceID, by, row, raw), nil
}

// Primary names the key that seals in a layer, or for a project; false where there is none.
func (r *Ring) Primary(layer Layer, project string) (KeyID, bool) {
	k, ok := r.view.Load().primary[scope{layer, project}]
	if !ok {
		return KeyID{}, false
	}
	return k.row.ID, true
}

// Update takes in what the database holds: all rows, or those that changed; slots replace the known ones unless nil. It is
// [Ring.Add] for keys. An instance key that this ring did not make itself is [fault.Unavailable]: [Ring.Relock] then.
func (r *Ring) Update(rows Rows) error {
	if err := r.Add(rows.Keys...); err != nil {
		return err
	}
	if rows.Slots == nil {
		return nil
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	next := *r.view.Load()
	next.slots = cloneSlots(rows.Slots)
	r.view.Store(&next)
	return nil
}

// Relock opens all rows of the database anew with a root key and puts what they hold in place of what the ring knew. Counts of
// seals stay. It fails like [Unlock] and leaves the ring as it was then.
func (r *Ring) Relock(root Root, rows Rows) error {
	fresh, err := Unlock(root, r.instanceID, rows)
	if err != nil {
		return err
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	now, next := r.view.Load(), *fresh.view.Load()
	next.keys = maps.Clone(next.keys)
	for id, k := range next.keys {
		if known, ok := now.keys[id]; ok {
			known.seals.raise(k.row.SealsReserved)
			k.seals = known.seals
		}
	}
	r.view.Store(&next)
	return nil
}

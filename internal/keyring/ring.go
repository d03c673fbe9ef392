package keyring

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Ring is an unlocked keyring. It is safe for concurrent use: reading takes no lock, since every change swaps in a new
// immutable view. It prints as [sensitive.Redacted].
type Ring struct {
	instanceID string
	view       atomic.Pointer[view]
	changing   sync.Mutex     // held by those who replace view, so that none overwrites another's change
	made       map[KeyID]*key // instance keys of Next whose rows were not told yet; guarded by changing

	short struct { // keys that sealed ahead of their stored blocks
		sync.Mutex
		keys map[KeyID]*allowance
	}
}

// view is one moment of the ring. Nothing in it changes once it is published, except the counts of seals.
type view struct {
	keys    map[KeyID]*key
	primary map[scope]*key
	index   []*key // index keys whose digests may be stored: pending, primary, active
	slots   []SlotRow
}

func newRing(instanceID string, v *view) *Ring {
	r := &Ring{instanceID: instanceID}
	r.short.keys = make(map[KeyID]*allowance)
	r.view.Store(v)
	return r
}

// choosePrimaries fills v.primary and v.index, and refuses a set of keys that could not serve: two primaries or two equal generations in
// one scope, or none where one must be.
func (v *view) choosePrimaries() error {
	type life struct {
		scope      scope
		generation uint32
	}
	seen := make(map[life]*key, len(v.keys))
	v.primary = make(map[scope]*key, len(v.keys))
	for _, k := range v.keys {
		at := life{k.row.scope(), k.row.Generation}
		if other, ok := seen[at]; ok {
			return damaged("%s and %s have the same generation", k, other)
		}
		seen[at] = k
		if k.row.Layer == LayerIndex && k.loaded() && k.row.State != StateRetired {
			v.index = append(v.index, k)
		}
		if k.row.State != StatePrimary {
			continue
		}
		if other, ok := v.primary[at.scope]; ok {
			return damaged("%s and %s are both primary", k, other)
		}
		v.primary[at.scope] = k
	}
	for _, layer := range append(serviceLayers(), LayerInstance) {
		if v.primary[scope{layer: layer}] == nil {
			return damaged("there is no primary %s key", layer)
		}
	}
	if k := v.primary[scope{layer: LayerInstance}]; !k.loaded() {
		return v.sealed(k, "this instance")
	}
	return nil
}

// Add takes rows in after they are committed, by this server or another: new keys, new states, new wrappings, new counts of
// seals. The rows of one call become visible together, and a row that is already known changes nothing. A new primary of a
// higher generation makes the primary before it active by itself; going back needs both rows in one call.
//
// Failures leave the ring as it was: [ErrDamaged] for a row that contradicts its key; [fault.Conflict] for a row older than
// what is loaded, or that would take away a key still needed; [fault.Unavailable] for a new instance key, or a key under one,
// which only [Unlock] can load.
func (r *Ring) Add(rows ...KeyRow) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	now := r.view.Load()
	next := &view{keys: maps.Clone(now.keys), slots: now.slots}
	for _, row := range instanceFirst(rows) {
		k, err := r.admit(now, next, row)
		if err != nil {
			return err
		}
		next.keys[row.ID] = k
	}
	if err := next.demote(now, rows); err != nil {
		return err
	}
	if err := next.keepNeeded(rows); err != nil {
		return err
	}
	if err := next.choosePrimaries(); err != nil {
		return err
	}
	for _, row := range rows {
		next.keys[row.ID].seals.raise(row.SealsReserved)
		delete(r.made, row.ID)
	}
	r.view.Store(next)
	return nil
}

// admit makes the key of one row as it will be in next.
func (r *Ring) admit(now, next *view, row KeyRow) (*key, error) {
	if err := row.check(); err != nil {
		return nil, err
	}
	known, ok := next.keys[row.ID]
	switch {
	case !ok && row.Layer == LayerInstance && r.made[row.ID] != nil:
		k := r.made[row.ID]
		k.seals.left.Store(SealBlock - int64(len(now.keys)+len(now.slots))) // more than Next has used of the first block
		return k.with(row), nil
	case !ok && row.Layer == LayerInstance && row.State != StateDestroyed && len(row.Wrapped) == 0:
		return nil, fault.New(fault.Unavailable, "instance key %s is not loaded: it opens with the root key only", row.ID)
	case !ok:
		return next.load(r.instanceID, row)
	case known.row.scope() != row.scope() || known.row.Generation != row.Generation || !bytes.Equal(known.row.Public, row.Public):
		return nil, damaged("the row of %s now claims to be another key", known)
	case !known.row.State.reaches(row.State):
		return nil, fault.New(fault.Conflict, "%s is %s already; a row that says %s is older", known, known.row.State, row.State)
	}
	if !known.loaded() && known.row.State != StateDestroyed && row.State != StateDestroyed && len(row.Wrapped) != 0 {
		return next.load(r.instanceID, row) // an instance key that no slot of this root key held
	}
	rewrapped := row.WrappedBy != known.row.WrappedBy || !bytes.Equal(row.Wrapped, known.row.Wrapped)
	if rewrapped && row.State != StateDestroyed {
		if err := r.sameKey(now, next, known, row); err != nil {
			return nil, err
		}
	}
	return known.with(row), nil
}

// sameKey proves that a new wrapping holds the key that the old one held.
func (r *Ring) sameKey(now, next *view, known *key, row KeyRow) error {
	fresh, err := next.unwrap(r.instanceID, row)
	if err != nil {
		return err
	}
	defer clear(fresh)
	if known.row.Layer == LayerInstance { // it came out of a slot, or is at hand since
		if !known.sameBytes(fresh) {
			return damaged("the new wrapping of %s holds another key", known)
		}
		return nil
	}
	// The instance key of the old wrapping may be gone by now. The new wrapping is bound to this key's id all the same.
	before, err := now.unwrap(r.instanceID, known.row)
	if err != nil {
		return nil
	}
	defer clear(before)
	if !sensitive.New(fresh).Equal(sensitive.New(before)) {
		return damaged("the new wrapping of %s holds another key", known)
	}
	return nil
}

// demote makes the primaries of now active where rows bring a newer one and say nothing about the old.
func (v *view) demote(now *view, rows []KeyRow) error {
	told := make(map[KeyID]bool, len(rows))
	for _, row := range rows {
		told[row.ID] = true
	}
	for _, row := range rows {
		old := now.primary[row.scope()]
		if row.State != StatePrimary || old == nil || told[old.row.ID] {
			continue
		}
		if row.Generation < old.row.Generation {
			return fault.New(fault.Conflict, "%s is primary; a row that says generation %d is older", old, row.Generation)
		}
		active := old.row
		active.State = StateActive
		v.keys[old.row.ID] = old.with(active)
	}
	return nil
}

// keepNeeded refuses to let an instance key go while keys are wrapped by it.
func (v *view) keepNeeded(rows []KeyRow) error {
	for _, row := range rows {
		if row.Layer != LayerInstance || row.State != StateDestroyed {
			continue
		}
		for _, k := range v.keys {
			if k.row.WrappedBy == row.ID && k.row.State != StateDestroyed && k.row.ID != row.ID {
				return fault.New(fault.Conflict, "instance key %s is still needed: it wraps %s", row.ID, k)
			}
		}
	}
	return nil
}

// Has tells whether id is loaded and opens envelopes or digests. Keys that are only known by their row do not count.
func (r *Ring) Has(id KeyID) bool {
	k, ok := r.view.Load().keys[id]
	return ok && k.loaded()
}

// Rows gives every known key for status, ordered by id, with its count of seals as this server knows it. The wrapped keys are
// left out: a listing is no place for them, and storing these rows back must fail rather than seem to work.
func (r *Ring) Rows() []KeyRow {
	now := r.view.Load()
	rows := make([]KeyRow, 0, len(now.keys))
	for _, k := range now.keys {
		row := k.row.clone()
		row.Wrapped = nil
		row.SealsReserved = k.seals.total.Load()
		rows = append(rows, row)
	}
	slices.SortFunc(rows, byID)
	return rows
}

// Slots gives the key slots that the ring was unlocked with.
func (r *Ring) Slots() []SlotRow { return cloneSlots(r.view.Load().slots) }

func byID(a, b KeyRow) int { return bytes.Compare(a.ID[:], b.ID[:]) }

// instanceFirst orders rows so that a wrapping key comes before what it wraps.
func instanceFirst(rows []KeyRow) []KeyRow {
	rank := func(row KeyRow) int {
		switch {
		case row.Layer == LayerInstance && len(row.Wrapped) == 0:
			return 0
		case row.Layer == LayerInstance:
			return 1
		}
		return 2
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b KeyRow) int { return cmp.Compare(rank(a), rank(b)) })
	return rows
}

// String shows [sensitive.Redacted], as do the methods after it.
func (r *Ring) String() string { return sensitive.Redacted }

// GoString implements [fmt.GoStringer].
func (r *Ring) GoString() string { return sensitive.Redacted }

// Format implements [fmt.Formatter] for every verb.
func (r *Ring) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(sensitive.Redacted)) }

// LogValue implements [slog.LogValuer].
func (r *Ring) LogValue() slog.Value { return slog.StringValue(sensitive.Redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (r *Ring) MarshalText() ([]byte, error) { return []byte(sensitive.Redacted), nil }

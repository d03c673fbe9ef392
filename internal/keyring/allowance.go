package keyring

import (
	"slices"
	"sync/atomic"

	"github.com/keyturn/keyturn/internal/fault"
)

// SealBlock is how many seals are reserved at once. The database is told before the seals of a block can be in it, so that
// a crash never makes the count too low; it may make it too high by at most this much for each start.
const SealBlock int64 = 1 << 20

// SealLimit is where a generation refuses to seal. NIST SP 800-38D, section 8.3, allows 2^32 seals under one key with random
// 96-bit nonces; half of that leaves room for several servers that each hold a block.
const SealLimit int64 = 1 << 31

// allowance counts the seals of one key. It is shared by all views of the key and changes without a lock.
type allowance struct {
	left  atomic.Int64 // seals left in blocks that this process has stored; below zero: sealed ahead of the next block
	total atomic.Int64 // SealsReserved as this process knows it, blocks of other servers included
}

func newAllowance(reserved int64) *allowance {
	a := new(allowance)
	// What is left of blocks taken out before this start is unknown, so none of it is used.
	a.total.Store(reserved)
	return a
}

// take counts one seal and tells whether it lies inside a stored block. It fails at [SealLimit] without counting.
func (a *allowance) take() (covered, ok bool) {
	left := a.left.Add(-1)
	if left >= 0 {
		return true, true
	}
	if a.total.Load()-left > SealLimit {
		a.left.Add(1)
		return false, false
	}
	return false, true
}

// raise learns a stored count without gaining seals by it.
func (a *allowance) raise(reserved int64) (grew bool) {
	for {
		old := a.total.Load()
		if reserved <= old {
			return false
		}
		if a.total.CompareAndSwap(old, reserved) {
			return true
		}
	}
}

// spend counts one seal under k and remembers k for the next [Ring.Reservations] if no stored block covers it.
func (r *Ring) spend(k *key) error {
	covered, ok := k.seals.take()
	switch {
	case !ok:
		return fault.New(fault.Exhausted, "%s has reached its limit of %d seals", k, SealLimit).
			WithHint("this key must turn to a new generation before anything more is sealed under it")
	case !covered:
		r.short.Lock()
		r.short.keys[k.row.ID] = k.seals
		r.short.Unlock()
	}
	return nil
}

// Reservations gives the keys that sealed beyond their last stored block, each with the SealsReserved to store, one
// [SealBlock] more than this server knows of. Call it after the last seal of a transaction, store the counts in that same
// transaction, and call [Ring.Reserved] once it is committed. After a roll back do nothing: the same keys are given again.
//
// With several servers on one database the stored count may be ahead of this one. Storing by addition is right for all:
//
//	UPDATE ... SET seals_reserved = seals_reserved + SealBlock WHERE id = ... RETURNING seals_reserved
func (r *Ring) Reservations() []KeyRow {
	r.short.Lock()
	defer r.short.Unlock()
	if len(r.short.keys) == 0 {
		return nil
	}
	now := r.view.Load()
	var rows []KeyRow
	for id, seals := range r.short.keys {
		k, ok := now.keys[id]
		if !ok || seals.left.Load() >= 0 {
			delete(r.short.keys, id)
			continue
		}
		row := k.row.clone()
		row.SealsReserved = seals.total.Load() + SealBlock
		rows = append(rows, row)
	}
	slices.SortFunc(rows, byID)
	return rows
}

// Reserved tells that rows from [Ring.Reservations] are committed, with the SealsReserved that the database now holds.
// Telling twice, late or out of order wastes at most a block and never counts too little.
func (r *Ring) Reserved(rows []KeyRow) {
	now := r.view.Load()
	for _, row := range rows {
		k, ok := now.keys[row.ID]
		// Only a count that is news brings a block: two transactions may have stored the very same one.
		if ok && k.seals.raise(row.SealsReserved) {
			k.seals.left.Add(SealBlock)
		}
	}
}

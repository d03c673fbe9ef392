package keyring

import (
	"bytes"
	"errors"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// These tests walk the turns that DESIGN.md describes, on rows alone, so that the formats are known to allow them.

const turnInstance = "0197a000-0000-7000-8000-00000000cccc"

var turnPlace = Place{Project: "p", Record: "r", Field: "value", Version: 1}

type turn struct {
	root     Root
	ring     *Ring
	rows     Rows
	envelope []byte
	digest   []byte
}

func newTurn(t *testing.T) *turn {
	t.Helper()
	w := &turn{root: NewRoot()}
	var err error
	if w.ring, w.rows, err = Create(w.root, SlotFile, turnInstance, 1); err != nil {
		t.Fatal(err)
	}
	row, err := w.ring.NewProjectKey("p", 1)
	if err = errors.Join(err, w.ring.Add(row)); err != nil {
		t.Fatal(err)
	}
	w.rows.Keys = append(w.rows.Keys, row)
	if w.envelope, err = w.ring.Seal(turnPlace, sensitive.FromString("turn-test-value")); err != nil {
		t.Fatal(err)
	}
	w.digest = w.ring.Digest(sensitive.FromString("turn-test-value"))
	return w
}

// wantWhole proves that r opens what was sealed before the turn and digests as before.
func (w *turn) wantWhole(t *testing.T, r *Ring, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Open(turnPlace, w.envelope)
	if err != nil || !v.Equal(sensitive.FromString("turn-test-value")) {
		t.Fatalf("the old envelope does not open: %v", err)
	}
	if !bytes.Equal(r.Digest(sensitive.FromString("turn-test-value")), w.digest) {
		t.Fatal("the digest changed")
	}
}

func (w *turn) wantOpens(t *testing.T, root Root) {
	t.Helper()
	r, err := Unlock(root, turnInstance, w.rows)
	w.wantWhole(t, r, err)
}

func TestRootKeyTurnsByASecondSlot(t *testing.T) {
	w := newTurn(t)
	raw, err := w.rows.Slots[0].open(w.root, turnInstance, w.rows.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	second := NewRoot()
	w.rows.Slots = append(w.rows.Slots, fillSlot(second, SlotEnvironment, turnInstance, w.rows.Keys[0], raw, 2))
	w.wantOpens(t, w.root)
	w.wantOpens(t, second)

	// The slots' wrappings do not stand in for each other.
	swapped := Rows{Slots: cloneSlots(w.rows.Slots), Keys: w.rows.Keys}
	swapped.Slots[0].Wrapped, swapped.Slots[1].Wrapped = swapped.Slots[1].Wrapped, swapped.Slots[0].Wrapped
	if _, err := Unlock(second, turnInstance, swapped); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}

	w.rows.Slots = w.rows.Slots[1:]
	w.wantOpens(t, second)
	if _, err := Unlock(w.root, turnInstance, w.rows); fault.KindOf(err) != fault.Sealed {
		t.Fatalf("the removed root key: got %v", err)
	}
}

func TestInstanceKeyTurnsRowByRow(t *testing.T) {
	w := newTurn(t)
	row, raw := freshRow(LayerInstance, "", 2, StatePending, 2)
	w.rows.Slots = append(w.rows.Slots, fillSlot(w.root, SlotFile, turnInstance, row, raw, 2))
	w.rows.Keys = append(w.rows.Keys, row)
	clear(raw)
	w.wantOpens(t, w.root)

	// The step that makes it primary, then one row at a time: the instance opens at every point where a process could die.
	w.rows.Keys[0].State, w.rows.Keys[len(w.rows.Keys)-1].State = StateActive, StatePrimary
	w.wantOpens(t, w.root)
	ring, err := Unlock(w.root, turnInstance, w.rows)
	w.wantWhole(t, ring, err)
	asleep, err := Unlock(w.root, turnInstance, w.rows)
	w.wantWhole(t, asleep, err)
	v := ring.view.Load()
	by := v.primary[scope{layer: LayerInstance}]
	for i, row := range w.rows.Keys {
		if row.Layer == LayerInstance {
			continue
		}
		raw, err := v.unwrap(turnInstance, row)
		if err != nil {
			t.Fatal(err)
		}
		w.rows.Keys[i] = wrap(turnInstance, by, row, raw)
		w.wantOpens(t, w.root)
		w.wantWhole(t, ring, ring.Add(w.rows.Keys[i]))

		// A job that wraps the wrong bytes is caught before the row is believed.
		raw[0] ^= 1
		if err := ring.Add(wrap(turnInstance, by, row, raw)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("another key under the same id: got %v", err)
		}
	}

	// The old instance key goes, with its slot. A server that slept takes all rows at once.
	w.rows.Keys[0].State = StateDestroyed
	w.rows.Slots = w.rows.Slots[1:]
	w.wantOpens(t, w.root)
	w.wantWhole(t, ring, ring.Add(w.rows.Keys[0]))
	w.wantWhole(t, asleep, asleep.Add(w.rows.Keys...))
}

func TestRootKeyWithoutASlotForTheNeededInstanceKeyIsSealed(t *testing.T) {
	w := newTurn(t)
	// The other root key has a slot for the next generation only.
	other := NewRoot()
	row, raw := freshRow(LayerInstance, "", 2, StatePending, 2)
	w.rows.Keys = append(w.rows.Keys, row)
	w.rows.Slots = append(w.rows.Slots, fillSlot(other, SlotFile, turnInstance, row, raw, 2))
	clear(raw)
	_, err := Unlock(other, turnInstance, w.rows)
	if fault.KindOf(err) != fault.Sealed || !bytes.Contains([]byte(err.Error()), []byte(w.root.Fingerprint())) {
		t.Fatalf("got %v", err)
	}
	w.wantOpens(t, w.root)
}

func TestIndexKeyTurnsWithBothDigestsInTheOverlap(t *testing.T) {
	w := newTurn(t)
	value := sensitive.FromString("turn-test-value")
	first := w.ring.DigestKey()
	row, raw := freshRow(LayerIndex, "", 2, StatePending, 2)
	row = wrap(turnInstance, w.ring.view.Load().primary[scope{layer: LayerInstance}], row, raw)
	clear(raw)
	if err := w.ring.Add(row); err != nil {
		t.Fatal(err)
	}
	if all := w.ring.DigestAll(value); len(all) != 2 || w.ring.DigestKey() != first {
		t.Fatal("a pending index key does not digest beside the primary")
	}
	row.State = StatePrimary
	if err := w.ring.Add(row); err != nil {
		t.Fatal(err)
	}
	if all := w.ring.DigestAll(value); len(all) != 2 || !bytes.Equal(all[first], w.digest) || w.ring.DigestKey() != row.ID {
		t.Fatal("the old digests are not found in the overlap")
	}
	old := w.ring.view.Load().keys[first].row
	old.State = StateRetired
	if err := w.ring.Add(old); err != nil {
		t.Fatal(err)
	}
	if all := w.ring.DigestAll(value); len(all) != 1 || all[row.ID] == nil {
		t.Fatal("a retired index key still digests")
	}
}

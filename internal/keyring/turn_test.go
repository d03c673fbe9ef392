package keyring

import (
	"bytes"
	"errors"
	"slices"
	"strings"
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

// store does what a database does with rows: new ones are added, known ones replaced.
func (w *turn) store(rows Rows) {
	for _, row := range rows.Keys {
		if i := slices.IndexFunc(w.rows.Keys, func(k KeyRow) bool { return k.ID == row.ID }); i >= 0 {
			w.rows.Keys[i] = row
		} else {
			w.rows.Keys = append(w.rows.Keys, row)
		}
	}
	for _, row := range rows.Slots {
		if i := slices.IndexFunc(w.rows.Slots, func(s SlotRow) bool { return s.ID == row.ID }); i >= 0 {
			w.rows.Slots[i] = row
		} else {
			w.rows.Slots = append(w.rows.Slots, row)
		}
	}
}

func (w *turn) addSlot(t *testing.T, root Root) SlotRow {
	t.Helper()
	s, err := w.ring.NewSlot(SlotDraft{Kind: SlotEnvironment, Root: root.Public(), NowMS: 2})
	if err != nil {
		t.Fatal(err)
	}
	w.store(Rows{Slots: []SlotRow{s}})
	if err := w.ring.Update(w.rows); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRootKeyTurnsByASecondSlot(t *testing.T) {
	w := newTurn(t)
	second := NewRoot()
	slot := w.addSlot(t, second)
	w.wantOpens(t, w.root)
	w.wantOpens(t, second)
	if err := w.ring.OpensSlot(second, slot); err != nil {
		t.Fatal(err)
	}
	if err := w.ring.OpensSlot(w.root, slot); fault.KindOf(err) != fault.Sealed {
		t.Fatalf("the root key of another slot: got %v", err)
	}

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

func TestSlotTestIsAnsweredByItsRootKeyOnly(t *testing.T) {
	w := newTurn(t)
	second := NewRoot()
	slot := w.addSlot(t, second)
	test, err := NewSlotTest(turnInstance, slot)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := second.Answer(turnInstance, slot.ID, test.Challenge)
	if err != nil || !answer.Equal(test.Answer) {
		t.Fatalf("the right root key does not answer: %v", err)
	}
	for name, ask := range map[string]func() error{
		"another root key": func() error { _, err := w.root.Answer(turnInstance, slot.ID, test.Challenge); return err },
		"another slot":     func() error { _, err := second.Answer(turnInstance, w.rows.Slots[0].ID, test.Challenge); return err },
		"another instance": func() error { _, err := second.Answer("other", slot.ID, test.Challenge); return err },
	} {
		if err := ask(); fault.KindOf(err) != fault.Denied {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestForgedAndAlteredSlotsAreNamed(t *testing.T) {
	for name, forge := range map[string]func(w *turn, s *SlotRow){
		"a public key of the intruder": func(_ *turn, s *SlotRow) { s.Public, s.Fingerprint = NewRoot().Public().Key, "0000-0000-0000-0000" },
		"another kind":                 func(_ *turn, s *SlotRow) { s.Kind = "aws-kms" },
		"another source":               func(_ *turn, s *SlotRow) { s.Source = "file:/elsewhere" },
		"another fingerprint":          func(_ *turn, s *SlotRow) { s.Fingerprint = "0000-0000-0000-0000" },
		"another kept blob":            func(_ *turn, s *SlotRow) { s.Kept = []byte("x") },
		"no proof":                     func(_ *turn, s *SlotRow) { s.Proof = nil },
		"the proof of another slot":    func(w *turn, s *SlotRow) { s.Proof = w.rows.Slots[0].Proof },
		"a wrapping made by hand": func(_ *turn, s *SlotRow) {
			fresh, _ := loadedKey(KeyRow{ID: s.Key, Layer: LayerInstance, Generation: 1}, make([]byte, keySize))
			made, _ := fillSlot(turnInstance, *s, fresh)
			s.Wrapped = made.Wrapped
		},
	} {
		w := newTurn(t)
		w.addSlot(t, NewRoot())
		forge(w, &w.rows.Slots[1])
		if _, err := Unlock(w.root, turnInstance, w.rows); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), w.rows.Slots[1].ID) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := w.ring.Next(LayerInstance, "", w.rows.Slots, 3); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: the instance key turns: %v", name, err)
		}
	}
}

func TestSlotsOfTheFirstFormatAreRefilled(t *testing.T) {
	w := newTurn(t)
	k := w.ring.view.Load().primary[scope{layer: LayerInstance}]
	id := newKeyID()
	s := SlotRow{ID: id.String(), Kind: SlotFile, Fingerprint: w.root.Fingerprint(), Key: k.row.ID, CreatedMS: 1}
	h := headerOf(id, k.row.Generation)
	s.Wrapped = sealWith(w.root.wrapper(), h, k.bytes.Reveal(), oldSlotAssociated(turnInstance, h, s))
	s.Check = w.root.check(turnInstance, s.ID)
	w.rows.Slots = []SlotRow{s}
	ring, err := Unlock(w.root, turnInstance, w.rows)
	w.wantWhole(t, ring, err)
	if _, err := ring.Next(LayerInstance, "", w.rows.Slots, 3); fault.KindOf(err) != fault.Unsupported {
		t.Fatalf("an old slot: got %v", err)
	}
	fresh, err := ring.Refilled(w.root)
	if err != nil || len(fresh) != 1 {
		t.Fatalf("%d slots, %v", len(fresh), err)
	}
	w.rows.Slots = fresh
	w.wantOpens(t, w.root)
	if _, err := ring.Next(LayerInstance, "", fresh, 3); err != nil {
		t.Fatal(err)
	}
}

func TestInstanceKeyTurnsRowByRowWithNoRootKeyAtHand(t *testing.T) {
	w := newTurn(t)
	recovery := NewRoot()
	w.addSlot(t, recovery)
	asleep, err := Unlock(w.root, turnInstance, w.rows)
	w.wantWhole(t, asleep, err)
	old := w.rows.Keys[0].ID

	rows, err := w.ring.Next(LayerInstance, "", w.rows.Slots, 2)
	if err != nil {
		t.Fatal(err)
	}
	w.wantOpens(t, w.root) // not stored: nothing happened
	w.store(rows)
	w.wantOpens(t, w.root)
	w.wantOpens(t, recovery)
	w.wantWhole(t, w.ring, w.ring.Update(w.rows))
	if id, _ := w.ring.Primary(LayerInstance, ""); id == old {
		t.Fatal("the old key still wraps")
	}

	// Then one row at a time: the instance opens at every point where a process could die.
	for i, row := range w.rows.Keys {
		if row.Layer == LayerInstance {
			continue
		}
		fresh, err := w.ring.Rewrap(row)
		if err != nil {
			t.Fatal(err)
		}
		if fresh.WrappedBy == old {
			t.Fatal("a row was wrapped under the old key")
		}
		w.rows.Keys[i] = fresh
		w.wantOpens(t, w.root)
		w.wantOpens(t, recovery)
		w.wantWhole(t, w.ring, w.ring.Add(fresh))

		// A job that wraps the wrong bytes is caught before the row is believed.
		v := w.ring.view.Load()
		raw, err := v.unwrap(turnInstance, fresh)
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 1
		if err := w.ring.Add(wrap(turnInstance, v.primary[scope{layer: LayerInstance}], row, raw)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("another key under the same id: got %v", err)
		}
	}

	// A server that slept cannot take the new key without a root key, and takes all rows with one.
	if err := asleep.Update(w.rows); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("the sleeper took a key that it cannot open: %v", err)
	}
	w.wantWhole(t, asleep, asleep.Relock(w.root, w.rows))

	for i := range w.rows.Keys {
		if w.rows.Keys[i].ID == old {
			w.rows.Keys[i].State, w.rows.Keys[i].Wrapped, w.rows.Keys[i].WrappedBy = StateDestroyed, nil, KeyID{}
		}
	}
	w.wantOpens(t, w.root)
	w.wantOpens(t, recovery)
	w.wantWhole(t, w.ring, w.ring.Update(w.rows))
	w.wantWhole(t, asleep, asleep.Update(w.rows))
}

func TestInstanceKeyTurnsTwiceBeforeTheFirstTurnIsDone(t *testing.T) {
	w := newTurn(t)
	for range 3 {
		rows, err := w.ring.Next(LayerInstance, "", w.rows.Slots, 2)
		if err != nil {
			t.Fatal(err)
		}
		w.store(rows)
		w.wantWhole(t, w.ring, w.ring.Update(w.rows))
		w.wantOpens(t, w.root)
	}
}

func TestRootKeyWithoutASlotForTheNeededInstanceKeyIsSealed(t *testing.T) {
	w := newTurn(t)
	// The other root key has a slot for a key that wraps nothing.
	other := NewRoot()
	row, raw := freshRow(LayerInstance, "", 2, StatePending, 2)
	k, err := loadedKey(row, raw)
	if err != nil {
		t.Fatal(err)
	}
	s, err := fillSlot(turnInstance, SlotRow{ID: NewSlotID(), Kind: SlotFile, Fingerprint: other.Fingerprint(), Public: other.Public().Key}, k)
	if err != nil {
		t.Fatal(err)
	}
	w.store(Rows{Keys: []KeyRow{row}, Slots: []SlotRow{s}})
	_, err = Unlock(other, turnInstance, w.rows)
	if fault.KindOf(err) != fault.Sealed || !bytes.Contains([]byte(err.Error()), []byte(w.root.Fingerprint())) {
		t.Fatalf("got %v", err)
	}
	w.wantOpens(t, w.root)
}

func TestEveryOtherLayerTurnsWithBothGenerationsInTheOverlap(t *testing.T) {
	for _, at := range []scope{{layer: LayerIndex}, {layer: LayerLog}, {layer: LayerTokens}, {LayerProject, "p"}} {
		w := newTurn(t)
		before, _ := w.ring.Primary(at.layer, at.project)
		rows, err := w.ring.Next(at.layer, at.project, nil, 2)
		if err != nil {
			t.Fatal(err)
		}
		w.store(rows)
		if err := w.ring.Update(rows); err != nil {
			t.Fatal(err)
		}
		v, err := w.ring.Open(turnPlace, w.envelope)
		if err != nil || !v.Equal(sensitive.FromString("turn-test-value")) {
			t.Fatalf("%s: the old envelope does not open: %v", at.layer, err)
		}
		if after, _ := w.ring.Primary(at.layer, at.project); after == before {
			t.Errorf("the %s key did not turn", at.layer)
		}
		if _, err := Unlock(w.root, turnInstance, w.rows); err != nil {
			t.Errorf("%s: %v", at.layer, err)
		}
	}
}

func TestIndexKeyTurnsWithBothDigestsInTheOverlap(t *testing.T) {
	w := newTurn(t)
	value := sensitive.FromString("turn-test-value")
	rows, err := w.ring.Next(LayerIndex, "", nil, 2)
	if err = errors.Join(err, w.ring.Update(rows)); err != nil {
		t.Fatal(err)
	}
	all := w.ring.DigestAll(value)
	if len(all) != 2 || !slices.ContainsFunc(all, func(d []byte) bool { return bytes.Equal(d, w.digest) }) || bytes.Equal(w.ring.Digest(value), w.digest) {
		t.Fatal("the old digests are not found in the overlap")
	}
	if !w.ring.DigestFits(value, w.digest) || !w.ring.DigestFits(value, w.ring.Digest(value)) || w.ring.DigestFits(sensitive.FromString("other-test-value"), w.digest) {
		t.Fatal("a digest does not tell its generation")
	}
	old := rows.Keys[0]
	old.State = StateRetired
	if err := w.ring.Add(old); err != nil {
		t.Fatal(err)
	}
	if all := w.ring.DigestAll(value); len(all) != 1 || bytes.Equal(all[0], w.digest) {
		t.Fatal("a retired index key still digests")
	}
	if !w.ring.DigestFits(value, w.digest) {
		t.Fatal("a missed digest of a retired key is not known any more")
	}
}

func TestLogKeysBothSignInTheOverlap(t *testing.T) {
	w := newTurn(t)
	rows, err := w.ring.Next(LayerLog, "", nil, 2)
	if err = errors.Join(err, w.ring.Update(rows)); err != nil {
		t.Fatal(err)
	}
	if seeds := w.ring.LogSeeds(); len(seeds) != 2 || seeds[0].Equal(seeds[1]) {
		t.Fatalf("%d seeds", len(seeds))
	}
}

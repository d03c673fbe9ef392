package keyring_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func states() []keyring.State {
	return []keyring.State{keyring.StatePending, keyring.StatePrimary, keyring.StateActive, keyring.StateRetired, keyring.StateDestroyed}
}

func TestStatesStepOnlyAlongTheDrawnArrows(t *testing.T) {
	allowed := map[[2]keyring.State]bool{
		{keyring.StatePending, keyring.StatePrimary}:   true,
		{keyring.StatePending, keyring.StateRetired}:   true,
		{keyring.StatePrimary, keyring.StateActive}:    true,
		{keyring.StateActive, keyring.StatePrimary}:    true,
		{keyring.StateActive, keyring.StateRetired}:    true,
		{keyring.StateRetired, keyring.StateActive}:    true,
		{keyring.StateRetired, keyring.StateDestroyed}: true,
	}
	for _, from := range append(states(), "unknown") {
		for _, to := range append(states(), "unknown") {
			if got := from.CanBecome(to); got != allowed[[2]keyring.State{from, to}] {
				t.Errorf("%s to %s: got %v", from, to, got)
			}
		}
		if from.CanSeal() != (from == keyring.StatePrimary) {
			t.Errorf("%s: CanSeal is wrong", from)
		}
		if from.CanOpen() != (from != keyring.StateDestroyed && from != "unknown") {
			t.Errorf("%s: CanOpen is wrong", from)
		}
	}
}

func TestProjectKeyTurnsWhileBothGenerationsOpen(t *testing.T) {
	w := newWorld(t)
	first := *w.row(t, keyring.LayerProject, projectA)
	old := seal(t, w.ring, place, planted)

	second := w.addProject(t, projectA)
	if second.Generation != 2 || second.State != keyring.StatePending {
		t.Fatalf("got generation %d in state %s", second.Generation, second.State)
	}
	if h := must(keyring.ParseHeader(seal(t, w.ring, place, planted)))(t); h.Key != first.ID {
		t.Fatal("a pending key seals")
	}

	second.State = keyring.StatePrimary
	if err := w.ring.Add(second); err != nil {
		t.Fatal(err)
	}
	fresh := seal(t, w.ring, place, planted)
	if h := must(keyring.ParseHeader(fresh))(t); h.Key != second.ID || h.Generation != 2 {
		t.Fatal("the new primary does not seal")
	}
	wantOpen(t, w.ring, place, old, planted)
	wantOpen(t, w.ring, place, fresh, planted)

	first.State = keyring.StateRetired
	if err := w.ring.Add(first); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, w.ring, place, old, planted)

	first.State, first.Wrapped = keyring.StateDestroyed, nil
	if err := w.ring.Add(first); err != nil {
		t.Fatal(err)
	}
	_, err := w.ring.Open(place, old)
	wantDamaged(t, err)
	wantText(t, err, first.ID.String(), "destroyed")
	if w.ring.Has(first.ID) {
		t.Fatal("a destroyed key is still there")
	}
	wantOpen(t, w.ring, place, fresh, planted)
	if third := must(w.ring.NewProjectKey(projectA, nowMS))(t); third.Generation != 3 {
		t.Fatalf("generation %d after a destroyed one", third.Generation)
	}
}

func TestTurnIsTakenBackByTellingBothRows(t *testing.T) {
	w := newWorld(t)
	first := *w.row(t, keyring.LayerProject, projectA)
	second := w.addProject(t, projectA)
	second.State = keyring.StatePrimary
	if err := w.ring.Add(second); err != nil {
		t.Fatal(err)
	}
	// One row alone is what a server sees that read before the turn.
	wantKind(t, w.ring.Add(first), fault.Conflict)
	if h := must(keyring.ParseHeader(seal(t, w.ring, place, planted)))(t); h.Key != second.ID {
		t.Fatal("a stale row brought the old key back")
	}
	second.State = keyring.StateActive
	for _, rows := range [][]keyring.KeyRow{{first, second}, {second, first}} {
		if err := w.ring.Add(rows...); err != nil {
			t.Fatal(err)
		}
		if h := must(keyring.ParseHeader(seal(t, w.ring, place, planted)))(t); h.Key != first.ID {
			t.Fatal("the old key is not primary again")
		}
	}
}

func TestAddRefusesRowsThatContradictAndChangesNothing(t *testing.T) {
	foreign := newWorld(t)
	for name, tt := range map[string]struct {
		row  func(t *testing.T, w *world) keyring.KeyRow
		kind fault.Kind // empty: damage
	}{
		"key of another instance": {func(t *testing.T, w *world) keyring.KeyRow { return *foreign.row(t, keyring.LayerProject, projectA) }, fault.Unavailable},
		"new instance key":        {func(t *testing.T, w *world) keyring.KeyRow { return *foreign.row(t, keyring.LayerInstance, "") }, fault.Unavailable},
		"other project": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerProject, projectA)
			k.Project = "other"
			return k
		}, ""},
		"other generation": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerProject, projectA)
			k.Generation++
			return k
		}, ""},
		"other public key": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerLog, "")
			k.Public = w.row(t, keyring.LayerTokens, "").Public
			return k
		}, ""},
		"wrapping of another key": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerProject, projectA)
			k.Wrapped = w.row(t, keyring.LayerProject, projectB).Wrapped
			return k
		}, ""},
		"wrapper renamed": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerProject, projectA)
			k.WrappedBy = w.row(t, keyring.LayerIndex, "").ID
			return k
		}, ""},
		"unwrapped": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerProject, projectA)
			k.Wrapped = nil
			return k
		}, ""},
		"same generation again": {func(t *testing.T, w *world) keyring.KeyRow {
			asleep := w.reopen(t)
			w.addProject(t, projectA)
			return must(asleep.NewProjectKey(projectA, nowMS))(t)
		}, ""},
		"no index key left": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerIndex, "")
			k.State = keyring.StateActive
			return k
		}, ""},
		"back to pending": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerProject, projectA)
			k.State = keyring.StatePending
			return k
		}, fault.Conflict},
		"needed instance key destroyed": {func(t *testing.T, w *world) keyring.KeyRow {
			k := *w.row(t, keyring.LayerInstance, "")
			k.State = keyring.StateDestroyed
			return k
		}, fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			row := tt.row(t, w)
			before := w.ring.Rows()
			err := w.ring.Add(row)
			if tt.kind == "" {
				wantDamaged(t, err)
			} else {
				wantKind(t, err, tt.kind)
			}
			if diff := cmp.Diff(before, w.ring.Rows()); diff != "" {
				t.Fatal(diff)
			}
			wantOpen(t, w.ring, place, seal(t, w.ring, place, planted), planted)
		})
	}
}

func TestDestroyedKeyComesNotBackByAnOldRow(t *testing.T) {
	w := newWorld(t)
	row := *w.row(t, keyring.LayerProject, projectA)
	gone := row
	gone.State, gone.Wrapped = keyring.StateDestroyed, nil
	if err := w.ring.Add(gone); err != nil {
		t.Fatal(err)
	}
	wantKind(t, w.ring.Add(row), fault.Conflict)
	if w.ring.Has(row.ID) {
		t.Fatal("a destroyed key came back")
	}
}

func TestAddTwiceChangesNothing(t *testing.T) {
	w := newWorld(t)
	before := w.ring.Rows()
	if err := w.ring.Add(w.rows.Keys...); err != nil {
		t.Fatal(err)
	}
	after := w.ring.Rows()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Fatal(diff)
	}
}

func TestRowsAreCopiesAndHoldNoWrappedKey(t *testing.T) {
	w := newWorld(t)
	for _, row := range w.ring.Rows() {
		if row.Wrapped != nil {
			t.Fatal("a listing holds a wrapped key")
		}
		clear(row.Public)
	}
	slots := w.ring.Slots()
	clear(slots[0].Public)
	if bytes.Equal(w.ring.Slots()[0].Public, slots[0].Public) {
		t.Fatal("the caller holds the ring's own slot")
	}
	for _, row := range w.ring.Rows() {
		if row.Layer == keyring.LayerLog && bytes.Equal(row.Public, make([]byte, 32)) {
			t.Fatal("the caller holds the ring's own row")
		}
	}
}

func TestKeyIDHasOneSpelling(t *testing.T) {
	id := newWorld(t).rows.Keys[0].ID
	if got := must(keyring.ParseKeyID(id.String()))(t); got != id {
		t.Fatal("an id does not parse to itself")
	}
	text, _ := id.MarshalText()
	var back keyring.KeyID
	if err := back.UnmarshalText(text); err != nil || back != id {
		t.Fatal("an id does not unmarshal to itself")
	}
	s := id.String()
	for _, bad := range []string{"", s[:35], s + "0", "{" + s + "}", "urn:uuid:" + s, "0197A000-0000-7000-8000-00000000AAAA",
		"0197a000-0000-4000-8000-00000000aaaa", "0197a000-0000-7000-0000-00000000aaaa", "0197a00000007000800000000000aaaa"} {
		_, err := keyring.ParseKeyID(bad)
		wantKind(t, err, fault.Invalid)
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Fatalf("unmarshalled %q", bad)
		}
	}
}

// Readers and writers of values go on while keys come and turn; the race detector watches, and no operation may fail.
func TestSealAndOpenGoOnWhileKeysAreAdded(t *testing.T) {
	w := newWorld(t)
	early := seal(t, w.ring, place, planted)
	turning := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-turning:
					return
				default:
				}
				envelope, err := w.ring.Seal(place, sensitive.FromString(planted))
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range [][]byte{early, envelope} {
					if v, err := w.ring.Open(place, e); err != nil || v.Len() != len(planted) {
						t.Error(err)
						return
					}
				}
				w.ring.Reserved(w.ring.Reservations())
				w.ring.DigestAll(sensitive.FromString(planted))
				w.ring.Rows()
			}
		})
	}
	for range 50 {
		row := must(w.ring.NewProjectKey(projectA, nowMS))(t)
		err := w.ring.Add(row)
		row.State = keyring.StatePrimary
		if err = errors.Join(err, w.ring.Add(row)); err != nil {
			t.Fatal(err)
		}
	}
	close(turning)
	all.Wait()
}

// Whatever rows arrive in whatever order, a project never has two primaries, and nothing sealed stops to open.
func TestNoOrderOfRowsLosesAnEnvelope(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		rows := []keyring.KeyRow{*w.row(t, keyring.LayerProject, projectA)}
		sealed := [][]byte{seal(t, w.ring, place, planted)}
		rt.Repeat(map[string]func(*rapid.T){
			"new key": func(rt *rapid.T) { rows = append(rows, w.addProject(t, projectA)) },
			"row of any state but destroyed": func(rt *rapid.T) {
				row := rapid.SampledFrom(rows).Draw(rt, "row")
				row.State = rapid.SampledFrom(states()[:4]).Draw(rt, "state")
				if err := w.ring.Add(row); err != nil && fault.KindOf(err) != fault.Conflict {
					rt.Fatal(err)
				}
			},
			"seal": func(rt *rapid.T) {
				if e, err := w.ring.Seal(place, sensitive.FromString(planted)); err == nil {
					sealed = append(sealed, e)
				} else if fault.KindOf(err) != fault.Unavailable {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				primaries := 0
				for _, row := range w.ring.Rows() {
					if row.Project == projectA && row.State == keyring.StatePrimary {
						primaries++
					}
				}
				if primaries > 1 {
					rt.Fatal("two primaries")
				}
				for _, e := range sealed {
					if _, err := w.ring.Open(place, e); err != nil {
						rt.Fatal(err)
					}
				}
			},
		})
	})
}

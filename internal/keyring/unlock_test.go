package keyring_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestNewWorldOpensAgainWithEverythingInIt(t *testing.T) {
	w := newWorld(t)
	envelope := seal(t, w.ring, place, planted)
	again := w.reopen(t)
	wantOpen(t, again, place, envelope, planted)
	if !bytes.Equal(w.ring.Digest(sensitive.FromString(planted)), again.Digest(sensitive.FromString(planted))) {
		t.Fatal("digests differ after reopening")
	}
	if diff := cmp.Diff(w.ring.Rows(), again.Rows()); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(w.rows.Slots, again.Slots()); diff != "" {
		t.Fatal(diff)
	}
	for _, row := range w.rows.Keys {
		if !again.Has(row.ID) {
			t.Fatalf("%s key is not loaded", row.Layer)
		}
	}
}

func TestWrongRootKeyIsSealedAndNamesBothFingerprints(t *testing.T) {
	w := newWorld(t)
	wrong := keyring.NewRoot()
	_, err := keyring.Unlock(wrong, instance, w.rows)
	wantKind(t, err, fault.Sealed)
	wantText(t, err, wrong.Fingerprint(), w.root.Fingerprint())
	_, err = keyring.Unlock(keyring.Root{}, instance, w.rows)
	wantKind(t, err, fault.Sealed)
	wantText(t, err, w.root.Fingerprint())
}

func TestUnlockChangesNoRow(t *testing.T) {
	w := newWorld(t)
	before := keyring.Rows{Slots: slices.Clone(w.rows.Slots), Keys: slices.Clone(w.rows.Keys)}
	for i := range before.Keys {
		before.Keys[i].Wrapped = bytes.Clone(before.Keys[i].Wrapped)
		before.Keys[i].Public = bytes.Clone(before.Keys[i].Public)
	}
	w.reopen(t)
	if _, err := keyring.Unlock(keyring.NewRoot(), instance, w.rows); err == nil {
		t.Fatal("opened with a wrong root key")
	}
	if diff := cmp.Diff(before, w.rows); diff != "" {
		t.Fatal(diff)
	}
}

func TestDamagedRowsAreNamed(t *testing.T) {
	flip := func(b []byte, at int) { b[at] ^= 1 }
	for name, tt := range map[string]struct {
		damage func(t *testing.T, w *world)
		layer  keyring.Layer // whose key the error must name; empty for slots
	}{
		"slot wrapping altered":    {func(_ *testing.T, w *world) { flip(w.rows.Slots[0].Wrapped, 60) }, ""},
		"slot wrapping cut":        {func(_ *testing.T, w *world) { w.rows.Slots[0].Wrapped = w.rows.Slots[0].Wrapped[:20] }, ""},
		"slot public key altered":  {func(_ *testing.T, w *world) { flip(w.rows.Slots[0].Public, 0) }, ""},
		"slot public key missing":  {func(_ *testing.T, w *world) { w.rows.Slots[0].Public = nil }, ""},
		"slot proof altered":       {func(_ *testing.T, w *world) { flip(w.rows.Slots[0].Proof, 40) }, ""},
		"slot proof missing":       {func(_ *testing.T, w *world) { w.rows.Slots[0].Proof = nil }, ""},
		"slot source altered":      {func(_ *testing.T, w *world) { w.rows.Slots[0].Source = "file:/elsewhere" }, ""},
		"slot fingerprint altered": {func(_ *testing.T, w *world) { w.rows.Slots[0].Fingerprint = "0000-0000-0000-0000" }, ""},
		"slot kind altered":        {func(_ *testing.T, w *world) { w.rows.Slots[0].Kind = keyring.SlotFile }, ""},
		"slot of no key":           {func(_ *testing.T, w *world) { w.rows.Slots[0].Key[3]++ }, ""},
		"project wrapping altered": {func(t *testing.T, w *world) { flip(w.row(t, keyring.LayerProject, projectA).Wrapped, 60) }, keyring.LayerProject},
		"project wrapping cut": {func(t *testing.T, w *world) {
			k := w.row(t, keyring.LayerProject, projectA)
			k.Wrapped = k.Wrapped[:60]
		}, keyring.LayerProject},
		"project wrapping missing":  {func(t *testing.T, w *world) { w.row(t, keyring.LayerProject, projectA).Wrapped = nil }, keyring.LayerProject},
		"project generation raised": {func(t *testing.T, w *world) { w.row(t, keyring.LayerProject, projectA).Generation++ }, keyring.LayerProject},
		"project moved":             {func(t *testing.T, w *world) { w.row(t, keyring.LayerProject, projectA).Project = "other" }, keyring.LayerProject},
		"project given to layer":    {func(t *testing.T, w *world) { w.row(t, keyring.LayerProject, projectA).Project = "" }, keyring.LayerProject},
		"project wrapper unknown":   {func(t *testing.T, w *world) { w.row(t, keyring.LayerProject, projectA).WrappedBy[3]++ }, keyring.LayerProject},
		"project wraps itself": {func(t *testing.T, w *world) {
			k := w.row(t, keyring.LayerProject, projectA)
			k.WrappedBy = w.row(t, keyring.LayerIndex, "").ID
		}, keyring.LayerProject},
		"index layer changed":    {func(t *testing.T, w *world) { w.row(t, keyring.LayerIndex, "").Layer = "other" }, ""},
		"unknown state":          {func(t *testing.T, w *world) { w.row(t, keyring.LayerIndex, "").State = "other" }, keyring.LayerIndex},
		"index key lost":         {func(t *testing.T, w *world) { w.row(t, keyring.LayerIndex, "").State = keyring.StateActive }, keyring.LayerIndex},
		"negative count":         {func(t *testing.T, w *world) { w.row(t, keyring.LayerIndex, "").SealsReserved = -1 }, keyring.LayerIndex},
		"generation 0":           {func(t *testing.T, w *world) { w.row(t, keyring.LayerIndex, "").Generation = 0 }, keyring.LayerIndex},
		"public key altered":     {func(t *testing.T, w *world) { flip(w.row(t, keyring.LayerLog, "").Public, 0) }, keyring.LayerLog},
		"public key missing":     {func(t *testing.T, w *world) { w.row(t, keyring.LayerTokens, "").Public = nil }, keyring.LayerTokens},
		"instance key gone":      {func(t *testing.T, w *world) { w.rows.Keys = w.rows.Keys[1:] }, ""},
		"instance key destroyed": {func(t *testing.T, w *world) { w.rows.Keys[0].State = keyring.StateDestroyed }, ""},
		"instance key demoted":   {func(t *testing.T, w *world) { w.rows.Keys[0].State = keyring.StateActive }, keyring.LayerInstance},
		"wrapped instance key":   {func(t *testing.T, w *world) { w.rows.Keys[0].Wrapped = w.rows.Keys[1].Wrapped }, keyring.LayerInstance},
		"row twice":              {func(t *testing.T, w *world) { w.rows.Keys = append(w.rows.Keys, w.rows.Keys[2]) }, ""},
		"log and tokens swapped": {func(t *testing.T, w *world) {
			a, b := w.row(t, keyring.LayerLog, ""), w.row(t, keyring.LayerTokens, "")
			a.Wrapped, b.Wrapped = b.Wrapped, a.Wrapped
		}, keyring.LayerLog},
		"projects swapped": {func(t *testing.T, w *world) {
			a, b := w.row(t, keyring.LayerProject, projectA), w.row(t, keyring.LayerProject, projectB)
			a.Wrapped, b.Wrapped = b.Wrapped, a.Wrapped
		}, keyring.LayerProject},
		"ids swapped": {func(t *testing.T, w *world) {
			a, b := w.row(t, keyring.LayerProject, projectA), w.row(t, keyring.LayerProject, projectB)
			a.ID, b.ID = b.ID, a.ID
		}, keyring.LayerProject},
		"no slot": {func(_ *testing.T, w *world) { w.rows.Slots = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.damage(t, w)
			_, err := keyring.Unlock(w.root, instance, w.rows)
			wantDamaged(t, err)
			if tt.layer != "" {
				wantText(t, err, string(tt.layer)+" key")
			}
		})
	}
}

func TestSlotOfAnotherInstanceIsDamage(t *testing.T) {
	w := newWorld(t)
	_, err := keyring.Unlock(w.root, "0197a000-0000-7000-8000-00000000bbbb", w.rows)
	wantDamaged(t, err)
}

func TestSecondSlotOfAnotherRootOpensTheSameInstance(t *testing.T) {
	w := newWorld(t)
	foreign, rows, err := keyring.Create(keyring.NewRoot(), keyring.SlotFile, instance, nowMS)
	if err != nil {
		t.Fatal(err)
	}
	// A slot of a root key that is not given is skipped, whatever it holds.
	w.rows.Slots = append(rows.Slots, w.rows.Slots...)
	w.reopen(t)
	_, err = keyring.Unlock(keyring.NewRoot(), instance, w.rows)
	wantKind(t, err, fault.Sealed)
	wantText(t, err, w.rows.Slots[0].Fingerprint, w.rows.Slots[1].Fingerprint, " or ")
	if foreign.Has(w.rows.Keys[0].ID) {
		t.Fatal("two worlds share a key")
	}
}

func TestCreateRefusesWhatIsMissing(t *testing.T) {
	for name, create := range map[string]func() error{
		"root": func() error {
			_, _, err := keyring.Create(keyring.Root{}, keyring.SlotFile, instance, nowMS)
			return err
		},
		"kind":     func() error { _, _, err := keyring.Create(keyring.NewRoot(), "", instance, nowMS); return err },
		"instance": func() error { _, _, err := keyring.Create(keyring.NewRoot(), keyring.SlotFile, "", nowMS); return err },
		"project":  func() error { _, err := newWorld(t).ring.NewProjectKey("", nowMS); return err },
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, create(), fault.Invalid) })
	}
}

func TestSeedsBelongToTheStoredPublicKeysAndAreCopies(t *testing.T) {
	w := newWorld(t)
	for layer, seed := range map[keyring.Layer]func() (sensitive.Value, keyring.KeyID){
		keyring.LayerLog: w.ring.LogSeed, keyring.LayerTokens: w.ring.TokenSeed,
	} {
		for range 2 { // the second round finds the first one's wiping
			v, id := seed()
			row := w.row(t, layer, "")
			public := ed25519.NewKeyFromSeed(v.Reveal()).Public().(ed25519.PublicKey)
			if id != row.ID || !public.Equal(ed25519.PublicKey(row.Public)) {
				t.Fatalf("the %s seed is not the one of its row", layer)
			}
			v.Wipe()
		}
	}
}

func TestDigestIsEqualForEqualValuesOnly(t *testing.T) {
	w := newWorld(t)
	a, b := w.ring.Digest(sensitive.FromString(planted)), w.ring.Digest(sensitive.FromString(planted))
	if !bytes.Equal(a, b) || len(a) != keyring.DigestSize {
		t.Fatal("equal values have unequal digests")
	}
	if bytes.Equal(a, w.ring.Digest(sensitive.FromString(planted+"x"))) {
		t.Fatal("unequal values have equal digests")
	}
	if bytes.Equal(a, newWorld(t).ring.Digest(sensitive.FromString(planted))) {
		t.Fatal("two instances share digests")
	}
	want := [][]byte{a}
	if diff := cmp.Diff(want, w.ring.DigestAll(sensitive.FromString(planted))); diff != "" {
		t.Fatal(diff)
	}
}

package keyring_test

import (
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestFirstSealAfterAStartReservesABlockOnce(t *testing.T) {
	w := newWorld(t)
	if got := w.ring.Reservations(); len(got) != 0 {
		t.Fatalf("%d reservations before any seal", len(got))
	}
	seal(t, w.ring, place, planted)
	rows := w.ring.Reservations()
	row := w.row(t, keyring.LayerProject, projectA)
	if len(rows) != 1 || rows[0].ID != row.ID || rows[0].SealsReserved != keyring.SealBlock || len(rows[0].Wrapped) == 0 {
		t.Fatalf("got %d reservations", len(rows))
	}
	// The transaction rolled back: the block is asked for again.
	if again := w.ring.Reservations(); len(again) != 1 || again[0].SealsReserved != keyring.SealBlock {
		t.Fatal("a reservation that was never stored is forgotten")
	}
	w.ring.Reserved(rows)
	seal(t, w.ring, place, planted)
	if got := w.ring.Reservations(); len(got) != 0 {
		t.Fatal("a stored block is reserved again")
	}
	row.SealsReserved = rows[0].SealsReserved
	again := w.reopen(t)
	seal(t, again, place, planted)
	if got := again.Reservations(); len(got) != 1 || got[0].SealsReserved != 2*keyring.SealBlock {
		t.Fatal("a start used what was left of a block from before")
	}
}

func TestBlockLastsForExactlyItsSeals(t *testing.T) {
	w := newWorld(t)
	seal(t, w.ring, place, "")
	w.ring.Reserved(w.ring.Reservations())
	w.ring.Skip(w.row(t, keyring.LayerProject, projectA).ID, keyring.SealBlock-2)
	seal(t, w.ring, place, "")
	if len(w.ring.Reservations()) != 0 {
		t.Fatal("the block ended early")
	}
	seal(t, w.ring, place, "")
	if got := w.ring.Reservations(); len(got) != 1 || got[0].SealsReserved != 2*keyring.SealBlock {
		t.Fatal("the next block is not asked for")
	}
}

func TestSameBlockStoredTwiceCountsOnce(t *testing.T) {
	w := newWorld(t)
	seal(t, w.ring, place, planted)
	first, second := w.ring.Reservations(), w.ring.Reservations()
	w.ring.Reserved(first)
	w.ring.Reserved(second)
	w.ring.Skip(first[0].ID, keyring.SealBlock-1) // one is sealed already
	if len(w.ring.Reservations()) != 0 {
		t.Fatal("the block ended early")
	}
	seal(t, w.ring, place, planted)
	if len(w.ring.Reservations()) != 1 {
		t.Fatal("one stored block gave two blocks of seals")
	}
}

// Two servers count under one key. The store adds; each server may own only the block that it added itself.
func TestBlocksOfAnotherServerAreNotUsed(t *testing.T) {
	w := newWorld(t)
	servers := []*keyring.Ring{w.reopen(t), w.reopen(t)}
	var stored int64
	for _, server := range servers {
		seal(t, server, place, planted)
		rows := server.Reservations()
		stored += keyring.SealBlock
		rows[0].SealsReserved = stored
		server.Reserved(rows)
	}
	for _, row := range servers[1].Rows() {
		if row.Project == projectA && row.SealsReserved != 2*keyring.SealBlock {
			t.Fatal("the stored count is not known")
		}
	}
	// A reload tells the first server of the second one's block, which gains it nothing.
	row := *w.row(t, keyring.LayerProject, projectA)
	row.SealsReserved = stored
	if err := servers[0].Add(row); err != nil {
		t.Fatal(err)
	}
	servers[0].Skip(row.ID, keyring.SealBlock-1)
	seal(t, servers[0], place, planted)
	if got := servers[0].Reservations(); len(got) != 1 || got[0].SealsReserved != 3*keyring.SealBlock {
		t.Fatal("the first server seals on the second one's block")
	}
}

func TestUsedUpKeyRefusesToSealAndStillOpens(t *testing.T) {
	w := newWorld(t)
	envelope := seal(t, w.ring, place, planted)
	row := w.row(t, keyring.LayerProject, projectA)
	row.SealsReserved = keyring.SealLimit - 2
	w.ring = w.reopen(t)
	seal(t, w.ring, place, planted)
	seal(t, w.ring, place, planted)
	for range 3 {
		_, err := w.ring.Seal(place, sensitive.FromString(planted))
		wantKind(t, err, fault.Exhausted)
		wantText(t, err, row.ID.String(), projectA)
	}
	wantOpen(t, w.ring, place, envelope, planted)
	other := place
	other.Project = projectB
	seal(t, w.ring, other, planted)

	next := w.addProject(t, projectA)
	next.State = keyring.StatePrimary
	if err := w.ring.Add(next); err != nil {
		t.Fatal(err)
	}
	seal(t, w.ring, place, planted)
}

func TestWrappingCountsUnderTheInstanceKey(t *testing.T) {
	w := newWorld(t)
	instanceRow := w.row(t, keyring.LayerInstance, "")
	if instanceRow.SealsReserved != keyring.SealBlock {
		t.Fatal("the wrappings of a new world are not counted")
	}
	w.ring = w.reopen(t)
	w.addProject(t, projectA)
	got := w.ring.Reservations()
	if len(got) != 1 || got[0].ID != instanceRow.ID || got[0].SealsReserved != 2*keyring.SealBlock {
		t.Fatal("wrapping a project key is not counted")
	}
	instanceRow.SealsReserved = keyring.SealLimit
	w.ring = w.reopen(t)
	_, err := w.ring.NewProjectKey("new", nowMS)
	wantKind(t, err, fault.Exhausted)
}

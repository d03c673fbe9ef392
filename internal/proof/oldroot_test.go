package proof

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// A root key whose slot is removed opens nothing any more: the start refuses it by name and touches nothing, and its wrapping
// is gone from the files. Until then going back is one call.
func TestARemovedRootKeyIsRefusedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	v := newVault(t, s, s.setUp(t))
	crowdKeys(t, s, v.token, 3)
	status := func() api.KeysStatus { return must[api.KeysStatus](t, s, v.token, "GET", "/keys", nil) }
	old := slotOf(t, status(), rootKey)

	made := decoded[api.KeySlotMade](t, addSlot(s, v.token, otherKey, old.Fingerprint))
	if back := removeSlot(t, s, v.token, made.ID); back.Stage != "undone" || len(status().Running) != 0 || len(status().Slots) != 1 {
		t.Errorf("going back leaves %+v, %+v", back, status())
	}
	server.stop(t)
	server = p.start(t) // the old one opens as before
	s = siteAt(t, server.url)

	made = decoded[api.KeySlotMade](t, addSlot(s, v.token, otherKey, old.Fingerprint))
	if a := s.call(v.token, "DELETE", "/keys/slots/"+old.ID+"?force=true", nil); a.status != 409 {
		t.Errorf("the last proved slot may go: %s", a)
	}
	proveSlot(t, s, v.token, made.ID, otherKey)
	if a := s.call(v.token, "DELETE", "/keys/slots/"+old.ID, nil); a.status != 409 || !strings.Contains(string(a.body), "cannot unlock by itself") {
		t.Errorf("a server that could not start again removes its slot unasked: %s", a)
	}
	server.stop(t)
	db := openFile(t, p.data())
	keys := rawKeysOf(t, db, rootKey, old.ID)
	var wrappings []envelope
	for _, e := range envelopesIn(t, db) {
		if e.table == "key_slot" && e.row == old.ID {
			wrappings = append(wrappings, e)
		}
	}
	r := relicsOf(t, wrappings, keys, func(id string) bool { return id == "slot" })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	database := func(path string) bool { return strings.HasPrefix(filepath.Base(path), "keyturn.db") }
	if len(r.look(t, p.data(), database)) == 0 {
		t.Fatal("the wrapping is not found while it is there")
	}

	server = p.start(t)
	s = siteAt(t, server.url)
	removeSlot(t, s, v.token, old.ID)
	settleTurns(t, s, v.token)
	for _, f := range r.look(t, p.data(), database) {
		t.Error(f)
	}
	v.unchanged(t, s) // a server that runs needs no root key
	turned(t, s, v.token)
	server.stop(t)
	for _, f := range r.look(t, p.data(), database) {
		t.Error(f)
	}

	before := files(t, p.data())
	e := p.refused(t)
	if e.code != codeSealed || !strings.Contains(e.out, rootOf(t, otherKey).Fingerprint()) || !strings.Contains(e.out, old.Fingerprint) {
		t.Errorf("exit code %d:\n%s", e.code, e.out)
	}
	silent(t, e.out, rootKey)
	sameFiles(t, before, files(t, p.data()))

	p = p.with("KEYTURN_ROOT_KEY=", otherKey)
	server = p.start(t)
	s = siteAt(t, server.url)
	v.unchanged(t, s)
	settleTurns(t, s, v.token)
	rotate(t, s, v.token, rotationOf("instance"))
	settleTurns(t, s, v.token)
	turned(t, s, v.token)
	server.stop(t)
}

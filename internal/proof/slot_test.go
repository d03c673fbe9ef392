package proof

import (
	"bytes"
	"database/sql"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/keyring"
)

func rootOf(tb rapid.TB, key string) keyring.Root {
	tb.Helper()
	root, err := keyring.ParseRoot([]byte(key))
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// addSlot asks for a slot whose root key the client holds.
func addSlot(s *site, token, key, replaces string) answer {
	root, err := keyring.ParseRoot([]byte(key))
	if err != nil {
		return answer{err: err}
	}
	public := root.Public()
	return s.call(token, "POST", "/keys/slots", api.KeySlotRequest{Kind: "environment", Public: public.Key, Fingerprint: public.Fingerprint, Replaces: replaces})
}

// slotOf finds the slot of a root key.
func slotOf(tb testing.TB, status api.KeysStatus, key string) api.KeySlot {
	tb.Helper()
	fingerprint := rootOf(tb, key).Fingerprint()
	for _, slot := range status.Slots {
		if slot.Fingerprint == fingerprint {
			return slot
		}
	}
	tb.Fatalf("root key %s has no slot: %+v", fingerprint, status.Slots)
	return api.KeySlot{}
}

// proveSlot answers the challenge of a slot as the holder of its root key does.
func proveSlot(tb testing.TB, s *site, token, id, key string) {
	tb.Helper()
	asked := must[api.KeySlotMade](tb, s, token, "POST", "/keys/slots/"+id+"/test", api.KeySlotAnswer{})
	if len(asked.Challenge) == 0 {
		return // the server has the key itself
	}
	reply, err := rootOf(tb, key).Answer(instanceOf(tb, s, token), id, asked.Challenge)
	if err != nil {
		tb.Fatal(err)
	}
	must[api.KeySlotMade](tb, s, token, "POST", "/keys/slots/"+id+"/test", api.KeySlotAnswer{Answer: bytes.Clone(reply.Reveal())})
}

func removeSlot(tb testing.TB, s *site, token, id string) api.KeyTurn {
	tb.Helper()
	return must[api.KeyTurn](tb, s, token, "DELETE", "/keys/slots/"+id+"?force=true", nil)
}

// flipBit changes one bit in the middle of a column of one row; twice changes nothing.
func flipBit(t *testing.T, db *sql.DB, table, column, where string) {
	t.Helper()
	var b []byte
	if err := db.QueryRow("SELECT " + column + " FROM " + table + " WHERE " + where).Scan(&b); err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if _, err := db.Exec("UPDATE "+table+" SET "+column+" = ? WHERE "+where, b); err != nil {
		t.Fatal(err)
	}
}

func instanceOf(tb testing.TB, s *site, token string) string {
	tb.Helper()
	return must[api.Status](tb, s, token, "GET", "/status", nil).InstanceID
}

package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/keyturntest"
)

// A server's root key may be held by another server's encryption service: it starts while that one serves, the token is good and
// the key may decrypt, and not otherwise.
func TestTheRootKeyOfOneServerLiesInTheTransitOfAnother(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := transitOf(w)
		v.write(t, "keys/root", nil)
		role := w.role(t, "- {effect: allow, actions: [transit.encrypt, transit.decrypt], names: [root]}")
		token := w.machine(t, api.GrantRequest{Role: role}).token
		folder := t.TempDir()
		source := "transit://" + strings.TrimPrefix(w.server.URL, "http://") + "/transit/keys/root?tls=off"
		sealedBy := func(o *server.Options) {
			o.LookupEnv = func(name string) (string, bool) {
				value, ok := map[string]string{"KEYTURN_ROOT_SOURCES": source, "VAULT_TOKEN": token}[name]
				return value, ok
			}
		}
		held := newWorld(keyturntest.Start(t, keyturntest.WithData(folder), sealedBy))
		e := held.project(t)
		e.commit(t, set("/", "A", "test-value"))
		if slots := get[api.Status](t, held.admin, "/status"); slots.InstanceID == get[api.Status](t, w.admin, "/status").InstanceID {
			t.Fatal("the two are one")
		}
		held.server.Stop()
		v.write(t, "keys/root/rotate", nil) // the kept wrapping is of an older version, which still opens
		again := newWorld(keyturntest.Bare(t, keyturntest.WithData(folder), sealedBy))
		e.person = again.admin.with(held.admin.token)
		if got := e.value(t, "/", "A"); got != "test-value" {
			t.Errorf("read %q", got)
		}
		again.server.Stop()
		o := bareOptions(folder)
		sealedBy(&o)
		v.write(t, "keys/root/config", jobj{"min_decryption_version": 2})
		if _, err := server.Open(t.Context(), o); !errors.Is(err, fault.Sealed) {
			t.Errorf("with the version disallowed: %v", err)
		}
		v.write(t, "keys/root/config", jobj{"min_decryption_version": 1})
		token = w.machine(t, api.GrantRequest{Role: "viewer"}).token
		if _, err := server.Open(t.Context(), o); !errors.Is(err, fault.Sealed) {
			t.Errorf("with a token that may not: %v", err)
		}
	})
}

// What one server changes of keys holds on the other within the second, and what names a newer version holds at once.
func TestTransitKeysAreThoseOfBothServers(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	va, vb := transitOf(a), transitOf(b)
	va.write(t, "keys/app", nil)
	va.write(t, "keys/sig", jobj{"type": "ed25519"})
	old := vb.write(t, "encrypt/app", jobj{"plaintext": in64("x")})["ciphertext"]
	vb.write(t, "sign/sig", jobj{"input": in64("x")}) // both are at hand there now
	for n := range 5 {
		va.write(t, "keys/app/rotate", nil)
		va.write(t, "keys/sig/rotate", nil)
		text := va.write(t, "encrypt/app", jobj{"plaintext": in64("x")})["ciphertext"].(string)
		if !strings.HasPrefix(text, fmt.Sprintf("vault:v%d:", n+2)) {
			t.Errorf("after %d rotations: %s", n+1, text)
		}
		if got := vb.write(t, "decrypt/app", jobj{"ciphertext": text}); got["plaintext"] != in64("x") {
			t.Errorf("the other server opens %v", got)
		}
		signature := va.write(t, "sign/sig", jobj{"input": in64("x")})["signature"]
		if got := vb.write(t, "verify/sig", jobj{"input": in64("x"), "signature": signature}); got["valid"] != true {
			t.Errorf("the other server verifies %v", got)
		}
	}
	va.write(t, "keys/app/config", jobj{"min_decryption_version": 3, "deletion_allowed": true})
	eventually(t, heardWithin, "the other server refuses the old version", func() bool { return vb.call(t, "PUT", "decrypt/app", jobj{"ciphertext": old}).status == 400 })
	if r := va.call(t, "DELETE", "keys/app", nil); r.status != 204 {
		t.Errorf("deleted: %d %s", r.status, r.body)
	}
	eventually(t, heardWithin, "the other server does without the key", func() bool { return vb.call(t, "GET", "keys/app", nil).status == 404 })
	wholeLogFits(t, b)
}

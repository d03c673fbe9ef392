package proof

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

// What somebody types where a name or id belongs may be a token or a password: the audit log, which is never cut, must not
// keep it, and no error body may repeat it.
func TestASecretInPlaceOfANameIsKeptNowhere(t *testing.T) { plantAndSearch(t, nil, mistaken) }

// mistaken puts secrets where people put them by mistake: into names, ids and addresses that are recorded.
func mistaken(tr *traffic) {
	c := tr.c
	token := func(what string) string { return "ktk_" + string(c.plant(what, latinNoise(49))) }
	for what, path := range map[string]string{
		"a token in place of a project": "/projects/" + token("a token in place of a project"), "a token in place of an environment": at("shop", token("a token in place of an environment")),
		"a password in place of a project": at(c.text("a password in place of a project"), "dev", "secrets"),
	} {
		tr.fails(what, tr.token, "GET", path, nil)
		tr.fails(what+", from nobody", "", "GET", path, nil)
	}
	for what, path := range map[string]string{
		"a token in place of its id": "/tokens/" + token("a token in place of its id"), "a token in place of a grant": "/grants/" + token("a token in place of a grant"),
		"a client secret in place of its id": "/identities/backend/client-secrets/" + token("a client secret in place of its id"),
		"a deleted project":                  "/projects/" + c.text("a secret in place of a project to delete"),
	} {
		tr.fails(what, tr.token, "DELETE", path, nil)
	}
	for what, path := range map[string]string{"a restored project": "restore", "a purged project": "purge"} {
		tr.fails(what, tr.token, "POST", "/projects/"+token("a token in place of "+what)+"/"+path, nil)
		tr.fails(what+"'s environment", tr.token, "POST", at("shop", token("a token in place of the environment of "+what), path), nil)
	}
	tr.fails("a token in place of a user", tr.token, "PATCH", "/users/"+token("a token in place of a user"), api.EnabledRequest{Disabled: true})
	tr.fails("a client secret in place of an identity", tr.token, "PATCH", "/identities/"+token("a client secret in place of an identity"), api.EnabledRequest{Disabled: true})
	tr.fails("a secret of an identity that is none", tr.token, "GET", "/identities/"+token("a client secret in place of an identity's name")+"/client-secrets", nil)
	tr.fails("a token in place of a principal", tr.token, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: token("a token in place of a principal"), Role: "viewer"})
	tr.fails("a token in place of what to compare", tr.token, "GET", "/projects/shop/diff?to=dev&from="+token("a token in place of what to compare"), nil)
	tr.fails("a secret as a field", tr.token, "POST", at("shop", "dev", "commits"), []byte(`{"`+c.text("a secret as a field")+`":1}`))
	tr.fails("a secret as a field of a login", "", "POST", "/login", []byte(`{"email":"x@example.test","`+c.text("a secret as a field of a login")+`":"x"}`))
}

// A stop in good order closes the database: SQLite takes the WAL in and removes it. A WAL that stays means that a connection
// was never closed, with its files, locks and memory: the writer's own, whose prepared statements the pool does not know
// (database/sql keeps no account of statements prepared on a Conn), so that they must be closed before the connection.
func TestAStopInGoodOrderLeavesNoWAL(t *testing.T) {
	s := keyturntest.Start(t)
	s.Stop()
	if _, err := os.Stat(filepath.Join(s.Data, "keyturn.db-wal")); err == nil {
		t.Error("the WAL is still there")
	}
}

// A digest that needs no key lets whoever has the database try short values until one fits. The digest of a request under an
// idempotency key covers its body, values and all, so it must be keyed like the digests of values are.
func TestTheDigestOfARequestIsKeyed(t *testing.T) {
	server := keyturntest.Start(t)
	s := siteAt(t, server.URL)
	must[api.Project](t, s, server.Token, "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev"}})
	path := at("shop", "dev", "commits")
	body, err := json.Marshal(set("/", "PIN", "1234"))
	if err != nil {
		t.Fatal(err)
	}
	decoded[api.Committed](t, s.call(server.Token, "POST", path, body, "Idempotency-Key", "a test-value key"))
	c := newCanaries(t)
	for name, text := range map[string]string{"the body": string(body), "the request": "POST " + api.Prefix + path + "\x00" + string(body)} {
		digest := sha256.Sum256([]byte(text))
		c.plant("an unkeyed digest of "+name, digest[:])
	}
	c.look(server.Data)
	c.settle()
}

// An answer that is given once more, under an idempotency key, is an answer: it asks the door again and is recorded.
func TestAnAnswerGivenAgainIsDecidedAndRecordedAgain(t *testing.T) {
	server := keyturntest.Start(t)
	s := siteAt(t, server.URL)
	c := newCast(t, s, server.Token)
	must[api.Project](t, s, server.Token, "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev"}})
	must[api.Grant](t, s, server.Token, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: "ada", Project: "shop", Role: "developer"})
	ask := func() answer {
		return s.call(c.token["ada"], "POST", "/tokens", api.TokenRequest{Project: "shop", Scopes: "dev:/:read", TTL: "1h"}, "Idempotency-Key", "a test-value key")
	}
	first, again := ask(), ask()
	if !first.ok() || !again.ok() || string(first.body) != string(again.body) {
		t.Fatalf("an answer is not given again: %d %d", first.status, again.status)
	}
	w := &witness{}
	w.read(t, s, server.Token)
	if len(w.byRequest(0)[again.request]) == 0 {
		t.Error("a token was handed out once more, and the log does not know")
	}
	must[api.Grant](t, s, server.Token, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: "ada", Project: "shop", Role: "none"})
	if late := ask(); late.ok() {
		t.Error("whoever has lost every right still gets the answer again")
	}
}

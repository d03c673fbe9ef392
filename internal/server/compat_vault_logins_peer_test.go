package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/testvault"
	"github.com/keyturn/keyturn/keyturntest"
)

// shapeOf gives the names and kinds of what an answer holds: what clients decode.
func shapeOf(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+":"+shapeOf(v[name]))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case []any:
		return "list"
	case nil:
		return "null"
	}
	return fmt.Sprintf("%T", v)
}

// TestVaultLoginsAnswerAsTheOriginal sends the same requests to both and compares status, errors, and the names and kinds of data.
func TestVaultLoginsAnswerAsTheOriginal(t *testing.T) {
	t.Parallel()
	w, v := newWorld(keyturntest.Start(t)), testvault.Start(t)
	peer := person{url: v.URL, token: v.Token}
	const chosen = "7d2f4c1e-52a9-4d7b-9f0c-b3f6a1d8e045"
	type remembered struct{ role, secret, accessor, person string }
	ours, theirs := remembered{person: "ann@example.test"}, remembered{person: "ann"} // people have addresses here
	fill := func(r remembered, text string) string {
		return strings.NewReplacer("ROLE", r.role, "SECRET", r.secret, "ACCESSOR", r.accessor, "PERSON", r.person).Replace(text)
	}
	for _, step := range []struct {
		method, path, body string
		anonymous          bool
		// status and differs say why we answer otherwise; differs alone leaves the data out.
		status  int
		differs string
	}{
		{method: "POST", path: "sys/auth/approle", body: `{"type":"approle"}`},
		{method: "POST", path: "sys/auth/approle", body: `{"type":"approle"}`},
		{method: "POST", path: "sys/auth/team/approle", body: `{"type":"approle","description":"d","config":{"default_lease_ttl":"1h"}}`},
		{method: "POST", path: "sys/auth/team", body: `{"type":"approle"}`},
		{method: "GET", path: "sys/auth/team/approle"},
		{method: "GET", path: "sys/auth/nowhere"},
		{method: "GET", path: "sys/auth/team/approle/tune"},
		{method: "POST", path: "sys/auth/team/approle/tune", body: `{"max_lease_ttl":"24h"}`},
		{method: "DELETE", path: "sys/auth/team/approle"},
		{method: "DELETE", path: "sys/auth/team/approle"},
		{method: "POST", path: "auth/approle/role/app", body: `{"token_policies":"default","token_ttl":"20m","token_max_ttl":3600,"secret_id_ttl":"1h","secret_id_num_uses":"40"}`},
		{method: "GET", path: "auth/approle/role/app"},
		{method: "GET", path: "auth/approle/role/none"},
		{method: "LIST", path: "auth/approle/role"},
		{method: "GET", path: "auth/approle/role?list=true"},
		{method: "GET", path: "auth/approle/role/app/role-id"},
		{method: "POST", path: "auth/approle/role/app/secret-id", body: `{"metadata":"{\"host\":\"one\"}"}`},
		{method: "POST", path: "auth/approle/role/none/secret-id", body: `{}`},
		{method: "POST", path: "auth/approle/role/app/secret-id", body: `{"metadata":"host"}`, differs: "the parser's words are not repeated"},
		{method: "POST", path: "auth/approle/role/app/custom-secret-id", body: `{"secret_id":"` + chosen + `"}`},
		{method: "POST", path: "auth/approle/role/app/custom-secret-id", body: `{"secret_id":"` + chosen + `"}`, status: 400, differs: "500 in the original"},
		{method: "LIST", path: "auth/approle/role/app/secret-id"},
		{method: "POST", path: "auth/approle/role/app/secret-id/lookup", body: `{"secret_id":"SECRET"}`},
		{method: "POST", path: "auth/approle/role/app/secret-id/lookup", body: `{"secret_id":"nobody"}`},
		{method: "POST", path: "auth/approle/role/app/secret-id-accessor/lookup", body: `{"secret_id_accessor":"ACCESSOR"}`},
		{method: "POST", path: "auth/approle/role/app/secret-id-accessor/lookup", body: `{"secret_id_accessor":"nobody"}`, differs: "the original wraps the words"},
		{method: "POST", path: "auth/approle/login", body: `{"role_id":"ROLE","secret_id":"SECRET"}`, anonymous: true},
		{method: "PUT", path: "auth/approle/login", body: `{"role_id":"ROLE","secret_id":"` + chosen + `"}`, anonymous: true},
		{method: "POST", path: "auth/approle/login", body: `{"role_id":"nobody","secret_id":"SECRET"}`, anonymous: true, differs: "older words"},
		{method: "POST", path: "auth/approle/login", body: `{"secret_id":"SECRET"}`, anonymous: true, status: 400, differs: "500 in the original"},
		{method: "POST", path: "auth/approle/login", body: `{"role_id":"ROLE"}`, anonymous: true},
		{method: "POST", path: "auth/nowhere/login", body: `{"role_id":"ROLE"}`, anonymous: true},
		{method: "GET", path: "auth/nowhere/role"},
		{method: "LIST", path: "auth/approle/role/app"},
		{method: "LIST", path: "auth/approle/role/app/policies"},
		{method: "GET", path: "auth/approle/nothing"},
		{method: "GET", path: "auth/approle/role/app/nothing"},
		{method: "GET", path: "auth/approle/role/app/secret-id/nothing"},
		{method: "GET", path: "auth/approle"},
		{method: "GET", path: "auth/approle/login", status: 405, differs: "500 in the original"},
		{method: "DELETE", path: "auth/approle/role"},
		{method: "POST", path: "auth/approle/role/none/role-id", body: `{"role_id":"chosen-for-none"}`},
		{method: "POST", path: "auth/approle/role/none/token-ttl", body: `{"token_ttl":"1h"}`},
		{method: "DELETE", path: "auth/approle/role/none/token-ttl"},
		{method: "GET", path: "auth/approle/role/none/token-ttl"},
		{method: "GET", path: "auth/approle/role/none/role-id"},
		{method: "LIST", path: "auth/approle/role/none/secret-id"},
		{method: "POST", path: "auth/approle/role/none/secret-id/lookup", body: `{"secret_id":"x"}`, status: 404, differs: "500 in the original"},
		{method: "POST", path: "auth/approle/role/none/secret-id/destroy", body: `{"secret_id":"x"}`, status: 404, differs: "500 in the original"},
		{method: "POST", path: "auth/approle/role/none/secret-id-accessor/lookup", body: `{"secret_id_accessor":"x"}`, status: 404, differs: "500 in the original"},
		{method: "POST", path: "auth/approle/role/app/secret-id-accessor/lookup", body: `{}`},
		{method: "POST", path: "auth/approle/role/app/secret-id/lookup", body: `{}`},
		{method: "POST", path: "auth/approle/role/app/secret-id/destroy", body: `{"secret_id":"nobody"}`},
		{method: "POST", path: "auth/approle/role/app/secret-id-accessor/destroy", body: `{"secret_id_accessor":"nobody"}`, status: 404, differs: "500 in the original"},
		{method: "GET", path: "auth/approle/role/app/secret-id-bound-cidrs"},
		{method: "GET", path: "auth/approle/role/app/local-secret-ids"},
		{method: "GET", path: "auth/approle/role/app/policies"},
		{method: "GET", path: "auth/approle/role/app/token-ttl"},
		{method: "GET", path: "auth/approle/role/app/secret-id-num-uses"},
		{method: "GET", path: "auth/approle/role/app/bind-secret-id"},
		{method: "GET", path: "auth/approle/role/app/token-bound-cidrs"},
		{method: "GET", path: "auth/approle/role/app/period"},
		{method: "POST", path: "auth/approle/role/app/token-ttl", body: `{"token_ttl":"10m"}`},
		{method: "DELETE", path: "auth/approle/role/app/token-ttl"},
		{method: "POST", path: "auth/approle/role/app/token-ttl", body: `{}`},
		{method: "POST", path: "auth/approle/role/app/role-id", body: `{"role_id":"chosen-by-us"}`},
		{method: "POST", path: "auth/approle/role/app/role-id", body: `{}`},
		{method: "POST", path: "auth/approle/login", body: `{"role_id":"chosen-by-us","secret_id":"SECRET"}`, anonymous: true, differs: "the original warns that its default lifetime is cut"},
		{method: "POST", path: "auth/approle/role/app/secret-id-accessor/destroy", body: `{"secret_id_accessor":"ACCESSOR"}`},
		{method: "POST", path: "auth/approle/role/app/secret-id/destroy", body: `{"secret_id":"` + chosen + `"}`},
		{method: "LIST", path: "auth/approle/role/app/secret-id"},
		{method: "POST", path: "auth/approle/tidy/secret-id", body: `{}`},
		{method: "POST", path: "auth/approle/role/app", body: `{"token_ttl":"2h","token_max_ttl":"1h"}`},
		{method: "DELETE", path: "auth/approle/role/app"},
		{method: "DELETE", path: "auth/approle/role/app"},
		{method: "POST", path: "sys/auth/userpass", body: `{"type":"userpass"}`},
		{method: "POST", path: "auth/userpass/users/PERSON", body: `{"password":"` + testPassword + `"}`},
		{method: "GET", path: "auth/userpass/users/PERSON"},
		{method: "POST", path: "auth/userpass/login/PERSON", body: `{"password":"` + testPassword + `"}`, anonymous: true},
		{method: "POST", path: "auth/userpass/login/PERSON", body: `{"password":"test-value"}`, anonymous: true, status: 400, differs: "500 in the original"},
		{method: "POST", path: "auth/userpass/login/bob", body: `{"password":"test-value"}`, anonymous: true, status: 400, differs: "500 in the original"},
		{method: "POST", path: "auth/userpass/users/PERSON/password", body: `{}`},
		{method: "DELETE", path: "auth/userpass/users/PERSON"},
		{method: "GET", path: "auth/userpass/users/PERSON"},
	} {
		ask := func(p person, r *remembered) (reply, map[string]any) {
			if step.anonymous {
				p = p.with("")
			}
			var body any
			if step.body != "" {
				body = fill(*r, step.body)
			}
			got := p.v1(t, step.method, fill(*r, step.path), body)
			var all map[string]any
			if len(got.body) > 0 {
				if err := json.Unmarshal(got.body, &all); err != nil {
					t.Fatalf("%s: %v in %s", got.what, err, got.body)
				}
			}
			if d, ok := all["data"].(map[string]any); ok {
				for name, to := range map[string]*string{"role_id": &r.role, "secret_id": &r.secret, "secret_id_accessor": &r.accessor} {
					if text, ok := d[name].(string); ok && text != chosen && !strings.HasSuffix(step.path, "custom-secret-id") && !strings.HasSuffix(step.path, "lookup") {
						*to = text
					}
				}
			}
			return got, all
		}
		a, mine := ask(w.admin, &ours)
		b, original := ask(peer, &theirs)
		what := step.method + " " + step.path + " " + step.body
		if step.status != 0 {
			if a.status != step.status {
				t.Errorf("%s: %d %s, want %d: %s", what, a.status, a.body, step.status, step.differs)
			}
			continue
		}
		if a.status != b.status && step.differs == "" {
			t.Errorf("%s:\nours  %d %s\nvault %d %s", what, a.status, a.body, b.status, b.body)
			continue
		}
		if step.differs != "" {
			continue
		}
		if a.status >= 400 {
			if string(a.body) != strings.TrimSpace(string(b.body)) {
				t.Errorf("%s:\nours  %s\nvault %s", what, a.body, b.body)
			}
			continue
		}
		delete(original, "request_id")
		delete(mine, "request_id")
		for _, part := range []string{"data", "auth", "warnings"} {
			if got, want := shapeOf(mine[part]), shapeOf(original[part]); got != want {
				t.Errorf("%s: %s\nours  %s\nvault %s", what, part, got, want)
			}
		}
	}
}

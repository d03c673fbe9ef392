package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
)

// v1 calls the Vault dialect.
func (p person) v1(t tb, method, path string, body any) reply {
	t.Helper()
	return p.do(t, method, p.url+"/v1/"+path, body)
}

// failed checks a failure of the dialect, to the byte.
func (r reply) failed(t tb, status int, messages ...string) {
	t.Helper()
	if messages == nil {
		messages = []string{}
	}
	want, _ := json.Marshal(map[string][]string{"errors": messages})
	if r.status != status || string(r.body) != string(want) {
		t.Errorf("%s: status %d: %s\nwant %d: %s", r.what, r.status, r.body, status, want)
	}
}

// empty checks a success without a word.
func (r reply) empty(t tb) {
	t.Helper()
	if r.status != 204 || len(r.body) != 0 {
		t.Fatalf("%s: status %d: %s\nwant 204 and nothing", r.what, r.status, r.body)
	}
}

// v1Auth is what the dialect says of a token.
type v1Auth struct {
	ClientToken   string            `json:"client_token"`
	Accessor      string            `json:"accessor"`
	Policies      []string          `json:"policies"`
	Metadata      map[string]string `json:"metadata"`
	LeaseDuration int64             `json:"lease_duration"`
	Renewable     bool              `json:"renewable"`
	TokenType     string            `json:"token_type"`
	Orphan        bool              `json:"orphan"`
	NumUses       int64             `json:"num_uses"`
}

func (r reply) auth(t tb) v1Auth {
	t.Helper()
	var out struct {
		Data any     `json:"data"`
		Auth *v1Auth `json:"auth"`
	}
	r.fits(t, &out)
	if r.status != 200 || out.Auth == nil || out.Data != nil || out.Auth.ClientToken == "" {
		t.Fatalf("%s: no login: %s", r.what, r.body)
	}
	return *out.Auth
}

// holds gives the data of an answer.
func (r reply) holds(t tb) map[string]any {
	t.Helper()
	var out struct {
		Data map[string]any `json:"data"`
	}
	r.fits(t, &out)
	if out.Data == nil {
		t.Fatalf("%s: no data: %s", r.what, r.body)
	}
	return out.Data
}

// shows checks data to the byte, in the order of names.
func (r reply) shows(t tb, want string) {
	t.Helper()
	got, _ := json.Marshal(r.holds(t))
	var norm any
	if err := json.Unmarshal([]byte(want), &norm); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(norm)
	if string(got) != string(text) {
		t.Errorf("%s:\ngot  %s\nwant %s", r.what, got, text)
	}
}

// vaultRole makes an AppRole and gives its role id.
func (w *world) vaultRole(t tb, name string, fields map[string]any) string {
	t.Helper()
	w.admin.v1(t, "POST", "auth/approle/role/"+name, fields).empty(t)
	return w.admin.v1(t, "GET", "auth/approle/role/"+name+"/role-id", nil).holds(t)["role_id"].(string)
}

func (w *world) secretID(t tb, role string, fields map[string]any) (secret, accessor string) {
	t.Helper()
	d := w.admin.v1(t, "PUT", "auth/approle/role/"+role+"/secret-id", fields).holds(t)
	return d["secret_id"].(string), d["secret_id_accessor"].(string)
}

func (w *world) approle(t tb, role, secret string) reply {
	t.Helper()
	return w.admin.with("").v1(t, "POST", "auth/approle/login", map[string]any{"role_id": role, "secret_id": secret})
}

// healthy checks that the log and the data still agree.
func (w *world) healthy(t tb) {
	t.Helper()
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
}

const badAppRole = "invalid role or secret ID"

func TestVaultAnAppRoleIsAnIdentity(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/", "A", "test-value"))
		send[api.Role](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "readers", Rules: "- {effect: allow, actions: [secret.list, secret.read]}"})
		role := w.vaultRole(t, "backend", map[string]any{"token_policies": "default,readers", "token_ttl": "20m", "token_max_ttl": 3600, "secret_id_ttl": "1h", "secret_id_num_uses": "5",
			"token_bound_cidrs": []string{"127.0.0.0/8"}})
		w.admin.v1(t, "GET", "auth/approle/role/backend", nil).shows(t, `{"bind_secret_id":true,"local_secret_ids":false,"secret_id_bound_cidrs":null,"secret_id_num_uses":5,"secret_id_ttl":3600,
			"token_bound_cidrs":["127.0.0.0/8"],"token_explicit_max_ttl":0,"token_max_ttl":3600,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":["default","readers"],"token_ttl":1200,"token_type":"default"}`)
		secret, accessor := w.secretID(t, "backend", map[string]any{"metadata": `{"host":"web-1"}`})
		a := w.approle(t, role, secret).auth(t)
		if a.LeaseDuration != 1200 || !a.Renewable || !a.Orphan || a.TokenType != "service" || fmt.Sprint(a.Policies) != "[default readers]" ||
			a.Metadata["role_name"] != "backend" || a.Metadata["host"] != "web-1" || len(a.Metadata) != 2 {
			t.Errorf("%+v", a)
		}
		// The same token and the same credential in the native view.
		if got := e.as(w.admin.with(a.ClientToken)).value(t, "/", "A"); got != "test-value" {
			t.Error("another value")
		}
		native := send[api.Session](t, w.admin.with(""), "POST", "/login/identity", api.IdentityLoginRequest{ClientID: role, ClientSecret: secret})
		if who := get[api.Principal](t, w.admin.with(native.Token), "/whoami"); who.ID != role || who.Name != "backend" {
			t.Errorf("%+v", who)
		}
		d := w.admin.v1(t, "POST", "auth/approle/role/backend/secret-id/lookup", map[string]any{"secret_id": secret}).holds(t)
		if d["secret_id_accessor"] != accessor || d["secret_id_num_uses"] != 3.0 || d["secret_id_ttl"] != 3600.0 || fmt.Sprint(d["metadata"]) != "map[host:web-1]" || fmt.Sprint(d["cidr_list"]) != "[]" {
			t.Errorf("%v", d)
		}
		w.admin.v1(t, "LIST", "auth/approle/role/backend/secret-id", nil).shows(t, `{"keys":["`+accessor+`"]}`)
		w.admin.v1(t, "GET", "auth/approle/role/?list=true", nil).shows(t, `{"keys":["backend"]}`)

		// Each field by itself.
		for path, field := range map[string]string{"policies": "token_policies", "token-ttl": "token_ttl", "secret-id-ttl": "secret_id_ttl", "token-num-uses": "token_num_uses"} {
			if d := w.admin.v1(t, "GET", "auth/approle/role/backend/"+path, nil).holds(t); len(d) != 1 || d[field] == nil {
				t.Errorf("%s: %v", path, d)
			}
		}
		w.admin.v1(t, "POST", "auth/approle/role/backend/token-num-uses", map[string]any{"token_num_uses": 2}).empty(t)
		w.admin.v1(t, "GET", "auth/approle/role/backend/token-num-uses", nil).shows(t, `{"token_num_uses":2}`)
		w.admin.v1(t, "DELETE", "auth/approle/role/backend/token-num-uses", nil).empty(t)
		w.admin.v1(t, "DELETE", "auth/approle/role/backend/policies", nil).empty(t)
		w.admin.v1(t, "GET", "auth/approle/role/backend/policies", nil).shows(t, `{"token_policies":[]}`)
		e.as(w.admin.with(a.ClientToken)).ask(t, "/", "A").refused(t, "not_found")

		// A role id that comes along from somewhere else, beside our own.
		w.admin.v1(t, "POST", "auth/approle/role/backend/role-id", map[string]any{"role_id": "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8"}).empty(t)
		w.admin.v1(t, "GET", "auth/approle/role/backend/role-id", nil).shows(t, `{"role_id":"59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8"}`)
		w.approle(t, "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8", secret).auth(t)

		w.admin.v1(t, "POST", "auth/approle/role/backend/secret-id-accessor/destroy", map[string]any{"secret_id_accessor": accessor}).empty(t)
		w.approle(t, role, secret).failed(t, 400, badAppRole)
		w.admin.v1(t, "POST", "auth/approle/role/backend/secret-id-accessor/lookup", map[string]any{"secret_id_accessor": accessor}).
			failed(t, 404, `failed to find accessor entry for secret_id_accessor: "`+accessor+`"`)
		w.admin.v1(t, "POST", "auth/approle/role/backend/secret-id/lookup", map[string]any{"secret_id": secret}).empty(t)
		w.admin.v1(t, "LIST", "auth/approle/role/backend/secret-id", nil).failed(t, 404)
		if r := w.admin.v1(t, "POST", "auth/approle/tidy/secret-id", nil); r.status != 202 {
			t.Errorf("tidy: %d %s", r.status, r.body)
		}

		// Gone with all that it had.
		w.admin.v1(t, "DELETE", "auth/approle/role/backend", nil).empty(t)
		w.admin.v1(t, "GET", "auth/approle/role/backend", nil).failed(t, 404)
		w.admin.with(a.ClientToken).v1(t, "GET", "auth/approle/role/backend", nil).failed(t, 403, "permission denied")
		w.admin.v1(t, "LIST", "auth/approle/role", nil).failed(t, 404)
		w.healthy(t)
	})
}

func TestVaultANativeIdentityLogsInAsAnAppRole(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i := send[api.Identity](t, w.admin, "POST", "/identities", api.IdentityRequest{Name: "Native", TokenTTL: "10m"})
		c := send[api.ClientSecret](t, w.admin, "POST", "/identities/Native/client-secrets", api.ClientSecretRequest{Name: "first"})
		a := w.approle(t, i.ID, c.Secret).auth(t)
		if a.Metadata["role_name"] != "Native" || a.LeaseDuration != 600 || a.Renewable {
			t.Errorf("%+v", a)
		}
		if d := w.admin.v1(t, "GET", "auth/approle/role/Native", nil).holds(t); d["token_ttl"] != 600.0 || d["token_max_ttl"] != 600.0 {
			t.Errorf("%v", d)
		}
		// What is written afterwards leaves the rest as it was.
		w.admin.v1(t, "POST", "auth/approle/role/Native", map[string]any{"token_num_uses": 7}).empty(t)
		if d := w.admin.v1(t, "GET", "auth/approle/role/Native", nil).holds(t); d["token_ttl"] != 600.0 || d["token_max_ttl"] != 600.0 || d["token_num_uses"] != 7.0 {
			t.Errorf("%v", d)
		}
		w.admin.v1(t, "LIST", "auth/approle/role", nil).shows(t, `{"keys":["Native"]}`)
	})
}

func TestVaultAttacksOnAppRole(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		one, two := w.vaultRole(t, "one", nil), w.vaultRole(t, "two", nil)
		first, _ := w.secretID(t, "one", nil)
		w.approle(t, two, first).failed(t, 400, badAppRole)
		w.approle(t, string(domain.NewID[string]()), first).failed(t, 400, badAppRole)
		w.approle(t, "no-such-role", first).failed(t, 400, badAppRole)
		w.approle(t, one, "test-value").failed(t, 400, badAppRole)
		w.approle(t, one, first+" ").failed(t, 400, badAppRole)
		w.approle(t, strings.ToUpper(one), first).failed(t, 400, badAppRole)
		w.approle(t, "", first).failed(t, 400, "missing role_id")
		w.approle(t, one, "").failed(t, 400, "missing secret_id")
		w.approle(t, one, first).auth(t)
		nobody := w.admin.with("")
		nobody.v1(t, "GET", "auth/approle/login", nil).failed(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
		nobody.v1(t, "LIST", "auth/approle/login", nil).failed(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
		nobody.v1(t, "POST", "auth/nowhere/login", map[string]any{"role_id": one, "secret_id": first}).failed(t, 403, "permission denied")
		w.admin.v1(t, "GET", "auth/nowhere/role/x", nil).failed(t, 404, `no handler for route "auth/nowhere/role/x". route entry not found.`)

		// A secret in the address is no secret any more, so it is none.
		nobody.do(t, "POST", nobody.url+"/v1/auth/approle/login?role_id="+one+"&secret_id="+first, nil).failed(t, 400, "missing role_id")
		for _, raw := range get[api.Entries](t, w.admin, "/audit/entries?limit=200").Entries {
			if strings.Contains(string(raw.Entry), first) {
				t.Errorf("the log has the secret id: %s", raw.Entry)
			}
		}

		// Nobody without a right administers anything.
		for _, p := range []person{nobody, w.admin.with(w.approle(t, one, first).auth(t).ClientToken)} {
			for _, call := range [][2]string{{"GET", "role/one"}, {"LIST", "role"}, {"POST", "role/one"}, {"DELETE", "role/one"}, {"GET", "role/one/role-id"}, {"POST", "role/one/secret-id"},
				{"LIST", "role/one/secret-id"}, {"POST", "role/three"}, {"POST", "tidy/secret-id"}, {"POST", "role/login/secret-id"}} {
				if r := p.v1(t, call[0], "auth/approle/"+call[1], map[string]any{}); r.status != 403 || !strings.Contains(string(r.body), "permission denied") {
					t.Errorf("%s %s: %d %s", call[0], call[1], r.status, r.body)
				}
			}
		}
		w.admin.v1(t, "LIST", "auth/approle/role/one", nil).failed(t, 404, "1 error occurred:\n\t* unsupported path\n\n")
		w.admin.v1(t, "POST", "auth/approle/role/one/nothing", map[string]any{}).failed(t, 404, "1 error occurred:\n\t* unsupported path\n\n")

		// Names: one in any case, none with a blank, none that looks like a login.
		w.admin.v1(t, "POST", "auth/approle/role/ONE", map[string]any{"token_num_uses": 3}).empty(t)
		w.admin.v1(t, "GET", "auth/approle/role/One", nil).holds(t)
		w.admin.v1(t, "LIST", "auth/approle/role", nil).shows(t, `{"keys":["one","two"]}`)
		w.admin.v1(t, "GET", "auth/approle/role/one%20", nil).failed(t, 404)
		if r := w.admin.v1(t, "POST", "auth/approle/role/one%20", nil); r.status != 400 {
			t.Errorf("a name with a blank: %d %s", r.status, r.body)
		}
		if r := w.admin.do(t, "POST", w.admin.url+"/v1/auth/approle/role/login", map[string]any{}, "X-Vault-Token", w.admin.token); r.status < 400 {
			t.Errorf("a role called login: %d %s", r.status, r.body)
		}

		for _, odd := range []string{"a%00b", "a%E2%80%AEb", "%FF%FE", "a%0Ab", strings.Repeat("a", 300)} {
			w.admin.v1(t, "GET", "auth/approle/role/"+odd, nil).failed(t, 404)
			if r := w.admin.v1(t, "POST", "auth/approle/role/"+odd, nil); r.status != 400 {
				t.Errorf("a role called %s: %d %s", odd, r.status, r.body)
			}
			w.admin.v1(t, "DELETE", "auth/approle/role/"+odd, nil).empty(t)
			w.admin.v1(t, "GET", "auth/userpass/users/"+odd, nil).failed(t, 404)
			w.admin.v1(t, "DELETE", "auth/userpass/users/"+odd, nil).empty(t)
			if r := w.admin.v1(t, "POST", "auth/userpass/users/"+odd, map[string]any{"password": testPassword}); r.status != 400 {
				t.Errorf("a user called %s: %d %s", odd, r.status, r.body)
			}
		}
		w.approle(t, "a\x00bcdefgh", first).failed(t, 400, badAppRole)
		w.approle(t, one, "a\x00bcdefgh").failed(t, 400, badAppRole)
		nobody.v1(t, "POST", "auth/jwt/login", map[string]any{"role": "a\x00b", "jwt": "x"}).failed(t, 400, `role "..." could not be found`)
		nobody.v1(t, "POST", "auth/a%00b/login", map[string]any{"role": "a", "jwt": "x"}).failed(t, 403, "permission denied")
		if r := nobody.do(t, "POST", nobody.url+"/v1/auth/approle/login", "role_id="+one+"&secret_id="+first, "Content-Type", "application/x-www-form-urlencoded"); r.status != 200 {
			t.Errorf("a form: %d %s", r.status, r.body)
		}

		// Role ids that lead to somebody else.
		w.admin.v1(t, "POST", "auth/approle/role/one/role-id", map[string]any{"role_id": two}).failed(t, 400, "role_id already in use")
		w.admin.v1(t, "POST", "auth/approle/role/one/role-id", map[string]any{"role_id": "chosen-by-us"}).empty(t)
		w.admin.v1(t, "POST", "auth/approle/role/two/role-id", map[string]any{"role_id": "chosen-by-us"}).failed(t, 400, "role_id already in use")
		w.admin.v1(t, "POST", "auth/approle/role/none/role-id", map[string]any{"role_id": "chosen-for-none"}).failed(t, 404, "1 error occurred:\n\t* unsupported path\n\n")
		w.healthy(t)
	})
}

func TestVaultSecretIDsEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		role := w.vaultRole(t, "app", map[string]any{"secret_id_num_uses": 2})
		used, _ := w.secretID(t, "app", map[string]any{"num_uses": 1})
		var good atomic.Int64
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				r, err := w.admin.with("").try("PUT", w.admin.url+"/v1/auth/approle/login", map[string]any{"role_id": role, "secret_id": used})
				if err == nil && r.status == 200 {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != 1 {
			t.Errorf("a secret id for one login gave %d", good.Load())
		}
		short, accessor := w.secretID(t, "app", map[string]any{"ttl": "1s"})
		end := time.Now().Add(1100 * time.Millisecond)
		eventually(t, 5*time.Second, "it ends", func() bool { return time.Now().After(end) })
		w.approle(t, role, short).failed(t, 400, badAppRole)
		w.admin.v1(t, "POST", "auth/approle/role/app/secret-id-accessor/destroy", map[string]any{"secret_id_accessor": accessor}).
			failed(t, 404, `failed to find accessor entry for secret_id_accessor: "`+accessor+`"`)

		elsewhere, _ := w.secretID(t, "app", map[string]any{"cidr_list": "192.0.2.0/24"})
		w.approle(t, role, elsewhere).failed(t, 400, badAppRole)
		here, _ := w.secretID(t, "app", map[string]any{"cidr_list": []string{"127.0.0.1/32", "::1/128"}, "token_bound_cidrs": "192.0.2.0/24"})
		a := w.approle(t, role, here).auth(t)
		w.admin.with(a.ClientToken).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated", "address")

		for _, wrong := range []map[string]any{{"num_uses": 3}, {"num_uses": 0}, {"num_uses": -1}, {"ttl": "-1s"}, {"cidr_list": "everywhere"}, {"metadata": "host=web"}, {"metadata": `{"a":{}}`}, {"secret_id": "x"}} {
			if r := w.admin.v1(t, "POST", "auth/approle/role/app/secret-id", wrong); r.status != 400 {
				t.Errorf("%v: %d %s", wrong, r.status, r.body)
			}
		}
		w.admin.v1(t, "POST", "auth/approle/role/none/secret-id", nil).failed(t, 404, `role "none" does not exist`)
		w.admin.v1(t, "POST", "auth/approle/role/app", map[string]any{"secret_id_bound_cidrs": "10.0.0.0/8"}).empty(t)
		if r := w.admin.v1(t, "POST", "auth/approle/role/app/secret-id", map[string]any{"cidr_list": "11.0.0.0/8"}); r.status != 400 {
			t.Errorf("beyond the role: %d %s", r.status, r.body)
		}
		w.approle(t, role, here).failed(t, 400, badAppRole) // outside of the role by now
		w.healthy(t)
	})
}

func TestVaultAChosenSecretID(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		one, two := w.vaultRole(t, "one", nil), w.vaultRole(t, "two", nil)
		const chosen = "7d2f4c1e-52a9-4d7b-9f0c-b3f6a1d8e045"
		path := "auth/approle/role/one/custom-secret-id"
		d := w.admin.v1(t, "POST", path, map[string]any{"secret_id": chosen}).holds(t)
		if d["secret_id"] != chosen {
			t.Errorf("%v", d)
		}
		w.admin.v1(t, "POST", path, map[string]any{"secret_id": chosen}).failed(t, 400, "SecretID is already registered")
		w.approle(t, two, chosen).failed(t, 400, badAppRole)
		w.approle(t, one, chosen).auth(t)
		w.admin.v1(t, "POST", "auth/approle/role/two/custom-secret-id", map[string]any{"secret_id": chosen}).holds(t) // as at the originals
		w.approle(t, two, chosen).auth(t)
		w.approle(t, chosen, one).failed(t, 400, badAppRole) // the two fields taken for each other
		for _, raw := range get[api.Entries](t, w.admin, "/audit/entries?limit=200").Entries {
			if strings.Contains(string(raw.Entry), chosen) {
				t.Errorf("the log has the secret id: %s", raw.Entry)
			}
		}
		ours, _ := w.secretID(t, "two", nil)
		for _, weak := range []string{"", "short", strings.Repeat("a", 36), "passwordpasswordpasswordpassword", ours} {
			if r := w.admin.v1(t, "POST", path, map[string]any{"secret_id": weak}); r.status != 400 || weak != "" && strings.Contains(string(r.body), weak) {
				t.Errorf("%q: %d %s", weak, r.status, r.body)
			}
		}
	})
}

func TestVaultThirtyWrongSecretIDs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		role := w.vaultRole(t, "app", nil)
		secret, _ := w.secretID(t, "app", nil)
		statuses := map[int]int{}
		for range 30 {
			statuses[w.approle(t, role, "test-value").status]++
		}
		if statuses[400] != 10 || statuses[429] != 20 {
			t.Errorf("%v", statuses)
		}
		r := w.approle(t, role, secret)
		if r.status != 429 || r.header.Get("Retry-After") == "" {
			t.Errorf("the right one now: %d %s", r.status, r.body)
		}
	})
}

func TestVaultWhatARoleCannotHoldIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for _, f := range []map[string]any{{"bind_secret_id": false}, {"bind_secret_id": "false"}, {"local_secret_ids": true}, {"token_no_default_policy": true}, {"token_policies": "nobody-wrote-it"}, {"token_policies": "root"},
			{"token_ttl": "2h", "token_max_ttl": "1h"}, {"token_ttl": "soon"}, {"token_ttl": -1}, {"token_bound_cidrs": "everywhere"}, {"token_type": "carrier-pigeon"}, {"secret_id_num_uses": "many"},
			{"token_type": "batch", "token_period": "1h"}, {"token_ttl": "400d"}, {"role_id": "x"}} {
			r := w.admin.v1(t, "POST", "auth/approle/role/app", f)
			if r.status != 400 {
				t.Errorf("%v: %d %s", f, r.status, r.body)
			}
		}
		w.admin.v1(t, "GET", "auth/approle/role/app", nil).failed(t, 404)
		w.admin.v1(t, "POST", "auth/approle/role/app", map[string]any{"bind_secret_id": false}).
			failed(t, 400, `field "bind_secret_id" cannot be kept: whoever knows a role id could log in: a secret id is always asked for`)
		r := w.admin.v1(t, "POST", "auth/approle/role/app", map[string]any{"policy": "x"})
		if r.status != 200 || !strings.Contains(string(r.body), `"warnings":["Endpoint ignored these unrecognized parameters: [policy]"]`) {
			t.Errorf("an unknown field: %d %s", r.status, r.body)
		}
		// Nobody gives what he lacks.
		send[api.Role](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "managers", Rules: "- {effect: allow, actions: [access.read, access.manage]}"})
		id := w.vaultRole(t, "manager", map[string]any{"policies": "managers"})
		secret, _ := w.secretID(t, "manager", nil)
		p := w.admin.with(w.approle(t, id, secret).auth(t).ClientToken)
		p.v1(t, "POST", "auth/approle/role/mine", map[string]any{"token_policies": "managers"}).empty(t)
		if r := p.v1(t, "POST", "auth/approle/role/mine", map[string]any{"token_policies": "admin"}); r.status != 403 {
			t.Errorf("a manager makes an admin: %d %s", r.status, r.body)
		}
		w.vaultRole(t, "boss", map[string]any{"token_policies": "admin"})
		for _, call := range []string{"role/boss/secret-id", "role/boss", "role/boss/role-id"} {
			if r := p.v1(t, "POST", "auth/approle/"+call, map[string]any{"role_id": "i-am-the-boss"}); r.status != 403 {
				t.Errorf("a manager becomes an admin by %s: %d %s", call, r.status, r.body)
			}
		}
	})
}

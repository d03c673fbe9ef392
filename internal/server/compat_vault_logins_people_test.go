package server_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/testoidc"
	"github.com/keyturn/keyturn/keyturntest"
)

const badUserpass = "invalid username or password"

func (w *world) userpass(t tb, user string, fields map[string]any) reply {
	t.Helper()
	return w.admin.with("").v1(t, "PUT", "auth/userpass/login/"+url.PathEscape(user), fields)
}

func TestVaultPeopleLogInWithAPassword(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		send[api.Role](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "readers", Rules: "- {effect: allow, actions: [secret.list, secret.read]}"})
		w.admin.v1(t, "POST", "auth/userpass/users/ann", map[string]any{"password": testPassword}).
			failed(t, 400, "people are named by their e-mail address here; /username: not an address (take name@host as the user name; a machine logs in by AppRole)")
		w.admin.v1(t, "POST", "auth/userpass/users/ann@example.test", map[string]any{"policies": "readers"}).failed(t, 400, "missing password")
		w.admin.v1(t, "POST", "auth/userpass/users/ann@example.test", map[string]any{"password": testPassword, "token_policies": "readers"}).empty(t)
		if d := w.admin.v1(t, "GET", "auth/userpass/users/Ann@example.test", nil).holds(t); fmt.Sprint(d["token_policies"]) != "[readers]" {
			t.Errorf("%v", d)
		}
		if d := w.admin.v1(t, "LIST", "auth/userpass/users", nil).holds(t); !strings.Contains(fmt.Sprint(d["keys"]), "ann@example.test") {
			t.Errorf("%v", d)
		}
		a := w.userpass(t, "ANN@example.test", map[string]any{"password": testPassword}).auth(t)
		if fmt.Sprint(a.Metadata) != "map[username:ann@example.test]" || fmt.Sprint(a.Policies) != "[default readers]" {
			t.Errorf("%+v", a)
		}
		if who := get[api.Principal](t, w.admin.with(a.ClientToken), "/whoami"); who.Kind != "user" || who.Name != "ann@example.test" {
			t.Errorf("%+v", who)
		}
		w.userpass(t, "ann@example.test", map[string]any{"password": "test-value"}).failed(t, 400, badUserpass)
		w.userpass(t, "nobody@example.test", map[string]any{"password": testPassword}).failed(t, 400, badUserpass)
		w.userpass(t, "ann", map[string]any{"password": testPassword}).failed(t, 400, badUserpass)
		w.userpass(t, "ann@example.test", nil).failed(t, 400, "missing password")
		for _, f := range []map[string]any{{"token_ttl": "1h"}, {"token_bound_cidrs": "10.0.0.0/8"}, {"token_type": "batch"}, {"password": "short"}, {"password_hash": "$2a$x"}} {
			r := w.admin.v1(t, "POST", "auth/userpass/users/ann@example.test", f)
			if r.status != 400 {
				t.Errorf("%v: %d %s", f, r.status, r.body)
			}
		}
		w.admin.v1(t, "POST", "auth/userpass/users/ann@example.test/policies", map[string]any{"token_policies": []string{}}).empty(t)

		// A new password ends what the old one gave.
		const next = "four words that nobody puts together"
		w.admin.v1(t, "POST", "auth/userpass/users/ann@example.test/password", map[string]any{"password": next}).empty(t)
		w.admin.with(a.ClientToken).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		w.userpass(t, "ann@example.test", map[string]any{"password": testPassword}).failed(t, 400, badUserpass)
		b := w.userpass(t, "ann@example.test", map[string]any{"password": next}).auth(t)

		// A second factor.
		me := w.admin.with(b.ClientToken)
		f := me.enrol(t)
		w.userpass(t, "ann@example.test", map[string]any{"password": next}).failed(t, 400, "a code of the second factor is needed too (field passcode)")
		w.userpass(t, "ann@example.test", map[string]any{"password": "test-value"}).failed(t, 400, badUserpass)
		w.userpass(t, "ann@example.test", map[string]any{"password": "test-value", "passcode": f.code(t, 1)}).failed(t, 400, badUserpass)
		if r := w.userpass(t, "ann@example.test", map[string]any{"password": next, "passcode": "000000"}); r.status != 400 {
			t.Errorf("a wrong code: %d %s", r.status, r.body)
		}
		w.userpass(t, "ann@example.test", map[string]any{"password": next, "passcode": f.code(t, 1)}).auth(t)

		w.admin.v1(t, "DELETE", "auth/userpass/users/ann@example.test", nil).empty(t)
		w.admin.v1(t, "GET", "auth/userpass/users/ann@example.test", nil).failed(t, 404)
		w.admin.v1(t, "DELETE", "auth/userpass/users/ann@example.test", nil).empty(t)
		w.userpass(t, "ann@example.test", map[string]any{"password": next}).failed(t, 400, badUserpass)
		w.healthy(t)
	})
}

func TestVaultPlacesToLogIn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		d := w.admin.v1(t, "GET", "sys/auth", nil).holds(t)
		for _, path := range []string{"token/", "approle/", "userpass/", "jwt/", "oidc/", "kubernetes/", "cert/", "ldap/"} {
			if d[path] == nil {
				t.Errorf("%s is missing: %v", path, d)
			}
		}
		w.admin.v1(t, "POST", "sys/auth/approle", map[string]any{"type": "approle"}).empty(t) // programs do so before they use it
		w.admin.v1(t, "POST", "sys/auth/approle", map[string]any{"type": "approle"}).failed(t, 400, "path is already in use at approle/")
		w.admin.v1(t, "POST", "sys/auth/approle/more", map[string]any{"type": "approle"}).failed(t, 400, "path is already in use at approle/")
		w.admin.v1(t, "POST", "sys/auth/x", map[string]any{"type": "carrier-pigeon"}).failed(t, 400, "plugin not found in the catalog: carrier-pigeon")
		w.admin.v1(t, "POST", "sys/auth/x", map[string]any{}).failed(t, 400, "missing type")
		w.admin.v1(t, "POST", "sys/auth/team/approle", map[string]any{"type": "approle", "description": "of the team", "config": map[string]any{"default_lease_ttl": "1h", "max_lease_ttl": "24h"}, "local": false}).empty(t)
		w.admin.v1(t, "POST", "sys/auth/team", map[string]any{"type": "approle"}).failed(t, 400, "path is already in use at team/approle/")
		for _, path := range []string{"login", "a/login/b", "a%20b", "a//b", "token"} {
			if r := w.admin.v1(t, "POST", "sys/auth/"+path, map[string]any{"type": "approle"}); r.status != 400 {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
		one := w.admin.v1(t, "GET", "sys/auth/team/approle/", nil)
		e := one.holds(t)
		if e["type"] != "approle" || e["description"] != "of the team" || fmt.Sprint(e["config"]) != "map[default_lease_ttl:3600 force_no_cache:false max_lease_ttl:86400 token_type:default-service]" ||
			!strings.HasPrefix(e["accessor"].(string), "auth_approle_") || !strings.Contains(string(one.body), `"auth":null,"accessor":`) {
			t.Errorf("%s", one.body)
		}
		w.admin.v1(t, "GET", "sys/auth/nowhere", nil).failed(t, 400, "No auth engine at nowhere/")
		w.admin.v1(t, "GET", "sys/auth/approle/tune", nil).shows(t, `{"default_lease_ttl":2764800,"description":"","force_no_cache":false,"max_lease_ttl":2764800,"token_type":"default-service"}`)
		w.admin.v1(t, "POST", "sys/auth/oidc/tune", map[string]any{"listing_visibility": "unauth", "description": "ours"}).empty(t)
		w.admin.v1(t, "GET", "sys/auth/oidc/tune", nil).shows(t, `{"default_lease_ttl":2764800,"description":"ours","force_no_cache":false,"listing_visibility":"unauth","max_lease_ttl":2764800,"token_type":"default-service"}`)
		w.admin.with("").v1(t, "GET", "sys/internal/ui/mounts", nil).shows(t, `{"auth":{"oidc/":{"description":"ours","options":null,"type":"oidc"}},"secret":{}}`)
		for _, f := range []map[string]any{{"token_type": "batch"}, {"passthrough_request_headers": "X-A"}, {"default_lease_ttl": "48h", "max_lease_ttl": "24h"}, {"listing_visibility": "all"}, {"default_lease_ttl": "500d"}} {
			if r := w.admin.v1(t, "POST", "sys/auth/team/approle/tune", f); r.status != 400 {
				t.Errorf("%v: %d %s", f, r.status, r.body)
			}
		}

		// Roles of different places are different, also when they have one name.
		w.admin.v1(t, "POST", "auth/team/approle/role/app", nil).empty(t)
		w.vaultRole(t, "app", nil)
		id := w.admin.v1(t, "GET", "auth/team/approle/role/app/role-id", nil).holds(t)["role_id"].(string)
		secret := w.admin.v1(t, "POST", "auth/team/approle/role/app/secret-id", nil).holds(t)["secret_id"].(string)
		w.approle(t, id, secret).failed(t, 400, badAppRole)
		a := w.admin.with("").v1(t, "POST", "auth/team/approle/login", map[string]any{"role_id": id, "secret_id": secret}).auth(t)
		if a.LeaseDuration != 3600 {
			t.Errorf("%+v", a)
		}
		w.admin.v1(t, "LIST", "auth/approle/role", nil).shows(t, `{"keys":["app"]}`)
		if r := w.admin.with(a.ClientToken).v1(t, "GET", "sys/auth", nil); r.status != 403 {
			t.Errorf("anybody lists the places: %d %s", r.status, r.body)
		}

		w.admin.v1(t, "DELETE", "sys/auth/team/approle", nil).empty(t)
		w.admin.v1(t, "DELETE", "sys/auth/team/approle", nil).empty(t)
		w.admin.with("").v1(t, "POST", "auth/team/approle/login", map[string]any{"role_id": id, "secret_id": secret}).failed(t, 403, "permission denied")
		w.admin.v1(t, "DELETE", "sys/auth/userpass", nil).empty(t)
		w.userpass(t, "ann@example.test", map[string]any{"password": testPassword}).failed(t, 403, "permission denied")
		w.admin.v1(t, "POST", "sys/auth/userpass", map[string]any{"type": "userpass"}).empty(t)
		w.userpass(t, "ann@example.test", map[string]any{"password": testPassword}).failed(t, 400, badUserpass)
		if r := w.admin.v1(t, "DELETE", "sys/auth/token", nil); r.status != 400 {
			t.Errorf("tokens are taken away: %d %s", r.status, r.body)
		}
		w.healthy(t)
	})
}

func TestVaultPeopleComeThroughAnOpenIDProvider(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	const redirect = "http://localhost:8250/oidc/callback"
	ask := func(fields map[string]any) reply {
		t.Helper()
		return w.admin.with("").v1(t, "PUT", "auth/oidc/oidc/auth_url", fields)
	}
	begin := map[string]any{"redirect_uri": redirect, "client_nonce": "test-value-nonce-one", "role": ""}
	ask(begin).failed(t, 400, `role "..." could not be found`)
	ann := testoidc.Account{"email": "ann@example.test", "email_verified": true, "name": "Ann"}
	op := testoidc.Start(t, testoidc.Options{Redirects: []string{redirect, w.server.PublicURL + api.Prefix + "/sso/corp/callback"}, Accounts: map[string]testoidc.Account{"ann": ann}})
	send[api.SSOConnection](t, w.admin, "POST", "/sso/connections", api.SSORequest{Name: "corp", Secret: testoidc.ClientSecret, Create: true, Domains: []string{"example.test"},
		OIDC: &api.OIDCSettings{Issuer: op.Issuer, ClientID: testoidc.ClientID}})
	for _, elsewhere := range []string{"https://evil.example.test/oidc/callback", "http://localhost:8250/other", "http://localhost.evil.test:8250/oidc/callback", "http://localhost:8250/oidc/callback?x=1", "http://localhost/oidc/callback"} {
		ask(map[string]any{"redirect_uri": elsewhere, "client_nonce": "test-value-nonce-one"}).shows(t, `{"auth_url":""}`)
	}
	ask(map[string]any{"client_nonce": "test-value-nonce-one"}).failed(t, 400, "missing redirect_uri")
	ask(map[string]any{"redirect_uri": redirect, "client_nonce": "x"}).failed(t, 400, "the client nonce must have 8 to 128 characters; /client_nonce: wrong length")
	ask(map[string]any{"redirect_uri": redirect, "client_nonce": "test-value-nonce-one", "role": "other"}).failed(t, 400, `role "other" could not be found`)
	address := ask(begin).holds(t)["auth_url"].(string)
	back := op.Browser(t).Login(t, address, "ann").Query()
	finish := func(nonce string, change ...string) reply {
		t.Helper()
		q := url.Values{"state": {back.Get("state")}, "code": {back.Get("code")}, "client_nonce": {nonce}}
		if back.Has("iss") {
			q.Set("iss", back.Get("iss"))
		}
		for i := 0; i+1 < len(change); i += 2 {
			q.Set(change[i], change[i+1])
		}
		return w.admin.with("").v1(t, "GET", "auth/oidc/oidc/callback?"+q.Encode(), nil)
	}
	finish("test-value-nonce-two").failed(t, 400, "invalid client_nonce")
	finish("test-value-nonce-one", "state", "x").failed(t, 400, "Expired or missing OAuth state.")
	finish("test-value-nonce-one", "state", back.Get("state")+"x").failed(t, 400, "Expired or missing OAuth state.")
	a := finish("test-value-nonce-one").auth(t)
	if a.Metadata["role"] != "corp" || a.Metadata["username"] != "ann@example.test" {
		t.Errorf("%+v", a)
	}
	if who := get[api.Principal](t, w.admin.with(a.ClientToken), "/whoami"); who.Name != "ann@example.test" {
		t.Errorf("%+v", who)
	}
	if r := finish("test-value-nonce-one"); r.status != 400 {
		t.Errorf("an answer that was taken: %d %s", r.status, r.body)
	}
	// What people log in through is set up natively, and a configuration says which connection is meant.
	w.admin.v1(t, "POST", "auth/oidc/config", map[string]any{"oidc_discovery_url": op.Issuer, "oidc_client_id": "x"}).
		failed(t, 400, `field "oidc_client_id" cannot be kept: people log in through the connections of single sign-on, which are made with: keyturn sso create`)
	w.admin.v1(t, "POST", "auth/oidc/config", map[string]any{"default_role": "corp"}).empty(t)
	if ask(begin).holds(t)["auth_url"] == "" {
		t.Error("no address for the default role")
	}
	w.healthy(t)
}

// A server with several organisations has to be told whose login it is; a credential of one opens nothing of another.
func TestVaultARoleIDOfAnotherOrganisation(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(keyturntest.Start(t, keyturntest.WithData(folder)))
	mine := w.vaultRole(t, "app", nil)
	secret, _ := w.secretID(t, "app", nil)
	w.server.Stop()
	db, err := sql.Open("sqlite", filepath.Join(folder, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	org, theirs, now := string(domain.NewID[string]()), string(domain.NewID[string]()), time.Now().UnixMilli()
	other := string(domain.NewToken(domain.ClientSecret).Reveal())
	hash := domain.TokenHash(other)
	for _, s := range []struct {
		text string
		args []any
	}{
		{"INSERT INTO org (id, slug, name, created_at) VALUES (?, 'others', 'Others', ?)", []any{org, now}},
		{"INSERT INTO identity (id, org_id, name, token_ttl, created_at, disabled) VALUES (?, ?, 'app', 60000, ?, 0)", []any{theirs, org, now}},
		{"INSERT INTO client_secret (id, org_id, identity_id, hash, name, created_at, expires_at, revoked_at) VALUES (?, ?, ?, ?, '', ?, 0, 0)", []any{string(domain.NewID[string]()), org, theirs, hash[:], now}},
	} {
		if _, err := db.Exec(s.text, s.args...); err != nil {
			t.Fatalf("%s: %v", s.text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := newWorld(keyturntest.Bare(t, keyturntest.WithData(folder)))
	login := func(namespace, role, secret string) reply {
		return again.admin.with("").do(t, "POST", again.admin.url+"/v1/auth/approle/login", map[string]any{"role_id": role, "secret_id": secret}, "X-Vault-Namespace", namespace)
	}
	login("", mine, secret).failed(t, 403, "permission denied")
	login("main", mine, secret).auth(t)
	login("others/", theirs, other).auth(t)
	login("main", theirs, other).failed(t, 400, badAppRole)
	login("main", mine, other).failed(t, 400, badAppRole)
	login("others", mine, secret).failed(t, 400, badAppRole)
	admin := again.admin.with(w.admin.token)
	admin.v1(t, "POST", "auth/approle/role/app/role-id", map[string]any{"role_id": theirs}).failed(t, 400, "role_id already in use")
	admin.v1(t, "GET", "auth/approle/role/app/role-id", nil).shows(t, `{"role_id":"`+mine+`"}`)
}

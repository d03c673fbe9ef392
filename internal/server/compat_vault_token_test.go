package server_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func TestVaultTokensAreLookedUpAndRenewed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		v := w.vaultMachine(t, e.project, "developer")
		data := v.call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data
		for _, name := range []string{"accessor", "creation_time", "creation_ttl", "display_name", "entity_id", "expire_time", "explicit_max_ttl", "id", "issue_time", "meta",
			"num_uses", "orphan", "path", "policies", "renewable", "ttl", "type"} {
			if _, ok := data[name]; !ok {
				t.Errorf("no %s in %v", name, data)
			}
		}
		if data["id"] != v.token || data["type"] != "service" || data["orphan"] != true || data["renewable"] != true || data["meta"] != nil || data["creation_ttl"] != 3600.0 {
			t.Errorf("%v", data)
		}
		if ttl := data["ttl"].(float64); ttl > 3600 || ttl < 3590 {
			t.Errorf("ttl %v", ttl)
		}
		if p := data["policies"].([]any); len(p) != 2 || p[0] != "default" || p[1] != "developer" {
			t.Errorf("policies %v", p)
		}
		if _, err := time.Parse(time.RFC3339Nano, data["expire_time"].(string)); err != nil {
			t.Error(err)
		}
		renewed := v.call(t, "PUT", "auth/token/renew-self", `{"increment":"90m"}`).envelope(t)
		if a := renewed.Auth; a == nil || a.ClientToken != v.token || a.LeaseDuration != 5400 || !a.Renewable || renewed.Data != nil {
			t.Errorf("%s", renewed.Raw)
		}
		// Never past what the login allowed.
		if a := v.call(t, "POST", "auth/token/renew-self", `{"increment":"100000"}`).envelope(t).Auth; a.LeaseDuration > 7200 || a.LeaseDuration < 7190 {
			t.Errorf("%+v", a)
		}
		if a := v.call(t, "POST", "auth/token/renew-self", nil).envelope(t).Auth; a.LeaseDuration != 3600 {
			t.Errorf("%+v", a)
		}
		after := v.call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data
		if after["last_renewal_time"] == nil || after["last_renewal"] == nil {
			t.Errorf("%v", after)
		}
		// The session of a person has an end that nothing moves.
		w.asVault(w.admin.token).call(t, "POST", "auth/token/renew-self", `{}`).saysErrors(t, 400, "lease is not renewable")
		for _, verb := range []string{"GET", "DELETE", "LIST"} {
			v.call(t, verb, "auth/token/renew-self", nil).saysErrors(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
		}
		w.asVault("").call(t, "GET", "auth/token/lookup-self", nil).saysErrors(t, 403, "permission denied")
		// As form and as text, as clients send it.
		if a := v.call(t, "POST", "auth/token/create", `{"ttl":"60","num_uses":"5","renewable":"false","policies":"default"}`).envelope(t).Auth; a.LeaseDuration != 60 || a.NumUses != 5 || a.Renewable {
			t.Errorf("%+v", a)
		}
	})
}

func TestVaultTokensHaveChildren(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		v := w.vaultMachine(t, e.project, "developer")
		a := v.child(t, "create", map[string]any{"ttl": "20m", "display_name": "terraform run!", "meta": map[string]string{"team": "a b"}})
		if a.LeaseDuration != 1200 || !a.Renewable || a.Orphan || a.TokenType != "service" || a.Metadata["team"] != "a b" || !slices.Equal(a.Policies, []string{"default", "developer"}) {
			t.Errorf("%+v", a)
		}
		c := v.with(a.ClientToken)
		data := c.call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data
		if data["display_name"] != "token-terraform-run" || data["path"] != "auth/token/create" || data["orphan"] != false || data["accessor"] != a.Accessor {
			t.Errorf("%v", data)
		}
		// Its parent looks it up, by token and by accessor, and so does who may see all access.
		for _, who := range []vaultUser{v, w.asVault(w.admin.token)} {
			if d := who.call(t, "POST", "auth/token/lookup", map[string]string{"token": a.ClientToken}).envelope(t).Data; d["id"] != a.ClientToken || d["accessor"] != a.Accessor {
				t.Errorf("%v", d)
			}
			if d := who.call(t, "POST", "auth/token/lookup-accessor", map[string]string{"accessor": a.Accessor}).envelope(t).Data; d["id"] != "" || d["accessor"] != a.Accessor {
				t.Errorf("%v", d)
			}
		}
		if r := v.call(t, "POST", "auth/token/renew-accessor", map[string]any{"accessor": a.Accessor, "increment": 1800}).envelope(t).Auth; r.ClientToken != "" || r.LeaseDuration != 1800 {
			t.Errorf("%+v", r)
		}
		if r := v.call(t, "POST", "auth/token/renew", map[string]any{"token": a.ClientToken, "increment": "31m"}).envelope(t).Auth; r.ClientToken != a.ClientToken || r.LeaseDuration != 1860 {
			t.Errorf("%+v", r)
		}
		// A child does not outlive its parent, however long it asks to.
		long := v.call(t, "POST", "auth/token/create", `{"ttl":"720h"}`).envelope(t)
		if long.Auth.LeaseDuration > 3600 || len(long.Warnings) != 1 {
			t.Errorf("%s", long.Raw)
		}
		if r := v.with(long.Auth.ClientToken).call(t, "POST", "auth/token/renew-self", `{"increment":"24h"}`).envelope(t).Auth; r.LeaseDuration > 3600 {
			t.Errorf("%+v", r)
		}
		// A grandchild and its siblings end with the token in the middle.
		grand := c.child(t, "create", map[string]any{"ttl": 600})
		other := v.child(t, "create", map[string]any{"ttl": 600})
		v.call(t, "POST", "auth/token/revoke", map[string]string{"token": a.ClientToken}).is204(t)
		if c.works(t) || v.with(grand.ClientToken).works(t) || !v.with(other.ClientToken).works(t) || !v.works(t) {
			t.Error("not those that should have ended have ended")
		}
		// A native revocation of the first takes all.
		who := v.call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data
		send[api.Done](t, w.admin, "DELETE", "/tokens/"+who["accessor"].(string), nil)
		if v.works(t) || v.with(other.ClientToken).works(t) {
			t.Error("a child is alive after its parent")
		}
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the log and the data differ: %+v", v.Problems)
		}
	})
}

func TestVaultTokensRefuseWhatIsUnknownOrNotTheirs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		admin, v, stranger := w.asVault(w.admin.token), w.vaultMachine(t, e.project, "developer"), w.vaultMachine(t, e.project, "developer")
		a := v.child(t, "create", `{"ttl":"10m"}`)
		const nobody = "kta_test-value-of-no-token-at-all"
		admin.call(t, "POST", "auth/token/lookup", map[string]string{"token": nobody}).saysErrors(t, 403, "bad token")
		admin.call(t, "POST", "auth/token/lookup-accessor", map[string]string{"accessor": nobody}).saysErrors(t, 403, "invalid accessor")
		admin.call(t, "POST", "auth/token/renew", map[string]string{"token": nobody}).saysErrors(t, 400, "token not found")
		admin.call(t, "POST", "auth/token/revoke", map[string]string{"token": nobody}).saysErrors(t, 400, "token to revoke not found")
		admin.call(t, "POST", "auth/token/revoke", `{}`).saysErrors(t, 400, "missing token ID")
		gone := admin.call(t, "POST", "auth/token/revoke-accessor", map[string]string{"accessor": nobody}).envelope(t)
		if !slices.Equal(gone.Warnings, []string{"No token found with this accessor"}) {
			t.Errorf("%s", gone.Raw)
		}
		// To a stranger a token of others and one that does not exist are the same, and an accessor opens nothing.
		child := v.with(a.ClientToken)
		sibling := v.child(t, "create", `{"ttl":"10m"}`)
		for _, token := range []string{a.ClientToken, nobody} {
			for _, op := range []string{"lookup", "renew", "revoke", "revoke-orphan"} {
				stranger.call(t, "POST", "auth/token/"+op, map[string]string{"token": token}).saysErrors(t, 403, vaultDenied)
			}
		}
		for _, accessor := range []string{a.Accessor, nobody} {
			for _, op := range []string{"lookup-accessor", "renew-accessor", "revoke-accessor"} {
				stranger.call(t, "POST", "auth/token/"+op, map[string]string{"accessor": accessor}).saysErrors(t, 403, vaultDenied)
			}
		}
		stranger.call(t, "LIST", "auth/token/accessors", nil).saysErrors(t, 403, vaultDenied)
		v.with(a.Accessor).call(t, "GET", "auth/token/lookup-self", nil).saysErrors(t, 403, "permission denied")
		v.call(t, "POST", "auth/token/lookup", map[string]string{"token": a.Accessor}).saysErrors(t, 403, vaultDenied)
		// A child has no power over its parent and siblings, though all are of one holder.
		self := v.call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data["accessor"].(string)
		for _, accessor := range []string{self, sibling.Accessor} {
			child.call(t, "POST", "auth/token/revoke-accessor", map[string]string{"accessor": accessor}).saysErrors(t, 403, vaultDenied)
			child.call(t, "POST", "auth/token/lookup-accessor", map[string]string{"accessor": accessor}).saysErrors(t, 403, vaultDenied)
		}
		keys := admin.call(t, "GET", "auth/token/accessors?list=true", nil).envelope(t).Data["keys"].([]any)
		if !slices.Contains(keys, any(a.Accessor)) || !slices.Contains(keys, any(self)) {
			t.Errorf("%v", keys)
		}
		if r := admin.call(t, "POST", "auth/token/tidy", nil); r.status != 202 || len(r.envelope(t).Warnings) != 1 {
			t.Errorf("%d %s", r.status, r.body)
		}
		stranger.call(t, "POST", "auth/token/tidy", nil).saysErrors(t, 403, vaultDenied)
		child.call(t, "POST", "auth/token/revoke-self", nil).is204(t)
		if child.works(t) {
			t.Error("works after it was revoked")
		}
		admin.call(t, "GET", "auth/token/nothing", nil).saysErrors(t, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	})
}

func TestAVaultTokenIsNeverMoreThanItsParent(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/", "KEY", "test-value-1"))
		v, viewer := w.vaultMachine(t, e.project, "developer"), w.vaultMachine(t, e.project, "viewer")
		for _, body := range []string{`{"policies":["root"]}`, `{"policies":["admin"]}`, `{"policies":["no-such"]}`, `{"policies":["default","Admin "]}`} {
			r := v.call(t, "POST", "auth/token/create", body)
			if r.status != 400 || !strings.Contains(string(r.body), "subset of parent") && !strings.Contains(string(r.body), "root tokens") {
				t.Errorf("%s: %d %s", body, r.status, r.body)
			}
		}
		viewer.call(t, "POST", "auth/token/create", `{"policies":["developer"]}`).saysErrors(t, 400, "child policies must be subset of parent")
		for _, body := range []string{`{"period":"1h"}`, `{"no_parent":true}`} {
			v.call(t, "POST", "auth/token/create", body).saysErrors(t, 403, vaultDenied)
		}
		v.call(t, "POST", "auth/token/create-orphan", `{}`).saysErrors(t, 403, vaultDenied)
		for _, body := range []string{`{"display_name":"a\u0000b"}`, `{"display_name":"a\u202eb"}`, `{"display_name":"a\nb"}`, `{"meta":{"a\u0007":"b"}}`, `{"meta":{"a":"b\u001b[1m"}}`,
			`{"num_uses":-1}`, `{"ttl":"-5s"}`, `{"ttl":"soon"}`, `{"type":"strange"}`, `{"id":"my-own"}`, `{"entity_alias":"x"}`, `{"type":"batch","num_uses":3}`, `{"policies":{"a":1}}`} {
			if r := v.call(t, "POST", "auth/token/create", body); r.status != 400 {
				t.Errorf("%s: %d %s", body, r.status, r.body)
			}
		}
		// A narrower list is narrower: nothing but what the token itself may do.
		a := v.child(t, "create", `{"policies":["default"],"ttl":"10m"}`)
		if !slices.Equal(a.Policies, []string{"default"}) {
			t.Errorf("%v", a.Policies)
		}
		narrow := e.as(w.admin.with(a.ClientToken))
		narrow.ask(t, "/", "KEY").refused(t, "not_found")
		narrow.with(a.ClientToken).do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "5m"}).refused(t, "not_found")
		v.with(a.ClientToken).call(t, "POST", "auth/token/create", `{"policies":["developer"]}`).saysErrors(t, 403, vaultDenied)
		if bare := v.child(t, "create", `{"policies":["developer"],"no_default_policy":true,"ttl":"10m"}`); !slices.Equal(bare.Policies, []string{"developer"}) {
			t.Errorf("%v", bare.Policies)
		} else if got := e.as(w.admin.with(bare.ClientToken)).value(t, "/", "KEY"); got != "test-value-1" {
			t.Errorf("%q", got)
		}
		// A token that counts its uses makes none.
		counted := v.child(t, "create", `{"num_uses":3,"ttl":"10m"}`)
		v.with(counted.ClientToken).call(t, "POST", "auth/token/create", `{}`).saysErrors(t, 403, vaultDenied)
		if d := v.with(counted.ClientToken).call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data; d["num_uses"] != 1.0 {
			t.Errorf("%v", d)
		}
		if !v.with(counted.ClientToken).works(t) || v.with(counted.ClientToken).works(t) {
			t.Error("three uses are not three")
		}
		// A child makes no native token that gets away: it ends with the family.
		child := v.child(t, "create", `{"ttl":"10m"}`)
		away := send[api.NewToken](t, w.admin.with(child.ClientToken), "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "5m"})
		v.call(t, "POST", "auth/token/revoke-accessor", map[string]string{"accessor": child.Accessor}).is204(t)
		if v.with(away.Token).works(t) {
			t.Error("a native token of a child has outlived it")
		}
		// A batch token has no accessor and is not renewed.
		batch := v.child(t, "create", `{"type":"batch","ttl":"10m"}`)
		if batch.Accessor != "" || batch.Renewable || batch.TokenType != "batch" {
			t.Errorf("%+v", batch)
		}
		v.with(batch.ClientToken).call(t, "POST", "auth/token/renew-self", `{}`).saysErrors(t, 400, "lease is not renewable")
	})
}

func TestDeniesOfOtherRolesHoldInANarrowerVaultToken(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/", "KEY", "test-value-1"), set("/closed", "KEY", "test-value-2"))
		send[api.CustomRole](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "shut", Rules: "- {effect: deny, actions: \"*\", paths: /closed}\n- {effect: allow, actions: project.read}\n"})
		i, login := w.withMethod(t)
		for _, role := range []string{"developer", "shut"} {
			send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Role: role})
		}
		v := w.asVault(login().session(t).Token)
		a := v.child(t, "create", `{"policies":["developer"],"ttl":"2m"}`)
		if !slices.Equal(a.Policies, []string{"default", "developer"}) {
			t.Errorf("%v", a.Policies)
		}
		with := e.as(w.admin.with(a.ClientToken))
		if with.value(t, "/", "KEY") != "test-value-1" {
			t.Error("no access at all")
		}
		with.ask(t, "/closed", "KEY").refused(t, "not_found")
	})
}

func TestAnAdminGivesAVaultTokenARoleOfTheOrganisation(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/", "KEY", "test-value-1"), set("/app", "KEY", "test-value-2"))
		send[api.CustomRole](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "app-reader", Rules: "- {effect: allow, actions: [secret.read, secret.list], paths: /app}\n"})
		admin := w.asVault(w.admin.token)
		a := admin.child(t, "create", `{"policies":"app-reader"}`)
		if !slices.Equal(a.Policies, []string{"app-reader", "default"}) {
			t.Errorf("%v", a.Policies)
		}
		app := e.as(w.admin.with(a.ClientToken))
		if app.value(t, "/app", "KEY") != "test-value-2" {
			t.Error("no access")
		}
		app.ask(t, "/", "KEY").refused(t, "not_found")
		root := admin.child(t, "create", `{"policies":["root"],"ttl":"1h"}`)
		if !slices.Equal(root.Policies, []string{"admin", "default"}) {
			t.Errorf("%v", root.Policies)
		}
		// A person's orphan lives on; a periodic one gets its period with each renewal, whatever is asked for.
		orphan := admin.child(t, "create-orphan", `{"ttl":"1h","period":"15m","policies":["app-reader"]}`)
		if !orphan.Orphan || orphan.LeaseDuration != 900 || !orphan.Renewable {
			t.Errorf("%+v", orphan)
		}
		if r := admin.with(orphan.ClientToken).call(t, "POST", "auth/token/renew-self", `{"increment":"20h"}`).envelope(t).Auth; r.LeaseDuration != 900 {
			t.Errorf("%+v", r)
		}
		capped := admin.child(t, "create", `{"period":"15m","explicit_max_ttl":"10m"}`)
		if capped.LeaseDuration != 600 {
			t.Errorf("%+v", capped)
		}
		if d := admin.with(orphan.ClientToken).call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data; d["period"] != 900.0 || d["orphan"] != true || d["path"] != "auth/token/create-orphan" {
			t.Errorf("%v", d)
		}
		// revoke-orphan leaves the children.
		middle := admin.child(t, "create", `{"ttl":"1h"}`)
		below := admin.with(middle.ClientToken).child(t, "create", `{"ttl":"1h"}`)
		last := admin.with(below.ClientToken).child(t, "create", `{"ttl":"30m"}`)
		admin.call(t, "POST", "auth/token/revoke-orphan", map[string]string{"token": middle.ClientToken}).is204(t)
		if admin.with(middle.ClientToken).works(t) || !admin.with(below.ClientToken).works(t) || !admin.with(last.ClientToken).works(t) {
			t.Error("not as it should be")
		}
		if d := admin.with(below.ClientToken).call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data; d["orphan"] != true {
			t.Errorf("%v", d)
		}
		admin.call(t, "POST", "auth/token/revoke", map[string]string{"token": below.ClientToken}).is204(t)
		if admin.with(last.ClientToken).works(t) {
			t.Error("the new family does not end with its root")
		}
		// When the person is logged out, what ends with the session has ended.
		send[api.Done](t, w.admin, "POST", "/logout", nil)
		if admin.with(root.ClientToken).works(t) || !admin.with(orphan.ClientToken).works(t) {
			t.Error("the session's children")
		}
	})
}

var tokenUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func TestVaultTokenRolesAreTemplates(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		admin, v := w.asVault(w.admin.token), w.vaultMachine(t, e.project, "developer")
		admin.call(t, "LIST", "auth/token/roles", nil).saysErrors(t, 404)
		admin.call(t, "GET", "auth/token/roles/ci", nil).saysErrors(t, 404)
		admin.call(t, "POST", "auth/token/roles/ci", map[string]any{"allowed_policies": "developer,viewer", "disallowed_policies": []string{"admin"}, "orphan": true,
			"token_period": "30m", "renewable": true, "path_suffix": "pipeline", "token_num_uses": 0}).is204(t)
		d := admin.call(t, "GET", "auth/token/roles/ci", nil).envelope(t).Data
		if d["name"] != "ci" || d["token_period"] != 1800.0 || d["orphan"] != true || d["token_type"] != "default-service" || d["path_suffix"] != "pipeline" || len(d["allowed_policies"].([]any)) != 2 {
			t.Errorf("%v", d)
		}
		if keys := admin.call(t, "LIST", "auth/token/roles", nil).envelope(t).Data["keys"].([]any); len(keys) != 1 || keys[0] != "ci" {
			t.Errorf("%v", keys)
		}
		// A role gives what its user may have, and nothing more; a machine's token still does not outlive its login.
		v.call(t, "POST", "auth/token/create/ci", `{}`).saysErrors(t, 400, "child policies must be subset of parent")
		a := v.child(t, "create/ci", `{"policies":["developer"]}`)
		if a.LeaseDuration != 1800 || !a.Orphan || !tokenUUID.MatchString(a.Accessor) {
			t.Errorf("%+v", a)
		}
		look := v.with(a.ClientToken).call(t, "GET", "auth/token/lookup-self", nil).envelope(t).Data
		if look["path"] != "auth/token/create/ci/pipeline" || look["role"] != "ci" || look["period"] != 1800.0 {
			t.Errorf("%v", look)
		}
		admin.call(t, "POST", "auth/token/create/ci", `{"policies":["root"]}`).saysErrors(t, 400, "token policies must be subset of the role's allowed policies")
		v.call(t, "POST", "auth/token/create/none", `{}`).saysErrors(t, 400, "unknown role")
		v.call(t, "POST", "auth/token/roles/mine", `{"orphan":true}`).saysErrors(t, 403, vaultDenied)
		v.call(t, "GET", "auth/token/roles/ci", nil).saysErrors(t, 403, vaultDenied)
		// A write changes what it names.
		admin.call(t, "POST", "auth/token/roles/ci", `{"token_type":"batch","token_period":0}`).is204(t)
		if d := admin.call(t, "GET", "auth/token/roles/ci", nil).envelope(t).Data; d["token_type"] != "batch" || d["orphan"] != true || d["period"] != 0.0 {
			t.Errorf("%v", d)
		}
		for _, body := range []string{`{"token_type":"odd"}`, `{"token_period":"-1h"}`, `{"path_suffix":"a/b"}`, `{"allowed_entity_aliases":["x"]}`, `{"token_bound_cidrs":"nowhere"}`} {
			if r := admin.call(t, "POST", "auth/token/roles/ci", body); r.status != 400 {
				t.Errorf("%s: %d %s", body, r.status, r.body)
			}
		}
		admin.call(t, "DELETE", "auth/token/roles/ci", nil).is204(t)
		admin.call(t, "DELETE", "auth/token/roles/ci", nil).is204(t)
		if !v.with(a.ClientToken).works(t) {
			t.Error("a token ended with the template that made it")
		}
	})
}

func TestRevokedVaultTokensEndAtOnceOnEveryServer(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	admin := a.asVault(a.admin.token)
	parent := admin.child(t, "create", `{"ttl":"1h"}`)
	child := admin.with(parent.ClientToken).child(t, "create", `{"ttl":"1h"}`)
	grand := admin.with(child.ClientToken).child(t, "create", `{"ttl":"1h"}`)
	there := b.asVault(grand.ClientToken)
	if !there.works(t) { // it is in the other server's cache now
		t.Fatal("not known on the other server")
	}
	admin.call(t, "POST", "auth/token/revoke-accessor", map[string]string{"accessor": parent.Accessor}).is204(t)
	eventually(t, heardWithin, "the grandchild ends on the other server", func() bool { return !there.works(t) })
	// A renewal is known there too.
	periodic := admin.child(t, "create", `{"period":"1h","ttl":"1h"}`)
	if !b.asVault(periodic.ClientToken).works(t) {
		t.Error("not known on the other server")
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testoidc"
)

// directory is a SCIM client.
type scimClient struct{ person }

func (w *world) scim(t *testing.T, name string, domains ...string) scimClient {
	t.Helper()
	made := send[api.NewToken](t, w.admin, "POST", "/scim/tokens", api.SCIMTokenRequest{Connection: name, Domains: domains, TTL: "1h"})
	return scimClient{w.admin.with(made.Token)}
}

type resource map[string]any

func (r resource) id() string { return r["id"].(string) }

func (d scimClient) call(t tb, method, path string, body any, want int) resource {
	t.Helper()
	r := d.do(t, method, d.url+"/scim/v2"+path, body, "Content-Type", "application/scim+json")
	if r.status != want {
		t.Fatalf("%s: %d, want %d: %s", r.what, r.status, want, r.body)
	}
	out := resource{}
	if len(r.body) > 0 {
		if err := json.Unmarshal(r.body, &out); err != nil || r.header.Get("Content-Type") != "application/scim+json" {
			t.Fatalf("%s: %v", r.what, err)
		}
	}
	return out
}

func (d scimClient) user(t tb, name string) resource {
	t.Helper()
	return d.call(t, "POST", "/Users", resource{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": name, "externalId": "x-" + name, "active": true,
		"name": resource{"givenName": "Given", "familyName": "Family"}, "emails": []resource{{"value": name, "type": "work", "primary": true}}}, 201)
}

func patch(operations ...resource) resource {
	return resource{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": operations}
}

func TestADirectoryKeepsPeople(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		d := w.scim(t, "okta", "example.test")
		for _, path := range []string{"/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/ResourceTypes/User", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group"} {
			d.call(t, "GET", path, nil, 200)
		}
		ann := d.user(t, "Ann@example.test")
		if ann["userName"] != "Ann@example.test" || ann["active"] != true || ann["displayName"] != "Given Family" || ann["externalId"] != "x-Ann@example.test" {
			t.Errorf("%v", ann)
		}
		d.call(t, "POST", "/Users", resource{"userName": "ANN@example.test"}, 409)
		d.call(t, "POST", "/Users", resource{"userName": "no address"}, 400)
		d.call(t, "POST", "/Users", resource{"emails": []resource{{"value": "x@example.test"}}}, 400)
		d.call(t, "POST", "/Users", resource{"userName": "p@example.test", "password": "test-value"}, 400)
		for i := range 4 {
			d.user(t, "user"+strconv.Itoa(i)+"@example.test")
		}
		count := func(filter string, want int) {
			t.Helper()
			if got := d.call(t, "GET", "/Users"+query("filter", filter), nil, 200); got["totalResults"] != float64(want) {
				t.Errorf("%s: %v", filter, got["totalResults"])
			}
		}
		count(`userName eq "ANN@EXAMPLE.test"`, 1)
		count(`USERNAME Eq "ann@example.test" and externalId eq "x-Ann@example.test"`, 1)
		count(`userName eq "ann@example.test" and externalId eq "other"`, 0)
		count(`emails[type eq "work"].value eq "ann@example.test"`, 1)
		count(`emails.value eq "nobody"`, 0)
		count(`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ann@example.test"`, 1)
		count(`id eq "`+ann.id()+`"`, 1)
		count(`active eq true`, 5)
		count(`userName eq ""`, 0)
		count(`externalId eq "x' OR '1'='1"`, 0)
		for _, filter := range []string{`userName sw "a"`, `userName eq "a" or userName eq "b"`, `not (userName eq "a")`, `title eq "x"`, `userName eq`, `userName`, `userName eq "a`, `(userName eq "a")`, `userName eq "a"and id eq "b"`, `active eq "maybe"`} {
			d.call(t, "GET", "/Users"+query("filter", filter), nil, 400)
		}
		first := d.call(t, "GET", "/Users?startIndex=1&count=2", nil, 200)
		second := d.call(t, "GET", "/Users?startIndex=3&count=2", nil, 200)
		if first["totalResults"] != float64(5) || first["itemsPerPage"] != float64(2) || second["startIndex"] != float64(3) || first["Resources"].([]any)[0].(map[string]any)["id"] == second["Resources"].([]any)[0].(map[string]any)["id"] {
			t.Errorf("%v\n%v", first, second)
		}
		if none := d.call(t, "GET", "/Users?count=0", nil, 200); none["totalResults"] != float64(5) || len(none["Resources"].([]any)) != 0 {
			t.Errorf("%v", none)
		}

		// The spellings of Entra ID and of Okta.
		at := "/Users/" + ann.id()
		now := d.call(t, "PATCH", at, patch(resource{"op": "Replace", "path": "name.givenName", "value": "Anna"}, resource{"op": "Add", "path": `emails[type eq "work"].value`, "value": "anna@example.test"},
			resource{"op": "Replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "x"}), 200)
		if now["name"].(map[string]any)["givenName"] != "Anna" || now["emails"].([]any)[0].(map[string]any)["value"] != "anna@example.test" {
			t.Errorf("%v", now)
		}
		if now = d.call(t, "PATCH", at, patch(resource{"op": "replace", "value": resource{"active": false}}), 200); now["active"] != false {
			t.Errorf("%v", now)
		}
		if now = d.call(t, "PATCH", at, patch(resource{"op": "Replace", "path": "active", "value": "True"}), 200); now["active"] != true {
			t.Errorf("%v", now)
		}
		d.call(t, "PATCH", at, patch(resource{"op": "remove", "path": "externalId"}), 200)
		for _, bad := range []resource{{"op": "move", "path": "active"}, {"op": "remove"}, {"op": "replace", "value": "x"}, {"op": "replace", "path": "active", "value": "maybe"}, {"op": "remove", "path": "userName"},
			{"op": "replace", "path": "userName", "value": 7}, {"op": "replace", "path": "userName", "value": "USER1@example.test"}, {"op": "replace", "path": "emails[", "value": "x"}} {
			r := d.do(t, "PATCH", d.url+"/scim/v2"+at, patch(bad), "Content-Type", "application/scim+json")
			if r.status != 400 && r.status != 409 {
				t.Errorf("%v: %d %s", bad, r.status, r.body)
			}
		}
		d.call(t, "PATCH", at, patch(), 400)
		d.call(t, "PUT", at, resource{"userName": "ann@example.test", "displayName": "Ann", "externalId": "x1"}, 200)
		if now = d.call(t, "GET", at, nil, 200); now["displayName"] != "Ann" || now["externalId"] != "x1" || now["active"] != true {
			t.Errorf("%v", now)
		}
		d.call(t, "DELETE", at, nil, 204)
		d.call(t, "GET", at, nil, 404)
		d.call(t, "DELETE", at, nil, 404)
		if back := d.user(t, "ann@example.test"); back.id() != ann.id() || back["active"] != true { // the domain is the directory's
			t.Errorf("%v", back)
		}
	})
}

func TestADirectoryKeepsGroups(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		d := w.scim(t, "entra")
		ann, bob := d.user(t, "ann@example.test"), d.user(t, "bob@example.test")
		g := d.call(t, "POST", "/Groups", resource{"displayName": "Engineering", "externalId": "e1", "members": []resource{{"value": ann.id()}}}, 201)
		at := "/Groups/" + g.id()
		members := func(want ...resource) {
			t.Helper()
			var got, ids []string
			now := d.call(t, "GET", at, nil, 200)
			for _, m := range now["members"].([]any) {
				got = append(got, m.(map[string]any)["value"].(string))
			}
			for _, r := range want {
				ids = append(ids, r.id())
			}
			slices.Sort(got)
			slices.Sort(ids)
			if !slices.Equal(got, ids) {
				t.Errorf("members %v, want %v", got, ids)
			}
		}
		members(ann)
		d.call(t, "PATCH", at, patch(resource{"op": "Add", "path": "members", "value": []resource{{"value": bob.id()}}}), 200)
		d.call(t, "PATCH", at, patch(resource{"op": "add", "path": "members", "value": []resource{{"value": bob.id()}, {"value": ann.id()}}}), 200)
		members(ann, bob)
		count := func(filter string, want int) {
			t.Helper()
			if got := d.call(t, "GET", "/Groups"+query("filter", filter, "excludedAttributes", "members"), nil, 200); got["totalResults"] != float64(want) {
				t.Errorf("%s: %v", filter, got["totalResults"])
			}
		}
		count(`displayName eq "Engineering"`, 1)
		count(`members eq "`+bob.id()+`"`, 1)
		count(`members[value eq "`+bob.id()+`"]`, 1)
		count(`id eq "`+g.id()+`" and members.value eq "`+bob.id()+`"`, 1)
		count(`displayName eq "Other"`, 0)
		d.call(t, "PATCH", at, patch(resource{"op": "remove", "path": `members[value eq "` + ann.id() + `"]`}), 200)
		members(bob)
		d.call(t, "PATCH", at, patch(resource{"op": "Remove", "path": "members", "value": []resource{{"value": bob.id()}}}), 200)
		members()
		d.call(t, "PATCH", at, patch(resource{"op": "replace", "path": "members", "value": []resource{{"value": ann.id()}}}), 200)
		members(ann)
		if now := d.call(t, "PATCH", at, patch(resource{"op": "replace", "value": resource{"id": g.id(), "displayName": "Engineers"}}), 200); now["displayName"] != "Engineers" {
			t.Errorf("%v", now)
		}
		d.call(t, "PATCH", at, patch(resource{"op": "add", "path": "members", "value": []resource{{"value": "nobody"}}}), 400)
		d.call(t, "PATCH", at, patch(resource{"op": "add", "path": "members", "value": []resource{{"value": g.id(), "type": "Group"}}}), 400)
		d.call(t, "POST", "/Groups", resource{"displayName": "Engineers"}, 409)
		d.call(t, "POST", "/Groups", resource{"displayName": ""}, 400)
		d.call(t, "PUT", at, resource{"displayName": "Engineers", "members": []resource{{"value": ann.id()}, {"value": bob.id()}}}, 200)
		members(ann, bob)

		// Another directory sees nothing of it.
		other := w.scim(t, "okta")
		other.call(t, "GET", at, nil, 404)
		other.call(t, "GET", "/Users/"+ann.id(), nil, 404)
		other.call(t, "PATCH", "/Users/"+ann.id(), patch(resource{"op": "replace", "path": "active", "value": false}), 404)
		other.call(t, "DELETE", at, nil, 404)
		other.call(t, "POST", "/Groups", resource{"displayName": "Mine", "members": []resource{{"value": ann.id()}}}, 400)
		if all := other.call(t, "GET", "/Users", nil, 200); all["totalResults"] != float64(0) {
			t.Errorf("%v", all)
		}
		d.call(t, "DELETE", at, nil, 204)
		d.call(t, "GET", at, nil, 404)
	})
}

func TestWhoeverLeavesTheDirectoryIsOutAtOnce(t *testing.T) {
	t.Parallel()
	w := ssoWorld(t)
	d := w.scim(t, "okta", "example.test")
	ann := d.user(t, "ann@example.test")
	op := w.oidc(t, map[string]testoidc.Account{"ann": {"email": "ann@example.test", "email_verified": true}}, func(r *api.SSORequest) { r.Create = false })
	g := d.call(t, "POST", "/Groups", resource{"displayName": "Engineering", "members": []resource{{"value": ann.id()}}}, 201)
	home := w.project(t)
	v := w.visitor(t)
	browser := op.Browser(t)
	_, to, _ := v.get(browser.Login(t, v.begin("corp"), "ann").String())
	me := w.session(t, code(t, to))
	who := get[api.Principal](t, me, "/whoami")
	if who.ID != ann.id() {
		t.Fatalf("%+v is not the person that the directory keeps", who)
	}
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "user", Principal: who.ID, Project: home.project, Role: "developer"})
	made := send[api.NewToken](t, me, "POST", "/tokens", api.TokenRequest{Project: home.project, Scopes: "dev:/:read", TTL: "1h"})
	d.call(t, "PATCH", "/Users/"+ann.id(), patch(resource{"op": "Replace", "path": "active", "value": "False"}), 200)
	me.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	me.with(made.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	if status, _, _ := v.get(browser.Login(t, v.begin("corp"), "ann").String()); status != http.StatusUnauthorized {
		t.Errorf("a login of somebody who left: %d", status)
	}
	// Coming back brings neither session nor token back.
	d.call(t, "PATCH", "/Users/"+ann.id(), patch(resource{"op": "replace", "value": resource{"active": true}}), 200)
	me.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	me.with(made.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	d.call(t, "DELETE", "/Groups/"+g.id(), nil, 204)
}

func TestTheTokenOfADirectoryDoesNothingElse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		d := w.scim(t, "okta", "example.test")
		for path, method := range map[string]string{"/users": "GET", "/projects": "POST", "/whoami": "GET", "/grants": "GET", "/audit/entries": "GET", "/tokens": "GET"} {
			var body any
			if method == "POST" {
				body = api.ProjectRequest{Slug: "x"}
			}
			d.do(t, method, path, body).refused(t, "denied")
		}
		// People cannot speak the protocol, not even admins.
		for _, token := range []string{w.admin.token, "", "ktd_test-value"} {
			r := d.with(token).do(t, "GET", d.url+"/scim/v2/Users", nil)
			if r.status != 401 && r.status != 403 {
				t.Errorf("%d", r.status)
			}
		}
		// An account by hand is taken over only in a domain of the directory, and never the exception.
		send[api.User](t, w.admin, "POST", "/users", api.UserRequest{Email: "carl@other.test", Password: testPassword})
		d.call(t, "POST", "/Users", resource{"userName": "carl@other.test"}, 409)
		send[api.User](t, w.admin, "POST", "/users", api.UserRequest{Email: "dora@example.test", Password: testPassword})
		d.user(t, "dora@example.test")
		send[api.SSOConnection](t, w.admin, "POST", "/sso/connections", oidcRequest("corp"))
		send[api.Done](t, w.admin, "PUT", "/sso/enforcement", api.SSOEnforcement{Enforced: true, Exempt: w.server.Email})
		d.call(t, "POST", "/Users", resource{"userName": w.server.Email}, 403)

		// A directory that is removed is out, and its people stay.
		send[api.Done](t, w.admin, "DELETE", "/sso/connections/okta", nil)
		d.call(t, "GET", "/Users", nil, 401)
		if all := get[api.Users](t, w.admin, "/users"); len(all.Users) != 3 {
			t.Errorf("%+v", all)
		}
	})
}

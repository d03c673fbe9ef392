package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// writePolicy writes an ACL policy as the admin.
func (w *world) writePolicy(t tb, name, text string) {
	t.Helper()
	w.kv().ask(t, "PUT", "sys/policies/acl/"+name, map[string]string{"policy": text}).none(t)
}

func TestPoliciesAreReadAsTheyWereWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		text := "# reads\npath \"" + e.project + "/data/dev/app\" {\n  capabilities = [\"read\"]\n}\n"
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		k.ask(t, "LIST", "sys/policies/acl", nil).data(t, 200, `{"keys":["default","root"]}`)
		k.ask(t, "GET", "sys/policies/acl/app", nil).errors(t, 404)
		w.writePolicy(t, "app", text)
		k.ask(t, "GET", "sys/policies/acl/app", nil).data(t, 200, `{"name":"app","policy":`+string(quoted)+`}`)
		k.ask(t, "GET", "sys/policies/acl/APP", nil).data(t, 200, `{"name":"app","policy":`+string(quoted)+`}`)
		k.ask(t, "GET", "sys/policies/acl?list=true", nil).data(t, 200, `{"keys":["app","default","root"]}`)
		copies := func(data string) string {
			return `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":0,"data":{` + data + `},"wrap_info":null,"warnings":null,"auth":null,` + data + `}`
		}
		k.ask(t, "GET", "sys/policy/app", nil).exact(t, 200, copies(`"name":"app","rules":`+string(quoted)))
		for _, method := range []string{"GET", "LIST"} {
			k.ask(t, method, "sys/policy", nil).exact(t, 200, copies(`"keys":["app","default","root"],"policies":["app","default","root"]`))
		}
		// The older spelling, base64 and JSON.
		k.ask(t, "POST", "sys/policy/old", map[string]string{"rules": text}).none(t)
		k.ask(t, "POST", "sys/policy/coded", map[string]string{"policy": base64.StdEncoding.EncodeToString([]byte(text))}).none(t)
		k.ask(t, "GET", "sys/policies/acl/coded", nil).data(t, 200, `{"name":"coded","policy":`+string(quoted)+`}`)
		k.ask(t, "PUT", "sys/policies/acl/json", map[string]string{"policy": `{"path":{"` + e.project + `/data/+/x":{"capabilities":["read"]}}}`}).none(t)
		k.ask(t, "DELETE", "sys/policies/acl/old", nil).none(t)
		k.ask(t, "DELETE", "sys/policy/old", nil).none(t)
		k.ask(t, "GET", "sys/policy/old", nil).errors(t, 404)

		// Those that are always there.
		k.ask(t, "GET", "sys/policies/acl/root", nil).data(t, 200, `{"name":"root","policy":""}`)
		if r := k.ask(t, "GET", "sys/policies/acl/default", nil); r.status != 200 || !strings.Contains(string(r.body), "auth/token/lookup-self") {
			t.Errorf("the default policy is %d %s", r.status, r.body)
		}
		k.ask(t, "PUT", "sys/policies/acl/root", `{"policy":"path \"a\" {}"}`).errors(t, 400, "cannot update root policy")
		k.ask(t, "PUT", "sys/policies/acl/default", `{"policy":"path \"a\" {}"}`).errors(t, 400, "cannot update default policy")
		k.ask(t, "DELETE", "sys/policies/acl/root", nil).errors(t, 400, "cannot delete root policy")
		k.ask(t, "PUT", "sys/policies/acl/empty", `{}`).errors(t, 400, "'policy' parameter not supplied or empty")
		k.ask(t, "PUT", "sys/policies/acl/my_policy", `{"policy":"path \"a\" {}"}`).errors(t, 400, "a policy is a role here, and its name that of one: want a-z, 0-9 and '-', not '-' at an end")
		k.ask(t, "PUT", "sys/policies/acl/admin", `{"policy":"path \"a\" {}"}`).errors(t, 400, "this is the name of a built-in role: take another one")

		// What cannot be kept, with its line.
		for policy, want := range map[string]string{
			strings.Replace(text, e.project+"/", strings.ToUpper(e.project)+"/", 1):                           "failed to parse policy: line 2: there is no mount of that name; case matters",
			strings.Replace(text, "/app", "/app*", 1):                                                         "failed to parse policy: line 2: '*' stands inside a segment",
			strings.Replace(text, `"read"]`, `"update"]`, 1):                                                  "failed to parse policy: line 2: here one right both makes and changes",
			strings.Replace(text, "capabilities", "allowed_parameters = {}\ncapabilities", 1):                 "failed to parse policy: line 3: allowed_parameters cannot be kept",
			text + "path \"" + e.project + "/data/dev/*\" { capabilities = [\"deny\"] }":                      "failed to parse policy: line 5: line 2 gives what line 5 keeps back",
			strings.Replace(text, "/data/dev/app", "/data/{{identity.entity.name}}/app", 1):                   "failed to parse policy: line 2: templates",
			"path \"nothing-there/data/x\" { capabilities = [\"read\"] }":                                     "failed to parse policy: line 1: there is no mount",
			"path \"secret/data/x\" { capabilities = [\"read\" }":                                             "failed to parse policy: line 1: want ',' or ']'",
			"path \"" + e.project + "/data/dev/x\" { capabilities = [\"read\", \"test-value-of-a-secret\"] }": "failed to parse policy: line 1: no such capability",
		} {
			r := k.ask(t, "PUT", "sys/policies/acl/app", map[string]string{"policy": policy})
			var out struct{ Errors []string }
			if err := json.Unmarshal(r.body, &out); err != nil || r.status != 400 || len(out.Errors) != 1 || !strings.HasPrefix(out.Errors[0], want) || strings.Contains(out.Errors[0], "test-value") {
				t.Errorf("%s\ngives %d %s, want %s", policy, r.status, r.body, want)
			}
		}
		k.ask(t, "GET", "sys/policies/acl/app", nil).data(t, 200, `{"name":"app","policy":`+string(quoted)+`}`)

		// A policy is a role, and a role that is none keeps its name.
		role := get[api.CustomRole](t, w.admin, "/roles/app")
		id := get[api.Project](t, w.admin, "/projects/"+e.project).ID
		if len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Projects, []string{id}) || !slices.Equal(role.Rules[0].Paths, []string{"/app/."}) {
			t.Errorf("the role is %+v", role)
		}
		send[api.CustomRole](t, w.admin, "POST", "/roles", api.RoleRequest{Name: "by-hand", Rules: "[{effect: allow, actions: [secret.read], projects: [" + e.project + "]}]"})
		if r := k.ask(t, "PUT", "sys/policies/acl/by-hand", map[string]string{"policy": text}); r.status != 400 || !strings.Contains(string(r.body), "there is a role of this name that is no policy") {
			t.Errorf("a role is overwritten: %d %s", r.status, r.body)
		}
		w.admin.do(t, "PATCH", "/roles/app", map[string]string{"rules": "[{effect: allow, actions: ['*']}]"}).refused(t, "conflict", "those of an ACL policy", "vault policy write app")

		// Nobody else writes or reads policies.
		nobody := kv{w.machine(t)}
		for _, method := range []string{"PUT", "GET", "DELETE"} {
			nobody.ask(t, method, "sys/policies/acl/app", map[string]string{"policy": text}).errors(t, 403, `1 error occurred:\n\t* permission denied\n\n`)
		}
		nobody.ask(t, "LIST", "sys/policies/acl", nil).errors(t, 403, `1 error occurred:\n\t* permission denied\n\n`)
	})
}

func TestAPolicyGivesWhatItSaysInEveryView(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		p := e.project
		for _, path := range []string{"app", "app/db", "team/a", "team/private", "other"} {
			k.ask(t, "POST", p+"/data/dev/"+path, `{"data":{"KEY":"test-value"}}`).data(t, 200, versionText("1", "", "false"))
		}
		w.writePolicy(t, "reader", `
path "`+p+`/data/dev/app"           { capabilities = ["read"] }
path "`+p+`/data/dev/team/*"        { capabilities = ["create", "read", "update", "delete"] }
path "`+p+`/data/dev/team/private"  { capabilities = ["read"] }
path "`+p+`/metadata/dev/team/*"    { capabilities = ["list", "read"] }
path "auth/token/lookup-self"       { capabilities = ["read"] }`)
		m := w.machine(t, api.GrantRequest{Role: "reader"})
		as := kv{m}
		ok, denied := 200, 403
		for _, c := range []struct {
			method, path string
			want         []int
		}{
			{"GET", "data/dev/app", []int{ok}}, {"GET", "data/dev/app/db", []int{denied, 404}}, {"GET", "data/dev/other", []int{denied, 404}},
			{"POST", "data/dev/app", []int{denied, 404}}, {"DELETE", "data/dev/app", []int{denied, 404}}, {"LIST", "metadata/dev/app", []int{denied, 404}},
			{"GET", "data/dev/team/a", []int{ok}}, {"POST", "data/dev/team/a", []int{ok}}, {"POST", "data/dev/team/new", []int{ok}}, {"GET", "metadata/dev/team/a", []int{ok}},
			{"GET", "data/dev/team/private", []int{ok}}, {"POST", "data/dev/team/private", []int{denied, 404}}, {"DELETE", "data/dev/team/private", []int{denied, 404}},
			{"LIST", "metadata/dev/team", []int{ok}}, {"GET", "data/prod/app", []int{denied, 404}},
		} {
			var body any
			if c.method == "POST" {
				body = `{"data":{"KEY":"test-value"}}`
			}
			if r := as.ask(t, c.method, p+"/"+c.path, body); !slices.Contains(c.want, r.status) {
				t.Errorf("%s %s: %d %s, want %v", c.method, c.path, r.status, r.body, c.want)
			}
		}
		// The native view knows the same rights.
		if got := e.as(m).value(t, "/app", "KEY"); got != "test-value" {
			t.Errorf("the value is %q", got)
		}
		if r := e.as(m).ask(t, "/app/db", "KEY"); r.status != 404 && r.status != 403 {
			t.Errorf("a folder below can be read: %d %s", r.status, r.body)
		}

		copies := func(data string) string {
			return `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":0,"data":{` + data + `},"wrap_info":null,"warnings":null,"auth":null,` + data + `}`
		}
		ask := func(who kv, paths ...string) reply {
			return who.ask(t, "POST", "sys/capabilities-self", map[string]any{"paths": paths})
		}
		app, team := p+"/data/dev/app", p+"/data/dev/team/a"
		ask(as, app).exact(t, 200, copies(`"capabilities":["read"],"`+app+`":["read"]`))
		ask(as, app, team, p+"/data/dev/other", "auth/token/lookup-self", "sys/policies/acl/x", "nowhere/x").exact(t, 200, copies(
			`"auth/token/lookup-self":["read"],"nowhere/x":["deny"],"`+app+`":["read"],"`+p+`/data/dev/other":["deny"],"`+team+`":["create","delete","patch","read","update"],"sys/policies/acl/x":["deny"]`))
		ask(as, p+"/metadata/dev/team/").exact(t, 200, copies(`"capabilities":["list"],"`+p+`/metadata/dev/team/":["list"]`))
		ask(as, strings.ToUpper(app)).exact(t, 200, copies(`"`+strings.ToUpper(app)+`":["deny"],"capabilities":["deny"]`))
		ask(k, app).exact(t, 200, copies(`"capabilities":["root"],"`+app+`":["root"]`))
		k.ask(t, "POST", "sys/capabilities-self", map[string]any{"path": app}).exact(t, 200, copies(`"capabilities":["root"],"`+app+`":["root"]`))
		k.ask(t, "POST", "sys/capabilities", map[string]any{"path": app, "token": m.token}).exact(t, 200, copies(`"capabilities":["read"],"`+app+`":["read"]`))
		id := get[api.Principal](t, m, "/whoami").TokenID
		k.ask(t, "POST", "sys/capabilities-accessor", map[string]any{"path": app, "accessor": id}).exact(t, 200, copies(`"capabilities":["read"],"`+app+`":["read"]`))
		k.ask(t, "POST", "sys/capabilities", map[string]any{"path": app, "token": "nobody's"}).errors(t, 400, "invalid token")
		k.ask(t, "POST", "sys/capabilities-accessor", map[string]any{"path": app, "accessor": "nobody's"}).errors(t, 400, "invalid accessor")
		k.ask(t, "POST", "sys/capabilities-self", `{}`).errors(t, 400, "missing path")
		as.ask(t, "POST", "sys/capabilities", map[string]any{"path": app, "token": m.token}).errors(t, 403, `1 error occurred:\n\t* permission denied\n\n`)

		// A change counts with the next request, and the end of a policy too.
		w.writePolicy(t, "reader", `path "`+p+`/data/dev/other" { capabilities = ["read"] }`)
		if r := as.ask(t, "GET", p+"/data/dev/other", nil); r.status != http.StatusOK {
			t.Errorf("the new policy gives %d %s", r.status, r.body)
		}
		if r := as.ask(t, "GET", p+"/data/dev/app", nil); r.status == http.StatusOK {
			t.Errorf("the old policy still gives %s", r.body)
		}
		k.ask(t, "DELETE", "sys/policies/acl/reader", nil).none(t)
		if r := as.ask(t, "GET", p+"/data/dev/other", nil); r.status == http.StatusOK {
			t.Errorf("a policy that was deleted gives %s", r.body)
		}
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the log does not fit: %+v", v.Problems)
		}
	})
}

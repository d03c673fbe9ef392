package server_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// infisicalEnv is a client of the Infisical dialect in one environment.
type infisicalEnv struct {
	person
	project, env, id string
}

// infisical gives an environment as the Infisical dialect shows it.
func (w *world) infisical(t *testing.T, e env) infisicalEnv {
	t.Helper()
	return infisicalEnv{e.person, e.project, e.name, get[api.Project](t, w.admin, "/projects/"+e.project).ID}
}

func (c infisicalEnv) as(p person) infisicalEnv { c.person = p; return c }

// call sends a request and checks its status.
func (c infisicalEnv) call(t tb, want int, method, path string, body any, header ...string) map[string]any {
	t.Helper()
	r := c.do(t, method, c.url+"/api"+path, body, header...)
	if r.status != want {
		t.Fatalf("%s: status %d, want %d: %s", r.what, r.status, want, r.body)
	}
	if len(r.body) == 0 {
		return nil
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("%s: content type %q", r.what, ct)
	}
	out := map[string]any{}
	if err := json.Unmarshal(r.body, &out); err != nil {
		t.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
	if want >= 400 && (out["statusCode"] != float64(want) || out["message"] == nil || out["error"] == nil || out["reqId"] != r.header.Get("X-Request-Id")) {
		t.Errorf("%s: not an error of the dialect: %s", r.what, r.body)
	}
	return out
}

// q gives the query of a v3 read, with more pairs.
func (c infisicalEnv) q(pairs ...string) string {
	return query(append([]string{"workspaceId", c.id, "environment", c.env}, pairs...)...)
}

// in gives a v3 body with more members, pairs of name and value.
func (c infisicalEnv) in(pairs ...any) map[string]any {
	out := map[string]any{"workspaceId": c.id, "environment": c.env, "secretPath": "/"}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

func (c infisicalEnv) create(t tb, name, value string, pairs ...any) map[string]any {
	t.Helper()
	return c.call(t, 200, "POST", "/v3/secrets/raw/"+name, c.in(append(pairs, "secretValue", value)...))["secret"].(map[string]any)
}

func (c infisicalEnv) list(t tb, pairs ...string) map[string]any {
	t.Helper()
	return c.call(t, 200, "GET", "/v3/secrets/raw"+c.q(pairs...), nil)
}

// secretsIn gives the secrets of an answer by folder and key.
func secretsIn(list any) map[string]string {
	out := map[string]string{}
	for _, s := range list.([]any) {
		m := s.(map[string]any)
		out[full(m["secretPath"].(string), m["secretKey"].(string))] = m["secretValue"].(string)
	}
	return out
}

func agree(t tb, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.MarshalIndent(got, "", " ")
		x, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("%s:\n%s\nwant\n%s", what, g, x)
	}
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// fixed replaces what differs from run to run, after a look at its form.
func fixed(t tb, m map[string]any) map[string]any {
	t.Helper()
	for k, form := range map[string]*regexp.Regexp{"id": uuidForm, "_id": uuidForm, "workspace": uuidForm, "createdAt": timeForm, "updatedAt": timeForm} {
		if s, _ := m[k].(string); !form.MatchString(s) {
			t.Errorf("%s is %q", k, s)
		}
		m[k] = "*"
	}
	return m
}

func TestInfisicalClientsReadAndWriteSecrets(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e).as(e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "admin"})).person)
		made := c.create(t, "DB_URL", " postgres://test-value\n\n", "secretComment", "the main one", "skipMultilineEncoding", true,
			"secretMetadata", []any{map[string]any{"key": "team", "value": "core"}}, "secretReminderRepeatDays", 30, "secretReminderNote", "ask Ops")
		if made["id"] != made["_id"] || made["workspace"] != c.id {
			t.Errorf("%v", made)
		}
		want := map[string]any{"id": "*", "_id": "*", "workspace": "*", "environment": "dev", "version": 1.0, "type": "shared", "secretKey": "DB_URL",
			"secretValue": " postgres://test-value\n\n", "secretComment": "the main one", "secretPath": "/", "secretValueHidden": false, "skipMultilineEncoding": true,
			"tags": []any{}, "secretMetadata": []any{map[string]any{"key": "team", "value": "core", "isEncrypted": false}}, "createdAt": "*", "updatedAt": "*",
			"secretReminderNote": "ask Ops", "secretReminderRepeatDays": 30.0, "isRotatedSecret": false, "rotationId": nil}
		id := made["id"].(string)
		agree(t, "created", fixed(t, made), want)
		got := c.call(t, 200, "GET", "/v3/secrets/raw/DB_URL"+c.q(), nil)
		agree(t, "got", fixed(t, got["secret"].(map[string]any)), want)
		agree(t, "by id", fixed(t, c.call(t, 200, "GET", "/v3/secrets/raw/id/"+id, nil)["secret"].(map[string]any)), want)
		list := c.list(t)
		agree(t, "listed", fixed(t, list["secrets"].([]any)[0].(map[string]any)), want)
		if _, ok := list["imports"]; ok || len(list) != 1 {
			t.Errorf("%v", list)
		}
		// v4 has other names and other defaults.
		four := c.call(t, 200, "GET", "/v4/secrets"+query("projectId", c.id, "environment", "dev"), nil)
		agree(t, "v4 imports", four["imports"], []any{})
		agree(t, "v4", secretsIn(four["secrets"]), map[string]string{"/DB_URL": " postgres://test-value\n\n"})
		// The other view shows it as well, byte for byte, and who wrote it.
		if v := e.secret(t, "/", "DB_URL"); bytesOf(t, v) != " postgres://test-value\n\n" || v.Comment != "the main one" || v.Version != 1 || v.ID != id {
			t.Errorf("%+v", v)
		}

		c.call(t, 400, "POST", "/v3/secrets/raw/DB_URL", c.in("secretValue", "test-value"))
		up := c.call(t, 200, "PATCH", "/v3/secrets/raw/DB_URL", c.in("secretValue", "test-value-2", "newSecretName", "DB_URI"))["secret"].(map[string]any)
		if up["version"] != 2.0 || up["secretKey"] != "DB_URI" || up["secretValue"] != "test-value-2" || up["secretComment"] != "the main one" || up["id"] != id {
			t.Errorf("%v", up)
		}
		agree(t, "an older version", c.call(t, 200, "GET", "/v3/secrets/raw/DB_URI"+c.q("version", "1"), nil)["secret"].(map[string]any)["secretValue"], " postgres://test-value\n\n")
		// Native writes are there with the next request.
		e.commit(t, set("/", "DB_URI", "test-value-3"))
		agree(t, "written natively", c.call(t, 200, "GET", "/v4/secrets/DB_URI"+c.q(), nil)["secret"].(map[string]any)["version"], 3.0)
		gone := c.call(t, 200, "DELETE", "/v4/secrets/DB_URI", map[string]any{"projectId": c.id, "environment": "dev", "secretPath": "/", "type": "shared"})["secret"].(map[string]any)
		if gone["secretValue"] != "test-value-3" || gone["version"] != 3.0 {
			t.Errorf("%v", gone)
		}
		c.call(t, 404, "GET", "/v3/secrets/raw/DB_URI"+c.q(), nil)
		c.call(t, 404, "PATCH", "/v3/secrets/raw/DB_URI", c.in("secretValue", "x"))
		c.call(t, 404, "DELETE", "/v3/secrets/raw/DB_URI", c.in("type", "shared"))
		c.call(t, 404, "POST", "/v3/secrets/raw/A", c.in("secretValue", "x", "secretPath", "/nowhere"))
		c.call(t, 404, "GET", "/v3/secrets/raw"+query("workspaceId", c.id, "environment", "nowhere"), nil)
		c.call(t, 404, "GET", "/v3/secrets/raw"+query("workspaceSlug", "nowhere", "environment", "dev"), nil)
		c.call(t, 404, "GET", "/v3/secrets/raw"+c.q("secretPath", "/nowhere"), nil)
		c.call(t, 422, "GET", "/v3/secrets/raw"+query("workspaceId", c.id), nil)
		for _, name := range []string{"A:B", "A%2FB", "A%00B", "%E2%80%AEA", "A%20B"} {
			if m := c.call(t, 422, "POST", "/v3/secrets/raw/"+name, c.in("secretValue", "x"))["message"].([]any); len(m) != 1 {
				t.Errorf("%v", m)
			}
		}
		// Machines have nothing of their own; the CLI deletes personal values unless told otherwise.
		c.call(t, 400, "POST", "/v3/secrets/raw/P", c.in("secretValue", "x", "type", "personal"))
		c.call(t, 404, "GET", "/v3/secrets/raw/P"+c.q("type", "personal"), nil)
		c.create(t, "P", "test-value")
		if m := c.call(t, 404, "DELETE", "/v3/secrets/raw/P", c.in("type", "personal"))["message"].(string); !strings.Contains(m, "--type shared") {
			t.Error(m)
		}
	})
}

func TestInfisicalListsTakeEveryAlias(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		e.commit(t, set("/", "A", "test-value-a"), set("/z", "A", "test-value-z"), set("/b/deep", "A", "test-value-deep"), set("/b", "Z", "test-value-b"))
		want := map[string]string{"/A": "test-value-a"}
		for _, q := range []string{
			query("workspaceId", c.id, "workspaceSlug", "", "environment", "dev", "secretPath", ""),
			query("workspaceId", "", "workspaceSlug", e.project, "environment", "dev", "secretPath", "/"),
			query("projectId", c.id, "environment", "dev", "include_imports", "true"), query("projectSlug", e.project, "environment", "dev", "includeImports", "false"),
		} {
			for _, path := range []string{"/v3/secrets/raw", "/v3/secrets/raw/", "/v4/secrets"} {
				got := c.call(t, 200, "GET", path+q, nil)
				agree(t, path+q, secretsIn(got["secrets"]), want)
				_, has := got["imports"]
				if on := strings.Contains(q, "mports=true") || path == "/v4/secrets" && !strings.Contains(q, "mports=false"); has != on {
					t.Errorf("%s%s: imports %v", path, q, has)
				}
			}
		}
		agree(t, "folder", secretsIn(c.list(t, "secretPath", "b/")["secrets"]), map[string]string{"/b/Z": "test-value-b"})
		var order []string
		for _, s := range c.list(t, "recursive", "true")["secrets"].([]any) {
			order = append(order, s.(map[string]any)["secretPath"].(string))
		}
		agree(t, "order", order, []string{"/", "/b", "/z", "/b/deep"})
		c.call(t, 422, "GET", "/v3/secrets/raw"+c.q("recursive", "yes"), nil)
		c.call(t, 422, "GET", "/v3/secrets/raw"+c.q("secretPath", "/a b"), nil)
	})
}

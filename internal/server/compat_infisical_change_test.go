package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

func TestInfisicalBatchesAreAllOrNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		item := func(key, value string, pairs ...any) map[string]any {
			m := map[string]any{"secretKey": key, "secretValue": value}
			for i := 0; i < len(pairs); i += 2 {
				m[pairs[i].(string)] = pairs[i+1]
			}
			return m
		}
		state := func() map[string]string { return secretsIn(c.list(t, "recursive", "true")["secrets"]) }
		keys := func(answer map[string]any) (out []string) {
			for _, s := range answer["secrets"].([]any) {
				out = append(out, s.(map[string]any)["secretKey"].(string))
			}
			return out
		}
		made := c.call(t, 200, "POST", "/v3/secrets/batch/raw", c.in("secrets", []any{item("Z", "test-value-z"), item("A", "", "secretComment", "empty"), item("M", " m ")}))
		agree(t, "in the order of the request", keys(made), []string{"Z", "A", "M"})
		want := map[string]string{"/Z": "test-value-z", "/A": "", "/M": " m "}
		agree(t, "made", state(), want)
		c.call(t, 400, "POST", "/v4/secrets/batch", c.in("secrets", []any{item("NEW", "x"), item("A", "x")}))
		c.call(t, 400, "POST", "/v4/secrets/batch", c.in("secrets", []any{item("TWICE", "x"), item("TWICE", "y")}))
		c.call(t, 422, "POST", "/v4/secrets/batch", c.in("secrets", []any{item("NEW", "x"), item("A:B", "x")}))
		c.call(t, 422, "POST", "/v4/secrets/batch", c.in("secrets", []any{}))
		c.call(t, 404, "PATCH", "/v3/secrets/batch/raw", c.in("secrets", []any{item("A", "x"), item("NEW", "x")}))
		c.call(t, 404, "DELETE", "/v3/secrets/batch/raw", c.in("secrets", []any{item("A", ""), item("NEW", "")}))
		agree(t, "nothing of it", state(), want)
		agree(t, "ignored", keys(c.call(t, 200, "PATCH", "/v4/secrets/batch", c.in("mode", "ignore", "secrets", []any{item("NEW", "x", "newSecretName", "N"), item("A", "a")}))), []string{"A"})
		up := c.call(t, 200, "PATCH", "/v3/secrets/batch/raw", c.in("mode", "upsert", "secrets", []any{item("NEW", "new"), item("A", "a2", "newSecretName", "B")}))
		agree(t, "made or changed", keys(up), []string{"NEW", "B"})
		agree(t, "the version", up["secrets"].([]any)[1].(map[string]any)["version"], 3.0)
		c.call(t, 422, "PATCH", "/v3/secrets/batch/raw", c.in("mode", "other", "secrets", []any{item("NEW", "new")}))
		c.call(t, 404, "PATCH", "/v3/secrets/batch/raw", c.in("mode", "upsert", "secrets", []any{item("X", "new", "secretPath", "/nowhere")}))
		agree(t, "deleted", keys(c.call(t, 200, "DELETE", "/v4/secrets/batch", c.in("secrets", []any{item("Z", "", "type", "shared"), item("M", "")}))), []string{"Z", "M"})
		agree(t, "what is left", state(), map[string]string{"/NEW": "new", "/B": "a2"})
		// One revision for each batch, one entry that names the dialect.
		before := e.revision(t)
		r := c.do(t, "POST", c.url+"/api/v4/secrets/batch", c.in("secrets", []any{item("P", "x"), item("Q", "x")}))
		entry := w.entryOf(t, r)
		if e.revision(t) != before+1 || entry["dialect"] != "infisical" || entry["action"] != "secret.write" || fmt.Sprint(entry["keys"]) != "[/P /Q]" {
			t.Errorf("%v", entry)
		}
	})
}

func TestInfisicalPersonalSecrets(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		ann := c.as(w.user(t, api.GrantRequest{Project: e.project, Role: "developer"}))
		c.create(t, "LEVEL", "test-value-shared", "secretComment", "for all")
		ann.call(t, 404, "GET", "/v3/secrets/raw/LEVEL"+c.q("type", "personal"), nil)
		ann.call(t, 404, "POST", "/v3/secrets/raw/NOT_SHARED", c.in("secretValue", "x", "type", "personal"))
		ann.call(t, 404, "PATCH", "/v3/secrets/raw/LEVEL", c.in("secretValue", "x", "type", "personal"))
		own := ann.create(t, "LEVEL", "test-value-own", "type", "personal")
		if own["type"] != "personal" || own["secretValue"] != "test-value-own" || own["secretKey"] != "LEVEL" {
			t.Errorf("%v", own)
		}
		kinds := func(c infisicalEnv, path string) (out []string) {
			for _, s := range c.call(t, 200, "GET", path, nil)["secrets"].([]any) {
				m := s.(map[string]any)
				out = append(out, m["type"].(string)+"="+m["secretValue"].(string))
			}
			return out
		}
		agree(t, "both in v3", kinds(ann, "/v3/secrets/raw"+c.q()), []string{"shared=test-value-shared", "personal=test-value-own"})
		agree(t, "left out in v4", kinds(ann, "/v4/secrets"+c.q()), []string{"shared=test-value-shared"})
		agree(t, "instead in v4", kinds(ann, "/v4/secrets"+c.q("includePersonalOverrides", "true")), []string{"personal=test-value-own"})
		agree(t, "nobody else's", kinds(c, "/v3/secrets/raw"+c.q()), []string{"shared=test-value-shared"})
		agree(t, "natively", e.as(ann.person).value(t, "/", "LEVEL", "personal", "true"), "test-value-own")
		agree(t, "changed", ann.call(t, 200, "PATCH", "/v3/secrets/raw/LEVEL", c.in("secretValue", "test-value-own-2", "type", "personal"))["secret"].(map[string]any)["version"], 2.0)
		agree(t, "deleted", ann.call(t, 200, "DELETE", "/v3/secrets/raw/LEVEL", c.in("type", "personal"))["secret"].(map[string]any)["secretValue"], "test-value-own-2")
		agree(t, "the shared one", kinds(ann, "/v3/secrets/raw"+c.q()), []string{"shared=test-value-shared"})
	})
}

func TestInfisicalChangesWaitForApproval(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		c := w.infisical(t, g.env).as(g.author)
		for _, m := range []map[string]any{
			c.call(t, 200, "POST", "/v3/secrets/raw/NEW", c.in("secretValue", "test-value-new ${LATER}", "secretReminderNote", "ask")),
			c.call(t, 200, "PATCH", "/v3/secrets/raw/A", c.in("secretValue", "test-value-2")),
			c.call(t, 200, "DELETE", "/v3/secrets/raw/B", c.in("type", "shared")),
			c.call(t, 200, "POST", "/v1/folders", map[string]any{"workspaceId": c.id, "environment": "dev", "path": "/", "name": "f"}),
		} {
			a, _ := m["approval"].(map[string]any)
			if a == nil || len(m) != 1 || !uuidForm.MatchString(a["id"].(string)) || a["status"] != "open" || a["environment"] != "dev" {
				t.Fatalf("%v", m)
			}
			if m["approval"] != nil {
				set := get[api.ChangeSet](t, g.author, "/changes/"+a["id"].(string))
				if set.AuthorID != g.authorID.ID {
					t.Errorf("%+v", set)
				}
			}
		}
		agree(t, "nothing changed", secretsIn(c.list(t)["secrets"]), map[string]string{"/A": "test-value-1", "/B": "test-value-b"})
		var first api.ChangeSet
		for _, s := range get[api.ChangeSets](t, g.author, "/changes").Changes {
			if first.ID == "" || s.ID < first.ID {
				first = s
			}
		}
		g.second.do(t, "POST", "/changes/"+first.ID+"/approve", api.ReviewRequest{Digest: first.Digest})
		agree(t, "approved", secretsIn(c.list(t)["secrets"])["/NEW"], "test-value-new ${LATER}")
	})
}

func TestInfisicalRefusesWhatItCannotHold(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		other := w.project(t)
		c := w.infisical(t, e)
		c.create(t, "A", "test-value")
		for what, r := range map[string]struct {
			status int
			method string
			path   string
			body   any
		}{
			"a value that is no string":    {422, "POST", "/v3/secrets/raw/B", c.in("secretValue", 7)},
			"a list as a comment":          {422, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x", "secretComment", []any{"x"})},
			"a NUL in a name":              {422, "PATCH", "/v3/secrets/raw/A", c.in("newSecretName", "A\x00")},
			"a bidi character in a name":   {422, "PATCH", "/v3/secrets/raw/A", c.in("newSecretName", "A\u202e")},
			"a slash in a name":            {422, "POST", "/v3/secrets/raw/A%2fB", c.in("secretValue", "x")},
			"too large a value":            {400, "POST", "/v3/secrets/raw/B", c.in("secretValue", strings.Repeat("x", 64<<10+1))},
			"a reminder of a year and one": {422, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x", "secretReminderRepeatDays", 366)},
			"another type":                 {422, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x", "type", "secret")},
			"no project":                   {422, "POST", "/v3/secrets/raw/B", map[string]any{"environment": "dev", "secretValue": "x"}},
			"a path that goes up":          {422, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x", "secretPath", "/../x")},
			"a thousand levels":            {400, "POST", "/v3/secrets/raw/B", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)},
			"half of an object":            {422, "POST", "/v3/secrets/raw/B", `{"secretValue": "x"`},
			"text":                         {422, "POST", "/v3/secrets/raw/B", `hello`},
			"a hundred thousand":           {400, "POST", "/v4/secrets/batch", c.in("secrets", make([]struct{}, 100_000))},
			"a name that is taken":         {400, "PATCH", "/v3/secrets/raw/A", c.in("newSecretName", "TAKEN")},
			"a version of text":            {422, "GET", "/v3/secrets/raw/A" + c.q("version", "one"), nil},
			"a version below one":          {422, "GET", "/v3/secrets/raw/A" + c.q("version", "-1"), nil},
			"a version to come":            {404, "GET", "/v3/secrets/raw/A" + c.q("version", "9"), nil},
			"an unknown way":               {404, "GET", "/v3/secrets/cooked", nil},
			"an id that is none":           {422, "GET", "/v3/secrets/raw/id/1", nil},
			"an id of nothing":             {404, "GET", "/v3/secrets/raw/id/" + c.id, nil},
		} {
			if r.status == 400 && strings.Contains(what, "taken") {
				c.create(t, "TAKEN", "test-value")
			}
			m := c.call(t, r.status, r.method, r.path, r.body)
			if strings.Contains(fmt.Sprint(m), "test-value") {
				t.Errorf("%s: a value in %v", what, m)
			}
		}
		// Whoever has no right here learns nothing, whatever he knows.
		id := c.call(t, 200, "GET", "/v3/secrets/raw/A"+c.q(), nil)["secret"].(map[string]any)["id"].(string)
		stranger := c.as(w.machine(t, api.GrantRequest{Project: other.project, Role: "admin"}))
		for _, path := range []string{"/v3/secrets/raw" + c.q(), "/v4/secrets" + c.q(), "/v3/secrets/raw/A" + c.q(), "/v3/secrets/raw/id/" + id, "/v1/folders" + c.q(), "/v1/secret-imports" + c.q()} {
			stranger.call(t, 404, "GET", path, nil)
		}
		stranger.call(t, 404, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x"))
		stranger.call(t, 404, "DELETE", "/v3/secrets/raw/A", c.in("type", "shared"))
		viewer := c.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "viewer"}))
		viewer.call(t, 403, "POST", "/v3/secrets/raw/B", c.in("secretValue", "x"))
		c.as(c.with("")).call(t, 401, "GET", "/v4/secrets"+c.q(), nil)
		c.as(c.with("kta_garbage")).call(t, 401, "GET", "/v4/secrets"+c.q(), nil)
		// A value that is no text cannot be shown here.
		e.commit(t, setBytes("/bin", "KEY", []byte{0xff, 0x00}))
		if m := c.call(t, 400, "GET", "/v4/secrets/KEY"+c.q("secretPath", "/bin"), nil)["message"].(string); !strings.Contains(m, "no text") {
			t.Error(m)
		}
	})
}

// A role may see names and no values: then both views show names, and this one says that values are hidden.
func TestInfisicalHidesValuesFromThoseWhoMayOnlyList(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		c.create(t, "A", "test-value", "secretComment", "test-value-comment")
		name := w.fresh("lister-")
		send[api.CustomRole](t, w.admin, "POST", "/roles", api.RoleRequest{Name: name, Rules: "- effect: allow\n  actions: [secret.list, project.read]\n"})
		l := c.as(w.machine(t, api.GrantRequest{Project: e.project, Role: name}))
		r := l.do(t, "GET", c.url+"/api/v4/secrets"+c.q(), nil)
		if strings.Contains(string(r.body), "test-value") || r.status != 200 {
			t.Fatalf("%s", r.body)
		}
		if entry := w.entryOf(t, r); entry["action"] != "secret.list" {
			t.Errorf("%v", entry)
		}
		for _, m := range []any{l.list(t)["secrets"].([]any)[0], l.call(t, 200, "GET", "/v3/secrets/raw/A"+c.q(), nil)["secret"]} {
			if s := m.(map[string]any); s["secretValueHidden"] != true || s["secretValue"] != "<hidden-by-infisical>" || s["secretComment"] != "" {
				t.Errorf("%v", s)
			}
		}
		r = c.do(t, "GET", c.url+"/api/v4/secrets"+c.q(), nil)
		if entry := w.entryOf(t, r); entry["action"] != "secret.read" || fmt.Sprint(entry["keys"]) != "[/A]" || entry["dialect"] != "infisical" {
			t.Errorf("%v", entry)
		}
	})
}

package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// blocks gives the imports of an answer: place and secrets of each, in their order.
func blocks(answer map[string]any) []any {
	out := []any{}
	for _, b := range answer["imports"].([]any) {
		m := b.(map[string]any)
		out = append(out, m["environment"].(string)+":"+m["secretPath"].(string), secretsIn(m["secrets"]))
	}
	return out
}

func importing(path string, from ...api.Place) api.Change {
	return api.Change{Op: "folder.imports", Path: path, Imports: from}
}

func TestInfisicalImportsShowANameOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		prod := e.in("prod")
		c := w.infisical(t, e)
		prod.commit(t, set("/base", "A", "test-value-base"), set("/base", "ONLY_BASE", "test-value-1"), set("/base", "LOCAL", "test-value-2"))
		prod.commit(t, set("/mid", "A", "test-value-mid"), set("/mid", "B", "test-value-3"), importing("/mid", api.Place{Path: "/base"}))
		prod.commit(t, set("/last", "B", "test-value-last"))
		e.commit(t, set("/", "LOCAL", "test-value-here"), importing("/", api.Place{Env: "prod", Path: "/mid"}, api.Place{Env: "prod", Path: "/last"}))
		got := c.list(t, "include_imports", "true")
		agree(t, "own", secretsIn(got["secrets"]), map[string]string{"/LOCAL": "test-value-here"})
		agree(t, "imports", blocks(got), []any{"prod:/base", map[string]string{"/base/ONLY_BASE": "test-value-1"}, "prod:/mid", map[string]string{"/mid/A": "test-value-mid"},
			"prod:/last", map[string]string{"/last/B": "test-value-last"}})
		one := func(path string, status int) any {
			m := c.call(t, status, "GET", path, nil)
			if status != 200 {
				return nil
			}
			return m["secret"].(map[string]any)["secretValue"]
		}
		agree(t, "an import", one("/v4/secrets/ONLY_BASE"+c.q(), 200), "test-value-1")
		agree(t, "the last import", one("/v3/secrets/raw/B"+c.q("include_imports", "true"), 200), "test-value-last")
		one("/v3/secrets/raw/B"+c.q(), 404)
		// What an import shows and the caller may not read is left out; what is at home and may be seen only is hidden.
		reader := c.as(w.machine(t, api.GrantRequest{Project: e.project, Env: "dev", Role: "viewer"}))
		agree(t, "forbidden imports", reader.list(t, "include_imports", "true")["imports"], []any{})
		hidden := reader.list(t)["secrets"].([]any)[0].(map[string]any)
		if role := hidden["secretValueHidden"]; role == true && hidden["secretValue"] != "<hidden-by-infisical>" {
			t.Errorf("%v", hidden)
		}
		for _, q := range []string{"false", "true"} {
			s := c.list(t, "viewSecretValue", q)["secrets"].([]any)[0].(map[string]any)
			if (s["secretValueHidden"] == true) != (q == "false") || (s["secretValue"] == "<hidden-by-infisical>") != (q == "false") {
				t.Errorf("%v", s)
			}
		}
	})
}

func TestInfisicalReferencesToNothingStayText(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		other := w.project(t)
		c := w.infisical(t, e)
		other.commit(t, set("/api/v1", "HOST", "other.test"))
		e.in("prod").commit(t, set("/", "ROOT", "root-test-value"))
		e.commit(t, set("/db", "PORT", "5432"))
		c.create(t, "USER", "u")
		c.create(t, "FOLDER_NAME", "db")
		for name, v := range map[string][2]string{
			"LOCAL":   {"x${USER}y", "xuy"},
			"ENV":     {"${prod.ROOT}", "root-test-value"},
			"FOLDER":  {"${dev.db.PORT}", "5432"},
			"CROSS":   {"${@" + other.project + ".dev.api.v1.HOST}:${USER}", "other.test:u"},
			"NOTHING": {"a${NOT_THERE}b${dev.nowhere.X}c${@nobody.dev.X}d${ USER }", "a${NOT_THERE}b${dev.nowhere.X}c${@nobody.dev.X}d${ USER }"},
			"SELF_A":  {"<${SELF_B}>", "<[${SELF_A}]>"},
			"NESTED":  {"${dev.${FOLDER_NAME}.PORT}!${dev.${NOT_THERE}.X}", "5432!${dev.${NOT_THERE}.X}"},
			"PEM":     {"${USER}\nline\n", `"u\nline\n"`},
		} {
			c.create(t, name, v[0], "skipMultilineEncoding", name == "PEM")
			if name != "SELF_A" {
				got := c.call(t, 200, "GET", "/v3/secrets/raw/"+name+c.q("expandSecretReferences", "true"), nil)["secret"].(map[string]any)["secretValue"]
				agree(t, name, got, v[1])
			}
			agree(t, name+" raw", c.call(t, 200, "GET", "/v3/secrets/raw/"+name+c.q(), nil)["secret"].(map[string]any)["secretValue"], v[0])
		}
		// A circle that closes by a name that comes later.
		c.create(t, "SELF_B", "[${SELF_A}]")
		all := secretsIn(c.call(t, 200, "GET", "/v4/secrets"+c.q(), nil)["secrets"])
		agree(t, "a circle", all["/SELF_A"], "<[${SELF_A}]>")
		// Somebody who may not read what is pointed to gets no answer at all.
		reader := c.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"}))
		reader.call(t, 403, "GET", "/v4/secrets"+c.q(), nil)
		reader.call(t, 403, "GET", "/v4/secrets/CROSS"+c.q(), nil)
		reader.call(t, 200, "GET", "/v3/secrets/raw"+c.q(), nil)
	})
}

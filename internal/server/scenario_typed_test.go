package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// A value may be the text of JSON that is no string; what is not, is refused, and a new text is plain again.
func TestValuesKeepTheirJSONType(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		yes, no := true, false
		typed := func(name, value string) api.Change {
			c := set("/", name, value)
			c.JSON = &yes
			return c
		}
		e.commit(t, typed("PORT", "5432"), typed("OPTS", `{"a": [1, "test-value"]}`), set("/", "TEXT", "5432"))
		list := get[api.Secrets](t, e.person, "/projects/"+e.project+"/envs/dev/secrets?path=/")
		for _, s := range list.Secrets {
			if s.JSON != (s.Name != "TEXT") {
				t.Errorf("%s has json %v", s.Name, s.JSON)
			}
		}
		for _, bad := range []string{"", "test-value", `"test-value"`, "{", "1 2", "NaN", `{"a":1,"a":2}`, "\xff"} {
			e.attempt(t, typed("BAD", bad)).refused(t, "invalid")
		}
		e.attempt(t, api.Change{Op: "set", Path: "/", Name: "TEXT", JSON: &yes}).refused(t, "invalid", "JSON")
		e.commit(t, api.Change{Op: "set", Path: "/", Name: "PORT", JSON: &yes}) // it is already
		e.commit(t, api.Change{Op: "set", Path: "/", Name: "OPTS", JSON: &no})
		e.commit(t, set("/", "PORT", "none"))
		list = get[api.Secrets](t, e.person, "/projects/"+e.project+"/envs/dev/secrets?path=/")
		for _, s := range list.Secrets {
			if s.JSON {
				t.Errorf("%s is still JSON", s.Name)
			}
		}
	})
}

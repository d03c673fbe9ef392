package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func TestServiceTokensAreMadeAndKeptToTheirScopes(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t, "dev", "prod")
		for _, path := range []string{"/", "/backend", "/backend/db", "/other"} {
			e.commit(t, set(path, "KEY", "test-value"))
		}
		e.in("prod").commit(t, set("/", "KEY", "test-value"))
		p := get[api.Project](t, w.admin, "/projects/"+e.project)
		u := w.admin
		request := func(change body) body {
			out := body{"name": "pipeline", "workspaceId": p.ID, "scopes": []body{{"environment": "dev", "secretPath": "/backend/"}}, "expiresIn": 3600, "permissions": []string{"read"},
				"encryptedKey": "", "iv": "", "tag": "", "randomBytes": "00ff"}
			for k, v := range change {
				out[k] = v
			}
			return out
		}
		made := u.site(t, "POST", "/v2/service-token/", request(nil)).members(t)
		token := made["serviceToken"].(string)
		if parts := strings.Split(token, "."); len(parts) != 3 || parts[0] != "st" || parts[1] != part(t, made, "serviceTokenData")["id"] {
			t.Fatalf("%v", made)
		}
		reads := func(token string, at env, path string) bool {
			return at.as(w.admin.with(token)).ask(t, path, "KEY").status == http.StatusOK
		}
		for _, shown := range []string{token, token + ".00ff"} {
			for path, want := range map[string]bool{"/": false, "/backend": true, "/backend/db": false, "/other": false} {
				if got := reads(shown, e, path); got != want {
					t.Errorf("reads %s: %v", path, got)
				}
			}
			if reads(shown, e.in("prod"), "/") {
				t.Error("it reads another environment")
			}
			got := w.admin.with(shown).site(t, "GET", "/v2/service-token/", nil).members(t)
			has(t, "details", got, body{"workspace": p.ID, "name": "pipeline", "scopes": []body{{"environment": "dev", "secretPath": "/backend"}}, "permissions": []string{"read"}})
			for _, name := range []string{"expiresAt", "createdAt", "updatedAt"} {
				if _, err := time.Parse(time.RFC3339, got[name].(string)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if part(t, got, "user")["email"] == "" {
				t.Errorf("%v", got)
			}
		}
		st := w.admin.with(token)
		if st.do(t, "POST", e.path()+"/commits", api.CommitRequest{Changes: []api.Change{set("/backend", "KEY", "x")}}).status == http.StatusOK {
			t.Error("it writes")
		}
		for _, try := range []string{"POST /v2/service-token", "POST /v1/projects", "GET /v1/identities", "DELETE /v1/projects/" + p.ID, "POST /v1/auth/checkAuth"} {
			method, path, _ := strings.Cut(try, " ")
			var in any
			if method == "POST" {
				in = request(body{"projectName": "x"})
			}
			if r := st.site(t, method, path, in); r.status != http.StatusForbidden && r.status != http.StatusNotFound && !strings.HasSuffix(path, "checkAuth") {
				t.Errorf("%s: %d %s", try, r.status, r.body)
			}
		}

		// Everything below, with writing; and several scopes.
		wide := u.site(t, "POST", "/v2/service-token", request(body{"permissions": []string{"read", "write"}, "scopes": []body{{"environment": "dev", "secretPath": "/backend/**"}, {"environment": "prod", "secretPath": "/**"}}})).members(t)["serviceToken"].(string)
		for path, want := range map[string]bool{"/": false, "/backend": true, "/backend/db": true, "/other": false} {
			if got := reads(wide, e, path); got != want {
				t.Errorf("reads %s: %v", path, got)
			}
		}
		if !reads(wide, e.in("prod"), "/") {
			t.Error("it does not read everything of prod")
		}
		e.as(w.admin.with(wide)).commit(t, set("/backend/db", "NEW", "test-value"))
		has(t, "wide", w.admin.with(wide).site(t, "GET", "/v2/service-token", nil).members(t), body{"permissions": []string{"read", "write"},
			"scopes": []body{{"environment": "dev", "secretPath": "/backend/**"}, {"environment": "prod", "secretPath": "/**"}}})

		for _, wrong := range []body{{"scopes": []body{}}, {"scopes": []body{{"environment": "dev:/:*;prod", "secretPath": "/"}}}, {"scopes": []body{{"environment": "dev", "secretPath": "/:*;prod:/"}}},
			{"scopes": []body{{"environment": "*", "secretPath": "/"}}}, {"scopes": []body{{"environment": "dev", "secretPath": "/{a,b}"}}}, {"permissions": []string{}}, {"permissions": []string{"admin"}}, {"name": nil}} {
			u.site(t, "POST", "/v2/service-token", request(wrong)).told(t, http.StatusUnprocessableEntity)
		}
		for _, wrong := range []any{0, nil, 366*24*3600 + 1, -5} {
			u.site(t, "POST", "/v2/service-token", request(body{"expiresIn": wrong})).told(t, http.StatusBadRequest, "366 days")
		}
		u.site(t, "POST", "/v2/service-token", request(body{"scopes": []body{{"environment": "nowhere", "secretPath": "/"}}})).told(t, http.StatusNotFound)
		u.site(t, "GET", "/v2/service-token", nil).told(t, http.StatusForbidden, "no service token")

		if all := list(t, u.site(t, "GET", "/v1/workspace/"+p.ID+"/service-token-data", nil).members(t), "serviceTokenData"); len(all) != 2 {
			t.Errorf("%v", all)
		}
		id := strings.Split(token, ".")[1]
		has(t, "deleted", part(t, u.site(t, "DELETE", "/v2/service-token/"+id, body{}).members(t), "serviceTokenData"), body{"id": id})
		u.site(t, "DELETE", "/v2/service-token/"+id, body{}).told(t, http.StatusNotFound)
		st.site(t, "GET", "/v2/service-token", nil).told(t, http.StatusUnauthorized)
		if reads(token, e, "/backend") {
			t.Error("a revoked token reads")
		}
		// The id of one with the secret of another is that other one: only the secret counts.
		mixed := "st." + id + "." + strings.Split(wide, ".")[2]
		has(t, "mixed", w.admin.with(mixed).site(t, "GET", "/v2/service-token", nil).members(t), body{"id": strings.Split(wide, ".")[1]})
	})
}

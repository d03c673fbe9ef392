package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/keyturntest"
)

// part gives an object inside of an answer.
func part(t tb, from map[string]any, names ...string) map[string]any {
	t.Helper()
	for _, name := range names {
		next, ok := from[name].(map[string]any)
		if !ok {
			t.Fatalf("no object %s in %v", name, from)
		}
		from = next
	}
	return from
}

func list(t tb, from map[string]any, name string) []map[string]any {
	t.Helper()
	all, ok := from[name].([]any)
	if !ok {
		t.Fatalf("no list %s in %v", name, from)
	}
	out := []map[string]any{}
	for _, one := range all {
		out = append(out, one.(map[string]any))
	}
	return out
}

type body = map[string]any

func TestAFreshServerIsBootstrappedThroughTheDialect(t *testing.T) {
	t.Parallel()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			fresh := keyturntest.Bare(t, s.options(t)...)
			nobody := person{url: fresh.URL}
			in := body{"email": "Admin@Example.test", "password": "a test-value for the first admin", "organization": "Acme Shop"}
			nobody.site(t, "POST", "/v1/admin/bootstrap", in, "X-Forwarded-For", "192.0.2.1").told(t, http.StatusForbidden, "set-up needs the token")
			nobody.site(t, "POST", "/v1/admin/bootstrap", body{"email": "a@example.test", "password": "test-value", "organization": "x"}).told(t, http.StatusUnprocessableEntity, "password")
			nobody.site(t, "POST", "/v1/admin/bootstrap", body{"email": "a@example.test"}).told(t, http.StatusUnprocessableEntity, "password")
			out := nobody.site(t, "POST", "/v1/admin/bootstrap", in).members(t)
			has(t, "organization", part(t, out, "organization"), body{"name": "Acme Shop", "slug": "acme-shop"})
			has(t, "user", part(t, out, "user"), body{"email": "admin@example.test", "username": "admin@example.test", "superAdmin": true})
			token := part(t, out, "identity", "credentials")["token"].(string)
			has(t, "claims", claimsOf(t, token), body{"authTokenType": "identityAccessToken", "authMethod": "token-auth", "identityId": part(t, out, "identity")["id"]})
			nobody.site(t, "POST", "/v1/admin/bootstrap", in).told(t, http.StatusBadRequest, "already been set up")

			machine := nobody.with(token)
			project := part(t, machine.site(t, "POST", "/v1/projects", body{"projectName": "Shop"}).members(t), "project")
			if len(list(t, project, "environments")) != 3 || project["slug"] != "shop" {
				t.Errorf("%v", project)
			}
			who := part(t, machine.site(t, "GET", "/v1/identities/details", nil).members(t), "identityDetails", "organization")
			has(t, "details", who, body{"id": part(t, out, "organization")["id"], "slug": "acme-shop", "name": "Acme Shop"})
			if v := send[api.Verification](t, machine, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
				t.Errorf("the deep verification found %+v", v.Problems)
			}
		})
	}
}

func TestBootstrapNeedsTheSetUpTokenInProduction(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"field", "bearer"} {
		s, err := server.Open(t.Context(), server.Options{Version: "test", Config: config.Config{Mode: config.Production, Data: t.TempDir(), LogLevel: "error", Dialects: []string{"infisical"}},
			LookupEnv: func(name string) (string, bool) {
				if name == keyring.EnvRoot {
					return strings.Repeat("0123456789abcdef", 4), true
				}
				return "", false
			}})
		if err != nil {
			t.Fatal(err)
		}
		listener := httptest.NewServer(s.Handler())
		nobody := person{url: listener.URL}
		in := body{"email": "admin@example.test", "password": "a test-value for the first admin", "organization": "Acme"}
		nobody.site(t, "POST", "/v1/admin/bootstrap", in).told(t, http.StatusForbidden, "set-up needs the token")
		nobody.with("test-value").site(t, "POST", "/v1/admin/bootstrap", in).told(t, http.StatusForbidden, "set-up needs the token")
		token := string(s.SetupToken().Reveal())
		if way == "field" {
			in["setupToken"] = token
		} else {
			nobody = nobody.with(token)
		}
		nobody.site(t, "POST", "/v1/admin/bootstrap", in).members(t)
		nobody.site(t, "POST", "/v1/admin/bootstrap", in).told(t, http.StatusBadRequest, "already been set up")
		listener.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestProjectsAndEnvironmentsAreProvisioned(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a := w.admin
		for field, wrong := range map[string]any{"type": "cert-manager", "kmsKeyId": "x", "template": "mine", "autoCapitalization": true} {
			a.site(t, "POST", "/v1/projects", body{"projectName": "Shop", field: wrong}).told(t, http.StatusBadRequest)
		}
		a.site(t, "POST", "/v1/projects", body{"projectName": "Shop", "slug": "Not A Slug"}).told(t, http.StatusUnprocessableEntity, "slug")
		a.site(t, "POST", "/v1/projects", body{}).told(t, http.StatusUnprocessableEntity, "projectName")
		out := a.site(t, "POST", "/v2/workspace", body{"projectName": "Shop", "slug": "shop", "projectDescription": "sells", "hasDeleteProtection": true, "type": "secret-manager", "organizationSlug": "main"}).members(t)
		p := part(t, out, "project")
		has(t, "project", p, body{"name": "Shop", "slug": "shop", "description": "sells", "type": "secret-manager", "hasDeleteProtection": true, "autoCapitalization": false, "version": 3})
		id := p["id"].(string)
		for i, want := range []string{"dev", "staging", "prod"} {
			has(t, want, list(t, p, "environments")[i], body{"slug": want, "position": i + 1, "projectId": id})
		}
		a.site(t, "POST", "/v1/projects", body{"projectName": "Shop", "slug": "shop"}).told(t, http.StatusBadRequest, "exists")
		second := part(t, a.site(t, "POST", "/v1/projects", body{"projectName": "Shop", "shouldCreateDefaultEnvs": false}).members(t), "project")
		if slug := second["slug"].(string); !strings.HasPrefix(slug, "shop-") || len(list(t, second, "environments")) != 0 {
			t.Errorf("%v", second)
		}
		if all := list(t, a.site(t, "GET", "/v1/projects", nil).members(t), "projects"); len(all) != 2 {
			t.Errorf("%v", all)
		}
		a.site(t, "DELETE", "/v2/workspace/shop", nil).told(t, http.StatusBadRequest, "protected")
		changed := a.site(t, "PATCH", "/v1/projects/"+id, body{"name": "The Shop", "description": "", "hasDeleteProtection": false}).members(t)
		has(t, "changed", part(t, changed, "project"), body{"name": "The Shop", "description": nil, "hasDeleteProtection": false})
		has(t, "changed", changed, body{"name": "The Shop", "id": id}) // bare, as the older route has it
		a.site(t, "PATCH", "/v1/projects/"+id, body{"auditLogsRetentionDays": 3}).told(t, http.StatusBadRequest)

		under := "/v1/workspace/" + id + "/environments"
		made := a.site(t, "POST", under, body{"name": "Quality", "slug": "qa", "position": 2}).members(t)
		env := part(t, made, "environment")
		has(t, "environment", env, body{"name": "Quality", "slug": "qa", "position": 2, "projectId": id})
		at := under + "/" + env["id"].(string)
		for _, path := range []string{at, "/v1/projects/" + id + "/environments/slug/qa", "/v1/workspace/environments/" + env["id"].(string), "/v1/projects/environments/" + env["id"].(string)} {
			has(t, path, part(t, a.site(t, "GET", path, nil).members(t), "environment"), body{"slug": "qa", "position": 2})
		}
		has(t, "moved", part(t, a.site(t, "PATCH", at, body{"name": "QA", "slug": "quality", "position": 9}).members(t), "environment"), body{"name": "QA", "slug": "quality", "position": 4})
		a.site(t, "PATCH", at, body{"slug": "dev"}).told(t, http.StatusBadRequest)
		a.site(t, "PATCH", at, body{"position": -1}).told(t, http.StatusUnprocessableEntity)
		a.site(t, "POST", under, body{"name": "x"}).told(t, http.StatusUnprocessableEntity, "slug")
		has(t, "deleted", part(t, a.site(t, "DELETE", at, body{}).members(t), "environment"), body{"slug": "quality"})
		a.site(t, "GET", at, nil).told(t, http.StatusNotFound)
		has(t, "deleted", part(t, a.site(t, "DELETE", "/v2/workspace/shop", body{}).members(t), "workspace"), body{"slug": "shop"})
		a.site(t, "DELETE", "/v1/projects/"+id, nil).told(t, http.StatusNotFound)
	})
}

func TestIdentitiesAreProvisioned(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a := w.admin
		org := get[api.Principal](t, a, "/whoami").Organization
		made := part(t, a.site(t, "POST", "/v1/identities", body{"name": "ci", "organizationId": org, "role": "member", "metadata": []body{{"key": "team", "value": "shop"}}}).members(t), "identity")
		id := made["id"].(string)
		has(t, "identity", made, body{"name": "ci", "authMethods": []string{}, "orgId": org})
		get := func() map[string]any {
			return part(t, a.site(t, "GET", "/v1/identities/"+id, nil).members(t), "identity")
		}
		has(t, "member", get(), body{"role": "member", "customRole": nil})
		has(t, "metadata", list(t, part(t, get(), "identity"), "metadata")[0], body{"key": "team", "value": "shop"})
		a.site(t, "PATCH", "/v1/identities/"+id, body{"role": "admin", "name": "deploy"}).members(t)
		has(t, "admin", get(), body{"role": "admin"})
		has(t, "name", part(t, get(), "identity"), body{"name": "deploy"})
		send[api.CustomRole](t, a, "POST", "/roles", api.RoleRequest{Name: "auditor", Rules: "- {effect: allow, actions: [audit.read]}"})
		a.site(t, "PATCH", "/v1/identities/"+id, body{"role": "auditor"}).members(t)
		has(t, "custom", part(t, get(), "customRole"), body{"slug": "auditor"})
		has(t, "custom", get(), body{"role": "custom"})
		a.site(t, "PATCH", "/v1/identities/"+id, body{"role": "no-access", "hasDeleteProtection": true}).members(t)
		has(t, "none", get(), body{"role": "no-access"})
		for _, wrong := range []body{{"name": ""}, {"name": "x\u202e"}, {"metadata": []body{{"key": "", "value": "x"}}}, {"metadata": "x"}} {
			a.site(t, "PATCH", "/v1/identities/"+id, wrong).told(t, http.StatusUnprocessableEntity)
		}
		a.site(t, "PATCH", "/v1/identities/"+id, body{"role": "owner"}).told(t, http.StatusUnprocessableEntity, "role")
		a.site(t, "POST", "/v1/identities", body{"name": "deploy"}).told(t, http.StatusBadRequest, "exists")
		a.site(t, "POST", "/v1/identities", body{"name": "other", "organizationId": "0198c0de-0000-7000-8000-000000000000"}).told(t, http.StatusForbidden)

		// Universal auth.
		at := "/v1/auth/universal-auth/identities/" + id
		a.site(t, "GET", at, nil).told(t, http.StatusNotFound)
		a.site(t, "POST", at, body{"accessTokenTTL": 100, "accessTokenMaxTTL": 50}).told(t, http.StatusUnprocessableEntity, "accessTokenTTL")
		for _, wrong := range []body{{"accessTokenPeriod": 60}, {"lockoutEnabled": false}, {"lockoutThreshold": 9}, {"clientSecretTrustedIps": []body{{"ipAddress": "192.0.2.0/24"}}}} {
			a.site(t, "POST", at, wrong).told(t, http.StatusBadRequest)
		}
		a.site(t, "POST", at, body{"accessTokenMaxTTL": 0}).told(t, http.StatusUnprocessableEntity)
		nets := []body{{"ipAddress": "192.0.2.0/24"}, {"ipAddress": "127.0.0.1"}, {"ipAddress": "::1"}}
		ua := part(t, a.site(t, "POST", at, body{"accessTokenTTL": 600, "accessTokenMaxTTL": 1200, "accessTokenNumUsesLimit": 5, "clientSecretTrustedIps": nets, "accessTokenTrustedIps": nets}).members(t), "identityUniversalAuth")
		shown := []body{{"ipAddress": "192.0.2.0", "prefix": 24, "type": "ipv4"}, {"ipAddress": "127.0.0.1", "type": "ipv4"}, {"ipAddress": "::1", "type": "ipv6"}}
		has(t, "universal", ua, body{"clientId": id, "accessTokenTTL": 600, "accessTokenMaxTTL": 1200, "accessTokenNumUsesLimit": 5, "accessTokenPeriod": 0, "clientSecretTrustedIps": shown, "accessTokenTrustedIps": shown,
			"lockoutEnabled": true, "lockoutThreshold": 3})
		a.site(t, "POST", at, body{}).told(t, http.StatusBadRequest, "already")
		wide := []body{{"ipAddress": "0.0.0.0/0"}, {"ipAddress": "::/0"}}
		ua = part(t, a.site(t, "PATCH", at, body{"clientSecretTrustedIps": wide, "accessTokenTrustedIps": wide, "accessTokenNumUsesLimit": 0}).members(t), "identityUniversalAuth")
		has(t, "universal", ua, body{"accessTokenTTL": 600, "accessTokenNumUsesLimit": 0, "clientSecretTrustedIps": []body{{"ipAddress": "0.0.0.0", "prefix": 0, "type": "ipv4"}, {"ipAddress": "::", "prefix": 0, "type": "ipv6"}}})
		has(t, "methods", part(t, get(), "identity"), body{"authMethods": []string{"universal-auth"}, "authMethod": "universal-auth"})

		// Client secrets.
		secret := a.site(t, "POST", at+"/client-secrets", body{"description": "first", "numUsesLimit": 2, "ttl": 3600}).members(t)
		data := part(t, secret, "clientSecretData")
		has(t, "secret", data, body{"description": "first", "clientSecretNumUses": 0, "clientSecretNumUsesLimit": 2, "clientSecretTTL": 3600, "isClientSecretRevoked": false, "identityUAId": id})
		if len(data["clientSecretPrefix"].(string)) != 4 {
			t.Errorf("%v", data)
		}
		login := body{"clientId": id, "clientSecret": secret["clientSecret"]}
		nobody := a.with("")
		token := nobody.site(t, "POST", universalLogin, login).members(t)
		has(t, "login", token, body{"expiresIn": 600, "accessTokenMaxTTL": 1200})
		one := at + "/client-secrets/" + data["id"].(string)
		has(t, "used", part(t, a.site(t, "GET", one, nil).members(t), "clientSecretData"), body{"clientSecretNumUses": 1})
		if text, _ := json.Marshal(a.site(t, "GET", at+"/client-secrets", nil).members(t)); strings.Contains(string(text), secret["clientSecret"].(string)) {
			t.Error("the secret is shown again")
		}
		has(t, "revoked", part(t, a.site(t, "POST", one+"/revoke", body{}).members(t), "clientSecretData"), body{"isClientSecretRevoked": true})
		nobody.site(t, "POST", universalLogin, login).told(t, http.StatusUnauthorized)
		if all := list(t, a.site(t, "GET", at+"/client-secrets", nil).members(t), "clientSecretData"); len(all) != 0 {
			t.Errorf("%v", all)
		}
		a.with(token["accessToken"].(string)).site(t, "GET", "/v1/identities/details", nil).members(t)
		a.site(t, "DELETE", at, body{}).members(t)
		a.site(t, "GET", at, nil).told(t, http.StatusNotFound)
		a.with(token["accessToken"].(string)).site(t, "GET", "/v1/identities/details", nil).told(t, http.StatusUnauthorized)

		// Token auth.
		tokens := "/v1/auth/token-auth/identities/" + id
		a.site(t, "POST", tokens+"/tokens", body{"name": "x"}).told(t, http.StatusBadRequest, "token auth")
		has(t, "token auth", part(t, a.site(t, "POST", tokens, body{"accessTokenTTL": 900, "accessTokenMaxTTL": 1800}).members(t), "identityTokenAuth"), body{"accessTokenTTL": 900, "accessTokenMaxTTL": 1800, "identityId": id})
		issued := a.site(t, "POST", tokens+"/tokens", body{"name": "pipeline"}).members(t)
		has(t, "issued", issued, body{"expiresIn": 900, "accessTokenMaxTTL": 1800, "tokenType": "Bearer"})
		has(t, "issued", part(t, issued, "tokenData"), body{"name": "pipeline", "identityId": id, "isAccessTokenRevoked": false})
		live := a.with(issued["accessToken"].(string))
		live.site(t, "GET", "/v1/identities/details", nil).members(t)
		row := "/v1/auth/token-auth/tokens/" + part(t, issued, "tokenData")["id"].(string)
		has(t, "renamed", part(t, a.site(t, "PATCH", row, body{"name": "other"}).members(t), "token"), body{"name": "other"})
		has(t, "revoked", part(t, a.site(t, "POST", row+"/revoke", body{}).members(t), "token"), body{"isAccessTokenRevoked": true, "name": "other"})
		live.site(t, "GET", "/v1/identities/details", nil).told(t, http.StatusUnauthorized)

		a.site(t, "DELETE", "/v1/identities/"+id, nil).told(t, http.StatusBadRequest, "protected")
		a.site(t, "PATCH", "/v1/identities/"+id, body{"hasDeleteProtection": false}).members(t)
		a.site(t, "DELETE", "/v1/identities/"+id, body{}).members(t)
		a.site(t, "GET", "/v1/identities/"+id, nil).told(t, http.StatusNotFound)
		a.do(t, "PATCH", "/identities/"+id, api.EnabledRequest{}).refused(t, "not_found")
		a.site(t, "POST", "/v1/identities", body{"name": "deploy"}).members(t) // the name is free again
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

func TestMembershipsAreProvisioned(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a := w.admin
		e := w.project(t)
		e.commit(t, set("/", "KEY", "test-value"))
		id := get[api.Project](t, a, "/projects/"+e.project).ID
		i, login := w.withSecret(t, api.IdentityRequest{})
		token := a.with("").site(t, "POST", universalLogin, login).members(t)["accessToken"].(string)
		as := e.as(a.with(token))
		reads := func(want string) {
			t.Helper()
			r := as.ask(t, "/", "KEY")
			switch {
			case want == "value" && r.status == 200:
			case want == "denied" && r.status != 200:
			default:
				t.Errorf("want %s, got %d %s", want, r.status, r.body)
			}
		}
		at := "/v1/projects/" + id + "/memberships/identities/" + i.ID
		a.site(t, "GET", at, nil).told(t, http.StatusNotFound)
		a.site(t, "PATCH", at, body{"roles": []body{{"role": "admin"}}}).told(t, http.StatusNotFound)
		reads("denied")
		m := part(t, a.site(t, "POST", at, body{"role": "viewer"}).members(t), "identityMembership")
		has(t, "membership", m, body{"identityId": i.ID, "projectId": id})
		reads("value")
		if as.attempt(t, set("/", "KEY", "x")).status == 200 {
			t.Error("a viewer writes")
		}
		a.site(t, "POST", at, body{"role": "viewer"}).told(t, http.StatusBadRequest, "already")
		has(t, "role", list(t, part(t, a.site(t, "GET", at, nil).members(t), "identityMembership"), "roles")[0], body{"role": "viewer", "customRoleSlug": nil, "isTemporary": false, "temporaryAccessEndTime": nil})

		old := "/v2/workspace/" + id + "/identity-memberships/" + i.ID
		start := time.Now().UTC().Add(-time.Minute).Format("2006-01-02T15:04:05.000Z")
		out := a.site(t, "PATCH", old, body{"roles": []body{{"role": "member"}, {"role": "no-access"}, {"role": "viewer", "isTemporary": true, "temporaryMode": "relative", "temporaryRange": "2h", "temporaryAccessStartTime": start}}}).members(t)
		roles := list(t, out, "roles")
		if len(roles) != 2 {
			t.Fatalf("%v", roles)
		}
		for _, r := range roles {
			if r["role"] == "viewer" {
				end, _ := time.Parse(time.RFC3339, r["temporaryAccessEndTime"].(string))
				has(t, "temporary", r, body{"isTemporary": true, "temporaryMode": "relative", "temporaryRange": "2h", "temporaryAccessStartTime": start})
				if left := time.Until(end); left < 110*time.Minute || left > 2*time.Hour {
					t.Errorf("ends in %v", left)
				}
			}
		}
		as.commit(t, set("/", "OTHER", "test-value"))
		for _, wrong := range []body{{"isTemporary": true, "temporaryRange": "soon"}, {"isTemporary": true, "temporaryRange": "1h", "temporaryMode": "absolute"}, {"isTemporary": true, "temporaryRange": "1h", "temporaryAccessStartTime": "2020-01-01T00:00:00Z"}, {"role": ""}} {
			one := body{"role": "viewer"}
			for k, v := range wrong {
				one[k] = v
			}
			a.site(t, "PATCH", at, body{"roles": []body{one}}).told(t, http.StatusUnprocessableEntity)
		}
		a.site(t, "PATCH", at, body{"roles": []body{{"role": "viewer", "isTemporary": true, "temporaryRange": "1h", "temporaryAccessStartTime": "2099-01-01T00:00:00Z"}}}).told(t, http.StatusBadRequest, "begins")
		a.site(t, "PATCH", at, body{"roles": []body{}}).told(t, http.StatusUnprocessableEntity)
		a.site(t, "PATCH", at, body{"roles": []body{{"role": "viewer"}, {"role": "viewer"}}}).told(t, http.StatusUnprocessableEntity)

		// A short one ends by itself.
		a.site(t, "PATCH", at, body{"roles": []body{{"role": "no-access"}}}).members(t)
		reads("denied")
		a.site(t, "PATCH", at, body{"roles": []body{{"role": "viewer", "isTemporary": true, "temporaryRange": "1s"}}}).members(t)
		eventually(t, 5*time.Second, "the role ends", func() bool { return as.ask(t, "/", "KEY").status != 200 })
		a.site(t, "GET", at, nil).told(t, http.StatusNotFound)

		// A custom role, and one in a part of the project, which the end of the membership takes too.
		send[api.CustomRole](t, a, "POST", "/roles", api.RoleRequest{Name: "lister", Rules: "- {effect: allow, actions: [secret.list, project.read]}"})
		a.site(t, "POST", at, body{"roles": []body{{"role": "lister"}}}).members(t)
		has(t, "custom", list(t, part(t, a.site(t, "GET", at, nil).members(t), "identityMembership"), "roles")[0], body{"role": "custom", "customRoleSlug": "lister"})
		send[api.Grant](t, a, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.Name, Project: e.project, Env: "dev", Role: "developer"})
		reads("value")
		a.site(t, "DELETE", at, body{}).members(t)
		reads("denied")
		a.site(t, "DELETE", at, body{}).told(t, http.StatusNotFound)

		// People.
		u := send[api.User](t, a, "POST", "/users", api.UserRequest{Email: "dev@example.test", Password: "a test-value for the developer"})
		all := "/v2/workspace/" + id + "/memberships"
		a.site(t, "POST", all, body{"usernames": []string{"nobody@example.test"}}).told(t, http.StatusNotFound)
		a.site(t, "POST", all, body{"usernames": []string{"no address"}}).told(t, http.StatusUnprocessableEntity)
		has(t, "user", list(t, a.site(t, "POST", all, body{"usernames": []string{"Dev@example.test"}}).members(t), "memberships")[0], body{"userId": u.ID, "id": u.ID})
		found := part(t, a.site(t, "POST", "/v1/workspace/"+id+"/memberships/details", body{"username": "dev@example.test"}).members(t), "membership")
		has(t, "role", list(t, found, "roles")[0], body{"role": "member"})
		has(t, "user", part(t, found, "user"), body{"email": "dev@example.test", "id": u.ID})
		has(t, "roles", list(t, a.site(t, "PATCH", "/v1/workspace/"+id+"/memberships/"+u.ID, body{"roles": []body{{"role": "admin"}}}).members(t), "roles")[0], body{"role": "admin"})
		if members := list(t, a.site(t, "GET", "/v1/workspace/"+id+"/memberships", nil).members(t), "memberships"); len(members) != 1 {
			t.Errorf("%v", members)
		}
		a.site(t, "DELETE", all, body{"usernames": []string{"dev@example.test"}}).members(t)
		a.site(t, "GET", "/v1/projects/"+id+"/memberships/"+u.ID, nil).told(t, http.StatusNotFound)

		// A machine of the project.
		under := "/v1/projects/" + id + "/identities"
		own := part(t, a.site(t, "POST", under, body{"name": "of the project", "metadata": []body{{"key": "a", "value": "b"}}}).members(t), "identity")
		has(t, "own", own, body{"name": "of the project", "projectId": id})
		one := under + "/" + own["id"].(string)
		has(t, "own", part(t, a.site(t, "PATCH", one, body{"name": "renamed"}).members(t), "identity"), body{"name": "renamed", "projectId": id})
		a.site(t, "PATCH", "/v1/projects/"+id+"/memberships/identities/"+own["id"].(string), body{"roles": []body{{"role": "member"}}}).members(t)
		has(t, "count", a.site(t, "GET", under, nil).members(t), body{"totalCount": 1})
		a.site(t, "GET", under+"/"+i.ID, nil).told(t, http.StatusNotFound)
		a.site(t, "DELETE", one, nil).members(t)
		a.site(t, "GET", one, nil).told(t, http.StatusNotFound)
	})
}

func TestNobodyProvisionsWhatHeLacks(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		id := get[api.Project](t, w.admin, "/projects/"+e.project).ID
		i, login := w.withSecret(t, api.IdentityRequest{})
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.Name, Project: e.project, Role: "developer"})
		other, _ := w.withSecret(t, api.IdentityRequest{})
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: other.Name, Role: "admin"})
		p := w.admin.with(w.admin.with("").site(t, "POST", universalLogin, login).members(t)["accessToken"].(string))
		for _, try := range []string{
			"POST /v1/projects", "PATCH /v1/projects/" + id, "DELETE /v1/projects/" + id, "POST /v1/projects/" + id + "/environments",
			"POST /v1/identities", "GET /v1/identities/" + other.ID, "PATCH /v1/identities/" + other.ID, "DELETE /v1/identities/" + other.ID, "GET /v1/identities",
			"POST /v1/auth/universal-auth/identities/" + other.ID, "POST /v1/auth/universal-auth/identities/" + other.ID + "/client-secrets", "GET /v1/auth/universal-auth/identities/" + other.ID,
			"POST /v1/auth/token-auth/identities/" + other.ID, "POST /v1/auth/token-auth/identities/" + other.ID + "/tokens", "POST /v1/auth/token-auth/identities/" + i.ID + "/tokens",
			"POST /v1/projects/" + id + "/memberships/identities/" + i.ID, "PATCH /v1/projects/" + id + "/memberships/identities/" + i.ID, "GET /v1/projects/" + id + "/memberships/identities/" + i.ID,
			"POST /v2/workspace/" + id + "/memberships", "GET /v2/workspace/" + id + "/memberships", "POST /v1/projects/" + id + "/identities",
		} {
			method, path, _ := strings.Cut(try, " ")
			var in any
			if method != "GET" {
				in = body{"projectName": "x", "name": "x", "slug": "x", "role": "admin", "roles": []body{{"role": "admin"}}, "usernames": []string{"admin@example.test"}}
			}
			if r := p.site(t, method, path, in); r.status != http.StatusForbidden && r.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", try, r.status, r.body)
			}
		}
		// Who manages access in one project hands out no more than that.
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.Name, Project: e.project, Role: "admin"})
		p.site(t, "POST", "/v1/projects/"+id+"/memberships/identities/"+other.ID, body{"role": "viewer"}).members(t)
		elsewhere := get[api.Project](t, w.admin, "/projects/"+w.project(t).project).ID
		p.site(t, "POST", "/v1/projects/"+elsewhere+"/memberships/identities/"+i.ID, body{"role": "viewer"}).told(t, http.StatusNotFound)
		p.site(t, "PATCH", "/v1/identities/"+i.ID, body{"role": "admin"}).told(t, http.StatusForbidden)
		p.site(t, "POST", "/v1/auth/token-auth/identities/"+other.ID, body{}).told(t, http.StatusForbidden)
	})
}

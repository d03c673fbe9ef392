package server_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

// site calls the dialect of Infisical below an address of the server.
func (p person) site(t tb, method, path string, body any, header ...string) reply {
	t.Helper()
	return p.do(t, method, p.url+"/api"+path, body, header...)
}

// told checks that a refusal has the dialect's shape, and its words.
func (r reply) told(t tb, status int, words ...string) {
	t.Helper()
	var p struct {
		ReqID, Error string
		StatusCode   int
		Message      any
	}
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != status || p.StatusCode != status || p.Error == "" || p.ReqID != r.header.Get("X-Request-Id") {
		t.Fatalf("%s: status %d, want %d: %s (%v)", r.what, r.status, status, r.body, err)
	}
	text, _ := json.Marshal(p.Message)
	for _, w := range words {
		if !strings.Contains(string(text), w) {
			t.Errorf("%s: %s does not say %q", r.what, text, w)
		}
	}
}

// members gives an answer as an object.
func (r reply) members(t tb) map[string]any {
	t.Helper()
	var out map[string]any
	r.fits(t, &out)
	return out
}

// has checks the members of an object that are named, by their JSON.
func has(t tb, what string, got map[string]any, want map[string]any) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		a, _ := json.Marshal(got[name])
		b, _ := json.Marshal(want[name])
		if string(a) != string(b) {
			t.Errorf("%s: %s is %s, want %s", what, name, a, b)
		}
	}
}

// claimsOf reads the middle part of a token as clients do.
func claimsOf(t tb, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var out map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// forged gives a token other claims.
func forged(t tb, token string, change map[string]any) string {
	t.Helper()
	all := claimsOf(t, token)
	maps.Copy(all, change)
	raw, _ := json.Marshal(all)
	parts := strings.Split(token, ".")
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString(raw) + "." + parts[2]
}

// withSecret makes a machine with a client secret and gives the body of its login.
func (w *world) withSecret(t tb, request api.IdentityRequest) (api.Identity, map[string]string) {
	t.Helper()
	request.Name = w.fresh("machine-")
	i := send[api.Identity](t, w.admin, "POST", "/identities", request)
	s := send[api.ClientSecret](t, w.admin, "POST", "/identities/"+i.Name+"/client-secrets", api.ClientSecretRequest{})
	return i, map[string]string{"clientId": i.ID, "clientSecret": s.Secret}
}

const universalLogin = "/v1/auth/universal-auth/login"

func TestAClientOfInfisicalLogsInByUniversalAuth(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i, in := w.withSecret(t, api.IdentityRequest{TokenTTL: "30m", MaxTokenTTL: "2h"})
		nobody := w.admin.with("")
		out := nobody.site(t, "POST", universalLogin, in).members(t)
		token := out["accessToken"].(string)
		has(t, "login", out, map[string]any{"expiresIn": 1800, "accessTokenMaxTTL": 7200, "tokenType": "Bearer"})
		if len(out) != 4 {
			t.Errorf("%v", out)
		}
		org := get[api.Principal](t, w.admin, "/whoami").Organization
		claims := claimsOf(t, token)
		has(t, "claims", claims, map[string]any{"authTokenType": "identityAccessToken", "identityId": i.ID, "identityName": i.Name, "authMethod": "universal-auth", "orgId": org})
		if end := time.Unix(int64(claims["exp"].(float64)), 0); time.Until(end) < 29*time.Minute || time.Until(end) > 31*time.Minute {
			t.Errorf("it ends at %v", end)
		}

		// The token works in all views, whatever its claims say.
		lie := forged(t, token, map[string]any{"identityId": "0198c0de-0000-7000-8000-000000000000", "exp": 1})
		for _, shown := range []string{token, lie} {
			if who := get[api.Principal](t, w.admin.with(shown), "/whoami"); who.ID != i.ID {
				t.Errorf("%+v", who)
			}
		}
		w.admin.with(lie).do(t, "GET", "/users", nil).refused(t, "denied")

		// As a form, with a slash at the end, with an empty header.
		for _, path := range []string{universalLogin, universalLogin + "/"} {
			form := "clientId=" + in["clientId"] + "&clientSecret=" + in["clientSecret"]
			nobody.site(t, "POST", path, form, "Content-Type", "application/x-www-form-urlencoded", "Authorization", "").members(t)
		}
		slug := map[string]string{"organizationSlug": org}
		maps.Copy(slug, in)
		nobody.site(t, "POST", universalLogin, slug).members(t)

		for _, wrong := range []map[string]string{{"clientId": "no id"}, {"clientId": "0198c0de-0000-7000-8000-000000000000"}, {"clientSecret": "test-value"}, {"clientSecret": token},
			{"organizationSlug": "elsewhere"}, {"subOrganizationName": "elsewhere"}} {
			body := maps.Clone(in)
			maps.Copy(body, wrong)
			r := nobody.site(t, "POST", universalLogin, body)
			r.told(t, http.StatusUnauthorized, "not")
			for _, v := range wrong {
				if len(v) > 12 && strings.Contains(string(r.body), v) {
					t.Errorf("what was shown is repeated: %s", r.body)
				}
			}
		}
		nobody.site(t, "POST", universalLogin, map[string]string{"clientId": i.ID}).told(t, http.StatusUnprocessableEntity, "clientSecret")
		send[api.Done](t, w.admin, "PATCH", "/identities/"+i.Name, api.EnabledRequest{Disabled: true})
		nobody.site(t, "POST", universalLogin, in).told(t, http.StatusUnauthorized)
		nobody.site(t, "POST", "/v1/auth/token/renew", map[string]string{"accessToken": token}).told(t, http.StatusUnauthorized)
	})
}

func TestATokenIsRenewedAndRevokedThroughTheDialect(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const renew, revoke = "/v1/auth/token/renew", "/v1/auth/token/revoke"
		_, in := w.withSecret(t, api.IdentityRequest{TokenTTL: "10m", MaxTokenTTL: "15m"})
		nobody := w.admin.with("")
		first := nobody.site(t, "POST", universalLogin, in).members(t)["accessToken"].(string)
		out := nobody.site(t, "POST", renew, map[string]string{"accessToken": first}).members(t)
		has(t, "renewal", out, map[string]any{"expiresIn": 600, "accessTokenMaxTTL": 900, "tokenType": "Bearer"})
		second := out["accessToken"].(string)
		if claimsOf(t, second)["exp"].(float64) < claimsOf(t, first)["exp"].(float64) {
			t.Error("the end moved back")
		}
		w.admin.with(second).site(t, "POST", renew, map[string]string{"accessToken": second}).members(t) // with a header too
		for _, wrong := range []string{"test-value", "a.b.c", w.admin.token, w.server.Token} {
			nobody.site(t, "POST", renew, map[string]string{"accessToken": wrong}).told(t, http.StatusUnauthorized)
		}
		nobody.site(t, "POST", renew, map[string]string{}).told(t, http.StatusUnprocessableEntity, "accessToken")

		// One that cannot be renewed comes back as it is.
		_, short := w.withSecret(t, api.IdentityRequest{TokenTTL: "2s"})
		brief := nobody.site(t, "POST", universalLogin, short).members(t)
		has(t, "short", brief, map[string]any{"expiresIn": 2, "accessTokenMaxTTL": 2})
		kept := nobody.site(t, "POST", renew, map[string]string{"accessToken": brief["accessToken"].(string)}).members(t)
		if kept["accessToken"] != brief["accessToken"] {
			t.Error("it is another one")
		}

		has(t, "revoke", nobody.site(t, "POST", revoke, map[string]string{"accessToken": second}).members(t), map[string]any{"message": "Successfully revoked access token"})
		for _, dead := range []string{first, second} {
			nobody.site(t, "POST", renew, map[string]string{"accessToken": dead}).told(t, http.StatusUnauthorized)
			nobody.site(t, "POST", revoke, map[string]string{"accessToken": dead}).told(t, http.StatusUnauthorized)
			w.admin.with(dead).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		}
		// An expired token is a 401, so that operators log in again.
		over := brief["accessToken"].(string)
		eventually(t, 5*time.Second, "the token ends", func() bool {
			return nobody.site(t, "POST", renew, map[string]string{"accessToken": over}).status != http.StatusOK
		})
		nobody.site(t, "POST", renew, map[string]string{"accessToken": over}).told(t, http.StatusUnauthorized, "expired")
	})
}

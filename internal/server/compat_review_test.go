package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// A kept secret goes to the place that it was given for, and to no other.
func TestAReviewersTokenIsNotSentElsewhere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i, _ := w.withSecret(t, api.IdentityRequest{})
		at := "/v1/auth/kubernetes-auth/identities/" + i.ID
		w.admin.site(t, "POST", at, body{"kubernetesHost": "https://k8s.example.test", "allowedAudience": "keyturn", "allowedNamespaces": "shop", "allowedNames": "app", "tokenReviewerJwt": "test-value-reviewer"}).members(t)
		for _, change := range []body{{"kubernetesHost": "https://evil.example.test"}, {"caCert": "-----BEGIN CERTIFICATE-----\ntest-value\n-----END CERTIFICATE-----\n"}} {
			if r := w.admin.site(t, "PATCH", at, change); r.status < 400 || r.status >= 500 {
				t.Errorf("%v: %d %s", change, r.status, r.body)
			}
		}
		w.admin.site(t, "PATCH", at, body{"kubernetesHost": "https://other.example.test", "tokenReviewerJwt": "test-value-another"}).members(t)
	})
}

// References tell nobody whether there is a secret of a name where he may not look, and lend nobody another one's eyes.
func TestReferencesDoNotFeelForNames(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.in("prod").commit(t, set("/", "THERE", "test-value-hidden"))
		admin := w.infisical(t, e)
		weak := admin.as(w.machine(t, api.GrantRequest{Project: e.project, Env: "dev", Role: "developer"}))
		for _, name := range []string{"THERE", "NOT_THERE"} {
			weak.call(t, http.StatusUnprocessableEntity, "POST", "/v3/secrets/raw/"+name+"_BY_WEAK", map[string]any{"workspaceId": weak.id, "environment": "dev", "secretValue": "${prod." + name + "}"})
			admin.create(t, name+"_BY_ADMIN", "${prod."+name+"}")
			weak.call(t, http.StatusForbidden, "GET", "/v3/secrets/raw/"+name+"_BY_ADMIN"+weak.q("expandSecretReferences", "true"), nil)
		}
	})
}

// A signature with a salt of the size of a memory is refused before it is made.
func TestASaltHasABound(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		v := func(method, path string, in any) reply {
			return w.admin.do(t, method, w.admin.url+"/v1/"+path, in)
		}
		if r := v("POST", "transit/keys/signer", map[string]any{"type": "rsa-2048"}); r.status >= 300 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		for _, length := range []string{"68719476736", "513", "9223372036854775807"} {
			if r := v("POST", "transit/sign/signer", map[string]any{"input": "", "salt_length": length}); r.status != http.StatusBadRequest || !strings.Contains(string(r.body), "salt") {
				t.Errorf("%s: %d %s", length, r.status, r.body)
			}
		}
	})
}

// A token that is narrowed speaks for itself alone: it makes no proof of its holder, approves nothing and begins nothing.
func TestANarrowedTokenIsNotItsHolder(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		r := w.admin.do(t, "POST", w.admin.url+"/v1/auth/token/create", map[string]any{"policies": []string{"default"}, "ttl": "10m"})
		var made struct {
			Auth struct {
				Token string `json:"client_token"`
			} `json:"auth"`
		}
		if err := json.Unmarshal(r.body, &made); err != nil || made.Auth.Token == "" {
			t.Fatalf("%v %d %s", err, r.status, r.body)
		}
		child := w.admin.with(made.Auth.Token)
		child.do(t, "POST", "/tokens/jwt", api.IdentityTokenRequest{Audience: "https://other.example.test"}).refused(t, "denied")
		if r := child.do(t, "POST", "/access-requests", api.AccessAsked{Role: "developer", For: "1h", Reason: "test"}); r.status < 400 {
			t.Errorf("a narrowed token asked for access: %d", r.status)
		}
	})
}

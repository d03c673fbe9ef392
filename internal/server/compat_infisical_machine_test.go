package server_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func TestAMachineLogsInByAJWTThroughTheDialect(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		i, _ := w.withMethod(t, func(m *api.MethodRequest) { m.TTL, m.MaxTTL = "10m", "20m" })
		second := jwtMethod("second") // another way of the same kind, under another secret
		second.Secrets = []string{"test-value-another-shared-secret-of-32-bytes"}
		send[api.Method](t, w.admin, "POST", "/identities/"+i.Name+"/methods", second)
		nobody := w.admin.with("")
		const path = "/v1/auth/jwt-auth/login"
		login := func(jwt string) reply { return nobody.site(t, "POST", path, body{"identityId": i.ID, "jwt": jwt}) }
		out := login(signJWT(t, sharedSecret, serviceClaims())).members(t)
		has(t, "login", out, body{"expiresIn": 600, "accessTokenMaxTTL": 1200, "tokenType": "Bearer"})
		has(t, "claims", claimsOf(t, out["accessToken"].(string)), body{"authMethod": "jwt-auth", "identityId": i.ID, "authTokenType": "identityAccessToken"})
		login(signJWT(t, second.Secrets[0], serviceClaims())).members(t)
		form := url.Values{"identityId": {i.ID}, "jwt": {signJWT(t, sharedSecret, serviceClaims())}}
		nobody.site(t, "POST", path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded").members(t)

		late := serviceClaims()
		late["exp"] = time.Now().Add(-time.Hour).Unix()
		for _, wrong := range []string{"test-value", signJWT(t, "test-value-an-unknown-shared-secret-of-32b", serviceClaims()), signJWT(t, sharedSecret, late)} {
			login(wrong).told(t, http.StatusUnauthorized)
		}
		// Of another kind than the machine has, and for nobody.
		for _, name := range []string{"oidc-auth", "kubernetes-auth", "gcp-auth", "azure-auth"} {
			nobody.site(t, "POST", "/v1/auth/"+name+"/login", body{"identityId": i.ID, "jwt": signJWT(t, sharedSecret, serviceClaims())}).told(t, http.StatusUnauthorized)
		}
		for _, id := range []string{"no id", "0198c0de-0000-7000-8000-000000000000"} {
			nobody.site(t, "POST", path, body{"identityId": id, "jwt": "x"}).told(t, http.StatusUnauthorized)
		}
		nobody.site(t, "POST", path, body{"identityId": i.ID}).told(t, http.StatusUnprocessableEntity, "jwt")
		b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
		aws := body{"identityId": i.ID, "iamHttpRequestMethod": "POST", "iamRequestBody": b64("Action=GetCallerIdentity&Version=2011-06-15"), "iamRequestHeaders": b64(`{"Host":"sts.us-east-1.amazonaws.com","Content-Length":43}`)}
		nobody.site(t, "POST", "/v1/auth/aws-auth/login", aws).told(t, http.StatusUnauthorized)
		for field, wrong := range map[string]string{"iamRequestBody": "no base64!", "iamRequestHeaders": b64("[]")} {
			in := body{field: wrong}
			for k, v := range aws {
				if k != field {
					in[k] = v
				}
			}
			nobody.site(t, "POST", "/v1/auth/aws-auth/login", in).told(t, http.StatusUnprocessableEntity, field)
		}
		for _, name := range []string{"ldap-auth", "oci-auth"} {
			nobody.site(t, "POST", "/v1/auth/"+name+"/login", body{"identityId": i.ID}).told(t, http.StatusBadRequest)
		}
	})
}

func TestOtherLoginMethodsAreProvisioned(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		a := w.admin
		i, _ := w.withSecret(t, api.IdentityRequest{})
		at := func(name string) string { return "/v1/auth/" + name + "/identities/" + i.ID }
		for _, c := range []struct {
			name, answer          string
			in, shown, change, is body
			wrong                 []body
		}{
			{"kubernetes-auth", "identityKubernetesAuth", body{"kubernetesHost": "https://k8s.example.test", "allowedAudience": "keyturn", "allowedNamespaces": "shop, jobs", "allowedNames": "app", "tokenReviewerJwt": "test-value-reviewer", "accessTokenTTL": 600, "accessTokenMaxTTL": 600},
				body{"kubernetesHost": "https://k8s.example.test", "allowedAudience": "keyturn", "allowedNamespaces": "shop,jobs", "allowedNames": "app", "tokenReviewerJwt": "", "accessTokenTTL": 600, "caCert": ""},
				body{"allowedNames": "app,worker"}, body{"allowedNames": "app,worker", "allowedNamespaces": "shop,jobs", "accessTokenTTL": 600},
				[]body{{"tokenReviewMode": "gateway"}, {"gatewayId": "x"}}},
			{"oidc-auth", "identityOidcAuth", body{"oidcDiscoveryUrl": "https://issuer.example.test", "boundIssuer": "https://issuer.example.test", "boundAudiences": "keyturn", "boundSubject": "repo:acme/shop:*", "boundClaims": body{"repository": "acme/shop,acme/lib"}},
				body{"oidcDiscoveryUrl": "https://issuer.example.test", "boundIssuer": "https://issuer.example.test", "boundAudiences": "keyturn", "boundSubject": "repo:acme/shop:*", "boundClaims": body{"repository": "acme/shop,acme/lib"}, "accessTokenTTL": 2592000},
				body{"boundClaims": body{"repository": "acme/shop"}}, body{"boundSubject": "repo:acme/shop:*", "boundClaims": body{"repository": "acme/shop"}},
				[]body{{"oidcDiscoveryUrl": "https://another.example.test"}, {"claimMetadataMapping": body{"a": "b"}}}},
			{"jwt-auth", "identityJwtAuth", body{"configurationType": "jwks", "jwksUrl": "https://issuer.example.test/keys", "boundIssuer": "issuer", "boundAudiences": "keyturn", "boundSubject": "app"},
				body{"configurationType": "jwks", "jwksUrl": "https://issuer.example.test/keys", "boundIssuer": "issuer", "boundSubject": "app", "boundClaims": body{}},
				body{"boundSubject": "other"}, body{"boundSubject": "other", "boundIssuer": "issuer"}, []body{{"configurationType": "static"}}},
			{"aws-auth", "identityAwsAuth", body{"allowedAccountIds": "123456789012", "allowedPrincipalArns": "arn:aws:iam::123456789012:role/a"},
				body{"allowedAccountIds": "123456789012", "allowedPrincipalArns": "arn:aws:iam::123456789012:role/a", "stsEndpoint": "https://sts.amazonaws.com/"},
				body{"allowedPrincipalArns": ""}, body{"allowedPrincipalArns": "", "allowedAccountIds": "123456789012"}, []body{{"stsEndpoint": "https://evil.example.test/"}}},
			{"gcp-auth", "identityGcpAuth", body{"type": "gce", "allowedServiceAccounts": "app@shop.iam.gserviceaccount.com", "allowedProjects": "shop"},
				body{"type": "gce", "allowedServiceAccounts": "app@shop.iam.gserviceaccount.com", "allowedProjects": "shop"},
				body{"allowedProjects": "shop,lib"}, body{"allowedProjects": "shop,lib"}, []body{{"type": "iam"}, {"allowedZones": "europe-west1-b"}}},
			{"azure-auth", "identityAzureAuth", body{"tenantId": "0198c0de-0000-7000-8000-000000000000", "resource": "api://keyturn", "allowedServicePrincipalIds": "a,b"},
				body{"tenantId": "0198c0de-0000-7000-8000-000000000000", "resource": "api://keyturn", "allowedServicePrincipalIds": "a,b"},
				body{"allowedServicePrincipalIds": "a"}, body{"allowedServicePrincipalIds": "a", "resource": "api://keyturn"}, nil},
		} {
			a.site(t, "GET", at(c.name), nil).told(t, http.StatusNotFound)
			for _, wrong := range c.wrong {
				in := body{}
				for _, from := range []body{c.in, wrong} {
					for k, v := range from {
						in[k] = v
					}
				}
				a.site(t, "POST", at(c.name), in).told(t, http.StatusBadRequest)
			}
			if r := a.site(t, "POST", at(c.name), body{}); r.status != http.StatusUnprocessableEntity && r.status != http.StatusBadRequest {
				t.Errorf("%s with nothing said: %d %s", c.name, r.status, r.body)
			}
			has(t, c.name, part(t, a.site(t, "POST", at(c.name), c.in).members(t), c.answer), c.shown)
			has(t, c.name, part(t, a.site(t, "GET", at(c.name), nil).members(t), c.answer), c.shown)
			a.site(t, "POST", at(c.name), c.in).told(t, http.StatusBadRequest)
			has(t, c.name+" changed", part(t, a.site(t, "PATCH", at(c.name), c.change).members(t), c.answer), c.is)
			identity := part(t, a.site(t, "GET", "/v1/identities/"+i.ID, nil).members(t), "identity", "identity")
			has(t, c.name, identity, body{"authMethods": []string{"universal-auth", c.name}})
			a.site(t, "DELETE", at(c.name), body{}).members(t)
			a.site(t, "GET", at(c.name), nil).told(t, http.StatusNotFound)
		}
		a.site(t, "POST", at("ldap-auth"), body{}).told(t, http.StatusBadRequest)
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

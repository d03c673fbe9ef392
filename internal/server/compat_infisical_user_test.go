package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

// steps logs somebody in as the client of the dialect does, up to the choice of the organisation.
func (w *world) steps(t tb, email, password string) (begun, org string) {
	t.Helper()
	nobody := w.admin.with("")
	begun = nobody.site(t, "POST", "/v3/auth/login", body{"email": email, "password": password}).members(t)["accessToken"].(string)
	orgs := list(t, nobody.with(begun).site(t, "GET", "/v1/organization/accessible-with-sub-orgs", nil).members(t), "organizations")
	if len(orgs) != 1 || len(list(t, orgs[0], "subOrganizations")) != 0 {
		t.Fatalf("%v", orgs)
	}
	return begun, orgs[0]["id"].(string)
}

func TestAPersonLogsInThroughTheDialect(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		nobody := w.admin.with("")
		_, u := w.userID(t)
		begun, org := w.steps(t, strings.ToUpper(u.Email), testPassword)
		if c := claimsOf(t, begun); c["authTokenType"] != "accessToken" || c["organizationId"] != nil || c["exp"].(float64) < float64(time.Now().Add(time.Minute).Unix()) {
			t.Errorf("%v", c)
		}
		between := nobody.with(begun)

		// Before an organisation is chosen the token is good for nothing else.
		for _, path := range []string{"POST /v1/auth/checkAuth", "GET /v1/projects", "POST /v1/projects", "GET /v1/identities", "POST /v2/service-token", "POST /v1/auth/logout"} {
			method, at, _ := strings.Cut(path, " ")
			between.site(t, method, at, nil).told(t, http.StatusUnauthorized)
		}
		between.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		nobody.site(t, "POST", "/v1/auth/token/renew", body{"accessToken": begun}).told(t, http.StatusUnauthorized)
		between.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": "000000"}).told(t, http.StatusUnauthorized)

		between.site(t, "POST", "/v3/auth/select-organization", body{"organizationId": "0198c0de-0000-7000-8000-000000000000"}).told(t, http.StatusForbidden)
		between.site(t, "POST", "/v3/auth/select-organization", body{}).told(t, http.StatusUnprocessableEntity)
		out := between.site(t, "POST", "/v3/auth/select-organization", body{"organizationId": org}).members(t)
		has(t, "chosen", out, body{"isMfaEnabled": false})
		token := out["token"].(string)
		claims := claimsOf(t, token)
		has(t, "claims", claims, body{"authTokenType": "accessToken", "userId": u.ID, "organizationId": org, "authMethod": "email"})
		if left := time.Until(time.Unix(int64(claims["exp"].(float64)), 0)); left < 6*24*time.Hour {
			t.Errorf("the session ends in %v", left)
		}
		mine := nobody.with(token)
		has(t, "check", mine.site(t, "POST", "/v1/auth/checkAuth", body{}).members(t), body{"message": "Authenticated"})
		if who := get[api.Principal](t, mine, "/whoami"); who.ID != u.ID || who.Kind != "user" {
			t.Errorf("%+v", who)
		}
		has(t, "again", mine.site(t, "POST", "/v3/auth/select-organization", body{"organizationId": org}).members(t), body{"isMfaEnabled": false, "token": token})
		mine.site(t, "GET", "/v1/identities/details", nil).told(t, http.StatusForbidden)

		// The first token was cut and put together anew.
		for i, wrong := range []string{begun + "x", begun[:len(begun)-4], strings.Replace(begun, ".", ".x", 1) + "A", token + "A"} {
			nobody.with(wrong).site(t, "POST", "/v3/auth/select-organization", body{"organizationId": org}).told(t, http.StatusUnauthorized)
			_ = i
		}
		for _, wrong := range []body{{"email": u.Email, "password": "wrong test-value"}, {"email": "nobody@example.test", "password": testPassword}} {
			nobody.site(t, "POST", "/v3/auth/login", wrong).told(t, http.StatusUnauthorized, "login is not right")
		}
		for _, path := range []string{"/v3/auth/login1", "/v3/auth/login2"} {
			nobody.site(t, "POST", path, body{"email": u.Email}).told(t, http.StatusBadRequest)
		}
		mine.site(t, "POST", "/v1/auth/logout", body{}).members(t)
		mine.site(t, "POST", "/v1/auth/checkAuth", body{}).told(t, http.StatusUnauthorized)
		between.site(t, "POST", "/v3/auth/select-organization", body{"organizationId": org}).told(t, http.StatusUnauthorized)
	})
}

func TestASecondFactorIsAskedForThroughTheDialect(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		nobody := w.admin.with("")
		p, u := w.userID(t)
		f := p.enrol(t)
		begun, org := w.steps(t, u.Email, testPassword)
		out := nobody.with(begun).site(t, "POST", "/v3/auth/select-organization", body{"organizationId": org}).members(t)
		has(t, "chosen", out, body{"isMfaEnabled": true, "mfaMethod": "totp"})
		half := nobody.with(out["token"].(string))
		if strings.Contains(half.token, testPassword) {
			t.Error("the password stands in the token")
		}
		half.site(t, "POST", "/v1/auth/checkAuth", body{}).told(t, http.StatusUnauthorized)
		half.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		bad := half.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": "abcdef", "mfaMethod": "totp"})
		bad.told(t, http.StatusUnauthorized, "code is not right")
		has(t, "context", part(t, membersOf(t, bad), "context"), body{"code": "mfa_invalid", "triesLeft": 9})
		half.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": "123456", "mfaMethod": "webauthn"}).told(t, http.StatusBadRequest)
		nobody.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": f.code(t, 1)}).told(t, http.StatusUnauthorized)

		verified := half.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": f.code(t, 1), "mfaMethod": "totp"}).members(t)
		out = nobody.with(verified["token"].(string)).site(t, "POST", "/v3/auth/select-organization", body{"organizationId": org}).members(t)
		has(t, "chosen", out, body{"isMfaEnabled": false})
		if who := get[api.Principal](t, nobody.with(out["token"].(string)), "/whoami"); who.ID != u.ID {
			t.Errorf("%+v", who)
		}
		// A code is taken once, and they cannot be guessed.
		half.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": f.code(t, 1)}).told(t, http.StatusUnauthorized)
		looked := 0
		for i := range 14 {
			r := half.site(t, "POST", "/v2/auth/mfa/verify", body{"email": u.Email, "mfaToken": fmt.Sprintf("%06d", i)})
			if r.status == http.StatusUnauthorized {
				looked++
			} else if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if looked > 10 {
			t.Errorf("%d guesses were looked at", looked)
		}
	})
}

// membersOf gives the object of an answer whatever its status.
func membersOf(t tb, r reply) map[string]any {
	t.Helper()
	r.status = http.StatusOK
	return r.members(t)
}

func TestLoginsThroughTheDialectCannotBeGuessed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		nobody := w.admin.with("")
		i, _ := w.withSecret(t, api.IdentityRequest{})
		_, u := w.userID(t)
		for _, try := range []struct {
			path string
			in   body
		}{{universalLogin, body{"clientId": i.ID, "clientSecret": "test-value"}}, {"/v3/auth/login", body{"email": u.Email, "password": "wrong test-value"}}} {
			looked := 0
			for range 14 {
				switch r := nobody.site(t, "POST", try.path, try.in); r.status {
				case http.StatusUnauthorized:
					looked++
				case http.StatusTooManyRequests:
					r.told(t, http.StatusTooManyRequests, "too many failed logins")
				default:
					t.Fatalf("%s: %d %s", try.path, r.status, r.body)
				}
			}
			if looked != 10 {
				t.Errorf("%s: %d guesses were looked at", try.path, looked)
			}
		}
	})
}

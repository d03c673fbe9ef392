package server_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/keyturn/keyturn/api"
)

// phone is an authenticator app.
type phone struct {
	id, secret string
	used       string // the code that confirmed it
	recovery   []string
}

// code gives what the app shows now, or some steps later or earlier.
func (p phone) code(t tb, step int) string {
	t.Helper()
	code, err := totp.GenerateCode(p.secret, time.Now().Add(time.Duration(step)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrol gives somebody a second factor. The next code that is good is the one of the step after.
func (p person) enrol(t tb) phone {
	t.Helper()
	f := send[api.NewFactor](t, p, "POST", "/self/factors", api.FactorRequest{Name: "phone"})
	out := phone{id: f.ID, secret: f.Secret}
	out.used = out.code(t, 0)
	out.recovery = send[api.RecoveryCodes](t, p, "POST", "/self/factors/"+f.ID+"/confirm", api.CodeRequest{Code: out.used}).RecoveryCodes
	return out
}

// reason checks status and reason of a refusal.
func (r reply) reason(t tb, status int, want string) {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.status != status || p.Reason != want {
		t.Fatalf("%s: status %d, reason %q, want %d, %q: %s", r.what, r.status, p.Reason, status, want, r.body)
	}
}

func (w *world) login(t tb, email, password, code string) reply {
	t.Helper()
	return w.admin.with("").do(t, "POST", "/login", api.LoginRequest{Email: email, Password: password, Code: code})
}

func TestASecondFactorIsAskedForAndNoCodeIsTakenTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, u := w.userID(t)
		begun := send[api.NewFactor](t, p, "POST", "/self/factors", api.FactorRequest{})
		p.do(t, "POST", "/self/factors/"+begun.ID+"/confirm", api.CodeRequest{Code: "abcdef"}).refused(t, "invalid", "code")
		if r := w.login(t, u.Email, testPassword, ""); r.status != 200 {
			t.Fatalf("a factor that is not confirmed is asked for: %s", r.body)
		}
		f := p.enrol(t)
		if len(f.recovery) != 10 {
			t.Errorf("%d recovery codes", len(f.recovery))
		}
		st := get[api.Factors](t, p, "/self/factors")
		if len(st.Factors) != 1 || st.Factors[0].ConfirmedAt == nil || st.RecoveryCodes != 10 {
			t.Errorf("%+v", st)
		}

		// Who does not know the password is not told that there is a factor, whatever code he sends.
		alike(t, w.login(t, u.Email, "a wrong test-value", ""), w.login(t, "nobody@example.test", "a wrong test-value", ""))
		alike(t, w.login(t, u.Email, "a wrong test-value", f.code(t, 0)), w.login(t, "nobody@example.test", "a wrong test-value", f.code(t, 0)))
		w.login(t, u.Email, testPassword, "").reason(t, 401, "second_factor")
		w.login(t, u.Email, testPassword, "000000").reason(t, 401, "second_factor")
		w.login(t, u.Email, testPassword, f.used).reason(t, 401, "second_factor") // confirmed it

		// At the same moment one code opens one session.
		now := f.code(t, 1)
		var mu sync.Mutex
		var all sync.WaitGroup
		good := 0
		for range 4 {
			all.Go(func() {
				r, err := w.admin.with("").try("POST", "/login", api.LoginRequest{Email: u.Email, Password: testPassword, Code: now})
				mu.Lock()
				defer mu.Unlock()
				if err == nil && r.status == 200 {
					good++
				}
			})
		}
		all.Wait()
		if good != 1 {
			t.Errorf("one code opened %d sessions", good)
		}

		// A recovery code is good once, however it is typed.
		var s api.Session
		w.login(t, u.Email, testPassword, " "+f.recovery[3]+" ").fits(t, &s)
		w.login(t, u.Email, testPassword, f.recovery[3]).reason(t, 401, "second_factor")
		if st := get[api.Factors](t, w.admin.with(s.Token), "/self/factors"); st.RecoveryCodes != 9 {
			t.Errorf("%d recovery codes are left", st.RecoveryCodes)
		}
		fresh := send[api.RecoveryCodes](t, w.admin.with(s.Token), "POST", "/self/recovery-codes", nil).RecoveryCodes
		w.login(t, u.Email, testPassword, f.recovery[4]).reason(t, 401, "second_factor")
		w.login(t, u.Email, testPassword, fresh[0]).fits(t, &s)

		// An admin helps who has lost everything: what he was logged in with ends.
		send[api.Done](t, w.admin, "DELETE", "/users/"+u.ID+"/factors", nil)
		p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		w.login(t, u.Email, testPassword, "").fits(t, &s)
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

func TestCodesCannotBeGuessed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, u := w.userID(t)
		f := p.enrol(t)
		wrong := 0
		for i := range 14 {
			r := w.login(t, u.Email, testPassword, fmt.Sprintf("%06d", i))
			if r.status == 401 {
				wrong++
			} else if r.status != 429 {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if wrong > 10 {
			t.Errorf("%d guesses were looked at", wrong)
		}
		// The session that is there can still prove itself by a recovery code: no stranger keeps its owner out.
		if r := p.do(t, "POST", "/reauth", api.Reproof{Code: f.recovery[0]}); r.status != 200 && r.status != 429 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

func TestDangerousActsAskAnOldSessionWhoItIs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, u := w.userID(t, api.GrantRequest{Role: "admin"})
		var other api.Session
		w.login(t, u.Email, testPassword, "").fits(t, &other)
		f := p.enrol(t)
		q := w.admin.with(other.Token) // has not shown the factor that there is now
		get[api.Users](t, q, "/users")
		invent := api.IdentityRequest{Name: w.fresh("machine")}
		r := q.do(t, "POST", "/identities", invent)
		r.reason(t, 401, "reauthenticate")
		if got := r.header.Get("WWW-Authenticate"); got != `Bearer realm="keyturn", error="insufficient_user_authentication"` {
			t.Errorf("%s", got)
		}
		q.do(t, "POST", "/self/factors", api.FactorRequest{}).reason(t, 401, "reauthenticate") // or who holds a stolen session adds his own
		q.do(t, "POST", "/reauth", api.Reproof{Password: testPassword}).reason(t, 401, "second_factor")
		q.do(t, "POST", "/reauth", api.Reproof{Code: "000000"}).reason(t, 401, "second_factor")
		code := f.code(t, 1)
		send[api.Done](t, q, "POST", "/reauth", api.Reproof{Code: code})
		send[api.Identity](t, q, "POST", "/identities", invent)
		q.do(t, "POST", "/reauth", api.Reproof{Code: code}).reason(t, 401, "second_factor")
		// The other session has shown the factor by confirming it.
		send[api.Identity](t, p, "POST", "/identities", api.IdentityRequest{Name: w.fresh("machine")})
	})
}

func TestAnOrganisationAsksForSecondFactors(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		p, u := w.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
		token := p.scoped(t, e.project, "dev:/:*")
		machine := w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"})
		w.admin.do(t, "PATCH", "/settings", api.Settings{MFA: "required"}).reason(t, 409, "enrol_factor")
		f := w.admin.enrol(t)
		send[api.Settings](t, w.admin, "PATCH", "/settings", api.Settings{MFA: "required", MFAGrace: "1h"})
		get[api.Env](t, p, e.path()) // within the grace
		if st := get[api.Factors](t, p, "/self/factors"); !st.Required || st.EnrolBy == nil || st.EnrolBy.Before(time.Now().Add(50*time.Minute)) {
			t.Errorf("%+v", st)
		}
		send[api.Settings](t, w.admin, "PATCH", "/settings", api.Settings{MFAGrace: "0s"})
		p.do(t, "GET", e.path(), nil).reason(t, 403, "enrol_factor")
		if l := get[api.Projects](t, p, "/projects"); len(l.Projects) != 0 {
			t.Errorf("%+v", l)
		}
		p.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "*:/:read", TTL: "1h"}).reason(t, 403, "enrol_factor")
		token.do(t, "GET", e.path(), nil).reason(t, 403, "enrol_factor")
		token.do(t, "POST", "/self/factors", api.FactorRequest{}).reason(t, 403, "enrol_factor")
		get[api.Env](t, machine, e.path())
		get[api.Env](t, w.admin, e.path())

		// A new login may enrol and nothing else, and then everything.
		var s api.Session
		w.login(t, u.Email, testPassword, "").fits(t, &s)
		q := w.admin.with(s.Token)
		q.do(t, "GET", e.path(), nil).reason(t, 403, "enrol_factor")
		get[api.Principal](t, q, "/whoami")
		mine := q.enrol(t)
		get[api.Env](t, q, e.path())
		get[api.Env](t, token, e.path())
		// The last one stays while the organisation asks for it.
		q.do(t, "DELETE", "/self/factors/"+mine.id, nil).refused(t, "conflict", "second factor")
		w.admin.do(t, "DELETE", "/self/factors/"+f.id, nil).refused(t, "conflict", "second factor")
		send[api.Settings](t, w.admin, "PATCH", "/settings", api.Settings{MFA: "optional"})
		send[api.Done](t, q, "DELETE", "/self/factors/"+mine.id, nil)
		w.admin.do(t, "PATCH", "/settings", api.Settings{MFA: "never"}).refused(t, "invalid", "/mfa")
		w.admin.do(t, "PATCH", "/settings", api.Settings{ReauthAfter: "1000h"}).refused(t, "invalid", "/reauth_after")
		w.admin.do(t, "PATCH", "/settings", api.Settings{SessionIdle: "1s"}).refused(t, "invalid", "/session_idle")
	})
}

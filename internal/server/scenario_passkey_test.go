package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

func TestAPasskeyLogsInWithoutAPassword(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, u := w.userID(t)
		a := newAuthenticator(t, w)
		o := send[api.PasskeyOptions](t, p, "POST", "/passkeys/begin", nil)
		c := ceremonyOf(t, o)
		if c.Selection.ResidentKey != "required" || c.Selection.UserVerification != "required" {
			t.Errorf("a passkey may live without its user being verified: %s", o.Options)
		}
		made := send[api.Passkey](t, p, "POST", "/passkeys", api.PasskeyRequest{Name: "laptop", Credential: a.create(t, o)})
		if made.Name != "laptop" || made.ID == "" {
			t.Errorf("%+v", made)
		}
		var s api.Session
		a.login(t, w).fits(t, &s)
		in := w.admin.with(s.Token)
		if who := get[api.Principal](t, in, "/whoami"); who.ID != u.ID {
			t.Errorf("logged in as %+v", who)
		}
		listed := get[api.Passkeys](t, in, "/passkeys").Passkeys
		if len(listed) != 1 || listed[0].LastUsedAt == nil || listed[0].ClonedAt != nil {
			t.Errorf("%+v", listed)
		}
		// The account knows it: a second registration on the same device is asked not to happen.
		if c := ceremonyOf(t, send[api.PasskeyOptions](t, in, "POST", "/passkeys/begin", nil)); len(c.Exclude) != 1 {
			t.Errorf("%d excluded", len(c.Exclude))
		}
		send[api.Done](t, in, "PATCH", "/passkeys/"+made.ID, api.PasskeyRename{Name: "old laptop"})
		if got := get[api.Passkeys](t, in, "/passkeys").Passkeys[0].Name; got != "old laptop" {
			t.Errorf("named %q", got)
		}
		o = send[api.PasskeyOptions](t, in, "POST", "/passkeys/verify/begin", nil)
		if c := ceremonyOf(t, o); len(c.Allow) != 1 || c.Verify != "required" {
			t.Errorf("%s", o.Options)
		}
		send[api.Done](t, in, "POST", "/passkeys/verify", api.PasskeyAnswer{Credential: a.get(t, o)})
		send[api.Done](t, in, "DELETE", "/passkeys/"+made.ID, nil)
		a.login(t, w).refused(t, "unauthenticated")
		in.do(t, "POST", "/passkeys/verify/begin", nil).refused(t, "conflict", "no passkey")
	})
}

// What an attacker can bend in a login is refused, and told apart by the log only.
func TestAPasskeyLoginThatIsNotRightIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		nobody := w.admin.with("")
		p, u := w.userID(t)
		other := w.user(t)
		begin := func() api.PasskeyOptions {
			return send[api.PasskeyOptions](t, nobody, "POST", "/login/passkey/begin", nil)
		}
		login := func(credential string) reply {
			return nobody.do(t, "POST", "/login/passkey", api.PasskeyAnswer{Credential: credential})
		}
		own, theirs := newAuthenticator(t, w), newAuthenticator(t, w)
		own.added(t, p, "own")
		theirs.added(t, other, "theirs")
		for what, bend := range map[string]func(a *authenticator){
			"another origin":              func(a *authenticator) { a.origin = "https://keyturn.example.net" },
			"another port":                func(a *authenticator) { a.origin = "http://localhost:1" },
			"another scheme":              func(a *authenticator) { a.origin = strings.Replace(a.origin, "http:", "https:", 1) },
			"another host name's passkey": func(a *authenticator) { a.rp = "example.net" },
			"a user who was not verified": func(a *authenticator) { a.verified = false },
			"nobody at the authenticator": func(a *authenticator) { a.absent = true },
			"somebody else's handle":      func(a *authenticator) { a.user = theirs.user },
			"no handle":                   func(a *authenticator) { a.user = nil },
			"somebody else's credential":  func(a *authenticator) { a.id = theirs.id },
			"a credential nobody knows":   func(a *authenticator) { a.id = make([]byte, 32) },
			"somebody else's key":         func(a *authenticator) { a.key = theirs.key },
		} {
			bent := newAuthenticator(t, w)
			bent.added(t, p, what)
			bend(bent)
			got := login(bent.get(t, begin()))
			t.Run(what, func(t *testing.T) { got.refused(t, "unauthenticated", "passkey is not right") })
		}
		t.Run("an answer that was used before", func(t *testing.T) {
			credential := own.get(t, begin())
			login(credential).fits(t, &api.Session{})
			login(credential).refused(t, "unauthenticated", "answered before")
			again := own.get(t, api.PasskeyOptions{Options: `{"challenge":"AAECAwQFBgcICQoLDA0ODw","rpId":"localhost"}`}) // nobody asked for it
			login(again).refused(t, "unauthenticated", "answered before")
		})
		t.Run("a challenge of another ceremony", func(t *testing.T) {
			login(own.get(t, send[api.PasskeyOptions](t, p, "POST", "/passkeys/verify/begin", nil))).refused(t, "unauthenticated", "something else")
			p.do(t, "POST", "/passkeys/verify", api.PasskeyAnswer{Credential: own.get(t, begin())}).refused(t, "unauthenticated", "something else")
		})
		t.Run("no answer at all", func(t *testing.T) {
			for _, credential := range []string{"", "{}", "null", "test-value", strings.Repeat("[", 10_000), `{"id":"` + strings.Repeat("A", 40_000) + `"}`} {
				if got := login(credential); strings.Contains(string(got.body), "test-value") {
					t.Errorf("the answer is repeated: %s", got.body)
				} else {
					got.refused(t, "invalid")
				}
			}
		})
		t.Run("a count that went back", func(t *testing.T) {
			copied := *own
			login(own.get(t, begin())).fits(t, &api.Session{})
			login(copied.get(t, begin())).refused(t, "unauthenticated", "copied")
			if k := get[api.Passkeys](t, p, "/passkeys").Passkeys[0]; k.Name != "own" || k.ClonedAt == nil {
				t.Error("the owner is not warned")
			}
		})
		t.Run("a disabled person", func(t *testing.T) {
			send[api.Done](t, w.admin, "PATCH", "/users/"+u.ID, api.EnabledRequest{Disabled: true})
			own.login(t, w).refused(t, "unauthenticated")
		})
	})
}

func TestOnlyAPersonsOwnSessionChangesHisPasskeys(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, u := w.userID(t)
		again := w.admin.with(send[api.Session](t, w.admin.with(""), "POST", "/login", api.LoginRequest{Email: u.Email, Password: testPassword}).Token)
		other := w.user(t)
		a := newAuthenticator(t, w)
		o := send[api.PasskeyOptions](t, p, "POST", "/passkeys/begin", nil)
		for who, thief := range map[string]person{"another session of the same person": again, "another person": other} {
			got := thief.do(t, "POST", "/passkeys", api.PasskeyRequest{Credential: a.create(t, o)})
			t.Run(who, func(t *testing.T) { got.refused(t, "unauthenticated", "something else") })
		}
		for what, bend := range map[string]func(a *authenticator){
			"another origin":              func(a *authenticator) { a.origin = "https://keyturn.example.net" },
			"another host name":           func(a *authenticator) { a.rp = "example.net" },
			"a user who was not verified": func(a *authenticator) { a.verified = false },
		} {
			bent := *a
			bend(&bent)
			got := p.do(t, "POST", "/passkeys", api.PasskeyRequest{Credential: bent.create(t, o)})
			t.Run(what, func(t *testing.T) { got.refused(t, "unauthenticated") })
		}
		made := send[api.Passkey](t, p, "POST", "/passkeys", api.PasskeyRequest{Credential: a.create(t, o)})
		p.do(t, "POST", "/passkeys", api.PasskeyRequest{Credential: a.create(t, o)}).refused(t, "unauthenticated", "answered before")
		o = send[api.PasskeyOptions](t, other, "POST", "/passkeys/begin", nil)
		other.do(t, "POST", "/passkeys", api.PasskeyRequest{Credential: a.create(t, o)}).refused(t, "exists")
		other.do(t, "DELETE", "/passkeys/"+made.ID, nil).refused(t, "not_found")
		other.do(t, "PATCH", "/passkeys/"+made.ID, api.PasskeyRename{Name: "mine"}).refused(t, "not_found")
		e := w.project(t)
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "user", Principal: u.Email, Project: e.project, Role: "admin"})
		for who, thief := range map[string]person{"a token of the person": p.scoped(t, e.project, "*:/:*"), "a machine": w.machine(t)} {
			got := thief.do(t, "POST", "/passkeys/begin", nil)
			t.Run(who, func(t *testing.T) { got.refused(t, "denied") })
			thief.do(t, "DELETE", "/passkeys/"+made.ID, nil).refused(t, "denied")
			thief.do(t, "POST", "/passkeys/verify/begin", nil).refused(t, "denied")
		}
		for range 19 {
			newAuthenticator(t, w).added(t, p, "more")
		}
		o = send[api.PasskeyOptions](t, p, "POST", "/passkeys/begin", nil)
		p.do(t, "POST", "/passkeys", api.PasskeyRequest{Credential: newAuthenticator(t, w).create(t, o)}).refused(t, "exhausted")
	})
}

func TestChallengesDoNotFloodTheStore(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		nobody := w.admin.with("")
		for range 60 {
			if got := nobody.do(t, "POST", "/login/passkey/begin", nil); got.status == http.StatusTooManyRequests {
				return
			}
		}
		t.Error("one address may ask for any number of challenges")
	})
}

package server_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func (w *world) invite(t tb, by person, r api.InviteRequest) api.NewInvite {
	t.Helper()
	if r.Email == "" {
		r.Email = w.fresh("invited") + "@example.test"
	}
	return send[api.NewInvite](t, by, "POST", "/invites", r)
}

func (w *world) accept(t tb, token string) reply {
	t.Helper()
	return w.admin.with("").do(t, "POST", "/invites/accept", api.AcceptRequest{Token: token, Name: "A Guest", Password: testPassword})
}

func TestAnInvitationMakesOneAccountOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		made := w.invite(t, w.admin, api.InviteRequest{Email: "New.Person@Example.Test", Project: e.project, Env: "dev", Role: "developer"})
		if made.Email != "new.person@example.test" || !strings.HasPrefix(made.Token, "kti_") {
			t.Fatalf("%+v", made)
		}
		shown := send[api.Link](t, w.admin.with(""), "POST", "/invites/show", api.LinkRequest{Token: made.Token})
		if shown.Purpose != "invite" || shown.Email != made.Email || shown.Organization == "" {
			t.Errorf("%+v", shown)
		}
		// The link opens nothing by itself, and a weak password or one of the context is refused before it is used up.
		w.admin.with(made.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		for _, weak := range []string{"short", "password12345", "new.person2026!"} {
			w.admin.with("").do(t, "POST", "/invites/accept", api.AcceptRequest{Token: made.Token, Password: weak}).refused(t, "invalid", "/password")
		}

		// Of many at once, one comes through.
		var mu sync.Mutex
		var all sync.WaitGroup
		var sessions []api.Session
		for range 6 {
			all.Go(func() {
				r, err := w.admin.with("").try("POST", "/invites/accept", api.AcceptRequest{Token: made.Token, Name: "A Guest", Password: testPassword})
				if err == nil && r.status == 201 {
					var s api.Session
					r.fits(t, &s)
					mu.Lock()
					sessions = append(sessions, s)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if len(sessions) != 1 {
			t.Fatalf("one invitation made %d accounts", len(sessions))
		}
		guest := w.admin.with(sessions[0].Token)
		e.as(guest).commit(t, set("/", "A", "test-value"))
		guest.do(t, "GET", e.in("prod").path(), nil).refused(t, "not_found")
		if me := get[api.Profile](t, guest, "/self"); me.Name != "A Guest" || me.Email != "new.person@example.test" || me.PasswordAt == nil {
			t.Errorf("%+v", me)
		}

		// Used, unknown and mangled links cannot be told apart.
		alike(t, w.accept(t, made.Token), w.accept(t, "kti_test-value"))
		alike(t, w.accept(t, made.Token), w.accept(t, made.Token[:len(made.Token)-1]+"x"))
		w.admin.do(t, "POST", "/invites", api.InviteRequest{Email: "NEW.person@example.test"}).refused(t, "exists", "already")
		w.admin.do(t, "DELETE", "/invites/"+made.ID, nil).refused(t, "conflict", "used already")
	})
}

func TestLinksEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		unknown := func() reply { return w.accept(t, "kti_test-value") }
		// A second invitation takes the first back.
		first := w.invite(t, w.admin, api.InviteRequest{Email: "twice@example.test"})
		second := w.invite(t, w.admin, api.InviteRequest{Email: "Twice@example.test"})
		alike(t, w.accept(t, first.Token), unknown())
		// Taken back by hand.
		send[api.Done](t, w.admin, "DELETE", "/invites/"+second.ID, nil)
		alike(t, w.accept(t, second.Token), unknown())
		w.admin.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", TTL: "1s"}).refused(t, "invalid", "/ttl")
		w.admin.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", TTL: "90d"}).refused(t, "invalid", "/ttl")
		w.admin.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", Mail: true}).refused(t, "unsupported", "mail")
		w.admin.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", Groups: []string{"nothing"}}).refused(t, "not_found")
		w.admin.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", Role: "root"}).refused(t, "invalid", "role")

		// An account that was made by hand meanwhile stays whose it is.
		late := w.invite(t, w.admin, api.InviteRequest{Email: "late@example.test"})
		send[api.User](t, w.admin, "POST", "/users", api.UserRequest{Email: "late@example.test", Password: testPassword})
		w.accept(t, late.Token).refused(t, "exists")
		// A link for one purpose is none for another.
		other := w.invite(t, w.admin, api.InviteRequest{Email: "other@example.test"})
		alike(t, w.admin.with("").do(t, "POST", "/password/reset", api.PasswordResetRequest{Token: other.Token, Password: testPassword}),
			w.admin.with("").do(t, "POST", "/password/reset", api.PasswordResetRequest{Token: "kti_test-value", Password: testPassword}))
		if l := get[api.Invites](t, w.admin, "/invites"); len(l.Invites) != 4 {
			t.Errorf("%d invitations", len(l.Invites))
		}
	})
}

func TestNobodyInvitesIntoWhatHeLacks(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, foreign := w.project(t), w.project(t)
		p, u := w.userID(t, api.GrantRequest{Project: e.project, Role: "admin"})
		made := w.invite(t, p, api.InviteRequest{Project: e.project, Role: "developer"})
		p.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", Role: "admin"}).refused(t, "denied")
		p.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test"}).refused(t, "denied")
		p.do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", Project: foreign.project, Role: "viewer"}).refused(t, "not_found")
		w.admin.scoped(t, e.project, "*:/:*").do(t, "POST", "/invites", api.InviteRequest{Email: "x@example.test", Project: e.project, Role: "viewer"}).refused(t, "denied")

		// What he has lost since, his invitation does not give.
		again := w.invite(t, p, api.InviteRequest{Project: e.project, Role: "developer"})
		for _, g := range get[api.Grants](t, w.admin, "/grants").Grants {
			if g.PrincipalID == u.ID {
				send[api.Done](t, w.admin, "DELETE", "/grants/"+g.ID, nil)
			}
		}
		alike(t, w.accept(t, made.Token), w.accept(t, "kti_test-value"))
		// Nor does one of somebody who has left, even when he comes back.
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "user", Principal: u.Email, Project: e.project, Role: "admin"})
		send[api.Done](t, w.admin, "PATCH", "/users/"+u.ID, api.EnabledRequest{Disabled: true})
		send[api.Done](t, w.admin, "PATCH", "/users/"+u.ID, api.EnabledRequest{})
		alike(t, w.accept(t, again.Token), w.accept(t, "kti_test-value"))
	})
}

func TestAForgottenPasswordIsSetWithALink(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		p, u := w.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
		token := p.scoped(t, e.project, "dev:/:*")
		old := send[api.NewInvite](t, w.admin, "POST", "/users/"+u.ID+"/password-link", nil)
		link := send[api.NewInvite](t, w.admin, "POST", "/users/"+u.ID+"/password-link", nil)
		reset := func(token, password string) reply {
			return w.admin.with("").do(t, "POST", "/password/reset", api.PasswordResetRequest{Token: token, Password: password})
		}
		alike(t, reset(old.Token, testPassword), reset("kti_test-value", testPassword))
		reset(link.Token, u.Email+"12").refused(t, "invalid", "/password")
		const fresh = "a fresh long test-value"
		reset(link.Token, fresh).fits(t, &api.Done{})
		alike(t, reset(link.Token, fresh), reset("kti_test-value", fresh))
		p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		token.do(t, "GET", e.path(), nil).refused(t, "unauthenticated")
		w.login(t, u.Email, testPassword, "").refused(t, "unauthenticated")
		w.login(t, u.Email, fresh, "").fits(t, &api.Session{})

		// Who manages less than somebody may do does not become him by a link.
		q, _ := w.userID(t, api.GrantRequest{Project: e.project, Role: "admin"})
		q.do(t, "POST", "/users/"+u.ID+"/password-link", nil).refused(t, "denied")
	})
}

func TestAPasswordIsChangedByWhoKnowsIt(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		p, u := w.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
		token := p.scoped(t, e.project, "dev:/:*")
		var other api.Session
		w.login(t, u.Email, testPassword, "").fits(t, &other)
		q := w.admin.with(other.Token)
		if l := get[api.Sessions](t, p, "/self/sessions"); len(l.Sessions) != 2 || l.Sessions[0].Method != "password" || l.Sessions[0].Address == "" || l.Sessions[0].Current == l.Sessions[1].Current {
			t.Errorf("%+v", l)
		}
		const fresh = "another long test-value"
		p.do(t, "POST", "/self/password", api.PasswordRequest{Old: "a wrong test-value", Password: fresh}).refused(t, "invalid", "/old")
		p.do(t, "POST", "/self/password", api.PasswordRequest{Old: testPassword, Password: "qwertyuiop12"}).refused(t, "invalid", "/password")
		token.do(t, "POST", "/self/password", api.PasswordRequest{Old: testPassword, Password: fresh}).refused(t, "denied")
		send[api.Done](t, p, "POST", "/self/password", api.PasswordRequest{Old: testPassword, Password: fresh})
		get[api.Principal](t, p, "/whoami")
		q.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		get[api.Env](t, token, e.path())
		w.login(t, u.Email, testPassword, "").refused(t, "unauthenticated")
		send[api.Done](t, p, "POST", "/self/password", api.PasswordRequest{Old: fresh, Password: testPassword, EndTokens: true})
		token.do(t, "GET", e.path(), nil).refused(t, "unauthenticated")
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p, u := w.userID(t)
		more := func() person {
			var s api.Session
			w.login(t, u.Email, testPassword, "").fits(t, &s)
			return w.admin.with(s.Token)
		}
		q, r := more(), more()
		id := get[api.Principal](t, q, "/whoami").TokenID
		w.user(t).do(t, "DELETE", "/tokens/"+id, nil).refused(t, "not_found")
		send[api.Done](t, p, "DELETE", "/tokens/"+id, nil)
		q.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		send[api.Done](t, p, "DELETE", "/self/sessions", nil)
		r.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		if l := get[api.Sessions](t, w.admin, "/users/"+u.ID+"/sessions"); len(l.Sessions) != 1 || l.Sessions[0].IdleLimit != "12h0m0s" || l.Sessions[0].ExpiresAt.After(time.Now().Add(7*24*time.Hour)) {
			t.Errorf("%+v", l)
		}
		send[api.Done](t, w.admin, "DELETE", "/users/"+u.ID+"/sessions", nil)
		p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	})
}

package server_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func asks(t *testing.T, p person, r api.AccessAsked) api.AccessRequest {
	t.Helper()
	if r.Reason == "" {
		r.Reason = "incident 4711"
	}
	return send[api.AccessRequest](t, p, "POST", "/access-requests", r)
}

func TestAnApprovedRequestGivesARoleThatEndsByItself(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/backend", "A", "test-value"), set("/other", "B", "test-value"))
		p := w.user(t)
		e.as(p).ask(t, "/backend", "A").refused(t, "not_found")
		// The policy that decides is asked at the time of each question; a minute is the least that one can ask for.
		r := asks(t, p, api.AccessAsked{Role: "developer", Project: e.project, Env: e.name, Path: "/backend", For: "1m"})
		if list := get[api.AccessRequests](t, w.admin, "/access-requests").Requests; len(list) != 1 || !list[0].MayDecide || list[0].Mine {
			t.Errorf("the admin sees %+v", list)
		}
		e.as(p).ask(t, "/backend", "A").refused(t, "not_found")
		ok := send[api.AccessRequest](t, w.admin, "POST", "/access-requests/"+r.ID+"/approve", api.CommentRequest{})
		if ok.State != "approved" || ok.GrantedUntil == nil || ok.GrantedUntil.After(time.Now().Add(time.Minute)) {
			t.Errorf("approved: %+v", ok)
		}
		if v := e.as(p).value(t, "/backend", "A"); v != "test-value" {
			t.Errorf("A is %s", v)
		}
		e.as(p).ask(t, "/other", "B").refused(t, "not_found")
		var found bool
		for _, g := range get[api.Grants](t, w.admin, "/grants").Grants {
			found = found || g.ID == ok.GrantID
		}
		if !found {
			t.Error("the grant is not in the list")
		}
		w.admin.do(t, "POST", "/access-requests/"+r.ID+"/approve", api.CommentRequest{}).refused(t, "conflict")
		send[api.Done](t, w.admin, "DELETE", "/grants/"+ok.GrantID, nil)
		e.as(p).ask(t, "/backend", "A").refused(t, "not_found")
	})
}

func TestNobodyDecidesAboutHisOwnRequestOrBeyondHisRights(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		admin := w.user(t, api.GrantRequest{Project: e.project, Role: "admin"})
		own := asks(t, admin, api.AccessAsked{Role: "admin", Project: e.project, For: "1h"})
		admin.do(t, "POST", "/access-requests/"+own.ID+"/approve", api.CommentRequest{}).refused(t, "denied")
		wide := asks(t, admin, api.AccessAsked{Role: "admin", For: "1h"})
		admin.do(t, "POST", "/access-requests/"+wide.ID+"/approve", api.CommentRequest{}).refused(t, "denied")
		dev := w.user(t, api.GrantRequest{Project: e.project, Role: "developer"})
		r := asks(t, dev, api.AccessAsked{Role: "admin", Project: e.project, For: "1h"})
		dev.do(t, "POST", "/access-requests/"+r.ID+"/approve", api.CommentRequest{}).refused(t, "denied")
		other := w.user(t, api.GrantRequest{Project: e.project, Role: "developer"})
		other.do(t, "POST", "/access-requests/"+r.ID+"/approve", api.CommentRequest{}).refused(t, "not_found")
		other.do(t, "POST", "/access-requests/"+r.ID+"/withdraw", nil).refused(t, "not_found")
		if n := len(get[api.AccessRequests](t, other, "/access-requests").Requests); n != 0 {
			t.Errorf("somebody else sees %d requests", n)
		}
		if got := send[api.AccessRequest](t, admin, "POST", "/access-requests/"+r.ID+"/deny", api.CommentRequest{Comment: "no"}); got.State != "denied" || got.Comment != "no" {
			t.Errorf("denied: %+v", got)
		}
		if got := send[api.AccessRequest](t, admin, "POST", "/access-requests/"+own.ID+"/withdraw", nil); got.State != "withdrawn" {
			t.Errorf("withdrawn: %+v", got)
		}
	})
}

// Whether a project is there is not told by asking for a role in it.
func TestARequestForWhatIsNotThereLooksTheSame(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		p := w.user(t)
		a := p.do(t, "POST", "/access-requests", api.AccessAsked{Role: "viewer", Project: e.project, For: "1h", Reason: "x"})
		b := p.do(t, "POST", "/access-requests", api.AccessAsked{Role: "viewer", Project: strings.Repeat("z", len(e.project)), For: "1h", Reason: "x"})
		var ra, rb api.AccessRequest
		a.fits(t, &ra)
		b.fits(t, &rb)
		if ra.State != rb.State || ra.MayDecide != rb.MayDecide {
			t.Errorf("these differ: %s and %s", a.body, b.body)
		}
		w.admin.do(t, "POST", "/access-requests/"+rb.ID+"/approve", api.CommentRequest{}).refused(t, "denied")
		p.do(t, "POST", "/access-requests", api.AccessAsked{Role: "viewer", Project: e.project, For: "8784h", Reason: "x"}).refused(t, "invalid")
		p.do(t, "POST", "/access-requests", api.AccessAsked{Role: "none", Project: e.project, For: "1h", Reason: "x"}).refused(t, "invalid")
		p.do(t, "POST", "/access-requests", api.AccessAsked{Role: "viewer", Project: e.project, For: "1h"}).refused(t, "invalid")
	})
}

func TestAGivenRoleEndsToTheMomentAndItsGrantIsTakenAway(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/", "A", "test-value"))
		p := w.user(t)
		r := asks(t, p, api.AccessAsked{Role: "developer", Project: e.project, For: "3s"})
		ok := send[api.AccessRequest](t, w.admin, "POST", "/access-requests/"+r.ID+"/approve", api.CommentRequest{})
		e.as(p).value(t, "/", "A")
		eventually(t, 20*time.Second, "the role has ended", func() bool { return e.as(p).ask(t, "/", "A").status == 404 })
		if time.Now().Before(*ok.GrantedUntil) {
			t.Error("it ended too early")
		}
		eventually(t, time.Minute, "the grant is gone", func() bool {
			return !slices.ContainsFunc(get[api.Grants](t, w.admin, "/grants").Grants, func(g api.Grant) bool { return g.ID == ok.GrantID })
		})
	})
}

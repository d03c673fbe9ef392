package server_test

import (
	"slices"
	"testing"

	"github.com/keyturn/keyturn/api"
)

func keysOf(tasks []api.Task) []string {
	var out []string
	for _, t := range tasks {
		out = append(out, t.Place+":"+t.Key)
	}
	slices.Sort(out)
	return out
}

func TestALeaverIsKnownByWhatHeHasRead(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		owner, ownerRow := w.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
		p, u := w.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
		token := p.scoped(t, e.project, "*:/:read,list")
		owned := set("/", "OWNED", "test-value")
		owned.Owner = &ownerRow.Email
		e.commit(t, owned, set("/", "ROTATED", "test-value"), set("/db", "MOVED", "test-value"), set("/", "UNREAD", "test-value"), set("/", "SWAPPED", "test-value"), set("/", "GONE", "test-value"))
		e.in("prod").commit(t, set("/", "TOKEN", "test-value"))
		for _, name := range []string{"OWNED", "ROTATED", "SWAPPED", "GONE"} {
			e.as(p).value(t, "/", name)
		}
		e.as(token).value(t, "/db", "MOVED")
		e.in("prod").as(p).list(t, "/", "reveal", "true")
		e.commit(t, set("/", "ROTATED", "test-value-2"), rename("/db", "MOVED", "ELSEWHERE"), remove("/", "SWAPPED"), remove("/", "GONE"))
		e.commit(t, set("/", "SWAPPED", "another test-value")) // another secret under a name that he has read

		left := send[api.Tasks](t, w.admin, "POST", "/users/"+u.ID+"/deactivate", nil)
		want := []string{e.project + "/dev:/OWNED", e.project + "/dev:/db/ELSEWHERE", e.project + "/prod:/TOKEN"}
		slices.Sort(want)
		if got := keysOf(left.Tasks); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		p.do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		token.do(t, "GET", e.path(), nil).refused(t, "unauthenticated")
		w.login(t, u.Email, testPassword, "").refused(t, "unauthenticated")

		// Each task finds its owner, who closes it by a rotation.
		mine := get[api.Tasks](t, owner, "/tasks").Tasks
		if len(mine) != 1 || mine[0].Key != "/OWNED" || mine[0].Leaver != u.Email || mine[0].Version != 1 {
			t.Fatalf("%+v", mine)
		}
		owner.do(t, "GET", "/tasks?all=true", nil).refused(t, "denied")
		owner.do(t, "POST", "/tasks/"+mine[0].ID+"/dismiss", api.DismissRequest{Reason: "a test"}).refused(t, "not_found")
		e.as(owner).commit(t, set("/", "OWNED", "test-value-2"))
		if mine = get[api.Tasks](t, owner, "/tasks").Tasks; len(mine) != 0 {
			t.Errorf("%+v", mine)
		}
		if mine = get[api.Tasks](t, owner, "/tasks?closed=true").Tasks; len(mine) != 1 || mine[0].Outcome != "rotated" || mine[0].ClosedAt == nil {
			t.Errorf("%+v", mine)
		}

		// Or somebody says why not, and that stays so when the list is made again.
		open := get[api.Tasks](t, w.admin, "/users/"+u.ID+"/tasks").Tasks
		for _, task := range open {
			if task.Key == "/TOKEN" {
				w.admin.do(t, "POST", "/tasks/"+task.ID+"/dismiss", api.DismissRequest{}).refused(t, "invalid", "/reason")
				send[api.Done](t, w.admin, "POST", "/tasks/"+task.ID+"/dismiss", api.DismissRequest{Reason: "it was a dummy"})
			}
		}
		again := send[api.Tasks](t, w.admin, "POST", "/users/"+u.ID+"/deactivate", nil)
		if got := keysOf(again.Tasks); !slices.Equal(got, []string{e.project + "/dev:/db/ELSEWHERE"}) {
			t.Errorf("%v", got)
		}

		// Erased, he has no name any more; the log still verifies.
		send[api.Done](t, w.admin, "POST", "/users/"+u.ID+"/erase", nil)
		got := get[api.Profile](t, w.admin, "/users/"+u.ID)
		if got.Name != "erased" || got.Email == u.Email || got.ErasedAt == nil {
			t.Errorf("%+v", got)
		}
		w.admin.do(t, "PATCH", "/users/"+u.ID, api.EnabledRequest{}).refused(t, "conflict", "erased")
		send[api.User](t, w.admin, "POST", "/users", api.UserRequest{Email: u.Email, Password: testPassword})
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the deep verification found %+v", v.Problems)
		}
	})
}

func TestADeactivatedPersonsTokenIsRefusedOnTheOtherServer(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e := a.project(t)
	p, u := a.userID(t, api.GrantRequest{Project: e.project, Role: "developer"})
	token := p.scoped(t, e.project, "dev:/:*")
	there := func(p person) person {
		p.url = b.admin.url
		return p
	}
	eventually(t, heardWithin, "the other server knows the person", func() bool {
		return there(p).do(t, "GET", "/whoami", nil).status == 200 && there(token).do(t, "GET", e.path(), nil).status == 200
	})
	send[api.Tasks](t, a.admin, "POST", "/users/"+u.ID+"/deactivate", nil)
	eventually(t, heardWithin, "the other server refuses both", func() bool {
		return there(p).do(t, "GET", "/whoami", nil).status == 401 && there(token).do(t, "GET", e.path(), nil).status == 401
	})
}

package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

func enter(t *testing.T, p person, name, share string) reply {
	t.Helper()
	return p.do(t, "POST", "/break-glass/"+name+"/share", api.BreakGlassEntry{Share: share})
}

// openGlass opens a credential with the shares of its first custodians, the first of whom takes the session.
func openGlass(t *testing.T, g api.BreakGlassMade, custodians ...person) string {
	t.Helper()
	send[api.BreakGlass](t, custodians[0], "POST", "/break-glass/"+g.Name+"/open", api.BreakGlassOpen{Reason: "payments are down"})
	for i, p := range custodians {
		var b api.BreakGlass
		enter(t, p, g.Name, g.Shares[i].Share).fits(t, &b)
	}
	return send[api.Session](t, custodians[0], "POST", "/break-glass/"+g.Name+"/session", nil).Token
}

// glass is a credential for an environment with three custodians, who have no rights there.
type glass struct {
	env
	made   api.BreakGlassMade
	people []person
	ids    []string
}

func (w *world) glass(t *testing.T, ttl string) *glass {
	t.Helper()
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value-a"), set("/", "B", "test-value-b"), set("/", "C", "test-value-c"))
	g := &glass{env: e}
	for range 3 {
		p, u := w.userID(t)
		g.people, g.ids = append(g.people, p), append(g.ids, u.ID)
	}
	g.made = g.prepare(t, w.admin, w.fresh("glass-"), ttl)
	return g
}

func (g *glass) prepare(t *testing.T, admin person, name, ttl string) api.BreakGlassMade {
	t.Helper()
	return send[api.BreakGlassMade](t, admin, "POST", "/break-glass", api.BreakGlassRequest{Name: name, Role: "developer", Project: g.project, Env: g.name, For: ttl, Custodians: g.ids, Need: 2})
}

func TestBreakGlassFromOpeningToReport(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.glass(t, "1h")
		name := g.made.Name
		g.as(g.people[0]).ask(t, "/", "A").refused(t, "not_found")
		token := openGlass(t, g.made, g.people[0], g.people[1])
		s := g.as(w.admin.with(token))
		if v := s.value(t, "/", "A"); v != "test-value-a" {
			t.Fatalf("A is %s", v)
		}
		s.list(t, "/", "reveal", "true", "only", "B")
		s.commit(t, set("/", "NEW", "test-value-new"))
		if got := s.do(t, "POST", "/break-glass/"+name+"/close", nil); got.status != 403 && got.status != 404 { // it cannot touch itself
			t.Errorf("the session closed itself: %d", got.status)
		}
		g.as(g.people[0]).ask(t, "/", "A").refused(t, "not_found") // his own login has nothing of it

		send[api.BreakGlass](t, g.people[1], "POST", "/break-glass/"+name+"/close", nil)
		s.ask(t, "/", "A").refused(t, "unauthenticated")
		r := get[api.BreakGlassReport](t, g.people[2], "/break-glass/"+name+"/report")
		var names []string
		for _, task := range r.Tasks {
			names = append(names, task.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != "A B NEW" || r.OpenTasks != 3 || r.Opening.Reason != "payments are down" || len(r.Opening.Entered) != 2 {
			t.Errorf("the report has tasks for %s, and says %+v", got, r)
		}
		actions := map[string]bool{}
		for _, a := range r.Acts {
			actions[a.Action] = true
		}
		if !actions["breakglass.read"] || !actions["secret.write"] || actions["secret.read"] {
			t.Errorf("the report has %v", actions)
		}
		logged := map[string]bool{}
		for _, e := range wholeLog(t, w.admin) {
			logged[e.Action] = true
		}
		for _, step := range []string{"prepare", "begin", "share", "open", "read", "close", "report"} {
			if !logged["breakglass."+step] {
				t.Errorf("the log has no breakglass.%s", step)
			}
		}

		// A new value does what is due; what was set in the session itself was known to its holder.
		if n := len(get[api.BreakGlassTasks](t, w.admin, "/break-glass-tasks").Tasks); n != 3 {
			t.Errorf("%d tasks", n)
		}
		g.commit(t, set("/", "A", "test-value-fresh"))
		left := get[api.BreakGlassTasks](t, w.admin, "/break-glass-tasks").Tasks
		if len(left) != 2 {
			t.Errorf("%d tasks are left", len(left))
		}
		due := get[api.Found](t, w.admin, "/due?project="+g.project)
		if len(due.Secrets) != 2 {
			t.Errorf("due are %+v", due.Secrets)
		}
		send[api.Done](t, w.admin, "POST", "/break-glass-tasks/"+left[0].ID+"/done", nil)
		if n := len(get[api.BreakGlassTasks](t, w.admin, "/break-glass-tasks").Tasks); n != 1 {
			t.Errorf("%d tasks are left", n)
		}
		if n := len(get[api.BreakGlassTasks](t, g.people[2], "/break-glass-tasks").Tasks); n != 0 {
			t.Errorf("somebody who sees no names sees %d tasks", n)
		}

		// It is used up.
		g.people[0].do(t, "POST", "/break-glass/"+name+"/open", api.BreakGlassOpen{Reason: "again"}).refused(t, "conflict")
	})
}

func TestTooFewWrongOrOldSharesOpenNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.glass(t, "1h")
		name, shares := g.made.Name, g.made.Shares
		enter(t, g.people[0], name, shares[0].Share).refused(t, "conflict") // nobody has begun
		open := func() {
			send[api.BreakGlass](t, g.people[0], "POST", "/break-glass/"+name+"/open", api.BreakGlassOpen{Reason: "x"})
		}
		open()
		session := func(kind string) { g.people[0].do(t, "POST", "/break-glass/"+name+"/session", nil).refused(t, kind) }
		session("conflict")
		enter(t, g.people[0], name, shares[0].Share).fits(t, &api.BreakGlass{})
		enter(t, g.people[0], name, shares[0].Share).refused(t, "exists") // the same again
		enter(t, g.people[0], name, shares[1].Share).refused(t, "denied") // another one's
		enter(t, g.people[1], name, shares[0].Share).refused(t, "denied") // entered by somebody else
		enter(t, g.people[1], name, "ktg_test-value").refused(t, "denied")
		enter(t, w.user(t), name, shares[1].Share).refused(t, "not_found") // no custodian
		enter(t, w.admin, name, shares[1].Share).refused(t, "denied")
		scoped := w.admin.scoped(t, g.project, "dev:/:*")
		enter(t, scoped, name, shares[1].Share).refused(t, "not_found")
		session("conflict")

		// Prepared anew, shares of before are good for nothing, and what was entered counts no more.
		fresh := g.prepare(t, w.admin, name, "1h")
		enter(t, g.people[1], name, shares[1].Share).refused(t, "conflict")
		open()
		enter(t, g.people[1], name, shares[1].Share).refused(t, "denied")
		enter(t, g.people[1], name, fresh.Shares[1].Share).fits(t, &api.BreakGlass{})
		session("conflict")
		enter(t, g.people[2], name, fresh.Shares[2].Share).fits(t, &api.BreakGlass{})
		enter(t, g.people[0], name, fresh.Shares[0].Share).refused(t, "conflict") // it is open
		g.people[1].do(t, "POST", "/break-glass/"+name+"/session", nil).refused(t, "denied")
		send[api.Session](t, g.people[0], "POST", "/break-glass/"+name+"/session", nil)
		session("conflict") // once
		w.admin.do(t, "POST", "/break-glass", api.BreakGlassRequest{Name: name, Role: "developer", Project: g.project, For: "1h", Custodians: g.ids, Need: 2}).refused(t, "conflict")
	})
}

func TestABreakGlassSessionChangesNeitherAccessNorItself(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/", "A", "test-value-a"))
		var ids []string
		var people []person
		for range 2 {
			p, u := w.userID(t, api.GrantRequest{Role: "admin"})
			people, ids = append(people, p), append(ids, u.ID)
		}
		made := send[api.BreakGlassMade](t, w.admin, "POST", "/break-glass", api.BreakGlassRequest{Name: w.fresh("glass-"), Role: "admin", For: "1h", Custodians: ids, Need: 2, Project: e.project})
		s := w.admin.with(openGlass(t, made, people[0], people[1]))
		e.as(s).value(t, "/", "A")
		for _, try := range []struct {
			method, path string
			body         any
		}{
			{"POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1h"}},
			{"POST", "/grants", api.GrantRequest{Kind: "user", Principal: ids[0], Project: e.project, Role: "admin"}},
			{"POST", "/users", api.UserRequest{Email: "x@example.test", Password: testPassword}},
			{"POST", "/identities", api.IdentityRequest{Name: "x"}},
			{"POST", "/break-glass", api.BreakGlassRequest{Name: "other", Role: "admin", Project: e.project, For: "1h", Custodians: ids, Need: 2}},
			{"PUT", e.path() + "/approval", api.Approval{Need: 1}},
			{"DELETE", e.path(), nil},
			{"POST", "/access-requests", api.AccessAsked{Role: "admin", For: "1h", Reason: "x"}},
			{"GET", "/audit/entries", nil},
			{"POST", "/backups", nil},
		} {
			if got := s.do(t, try.method, try.path, try.body); got.status != 403 && got.status != 404 {
				t.Errorf("%s %s: status %d: %s", try.method, try.path, got.status, got.body)
			}
		}
	})
}

func TestABreakGlassSessionEndsInTheMiddle(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.glass(t, "3s")
		s := g.as(w.admin.with(openGlass(t, g.made, g.people[0], g.people[1])))
		s.value(t, "/", "A")
		eventually(t, 20*time.Second, "the session ends by itself", func() bool { return s.ask(t, "/", "A").status == 401 })
		eventually(t, 20*time.Second, "its report is filed", func() bool {
			return g.people[0].do(t, "GET", "/break-glass/"+g.made.Name+"/report", nil).status == 200
		})
		r := get[api.BreakGlassReport](t, g.people[0], "/break-glass/"+g.made.Name+"/report")
		if r.ClosedBy != "time" || len(r.Tasks) != 1 || r.Tasks[0].Name != "A" {
			t.Errorf("the report says %+v", r)
		}
	})
}

// A server that dies while a credential is open leaves it to the next one to close it and to file the report.
func TestWhatWasOpenAtACrashIsClosedByTheNextServer(t *testing.T) {
	data := t.TempDir()
	first := keyturntest.Start(t, keyturntest.WithData(data))
	w := newWorld(first)
	g := w.glass(t, "2s")
	token := openGlass(t, g.made, g.people[0], g.people[1])
	g.as(w.admin.with(token)).value(t, "/", "A")
	first.Stop()
	second := keyturntest.Bare(t, keyturntest.WithData(data))
	moved := func(p person) person { p.url = second.URL; return p }
	eventually(t, 20*time.Second, "the report is filed", func() bool {
		return moved(g.people[0]).do(t, "GET", "/break-glass/"+g.made.Name+"/report", nil).status == 200
	})
	got := moved(w.admin.with(token)).do(t, "GET", g.path()+"/secrets/A", nil)
	got.refused(t, "unauthenticated")
	r := get[api.BreakGlassReport](t, moved(g.people[0]), "/break-glass/"+g.made.Name+"/report")
	if len(r.Tasks) != 1 || r.ClosedBy != "time" {
		b, _ := json.Marshal(r)
		t.Errorf("the report says %s", b)
	}
}

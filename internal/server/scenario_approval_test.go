package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/httpapi"
)

// watched is an environment whose changes need one other, with people who may write it.
type watched struct {
	env
	author, second, third person
	authorID, secondID    api.User
}

func (w *world) watched(t *testing.T, need int64) watched {
	t.Helper()
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value-1"), set("/", "B", "test-value-b"), set("/back", "C", "test-value-c"))
	role := api.GrantRequest{Project: e.project, Role: "developer"}
	g := watched{env: e}
	g.author, g.authorID = w.userID(t, role)
	g.second, g.secondID = w.userID(t, role)
	g.third = w.user(t, role)
	send[api.Approval](t, w.admin, "PUT", e.path()+"/approval", api.Approval{Need: need})
	return g
}

// again gives another environment with the same people: passwords take long to make.
func (g watched) again(t *testing.T, w *world) watched {
	t.Helper()
	g.env = w.project(t)
	g.commit(t, set("/", "A", "test-value-1"), set("/", "B", "test-value-b"), set("/back", "C", "test-value-c"))
	for _, id := range []string{g.authorID.ID, g.secondID.ID} {
		send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "user", Principal: id, Project: g.project, Role: "developer"})
	}
	send[api.Approval](t, w.admin, "PUT", g.path()+"/approval", api.Approval{Need: 1})
	return g
}

// waiting checks that an answer is a change that waits.
func waiting(t *testing.T, r reply) api.ChangeSet {
	t.Helper()
	var w api.Waiting
	if r.status != http.StatusAccepted {
		t.Fatalf("%s: status %d: %s", r.what, r.status, r.body)
	}
	r.fits(t, &w)
	return *w.ChangeSet
}

func (g watched) propose(t *testing.T, changes ...api.Change) api.ChangeSet {
	t.Helper()
	return waiting(t, g.as(g.author).attempt(t, changes...))
}

func approve(t *testing.T, p person, c api.ChangeSet) reply {
	t.Helper()
	return p.do(t, "POST", "/changes/"+c.ID+"/approve", api.ReviewRequest{Digest: c.Digest})
}

// becomes checks that an answer is a change set in a state.
func becomes(t *testing.T, r reply, state string) api.ChangeSet {
	t.Helper()
	var c api.ChangeSet
	r.fits(t, &c)
	if c.State != state {
		t.Fatalf("%s: state %s (%s), want %s", r.what, c.State, c.Problem, state)
	}
	return c
}

func TestChangesWaitForOthersAndAreAppliedWithTheLastApproval(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 2)
		before := g.state(t)
		c := g.propose(t, set("/", "A", "test-value-2"), set("/new", "D", "test-value-d"), remove("/", "B"), rename("/back", "C", "CC"), api.Change{Op: "set", Path: "/", Name: "MADE", Generate: 24},
			api.Change{Op: "copy", Path: "/copied", From: &api.Place{Path: "/", Name: "A"}})
		same(t, "while it waits", g.state(t), before)
		if becomes(t, approve(t, g.second, c), "open").Approvals != 1 {
			t.Error("the first approval does not count")
		}
		becomes(t, approve(t, g.second, c), "open") // again: still one
		same(t, "after one of two", g.state(t), before)
		done := becomes(t, approve(t, g.third, c), "applied")
		for key, want := range map[string]string{"/A": "test-value-2", "/new/D": "test-value-d", "/back/CC": "test-value-c", "/copied/A": "test-value-2"} {
			i := strings.LastIndexByte(key, '/')
			if got := g.value(t, key[:max(i, 1)], key[i+1:]); got != want {
				t.Errorf("%s is %s, want %s", key, got, want)
			}
		}
		if made := g.value(t, "/", "MADE"); len(made) != 24 {
			t.Errorf("the generated value has %d characters", len(made))
		}
		g.ask(t, "/", "B").refused(t, "not_found")
		log := get[api.Commits](t, g.admin(w), g.path()+"/commits?limit=1").Commits[0]
		if log.AuthorID != g.authorID.ID || !strings.HasPrefix(log.Cause, "approved by ") || !strings.Contains(log.Cause, g.secondID.Email) || log.Revision != done.Revision {
			t.Errorf("the commit says %+v", log)
		}
		approve(t, g.third, c).refused(t, "conflict")
	})
}

func (g watched) admin(w *world) person { return w.admin }

func TestNobodyApprovesHisOwnChange(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		c := g.propose(t, set("/", "A", "test-value-2"))
		approve(t, g.author, c).refused(t, "denied")
		approve(t, g.author.scoped(t, g.project, "dev:/:*"), c).refused(t, "denied") // his token
		machine := w.machine(t, api.GrantRequest{Project: g.project, Role: "admin"})
		approve(t, machine, c).refused(t, "denied") // a machine, whoever has its secret
		viewer := w.user(t, api.GrantRequest{Project: g.project, Role: "viewer"})
		approve(t, viewer, c).refused(t, "denied") // cannot write what changes
		approve(t, w.user(t), c).refused(t, "not_found")
		g.author.do(t, "POST", "/changes/"+c.ID+"/link", nil).refused(t, "denied")

		// What he edits is another content: approvals of the first do not count for it, and cannot be sent again.
		edited := send[api.ChangeSet](t, g.author, "PUT", "/changes/"+c.ID, api.CommitRequest{Changes: []api.Change{set("/", "A", "test-value-evil")}})
		if edited.Digest == c.Digest {
			t.Fatal("another content has the same digest")
		}
		approve(t, g.second, c).refused(t, "conflict")
		g.second.do(t, "PUT", "/changes/"+c.ID, api.CommitRequest{Changes: []api.Change{set("/", "A", "mine")}}).refused(t, "denied")
		if v := g.value(t, "/", "A"); v != "test-value-1" {
			t.Errorf("A is %s", v)
		}
		becomes(t, approve(t, g.second, edited), "applied")
	})
}

func TestEditingDropsApprovals(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 2)
		c := g.propose(t, set("/", "A", "test-value-2"))
		becomes(t, approve(t, g.second, c), "open")
		edited := send[api.ChangeSet](t, g.author, "PUT", "/changes/"+c.ID, api.CommitRequest{Changes: []api.Change{set("/", "A", "test-value-3")}})
		if edited.Approvals != 0 {
			t.Fatal("an approval of something else counts")
		}
		if becomes(t, approve(t, g.third, edited), "open").Approvals != 1 {
			t.Fatal("the old approval counts again")
		}
		becomes(t, approve(t, g.second, edited), "applied")
	})
}

func TestWhatMovedMeanwhileMakesAChangeStale(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		first, second, other := g.propose(t, set("/", "A", "test-value-2")), g.propose(t, set("/", "A", "test-value-3")), g.propose(t, set("/", "B", "test-value-4"))
		becomes(t, approve(t, g.second, first), "applied")
		becomes(t, approve(t, g.second, other), "applied") // it touches nothing that moved
		stale := becomes(t, approve(t, g.second, second), "stale")
		if v := g.value(t, "/", "A"); v != "test-value-2" {
			t.Fatalf("a stale change was applied: A is %s", v)
		}
		approve(t, g.third, second).refused(t, "conflict")
		based := send[api.ChangeSet](t, g.author, "POST", "/changes/"+stale.ID+"/rebase", nil)
		approve(t, g.second, second).refused(t, "conflict") // the digest of before
		becomes(t, approve(t, g.second, based), "applied")
		if v := g.value(t, "/", "A"); v != "test-value-3" {
			t.Errorf("A is %s", v)
		}
	})
}

// A copy is pinned to what was looked at: its source may be written by people who may not write here.
func TestACopyBringsWhatWasReviewed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		staging := g.in("staging")
		staging.commit(t, set("/", "S", "test-value-good"))
		c := g.propose(t, api.Change{Op: "copy", Path: "/", To: "S", From: &api.Place{Env: "staging", Path: "/", Name: "S"}})
		staging.commit(t, set("/", "S", "test-value-bad"))
		d := get[api.Diff](t, g.second, "/changes/"+c.ID+"/diff?reveal=true")
		if len(d.Differences) != 1 || d.Differences[0].To.Value.Value != "test-value-good" {
			t.Errorf("the reviewer sees %+v", d)
		}
		becomes(t, approve(t, g.second, c), "applied")
		if v := g.value(t, "/", "S"); v != "test-value-good" {
			t.Errorf("S is %s", v)
		}
	})
}

func TestRightsAreLookedAtAgainWhenAChangeIsApplied(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 2)
		c := g.propose(t, set("/", "A", "test-value-2"))
		becomes(t, approve(t, g.second, c), "open")
		send[api.Done](t, w.admin, "PATCH", "/users/"+g.secondID.ID, api.EnabledRequest{Disabled: true})
		if becomes(t, approve(t, g.third, c), "open").Approvals != 1 {
			t.Error("the approval of somebody who is gone counts")
		}
		send[api.Done](t, w.admin, "PATCH", "/users/"+g.authorID.ID, api.EnabledRequest{Disabled: true})
		becomes(t, approve(t, w.admin, c), "stale") // its author is gone
		if v := g.value(t, "/", "A"); v != "test-value-1" {
			t.Errorf("A is %s", v)
		}
	})
}

func TestReviewersSeeValuesOnlyWhereTheyMayRead(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		c := g.propose(t, set("/", "A", "test-value-2"))
		viewer := w.user(t, api.GrantRequest{Project: g.project, Role: "viewer"})
		viewer.do(t, "GET", "/changes/"+c.ID+"/diff?reveal=true", nil).refused(t, "denied")
		d := get[api.Diff](t, viewer, "/changes/"+c.ID+"/diff")
		if len(d.Differences) != 1 || d.Differences[0].Name != "A" || d.Differences[0].To.Value != nil {
			t.Errorf("the viewer sees %+v", d)
		}
		d = get[api.Diff](t, g.second, "/changes/"+c.ID+"/diff?reveal=true")
		if x := d.Differences[0]; x.From.Value.Value != "test-value-1" || x.To.Value.Value != "test-value-2" {
			t.Errorf("the reviewer sees %+v", x)
		}
		stranger := w.user(t)
		if n := len(get[api.ChangeSets](t, stranger, "/changes").Changes); n != 0 {
			t.Errorf("a stranger sees %d changes", n)
		}
		if n := len(get[api.ChangeSets](t, viewer, "/changes?project="+g.project).Changes); n != 1 {
			t.Errorf("a viewer sees %d changes", n)
		}
	})
}

func TestRejectingAndWithdrawingEndAChange(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		c := g.propose(t, set("/", "A", "test-value-2"))
		g.second.do(t, "POST", "/changes/"+c.ID+"/comments", api.CommentRequest{Comment: "why?"}).fits(t, &c)
		g.second.do(t, "POST", "/changes/"+c.ID+"/withdraw", nil).refused(t, "denied")
		becomes(t, g.second.do(t, "POST", "/changes/"+c.ID+"/reject", api.ReviewRequest{Digest: c.Digest, Comment: "no"}), "rejected")
		approve(t, g.third, c).refused(t, "conflict")
		again := g.propose(t, set("/", "A", "test-value-2"))
		becomes(t, g.author.do(t, "POST", "/changes/"+again.ID+"/withdraw", nil), "withdrawn")
		approve(t, g.second, again).refused(t, "conflict")
		g.second.do(t, "GET", "/changes/"+again.ID+"/diff?reveal=true", nil).refused(t, "not_found") // what it held is destroyed
	})
}

func TestALinkApprovesOnceAndOnlyWhatItWasMadeFor(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		nobody := w.admin.with("")
		c := g.propose(t, set("/", "A", "test-value-2"))
		link := send[api.ReviewLink](t, g.second, "POST", "/changes/"+c.ID+"/link", nil)
		nobody.do(t, "POST", "/change-links/show", api.ReviewLinkRequest{Token: "ktv_test-value"}).refused(t, "unauthenticated")
		g.second.with(link.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated") // it is no login
		for range 3 {
			if shown := send[api.ChangeSet](t, nobody, "POST", "/change-links/show", api.ReviewLinkRequest{Token: link.Token}); shown.State != "open" {
				t.Fatalf("showing made it %s", shown.State)
			}
		}
		edited := send[api.ChangeSet](t, g.author, "PUT", "/changes/"+c.ID, api.CommitRequest{Changes: []api.Change{set("/", "A", "test-value-evil")}})
		nobody.do(t, "POST", "/change-links/approve", api.ReviewLinkRequest{Token: link.Token}).refused(t, "unauthenticated")
		nobody.do(t, "POST", "/change-links/show", api.ReviewLinkRequest{Token: link.Token}).refused(t, "unauthenticated")
		fresh := send[api.ReviewLink](t, g.second, "POST", "/changes/"+edited.ID+"/link", nil)
		becomes(t, nobody.do(t, "POST", "/change-links/approve", api.ReviewLinkRequest{Token: fresh.Token}), "applied")
		nobody.do(t, "POST", "/change-links/approve", api.ReviewLinkRequest{Token: fresh.Token}).refused(t, "unauthenticated")

		gone := g.propose(t, set("/", "A", "test-value-3"))
		last := send[api.ReviewLink](t, g.second, "POST", "/changes/"+gone.ID+"/link", nil)
		send[api.Done](t, w.admin, "PATCH", "/users/"+g.secondID.ID, api.EnabledRequest{Disabled: true})
		nobody.do(t, "POST", "/change-links/approve", api.ReviewLinkRequest{Token: last.Token}).refused(t, "unauthenticated")
	})
}

func TestNamedApproversAndMachinesThatWaitForNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		rotation, id, _ := w.machineID(t, api.GrantRequest{Project: e.project, Role: "developer"})
		author := w.user(t, api.GrantRequest{Project: e.project, Role: "developer"})
		named, who := w.userID(t, api.GrantRequest{Project: e.project, Role: "viewer"})
		other := w.user(t, api.GrantRequest{Project: e.project, Role: "developer"})
		send[api.Approval](t, w.admin, "PUT", e.path()+"/approval", api.Approval{Need: 1, Approvers: []api.Approver{{Kind: "user", ID: who.ID}}, Bypass: []string{id.ID}})
		if out := e.as(rotation).commit(t, set("/", "R", "test-value")); out.Revision != 1 {
			t.Errorf("the machine that is named waits: %+v", out)
		}
		c := waiting(t, e.as(author).attempt(t, set("/", "A", "test-value")))
		approve(t, other, c).refused(t, "denied")
		approve(t, w.admin, c).refused(t, "denied")
		becomes(t, approve(t, named, c), "applied")
		w.admin.do(t, "PUT", e.path()+"/approval", api.Approval{Need: 1, Approvers: []api.Approver{{Kind: "identity", ID: id.ID}}}).refused(t, "invalid")
	})
}

func TestTheRuleItselfIsChangedOnlyWithApproval(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		admin := w.user(t, api.GrantRequest{Project: g.project, Role: "admin"})
		c := waiting(t, admin.do(t, "PUT", g.path()+"/approval", api.Approval{Need: 0}))
		approve(t, admin, c).refused(t, "denied")
		g.propose(t, set("/", "A", "still waits"))
		becomes(t, approve(t, w.admin, c), "applied")
		g.as(g.author).commit(t, set("/", "A", "at once"))
	})
}

// guardedRoutes is every route that changes what an environment holds, or whether it is there, with how to call it. Routes
// below an environment or project that are not here must stand in harmless.
var guardedRoutes = map[string]func(t *testing.T, w *world, g watched) reply{
	"POST /projects/{project}/envs/{env}/commits": func(t *testing.T, w *world, g watched) reply {
		return g.as(w.admin).attempt(t, api.Change{Op: "folder.move", Path: "/back", ToPath: "/front"}, api.Change{Op: "folder.delete", Path: "/front"}, remove("/", "A"))
	},
	"POST /projects/{project}/envs/{env}/rollback": func(t *testing.T, w *world, g watched) reply {
		return w.admin.do(t, "POST", g.path()+"/rollback", api.RollbackRequest{To: 0})
	},
	"POST /projects/{project}/envs/{env}/secrets/purge": func(t *testing.T, w *world, g watched) reply {
		becomes(t, approve(t, g.second, g.propose(t, remove("/", "B"))), "applied")
		return w.admin.do(t, "POST", g.path()+"/secrets/purge", api.PurgeRequest{Path: "/", Name: "B"})
	},
	"PUT /projects/{project}/envs/{env}/approval": func(t *testing.T, w *world, g watched) reply {
		return w.admin.do(t, "PUT", g.path()+"/approval", api.Approval{Need: 0})
	},
	"PATCH /projects/{project}/envs/{env}": func(t *testing.T, w *world, g watched) reply {
		return w.admin.do(t, "PATCH", g.path(), api.RenameRequest{Slug: "elsewhere"})
	},
	"DELETE /projects/{project}/envs/{env}": func(t *testing.T, w *world, g watched) reply { return w.admin.do(t, "DELETE", g.path(), nil) },
	"POST /projects/{project}/envs/{env}/restore": func(t *testing.T, w *world, g watched) reply {
		becomes(t, approve(t, g.deleter(t, w), waiting(t, w.admin.do(t, "DELETE", g.path(), nil))), "applied")
		return w.admin.do(t, "POST", g.path()+"/restore", nil)
	},
	"POST /projects/{project}/envs/{env}/purge": func(t *testing.T, w *world, g watched) reply {
		becomes(t, approve(t, g.deleter(t, w), waiting(t, w.admin.do(t, "DELETE", g.path(), nil))), "applied")
		return w.admin.do(t, "POST", g.path()+"/purge", nil)
	},
	"POST /projects/{project}/envs/{env}/jwt/rotate": func(t *testing.T, w *world, g watched) reply {
		return w.admin.do(t, "POST", g.path()+"/jwt/rotate", api.JWTRotation{Path: "/", Name: "A", Lifetime: "1h"})
	},
	"DELETE /projects/{project}": func(t *testing.T, w *world, g watched) reply {
		return w.admin.do(t, "DELETE", "/projects/"+g.project, nil)
	},
}

func (g watched) deleter(t *testing.T, w *world) person { return g.second }

// harmless are writes that change nothing of what others get from an environment that is there.
var harmless = map[string]string{
	"PUT /projects/{project}/envs/{env}/personal":           "a value of one's own",
	"DELETE /projects/{project}/envs/{env}/personal/{name}": "a value of one's own",
	"POST /projects/{project}/freeze":                       "stops changes and makes none",
	"DELETE /projects/{project}/freeze":                     "lets changes be made, which wait then",
	"PATCH /projects/{project}":                             "the name of the project; references follow",
	"POST /projects/{project}/envs":                         "another environment",
	"POST /projects/{project}/restore":                      "brings a project back as it was; none is deleted while it holds a guarded environment",
	"POST /projects/{project}/purge":                        "none is deleted while it holds a guarded environment, and a deleted one keeps the project from being purged",
}

func TestNoRouteChangesAGuardedEnvironmentAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		first := w.watched(t, 1)
		for _, route := range httpapi.Routes() {
			key := route.Method + " " + route.Path
			call, known := guardedRoutes[key]
			switch {
			case route.Method == "GET" || !strings.Contains(route.Path, "/{project}"):
				continue
			case !known && harmless[key] == "":
				t.Errorf("%s may change a guarded environment: say how it waits, or why it need not", key)
				continue
			case !known:
				continue
			}
			g := first.again(t, w)
			got := call(t, w, g)
			if got.status == http.StatusAccepted {
				if c := waiting(t, got); c.State != "open" {
					t.Errorf("%s: %s", key, c.State)
				}
			} else {
				got.refused(t, "conflict")
			}
			deleted := slices.ContainsFunc([]string{"/restore", "/purge"}, func(s string) bool { return strings.HasSuffix(key, "{env}"+s) })
			w.admin.do(t, "GET", g.path(), nil)
			if deleted {
				w.admin.do(t, "GET", g.path(), nil).refused(t, "not_found")
				continue
			}
			if v := g.value(t, "/", "A"); v != "test-value-1" {
				t.Errorf("%s: A is %s", key, v)
			}
		}
	})
}

func TestProjectsAreNotPurgedRoundAGuardedEnvironment(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		becomes(t, approve(t, g.second, waiting(t, w.admin.do(t, "DELETE", g.path(), nil))), "applied")
		send[api.Done](t, w.admin, "DELETE", "/projects/"+g.project, nil)
		w.admin.do(t, "POST", "/projects/"+g.project+"/purge", nil).refused(t, "conflict")
	})
}

func TestAnExpiredChangeIsNotApproved(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 0)
		send[api.Approval](t, w.admin, "PUT", g.path()+"/approval", api.Approval{Need: 1, Expiry: "1s"})
		c := g.propose(t, set("/", "A", "test-value-2"))
		link := g.second.do(t, "POST", "/changes/"+c.ID+"/link", nil)
		eventually(t, 10*time.Second, "it has expired", func() bool { return get[api.ChangeSet](t, g.second, "/changes/"+c.ID).State == "expired" })
		approve(t, g.second, c).refused(t, "expired")
		var l api.ReviewLink
		link.fits(t, &l)
		w.admin.with("").do(t, "POST", "/change-links/approve", api.ReviewLinkRequest{Token: l.Token}).refused(t, "unauthenticated")
		g.author.do(t, "POST", "/changes/"+c.ID+"/rebase", nil).refused(t, "expired")
		if n := len(get[api.ChangeSets](t, g.second, "/changes?project="+g.project).Changes); n != 0 {
			t.Errorf("%d changes are listed as waiting", n)
		}
	})
}

// What waits lies sealed, and moves to a new key with everything else.
func TestATurnOfKeysTakesWaitingChangesAlong(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		g := w.watched(t, 1)
		long := strings.Repeat("x", 60<<10)
		var changes []api.Change
		for i := range 40 { // more than one envelope holds
			changes = append(changes, set("/", fmt.Sprintf("LONG_%d", i), long))
		}
		c := g.propose(t, changes...)
		turn := send[api.KeyRotated](t, w.admin, "POST", "/keys/rotations", api.KeyRotation{Layer: "project", Project: g.project}).Turns[0]
		eventually(t, turnsWithin, "the turn has ended", func() bool { return get[api.KeyTurn](t, w.admin, "/keys/turns/"+turn.ID).Stage == "done" })
		for _, count := range get[api.KeyCensus](t, w.admin, "/keys/census").Counts {
			if count.Where == "change_part.value" && count.KeyID == turn.Old && count.Count > 0 {
				t.Errorf("%d envelopes of changes lie under the old key", count.Count)
			}
		}
		becomes(t, approve(t, g.second, c), "applied")
		if v := g.value(t, "/", "LONG_39"); v != long {
			t.Errorf("the value has %d bytes", len(v))
		}
		wholeLogFits(t, w)
	})
}

// wholeLogFits checks log and data against each other.
func wholeLogFits(t *testing.T, w *world) {
	t.Helper()
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) > 0 {
		t.Errorf("log and data differ: %+v", v.Problems)
	}
}

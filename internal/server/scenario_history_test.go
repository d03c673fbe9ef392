package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/keyturn/keyturn/api"
)

func TestHistoryCanBeReadComparedAndPutBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("read by version and at a revision", func(t *testing.T) { readsThePast(t, w.project(t)) })
		t.Run("diff", func(t *testing.T) { diffs(t, w.project(t)) })
		t.Run("roll back an environment", func(t *testing.T) { rollsBackAll(t, w.project(t)) })
		t.Run("roll back one secret", func(t *testing.T) { rollsBackOne(t, w.project(t)) })
		t.Run("roll back a folder", func(t *testing.T) { rollsBackAFolder(t, w.project(t)) })
		t.Run("roll back swaps", func(t *testing.T) { rollsBackSwaps(t, w.project(t)) })
		t.Run("references follow a roll back", func(t *testing.T) { rollsBackReferences(t, w.project(t)) })
		t.Run("roll backs that are refused", func(t *testing.T) { refusesRollBacks(t, w.project(t)) })
		t.Run("delete and restore secrets and folders", func(t *testing.T) { restores(t, w.project(t)) })
		t.Run("delete and restore environments and projects", func(t *testing.T) { restoresWholes(t, w) })
		t.Run("purge", func(t *testing.T) { purges(t, w.project(t)) })
		t.Run("purge environments and projects", func(t *testing.T) { purgesWholes(t, w) })
	})
}

func (e env) back(t tb, r api.RollbackRequest) api.Committed {
	t.Helper()
	return send[api.Committed](t, e.person, "POST", e.path()+"/rollback", r)
}

func (e env) refusedBack(t tb, r api.RollbackRequest, kind string, words ...string) {
	t.Helper()
	e.do(t, "POST", e.path()+"/rollback", r).refused(t, kind, words...)
}

func readsThePast(t *testing.T, e env) {
	for i := 1; i <= 4; i++ {
		change := set("/", "A", fmt.Sprint("test-value-", i))
		change.Comment = ptr(fmt.Sprint("comment ", i))
		e.commit(t, change)
	}
	e.commit(t, rename("/", "A", "B"))
	e.commit(t, move("/", "B", "/x"))
	for i := 1; i <= 4; i++ {
		if s := e.secret(t, "/x", "B", "version", fmt.Sprint(i)); bytesOf(t, s) != fmt.Sprint("test-value-", i) || s.Comment != fmt.Sprint("comment ", i) || s.Version != int64(i) {
			t.Errorf("version %d is %+v", i, s)
		}
		if got := e.value(t, "/", "A", "at", fmt.Sprint(i)); got != fmt.Sprint("test-value-", i) {
			t.Errorf("at revision %d: %q", i, got)
		}
	}
	if got := e.value(t, "/", "B", "at", "5"); got != "test-value-4" {
		t.Errorf("at revision 5: %q", got)
	}
	if got := names(e.list(t, "/", "recursive", "true", "at", "4")); fmt.Sprint(got) != "[/A]" {
		t.Errorf("list at 4: %v", got)
	}
	e.ask(t, "/x", "B", "version", "5").refused(t, "not_found", "version 5", "1 to 4")
	e.ask(t, "/x", "B", "at", "7").refused(t, "not_found", "revision 7", "0 to 6")
	e.ask(t, "/", "A").refused(t, "not_found")
	h := get[api.History](t, e.person, e.path()+"/secrets/B/history?path=/x")
	var got []string
	for _, s := range h.States {
		if s.Value != nil {
			t.Error("the history shows a value")
		}
		got = append(got, fmt.Sprintf("%s v%d r%d by %s", s.Name, s.Version, s.Revision, s.Commit.Author))
		if s.Commit.Revision != s.Revision {
			t.Errorf("state of revision %d with the commit of %d", s.Revision, s.Commit.Revision)
		}
	}
	const by = "by admin@example.test"
	want := []string{"B v4 r6 " + by, "B v4 r5 " + by, "A v4 r4 " + by, "A v3 r3 " + by, "A v2 r2 " + by, "A v1 r1 " + by}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func diffs(t *testing.T, e env) {
	owned := set("/", "OWNED", "test-value")
	e.commit(t, set("/", "A", "test-value-1"), set("/", "SAME", "test-value"), set("/x", "GONE", "test-value"), owned)
	owned.Owner = ptr("team")
	e.commit(t, set("/", "A", "test-value-2"), set("/x", "NEW", "test-value"), remove("/x", "GONE"), owned)
	e.in("prod").commit(t, set("/", "A", "test-value-2"), set("/", "SAME", "test-value"), set("/", "PROD", "test-value"))
	diff := func(from, to string, more ...string) (out []string) {
		d := get[api.Diff](t, e.person, "/projects/"+e.project+"/diff"+query(append([]string{"from", from, "to", to}, more...)...))
		for _, x := range d.Differences {
			text := full(x.Path, x.Name) + " " + x.Outcome
			for _, side := range []*api.Secret{x.From, x.To} {
				if side != nil && side.Value != nil {
					text += " " + bytesOf(t, *side)
				}
			}
			out = append(out, text)
		}
		return out
	}
	for _, c := range []struct {
		from, to string
		more     []string
		want     string
	}{
		{"dev@1", "dev@2", nil, "[/A changed /OWNED changed /x/GONE removed /x/NEW added]"},
		{"dev@2", "dev@1", nil, "[/A changed /OWNED changed /x/GONE added /x/NEW removed]"},
		{"dev@1", "dev", []string{"path", "/x"}, "[/x/GONE removed /x/NEW added]"},
		{"dev@1", "dev@2", []string{"reveal", "true", "path", "/"}, "[/A changed test-value-1 test-value-2 /OWNED changed test-value test-value /x/GONE removed test-value /x/NEW added test-value]"},
		{"dev", "prod", nil, "[/OWNED removed /PROD added /x/NEW removed]"},
		{"dev", "dev", nil, "[]"},
	} {
		if got := fmt.Sprint(diff(c.from, c.to, c.more...)); got != c.want {
			t.Errorf("%s to %s %v: %s", c.from, c.to, c.more, got)
		}
	}
	for _, bad := range []string{"?from=dev", "?from=dev&to=dev@x", "?from=dev&to=dev@0", "?from=dev&to=@1"} {
		e.do(t, "GET", "/projects/"+e.project+"/diff"+bad, nil).refused(t, "invalid")
	}
	e.do(t, "GET", "/projects/"+e.project+"/diff?from=dev&to=dev@9", nil).refused(t, "not_found")
	e.do(t, "GET", "/projects/"+e.project+"/diff?from=dev&to=nowhere", nil).refused(t, "not_found")
}

func rollsBackAll(t *testing.T, e env) {
	first := set("/", "A", "test-value-1")
	first.Comment, first.Owner, first.Tags = ptr("comment 1"), ptr("team"), &[]string{"one"}
	e.commit(t, first, set("/x", "B", "${dev.A}-b"), set("/x/deep", "C", "test-value"), set("/", "KEPT", "test-value"), set("/", "LIT", "plain $${x}"),
		showIn("/x", api.Place{Path: "/x/deep"}), api.Change{Op: "folder.required", Path: "/x", Requires: []string{"B"}})
	want := e.state(t)
	second := set("/", "A", "test-value-2")
	second.Comment, second.Owner, second.Tags = ptr("comment 2"), ptr(""), &[]string{}
	e.commit(t, second, set("/", "NEW", "test-value"), set("/new/below", "D", "test-value"))
	e.commit(t, rename("/", "A", "A2"), move("/", "KEPT", "/elsewhere"), set("/", "LIT", "x"))
	e.commit(t, moveFolder("/x", "/y"), showIn("/y"))
	e.commit(t, api.Change{Op: "folder.delete", Path: "/y"})
	e.commit(t, set("/", "A", "test-value-another"))
	between := e.state(t)
	dry := e.back(t, api.RollbackRequest{To: 1, DryRun: true, Path: "/"})
	if dry.Revision != 6 || len(dry.Effects) == 0 {
		t.Errorf("dry run: %+v", dry)
	}
	same(t, "after a dry run", e.state(t), between)
	c := e.back(t, api.RollbackRequest{To: 1, Message: "back"})
	same(t, "after the roll back", e.state(t), want)
	same(t, "the same as at revision 1", e.state(t, "at", "1"), want)
	if c.Revision != 7 || len(c.Effects) != len(dry.Effects) {
		t.Errorf("revision %d, %d effects", c.Revision, len(c.Effects))
	}
	if got := e.value(t, "/x", "B"); got != "test-value-1-b" {
		t.Errorf("a reference after the roll back: %q", got)
	}
	if l := e.list(t, "/x", "imports", "true"); len(l.Secrets) != 2 {
		t.Errorf("the import did not come back: %+v", l.Secrets)
	}
	if s := get[api.Schema](t, e.person, e.path()+"/schema?path=/x"); fmt.Sprint(s.Required) != "[B]" {
		t.Errorf("the required names did not come back: %v", s.Required)
	}
	if got := get[api.Commits](t, e.person, e.path()+"/commits").Commits[0]; got.Cause != "rollback" || got.Message != "back" {
		t.Errorf("%+v", got)
	}
	// A roll back is a commit like any other: it can be rolled back, and done again.
	e.back(t, api.RollbackRequest{To: 6})
	same(t, "after the roll back of the roll back", e.state(t), between)
	e.back(t, api.RollbackRequest{To: 7})
	same(t, "and back again", e.state(t), want)
	if c := e.back(t, api.RollbackRequest{To: 7}); c.ID != "" {
		t.Errorf("a roll back to what is there made commit %+v", c)
	}
	e.back(t, api.RollbackRequest{To: 0})
	same(t, "before everything", e.state(t), map[string]string{})
	e.back(t, api.RollbackRequest{To: 1})
	same(t, "out of nothing", e.state(t), want)
}

func rollsBackOne(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value-1"), set("/", "B", "test-value-1"))
	e.commit(t, set("/", "A", "test-value-2"), set("/", "B", "test-value-2"))
	c := e.back(t, api.RollbackRequest{To: 1, Path: "/", Name: "A"})
	if len(c.Effects) != 1 || c.Effects[0].Version != 3 || e.value(t, "/", "A") != "test-value-1" || e.value(t, "/", "B") != "test-value-2" {
		t.Errorf("%+v %v", c, e.state(t))
	}
	e.commit(t, remove("/", "A"))
	e.back(t, api.RollbackRequest{To: 2, Path: "/", Name: "A"})
	if e.value(t, "/", "A") != "test-value-2" {
		t.Error("a deleted secret did not come back")
	}
	// By its present name: the secret is the same one, whatever it was called then.
	e.commit(t, rename("/", "A", "A2"))
	e.back(t, api.RollbackRequest{To: 1, Path: "/", Name: "A2"})
	if got := fmt.Sprint(names(e.list(t, "/"))); got != "[/A /B]" || e.value(t, "/", "A") != "test-value-1" {
		t.Errorf("a renamed secret: %v", e.state(t))
	}
	e.commit(t, move("/", "A", "/x"))
	e.back(t, api.RollbackRequest{To: 1, Path: "/x", Name: "A"})
	if got := fmt.Sprint(names(e.list(t, "/", "recursive", "true"))); got != "[/A /B]" {
		t.Errorf("a moved secret: %s", got)
	}
	e.commit(t, set("/", "LATER", "test-value"))
	e.back(t, api.RollbackRequest{To: 1, Path: "/", Name: "LATER"})
	e.ask(t, "/", "LATER").refused(t, "not_found")
	e.refusedBack(t, api.RollbackRequest{To: 1, Path: "/", Name: "NEVER"}, "not_found", "/NEVER")
	e.refusedBack(t, api.RollbackRequest{To: 1, Path: "/nowhere", Name: "A"}, "not_found")
}

func rollsBackAFolder(t *testing.T, e env) {
	e.commit(t, set("/f", "A", "test-value-1"), set("/f/deep", "B", "test-value-1"), set("/g", "C", "test-value-1"), set("/", "R", "test-value-1"))
	e.commit(t, set("/f", "A", "test-value-2"), set("/f/deep", "B", "test-value-2"), set("/g", "C", "test-value-2"), set("/f/deep/new", "N", "test-value"), set("/", "R", "test-value-2"))
	e.back(t, api.RollbackRequest{To: 1, Path: "/f"})
	for name, want := range map[string]string{"/f|A": "1", "/f/deep|B": "1", "/g|C": "2", "/|R": "2"} {
		var path, key string
		for i := range name {
			if name[i] == '|' {
				path, key = name[:i], name[i+1:]
			}
		}
		if got := e.value(t, path, key); got != "test-value-"+want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if l := e.list(t, "/f", "recursive", "true"); fmt.Sprint(l.Folders) != "[/f/deep]" {
		t.Errorf("folders that did not exist then are there: %v", l.Folders)
	}
	// What lay in the folder then and lies elsewhere now comes back, and what came from elsewhere goes home.
	e.commit(t, move("/f", "A", "/g"), move("/g", "C", "/f"), moveFolder("/f/deep", "/g/deep"))
	e.back(t, api.RollbackRequest{To: 1, Path: "/f"})
	if got := fmt.Sprint(names(e.list(t, "/", "recursive", "true"))); got != "[/R /f/A /f/deep/B /g/C]" {
		t.Errorf("%s", got)
	}
}

func rollsBackSwaps(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value-a"), set("/", "B", "test-value-b"), set("/x", "C", "test-value-x"), set("/y", "C", "test-value-y"), set("/", "USER", "${A} ${B} ${dev.x.C} ${dev.y.C}"))
	want := e.state(t)
	e.commit(t, rename("/", "A", "T"), rename("/", "B", "A"), rename("/", "T", "B"), moveFolder("/x", "/t"), moveFolder("/y", "/x"), moveFolder("/t", "/y"))
	swapped := e.state(t)
	if got := e.value(t, "/", "USER"); got != "test-value-a test-value-b test-value-x test-value-y" {
		t.Errorf("after the swap: %q", got)
	}
	e.back(t, api.RollbackRequest{To: 1})
	same(t, "after the roll back", e.state(t), want)
	e.back(t, api.RollbackRequest{To: 2})
	same(t, "after its roll back", e.state(t), swapped)
	if got := e.value(t, "/", "USER"); got != "test-value-a test-value-b test-value-x test-value-y" {
		t.Errorf("after the roll backs: %q", got)
	}
	e.back(t, api.RollbackRequest{To: 1, Path: "/", Name: "A"}) // is B now
}

func rollsBackReferences(t *testing.T, e env) {
	e.commit(t, set("/", "A", "test-value"))
	e.commit(t, rename("/", "A", "A2"))
	e.in("prod").commit(t, set("/", "USER", "see ${dev.A2}"))
	e.back(t, api.RollbackRequest{To: 1})
	if got := e.in("prod").value(t, "/", "USER", "raw", "true"); got != "see ${dev.A}" {
		t.Errorf("the reference of another environment is %q", got)
	}
	if got := e.in("prod").value(t, "/", "USER"); got != "see test-value" {
		t.Errorf("it says %q", got)
	}
	e.refusedBack(t, api.RollbackRequest{To: 0}, "conflict", "prod:/USER")
	// An old value whose reference points to nothing now is named.
	e.commit(t, set("/", "B", "test-value"), set("/", "U", "${B}"))
	e.commit(t, set("/", "U", "test-value"))
	e.commit(t, remove("/", "B"))
	at := e.revision(t)
	e.refusedBack(t, api.RollbackRequest{To: at - 2, Path: "/", Name: "U"}, "invalid", "${B}", "/U")
	if got := e.value(t, "/", "U", "at", fmt.Sprint(at-2), "raw", "true"); got != "${B}" {
		t.Errorf("raw: %q", got)
	}
	e.ask(t, "/", "U", "at", fmt.Sprint(at-2)).refused(t, "conflict", "${B}", "points to nothing")
}

func refusesRollBacks(t *testing.T, e env) {
	e.refusedBack(t, api.RollbackRequest{To: 0}, "invalid", "/to")
	e.commit(t, set("/", "A", "test-value"))
	e.refusedBack(t, api.RollbackRequest{To: 1}, "invalid", "/to")
	e.refusedBack(t, api.RollbackRequest{To: -1}, "invalid", "/to")
	e.do(t, "POST", e.path()+"/rollback", `{}`).refused(t, "invalid", "/to")
	e.do(t, "POST", e.path()+"/rollback", `null`).refused(t, "invalid", "/to")
	if e.value(t, "/", "A") != "test-value" {
		t.Error("a roll back that names no revision did something")
	}
	// The name of a secret may be taken by another one now.
	e.commit(t, remove("/", "A"), set("/", "A", "test-value-other"))
	e.refusedBack(t, api.RollbackRequest{To: 5}, "invalid")
	e.back(t, api.RollbackRequest{To: 1, Path: "/", Name: "A"})
	if e.value(t, "/", "A") != "test-value" {
		t.Errorf("%v", e.state(t))
	}
}

func restores(t *testing.T, e env) {
	change := set("/f", "A", "test-value")
	change.Comment = ptr("a comment")
	e.commit(t, change, set("/f/deep", "B", "test-value-b"), set("/f", "EARLIER", "test-value"))
	id := e.secret(t, "/f", "A").ID
	e.commit(t, remove("/f", "EARLIER"))
	e.commit(t, remove("/f", "A"))
	e.ask(t, "/f", "A").refused(t, "not_found")
	if c := e.commit(t, api.Change{Op: "restore", Path: "/f", Name: "A"}); c.Effects[0].Outcome != "added" || c.Effects[0].Version != 1 {
		t.Errorf("%+v", c)
	}
	if s := e.secret(t, "/f", "A"); bytesOf(t, s) != "test-value" || s.Comment != "a comment" || s.ID != id {
		t.Errorf("%+v", s)
	}
	e.attempt(t, api.Change{Op: "restore", Path: "/f", Name: "A"}).refused(t, "exists", "not deleted")
	e.attempt(t, api.Change{Op: "restore", Path: "/f", Name: "NEVER"}).refused(t, "not_found")
	// A folder comes back with what was deleted with it, and no more.
	e.commit(t, api.Change{Op: "folder.delete", Path: "/f"})
	e.do(t, "GET", e.path()+"/secrets?path=/f", nil).refused(t, "not_found")
	e.commit(t, api.Change{Op: "folder.restore", Path: "/f"})
	if got := fmt.Sprint(names(e.list(t, "/", "recursive", "true"))); got != "[/f/A /f/deep/B]" {
		t.Errorf("%s", got)
	}
	e.attempt(t, api.Change{Op: "folder.restore", Path: "/f"}).refused(t, "exists")
	e.attempt(t, api.Change{Op: "folder.restore", Path: "/g"}).refused(t, "not_found")
	// The name, or the folder, may have been taken meanwhile.
	e.commit(t, remove("/f", "A"))
	e.commit(t, set("/f", "A", "test-value-other"))
	e.attempt(t, api.Change{Op: "restore", Path: "/f", Name: "A"}).refused(t, "exists")
	e.commit(t, api.Change{Op: "folder.delete", Path: "/f"})
	e.commit(t, set("/f", "OTHER", "test-value"))
	e.attempt(t, api.Change{Op: "folder.restore", Path: "/f"}).refused(t, "exists")
	e.commit(t, api.Change{Op: "restore", Path: "/f", Name: "A"})
	if got := e.value(t, "/f", "A"); got != "test-value-other" {
		t.Errorf("the last one that was deleted under the name came back as %q", got)
	}
	// A deleted folder below a deleted one comes back alone, with what is above it.
	e.commit(t, set("/p/q/r", "DEEP", "test-value"))
	e.commit(t, api.Change{Op: "folder.delete", Path: "/p"})
	e.commit(t, api.Change{Op: "folder.restore", Path: "/p/q/r"})
	if got := e.value(t, "/p/q/r", "DEEP"); got != "test-value" {
		t.Errorf("%q", got)
	}
}

func restoresWholes(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	p, v := "/projects/"+e.project, e.path()
	id := get[api.Env](t, w.admin, v).ID
	send[api.Done](t, w.admin, "DELETE", v, nil)
	w.admin.do(t, "GET", v, nil).refused(t, "not_found")
	w.admin.do(t, "DELETE", v, nil).refused(t, "not_found")
	e.ask(t, "/", "A").refused(t, "not_found")
	send[api.Env](t, w.admin, "POST", p+"/envs", api.EnvRequest{Slug: "dev"})
	w.admin.do(t, "POST", p+"/envs", api.EnvRequest{Slug: "dev"}).refused(t, "exists")
	w.admin.do(t, "POST", v+"/restore", nil).refused(t, "exists", "dev")
	send[api.Env](t, w.admin, "PATCH", v, api.RenameRequest{Slug: "dev2"})
	send[api.Done](t, w.admin, "POST", p+"/envs/"+id+"/restore", nil)
	if got := e.value(t, "/", "A"); got != "test-value" || get[api.Env](t, w.admin, v).ID != id {
		t.Errorf("%q", got)
	}
	w.admin.do(t, "POST", v+"/restore", nil).refused(t, "not_found")
	e.commit(t, set("/", "B", "test-value"))

	pid := get[api.Project](t, w.admin, p).ID
	send[api.Done](t, w.admin, "DELETE", p, nil)
	w.admin.do(t, "GET", p, nil).refused(t, "not_found")
	e.ask(t, "/", "A").refused(t, "not_found")
	e.attempt(t, set("/", "A", "x")).refused(t, "not_found")
	find := func(path string) bool {
		return slices.ContainsFunc(get[api.Projects](t, w.admin, path).Projects, func(p api.Project) bool { return p.ID == pid })
	}
	if find("/projects") || !find("/projects?deleted=true") {
		t.Error("the deleted project is in the wrong list")
	}
	send[api.Project](t, w.admin, "POST", "/projects", api.ProjectRequest{Slug: e.project})
	w.admin.do(t, "POST", p+"/restore", nil).refused(t, "exists", e.project)
	send[api.Project](t, w.admin, "PATCH", p, api.RenameRequest{Slug: e.project + "-2"})
	send[api.Done](t, w.admin, "POST", p+"/restore", nil)
	if e.value(t, "/", "B") != "test-value" || e.commit(t, set("/", "C", "x")).Revision != 3 {
		t.Error("the project is not as it was")
	}
	w.admin.do(t, "POST", "/projects", api.ProjectRequest{Slug: e.project}).refused(t, "exists")
	w.admin.do(t, "POST", "/projects", api.ProjectRequest{Slug: "twice", Envs: []string{"dev", "dev"}}).refused(t, "invalid", "dev")
	w.admin.do(t, "POST", "/projects", api.ProjectRequest{Slug: "Not A Slug"}).refused(t, "invalid")
	w.admin.do(t, "PATCH", p, api.RenameRequest{Slug: e.project + "-2"}).refused(t, "exists")
	w.admin.do(t, "PATCH", v, api.RenameRequest{Slug: "dev2"}).refused(t, "exists")
}

func purges(t *testing.T, e env) {
	change := set("/f", "A", "test-value-1")
	change.Comment = ptr("a comment")
	e.commit(t, change, set("/", "B", "test-value"))
	e.commit(t, set("/f", "A", "test-value-2"))
	purge := func() reply {
		return e.do(t, "POST", e.path()+"/secrets/purge", api.PurgeRequest{Path: "/f", Name: "A"})
	}
	purge().refused(t, "not_found", "delete it first")
	e.commit(t, remove("/f", "A"))
	purge().fits(t, &api.Done{})
	purge().refused(t, "not_found")
	e.ask(t, "/f", "A", "at", "1").refused(t, "not_found", "purged")
	e.ask(t, "/f", "A", "at", "2").refused(t, "not_found", "purged")
	e.attempt(t, api.Change{Op: "restore", Path: "/f", Name: "A"}).refused(t, "not_found")
	for _, r := range []api.RollbackRequest{{To: 2}, {To: 1}, {To: 2, Path: "/f"}, {To: 2, Path: "/f", Name: "A"}} {
		e.refusedBack(t, r, "not_found", "purged", "/f/A")
	}
	for _, s := range e.list(t, "/", "recursive", "true", "reveal", "true", "at", "2").Secrets {
		if purged := s.Name == "A"; s.Purged != purged || (s.Value == nil) != purged || purged && s.Comment != "" {
			t.Errorf("%+v", s)
		}
	}
	if d := get[api.Diff](t, e.person, "/projects/"+e.project+"/diff?from=dev@1&to=dev&reveal=true"); len(d.Differences) != 1 || d.Differences[0].From.Value != nil {
		t.Errorf("%+v", d)
	}
	if f := send[api.Found](t, e.person, "POST", "/where", api.WhereRequest{Value: api.NewValue([]byte("test-value-2"))}); slices.ContainsFunc(f.Secrets, func(l api.Located) bool { return l.Project == e.project && l.Name == "A" }) {
		t.Error("a purged value is still found by its digest")
	}
	// The name is free, and what is made under it has a history of its own.
	e.commit(t, set("/f", "A", "test-value-new"))
	if s := e.secret(t, "/f", "A"); s.Version != 1 || bytesOf(t, s) != "test-value-new" {
		t.Errorf("%+v", s)
	}
	if v := send[api.Verification](t, e.person, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
}

func purgesWholes(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value-purged-whole"))
	p, v := "/projects/"+e.project, e.path()
	w.admin.do(t, "POST", v+"/purge", nil).refused(t, "not_found")
	send[api.Done](t, w.admin, "DELETE", v, nil)
	send[api.Done](t, w.admin, "POST", v+"/purge", nil)
	w.admin.do(t, "POST", v+"/restore", nil).refused(t, "not_found")
	w.admin.do(t, "POST", v+"/purge", nil).refused(t, "not_found")
	prod := e.in("prod")
	prod.commit(t, set("/", "A", "test-value-purged-whole"))
	w.admin.do(t, "POST", p+"/purge", nil).refused(t, "not_found")
	send[api.Done](t, w.admin, "DELETE", p, nil)
	send[api.Done](t, w.admin, "POST", p+"/purge", nil)
	w.admin.do(t, "POST", p+"/restore", nil).refused(t, "not_found")
	if f := send[api.Found](t, w.admin, "POST", "/where", api.WhereRequest{Value: api.NewValue([]byte("test-value-purged-whole"))}); len(f.Secrets) != 0 {
		t.Errorf("%+v", f)
	}
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
}

package server_test

import (
	"net/http"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

// tagged asks for a list with expansion and imports, and gives its tag. A tag that is known must be answered with 304.
func (c infisicalEnv) tagged(t tb, path string) string {
	t.Helper()
	r := c.do(t, "GET", c.url+"/api"+path, nil)
	tag := r.header.Get("ETag")
	if r.status != http.StatusOK || tag == "" {
		t.Fatalf("%s: status %d, tag %q: %s", r.what, r.status, tag, r.body)
	}
	for _, sent := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		if r := c.do(t, "GET", c.url+"/api"+path, nil, "If-None-Match", sent); r.status != http.StatusNotModified || len(r.body) != 0 || r.header.Get("ETag") != tag {
			t.Errorf("%s: %s gives status %d, tag %q: %s", r.what, sent, r.status, r.header.Get("ETag"), r.body)
		}
	}
	if r := c.do(t, "GET", c.url+"/api"+path, nil, "If-None-Match", `"other"`); r.status != http.StatusOK {
		t.Errorf("%s: status %d", r.what, r.status)
	}
	return tag
}

func TestInfisicalTagsOfAnswersChangeWithWhatIsShown(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, far := w.project(t), w.project(t)
		c := w.infisical(t, e)
		far.commit(t, set("/", "FAR", "test-value-1"), set("/", "UNRELATED", "test-value"))
		e.in("prod").commit(t, set("/shown", "I", "test-value"), set("/", "UNRELATED", "test-value"))
		e.commit(t, set("/", "A", "test-value"), set("/", "LINK", "${@"+far.project+".dev.FAR}"), set("/else", "X", "test-value"), importing("/", api.Place{Env: "prod", Path: "/shown"}))
		c.create(t, "LATER", "${NOT_YET}${@"+e.project+"-x.dev.K}")
		list, one := "/v4/secrets"+c.q(), "/v3/secrets/raw/LINK"+c.q("expandSecretReferences", "true")
		tag, tagOne := c.tagged(t, list), c.tagged(t, one)
		step := func(what string, changes, changesOne bool) {
			t.Helper()
			now, nowOne := c.tagged(t, list), c.tagged(t, one)
			if (now != tag) != changes || (nowOne != tagOne) != changesOne {
				t.Errorf("%s: the tag of the list changed: %v, of the secret: %v", what, now != tag, nowOne != tagOne)
			}
			tag, tagOne = now, nowOne
		}
		step("nothing", false, false)
		e.commit(t, set("/else", "X", "test-value-2"))
		step("another folder", false, false)
		far.commit(t, set("/", "UNRELATED", "test-value-2"))
		e.in("prod").commit(t, set("/", "UNRELATED", "test-value-2"))
		step("what is beside", false, false)
		far.commit(t, set("/", "FAR", "test-value-2"))
		step("what a reference points to", true, true)
		e.in("prod").commit(t, set("/shown", "I", "test-value-2"))
		step("what is imported", true, false)
		e.in("prod").commit(t, set("/shown", "J", "test-value"))
		step("what is imported now", true, false)
		e.commit(t, set("/", "A", "test-value-2"))
		step("a value", true, false)
		e.commit(t, api.Change{Op: "set", Path: "/", Name: "A", Tags: &[]string{"t"}})
		step("tags", true, false)
		e.commit(t, api.Change{Op: "set", Path: "/", Name: "LINK", Comment: ptr("c")})
		step("a comment", true, true)
		e.commit(t, rename("/", "A", "B"))
		step("a name", true, false)
		e.commit(t, set("/", "NOT_YET", "test-value"))
		step("what a reference to nothing finds now", true, false)
		send[api.Project](t, w.admin, "POST", "/projects", api.ProjectRequest{Slug: e.project + "-x", Envs: []string{"dev"}})
		(env{w.admin, e.project + "-x", "dev"}).commit(t, set("/", "K", "test-value"))
		step("a project that a reference to nothing finds now", true, false)
		// Others see other things: a tag is of what is shown, whoever asks.
		reader := c.as(w.machine(t, api.GrantRequest{Project: e.project, Role: "developer"}))
		raw := "/v3/secrets/raw" + c.q()
		if reader.do(t, "GET", c.url+"/api"+list, nil, "If-None-Match", tag).status != http.StatusForbidden {
			t.Error("a tag gave an answer that its caller may not have")
		}
		if reader.tagged(t, raw) != c.tagged(t, raw) {
			t.Error("the same answer has two tags")
		}
		// A token made anew is no change: an agent that renders templates would write them again.
		if tok := c.as(w.admin.scoped(t, e.project, e.name+":/:read")); tok.tagged(t, raw) != c.tagged(t, raw) {
			t.Error("another token, another tag")
		}
		// The server hears of its own changes once more by the database, and then looks again.
		eventually(t, heardWithin, "an answer of 304 opens nothing and leaves no entry", func() bool {
			entries := len(wholeLog(t, w.admin))
			for range 3 {
				c.do(t, "GET", c.url+"/api"+list, nil, "If-None-Match", tag)
			}
			return len(wholeLog(t, w.admin)) == entries+1 // the look at the log itself
		})
	})
}

func TestInfisicalTagsAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e := a.project(t)
	e.commit(t, set("/", "A", "test-value"), set("/f", "B", "${dev.A}"))
	c := a.infisical(t, e)
	path := "/v4/secrets" + c.q("recursive", "true")
	tag := c.tagged(t, path)
	there := c.as(b.admin)
	eventually(t, heardWithin, "the other server knows the project", func() bool { return there.do(t, "GET", there.url+"/api"+path, nil).status == 200 })
	if got := there.tagged(t, path); got != tag {
		t.Errorf("%q here, %q there", tag, got)
	}
	b.server.Stop()
	a.server.Stop()
}

func TestInfisicalTagsOutliveARestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	first := newWorld(keyturntest.Start(t, keyturntest.WithData(folder)))
	e := first.project(t)
	e.commit(t, set("/", "A", "test-value"), set("/", "B", "${A}"))
	c := first.infisical(t, e)
	path := "/v4/secrets" + c.q()
	tag := c.tagged(t, path)
	first.server.Stop()
	s := keyturntest.Bare(t, keyturntest.WithData(folder))
	s.Token = first.server.Token
	again := c.as(newWorld(s).admin)
	if r := again.do(t, "GET", again.url+"/api"+path, nil, "If-None-Match", tag); r.status != http.StatusNotModified || r.header.Get("ETag") != tag {
		t.Errorf("status %d, tag %q, before %q", r.status, r.header.Get("ETag"), tag)
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// pair is two servers on one PostgreSQL.
func pair(t *testing.T) (*world, *world) {
	t.Helper()
	database := testpg.Database(t)
	a := newWorld(keyturntest.Start(t, keyturntest.WithPostgres(database)))
	s := keyturntest.Bare(t, keyturntest.WithPostgres(database), keyturntest.WithData(a.server.Data))
	s.Token = a.server.Token
	b := newWorld(s)
	b.made.Store(1000) // names of its own
	return a, b
}

func (e env) at(w *world) env {
	e.url = w.admin.url
	return e
}

const heardWithin = time.Second

func TestTwoServersOnOneDatabaseAreOne(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	t.Run("commits from both sides", func(t *testing.T) { bothCommit(t, a, b) })
	t.Run("what one does the other shows", func(t *testing.T) { oneShowsTheOther(t, a, b) })
	t.Run("renames, folders and deletions", func(t *testing.T) { structureIsShared(t, a, b) })
	t.Run("idempotency keys and events", func(t *testing.T) { keysAndEventsAreShared(t, a, b) })
	if v := send[api.Verification](t, b.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the deep verification found %+v", v.Problems)
	}
}

func bothCommit(t *testing.T, a, b *world) {
	e := a.project(t)
	eventually(t, heardWithin, "the other server knows the project", func() bool { return e.at(b).do(t, "GET", e.path(), nil).status == 200 })
	const workers, each = 32, 8
	sides := []env{e, e.at(b)}
	var mu sync.Mutex
	seen := map[int64]string{}
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			mine, theirs := sides[i%2], sides[(i+1)%2]
			for j := range each {
				name, value := fmt.Sprintf("K%d", i), fmt.Sprintf("test-value-%d-%d", i, j)
				shared := fmt.Sprint("test-value-", i, "-", j)
				r, err := mine.try("POST", e.path()+"/commits", api.CommitRequest{Changes: []api.Change{set("/f", name, value), set("/", "SHARED", shared)}})
				if err != nil || r.status != 200 {
					t.Errorf("commit %d of %d: %v, %d %s", j, i, err, r.status, r.body)
					return
				}
				var c api.Committed
				if err := json.Unmarshal(r.body, &c); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[c.Revision] != "" {
					t.Errorf("revision %d was given to %s and to %s", c.Revision, seen[c.Revision], value)
				}
				seen[c.Revision] = value
				mu.Unlock()
				// Own writes show at once, and on the other side within a second.
				if got := mine.shows(name); got != value {
					t.Errorf("%s reads back as %q", value, got)
				}
				if j < each-1 {
					continue
				}
				for deadline := time.Now().Add(heardWithin); theirs.shows(name) != value; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Errorf("%s does not show on the other side: %q", value, theirs.shows(name))
						break
					}
				}
			}
		})
	}
	all.Wait()
	for revision := int64(1); revision <= workers*each; revision++ {
		if seen[revision] == "" {
			t.Errorf("revision %d was given to nobody", revision)
		}
	}
	if got := e.revision(t); got != workers*each {
		t.Errorf("%d commits made revision %d", workers*each, got)
	}
	want := e.state(t)
	eventually(t, heardWithin, "both servers hold the same", func() bool { return fmt.Sprint(e.at(b).state(t)) == fmt.Sprint(want) })
	for i := range workers {
		if got := want[fmt.Sprintf("/f/K%d", i)]; got[:len(fmt.Sprintf("test-value-%d-%d", i, each-1))] != fmt.Sprintf("test-value-%d-%d", i, each-1) {
			t.Errorf("K%d is %q", i, got)
		}
	}
	// Each revision can still be read, on either side.
	for revision, value := range seen {
		if revision%16 == 0 {
			l := e.at(b).list(t, "/f", "reveal", "true", "at", fmt.Sprint(revision))
			found := false
			for _, s := range l.Secrets {
				found = found || bytesOf(t, s) == value
			}
			if !found {
				t.Errorf("revision %d does not hold %s", revision, value)
			}
		}
	}
}

// shows reads a value of the folder /f for other goroutines than that of the test.
func (e env) shows(name string) string {
	r, err := e.try("GET", e.path()+"/secrets/"+name+"?path=/f", nil)
	var s api.Secret
	if err != nil || json.Unmarshal(r.body, &s) != nil || s.Value == nil {
		return fmt.Sprint(err, " ", string(r.body))
	}
	return s.Value.Value
}

func oneShowsTheOther(t *testing.T, a, b *world) {
	e := a.project(t)
	e.commit(t, set("/", "A", "test-value-1"), set("/", "B", "x"))
	far := e.at(b)
	eventually(t, heardWithin, "a new project and its key", func() bool { return far.ask(t, "/", "A").status == 200 })
	far.list(t, "/", "reveal", "true") // now it is in the other server's memory
	for i := range 20 {
		value := fmt.Sprint("test-value-", i+2)
		from, to := e, far
		if i%2 == 1 {
			from, to = far, e
		}
		from.commit(t, set("/", "A", value))
		if got := from.value(t, "/", "A"); got != value {
			t.Errorf("one's own write reads as %q", got)
		}
		eventually(t, heardWithin, value, func() bool { return to.value(t, "/", "A") == value })
		for _, s := range to.list(t, "/", "reveal", "true").Secrets {
			if s.Name == "A" && bytesOf(t, s) != value {
				t.Errorf("the list still says %q", bytesOf(t, s))
			}
		}
	}
	// A commit on what the other one has made meanwhile is a conflict, whatever this one has heard of.
	at := e.revision(t)
	far.commit(t, set("/", "A", "test-value-far"))
	e.do(t, "POST", e.path()+"/commits", api.CommitRequest{IfRevision: &at, Changes: []api.Change{set("/", "A", "test-value-lost")}}).refused(t, "conflict")
	// A tag that one server gave is never good for something newer on the other.
	tag := far.ask(t, "/", "A").header.Get("ETag")
	e.commit(t, set("/", "A", "test-value-tag"))
	if r := e.do(t, "GET", e.path()+"/secrets/A", nil, "If-None-Match", tag); r.status != 200 {
		t.Errorf("status %d for an older tag", r.status)
	}
	eventually(t, heardWithin, "a 200 for an older tag", func() bool {
		return far.do(t, "GET", e.path()+"/secrets/A", nil, "If-None-Match", tag).status == 200
	})
}

func structureIsShared(t *testing.T, a, b *world) {
	e, other := a.project(t), b.project(t)
	eventually(t, heardWithin, "each other's projects", func() bool {
		return e.at(b).do(t, "GET", e.path(), nil).status == 200 && other.at(a).do(t, "GET", other.path(), nil).status == 200
	})
	e.commit(t, set("/f/g", "A", "test-value"), set("/f", "B", "${dev.f.g.A}"), set("/x", "SWAP", "x"), set("/y", "SWAP", "y"))
	// A reference across both, and a rename on the other side.
	other.at(a).commit(t, set("/", "LINK", "${@"+e.project+".dev.f.g.A}"))
	eventually(t, heardWithin, "the reference", func() bool { return other.at(b).ask(t, "/", "LINK").status == 200 })
	far := e.at(b)
	eventually(t, heardWithin, "folders", func() bool { return far.ask(t, "/f/g", "A").status == 200 })
	far.list(t, "/", "recursive", "true", "reveal", "true")
	e.list(t, "/", "recursive", "true", "reveal", "true")
	far.commit(t, moveFolder("/f", "/h"), moveFolder("/x", "/t"), moveFolder("/y", "/x"), moveFolder("/t", "/y"), rename("/h/g", "A", "A2"))
	want := far.state(t)
	if want["/h/B"] == "" || want["/h/g/A2"] == "" || want["/x/SWAP"][:1] != "y" {
		t.Errorf("%v", want)
	}
	eventually(t, heardWithin, "folders that moved", func() bool { return fmt.Sprint(e.state(t)) == fmt.Sprint(want) })
	for _, w := range []*world{a, b} {
		eventually(t, heardWithin, "a reference that was rewritten", func() bool {
			return other.at(w).value(t, "/", "LINK", "raw", "true") == "${@"+e.project+".dev.h.g.A2}" && other.at(w).value(t, "/", "LINK") == "test-value"
		})
	}
	e.commit(t, api.Change{Op: "folder.delete", Path: "/x"})
	eventually(t, heardWithin, "a folder that is gone", func() bool { return far.do(t, "GET", e.path()+"/secrets?path=/x", nil).status == 404 })
	far.commit(t, api.Change{Op: "folder.restore", Path: "/x"})
	eventually(t, heardWithin, "a folder that is back", func() bool { return e.ask(t, "/x", "SWAP").status == 200 })
	// Slugs.
	send[api.Env](t, a.admin, "PATCH", e.path(), api.RenameRequest{Slug: "renamed"})
	eventually(t, heardWithin, "a new slug", func() bool {
		return far.in("renamed").ask(t, "/h", "B").status == 200 && far.ask(t, "/h", "B").status == 404
	})
	if got := far.in("renamed").value(t, "/h", "B"); got != "test-value" {
		t.Errorf("%q", got)
	}
	b.admin.do(t, "DELETE", e.in("renamed").path(), nil).refused(t, "conflict", "/LINK")
	send[api.Done](t, b.admin, "DELETE", "/projects/"+other.project, nil)
	send[api.Done](t, b.admin, "DELETE", "/projects/"+e.project, nil)
	eventually(t, heardWithin, "a deleted project", func() bool { return e.in("renamed").ask(t, "/h", "B").status == 404 })
	e.in("renamed").attempt(t, set("/", "A", "x")).refused(t, "not_found")
}

func keysAndEventsAreShared(t *testing.T, a, b *world) {
	e := a.project(t)
	eventually(t, heardWithin, "the project", func() bool { return e.at(b).do(t, "GET", e.path(), nil).status == 200 })
	s := e.at(b).stream(t)
	s.next(t, 5*time.Second)
	request := api.CommitRequest{Changes: []api.Change{set("/", "A", "test-value")}}
	first := e.do(t, "POST", e.path()+"/commits", request, "Idempotency-Key", "pair-1")
	second := e.at(b).do(t, "POST", e.path()+"/commits", request, "Idempotency-Key", "pair-1")
	if first.status != 200 || string(first.body) != string(second.body) || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s, on the other side %s", first.body, second.body)
	}
	if line := s.next(t, heardWithin); line == "" {
		t.Error("the stream of the other server ended")
	}
	e.do(t, "PUT", e.path()+"/personal", api.PersonalRequest{Path: "/", Name: "A", Value: api.Value{Value: "test-value-mine"}}).fits(t, &api.Done{})
	eventually(t, heardWithin, "a value of one's own", func() bool { return e.at(b).value(t, "/", "A", "personal", "true") == "test-value-mine" })
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// alarmWithin is what is promised: from the touch to the entry that alerts follow.
const alarmWithin = 5 * time.Second

type touchEntry struct {
	Actor   struct{ Kind, ID string }
	Address string
	Agent   string
	Detail  map[string]string
}

// touches gives the recorded touches of one place.
func touches(t tb, p person, place string) []touchEntry {
	t.Helper()
	var out []touchEntry
	for _, e := range get[api.Entries](t, p, "/audit/entries?what=canary.touched&limit=1000").Entries {
		var entry touchEntry
		if err := json.Unmarshal(e.Entry, &entry); err != nil {
			t.Fatalf("entry: %v", err)
		}
		if entry.Detail["place"] == place {
			out = append(out, entry)
		}
	}
	return out
}

func decoySecret(t tb, e env, place, path, name string, exempt ...string) api.Canary {
	t.Helper()
	return send[api.CanaryMade](t, e.person, "POST", "/canaries", api.CanaryRequest{Kind: "secret", Place: place, Project: e.project, Env: e.name, Path: path, Name: name, Exempt: exempt}).Canary
}

func TestADecoyTokenAlarmsWhateverRouteItIsShownTo(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	e := w.project(t)
	for i, route := range []struct{ method, path string }{
		{"GET", "/whoami"}, {"GET", e.path() + "/secrets?path=/"}, {"POST", e.path() + "/commits"}, {"POST", "/login"}, {"POST", "/setup"}, {"GET", e.path() + "/events"}, {"DELETE", "/tokens/x"},
	} {
		place := fmt.Sprintf("laptop %d", i)
		decoy := send[api.CanaryMade](t, w.admin, "POST", "/canaries", api.CanaryRequest{Kind: "token", Place: place})
		if !strings.HasPrefix(decoy.Token, "ktk_") {
			t.Fatalf("the decoy is %q", decoy.Token)
		}
		if n := len(touches(t, w.admin, place)); n != 0 {
			t.Fatalf("%d touches before anybody touched", n)
		}
		thief := w.admin.with(decoy.Token)
		r := thief.do(t, route.method, route.path, nil, "User-Agent", "thief/1.0")
		if r.status < 400 {
			t.Errorf("%s %s answers %d to a decoy", route.method, route.path, r.status)
		}
		found := touches(t, w.admin, place) // at once: recorded before the answer
		if len(found) != 1 || found[0].Address == "" || !strings.Contains(found[0].Agent, "thief") || found[0].Detail["kind"] != "token" {
			t.Errorf("%s %s: touches %+v", route.method, route.path, found)
		}
		if strings.Contains(fmt.Sprint(found), decoy.Token) {
			t.Error("the token is in the log")
		}
	}
}

func TestADecoyTokenAnswersAsOneThatNobodyHas(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	decoy := send[api.CanaryMade](t, w.admin, "POST", "/canaries", api.CanaryRequest{Kind: "token", Place: "repository"})
	real := send[api.NewToken](t, w.admin, "POST", "/tokens", api.TokenRequest{Project: w.project(t).project, Scopes: "dev:/:read", TTL: "1m"})
	send[api.Done](t, w.admin, "DELETE", "/tokens/"+real.ID, nil)
	a := w.admin.with(decoy.Token).do(t, "GET", "/whoami", nil)
	b := w.admin.with(real.Token).do(t, "GET", "/whoami", nil)
	var x, y api.Problem
	if err := json.Unmarshal(a.body, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.body, &y); err != nil {
		t.Fatal(err)
	}
	x.Instance, y.Instance = "", ""
	if fmt.Sprint(x) != fmt.Sprint(y) || a.status != b.status || a.status != http.StatusUnauthorized {
		t.Errorf("a decoy answers %+v, a revoked token %+v", x, y)
	}

	for range 200 { // a flood is recorded in part, and the first of it at once
		w.admin.with(decoy.Token).do(t, "GET", "/whoami", nil)
	}
	if n := len(touches(t, w.admin, "repository")); n < 1 || n > 20 {
		t.Errorf("a flood of 201 touches left %d entries", n)
	}

	send[api.Done](t, w.admin, "DELETE", "/canaries/"+decoy.Canary.ID, nil)
	before := len(touches(t, w.admin, "repository"))
	w.admin.with(decoy.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	if n := len(touches(t, w.admin, "repository")); n != before {
		t.Error("a deleted decoy alarms")
	}
}

func TestADecoySecretAlarmsOnEveryPathThatShowsItsValue(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for name, touch := range map[string]func(t *testing.T, e env, path string){
			"read alone":           func(t *testing.T, e env, path string) { e.value(t, path, "DECOY") },
			"read with its folder": func(t *testing.T, e env, path string) { e.list(t, path, "reveal", "true") },
			"bulk export":          func(t *testing.T, e env, path string) { e.list(t, "/", "reveal", "true", "recursive", "true") },
			"an old version":       func(t *testing.T, e env, path string) { e.secret(t, path, "DECOY", "version", "1") },
			"a list of old":        func(t *testing.T, e env, path string) { e.list(t, path, "reveal", "true", "at", "1") },
			"by a reference": func(t *testing.T, e env, path string) {
				e.commit(t, set("/ref"+path, "POINTS", "${"+e.name+"."+strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")+".DECOY}"))
				e.value(t, "/ref"+path, "POINTS")
			},
			"by a copy": func(t *testing.T, e env, path string) {
				e.commit(t, api.Change{Op: "copy", Path: "/copied", To: "X", From: &api.Place{Path: path, Name: "DECOY"}})
			},
			"by an import": func(t *testing.T, e env, path string) {
				e.commit(t, showIn("/imports"+path, api.Place{Project: e.project, Env: e.name, Path: path}))
				e.value(t, "/imports"+path, "DECOY")
			},
			"after a rename": func(t *testing.T, e env, path string) {
				e.commit(t, rename(path, "DECOY", "OTHER"))
				e.value(t, path, "OTHER")
			},
			"by a diff": func(t *testing.T, e env, path string) {
				e.commit(t, set(path, "DECOY", "test-value-2"))
				get[api.Diff](t, e.person, "/projects/"+e.project+"/diff?from="+e.name+"@1&to="+e.name+"&reveal=true&path="+path)
			},
		} {
			t.Run(name, func(t *testing.T) {
				e := w.project(t, "dev")
				path := "/" + strings.ReplaceAll(name, " ", "-")
				e.commit(t, set(path, "DECOY", "test-value"), set(path, "REAL", "test-value"))
				place := name + " of " + e.project
				decoySecret(t, e, place, path, "DECOY")
				e.list(t, path)
				e.value(t, path, "REAL")
				if n := len(touches(t, w.admin, place)); n != 0 {
					t.Fatalf("%d touches before anybody touched", n)
				}
				begun := time.Now()
				touch(t, e, path)
				var found []touchEntry
				eventually(t, alarmWithin, "the alarm", func() bool { found = touches(t, w.admin, place); return len(found) > 0 })
				t.Logf("alarm after %s", time.Since(begun))
				if f := found[0]; f.Detail["kind"] != "secret" || f.Address == "" || f.Actor.Kind != "user" || f.Detail["entry"] == "" {
					t.Errorf("touch %+v", f)
				}
			})
		}
	})
}

func TestExemptPrincipalsAndTheServerItselfTouchNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	e := w.project(t)
	e.commit(t, set("/", "DECOY", "test-value"))
	me := get[api.Principal](t, w.admin, "/whoami").ID
	decoySecret(t, e, "prod", "/", "DECOY", me)
	e.value(t, "/", "DECOY")
	send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil)
	e.commit(t, rename("/", "DECOY", "DECOY_2"))
	w.admin.do(t, "GET", "/due", nil)
	// What comes later in the log has been handled when a touch after it is there.
	e.commit(t, set("/", "OTHER", "test-value"))
	decoySecret(t, e, "other", "/", "OTHER")
	e.value(t, "/", "OTHER")
	eventually(t, alarmWithin, "the alarm of the other one", func() bool { return len(touches(t, w.admin, "other")) == 1 })
	if n := len(touches(t, w.admin, "prod")); n != 0 {
		t.Errorf("%d touches by those who may", n)
	}
	for _, bad := range []api.CanaryRequest{
		{Kind: "token"}, {Kind: "pigeon", Place: "x"}, {Kind: "token", Place: "a\nb"}, {Kind: "token", Place: strings.Repeat("x", 201)}, {Kind: "token", Place: "y", Exempt: []string{me}},
		{Kind: "secret", Place: "z", Project: e.project, Env: e.name, Path: "/", Name: "OTHER", Exempt: []string{"nobody"}},
	} {
		w.admin.do(t, "POST", "/canaries", bad).refused(t, "invalid")
	}
	w.admin.do(t, "POST", "/canaries", api.CanaryRequest{Kind: "token", Place: "prod"}).refused(t, "exists")
	w.admin.do(t, "POST", "/canaries", api.CanaryRequest{Kind: "secret", Place: "new", Project: e.project, Env: e.name, Path: "/", Name: "OTHER"}).refused(t, "exists")
	w.admin.do(t, "POST", "/canaries", api.CanaryRequest{Kind: "secret", Place: "new", Project: e.project, Env: e.name, Path: "/", Name: "MISSING"}).refused(t, "not_found")
}

// TestATouchOnOneServerIsToldByTheOtherWithinFiveSeconds is the promise, with two servers: one is asked, the other one tells,
// also right after the one whose follower worked has died.
func TestATouchOnOneServerIsToldByTheOtherWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	database := testpg.Database(t)
	one := keyturntest.Start(t, keyturntest.WithPostgres(database), allowLoopback)
	two := keyturntest.Bare(t, keyturntest.WithPostgres(database), keyturntest.WithData(one.Data), allowLoopback)
	two.Token = one.Token
	a, b := newWorld(one), newWorld(two)
	e := a.project(t)
	e.commit(t, set("/", "DECOY", "test-value"), set("/", "SECOND", "test-value"), set("/", "LAST", "test-value"))
	decoySecret(t, e, "prod", "/", "DECOY")
	decoySecret(t, e, "second", "/", "SECOND")
	token := send[api.CanaryMade](t, a.admin, "POST", "/canaries", api.CanaryRequest{Kind: "token", Place: "CI"}).Token
	decoySecret(t, e, "last", "/", "LAST")
	eventually(t, 2*heardWithin, "the other server knows all decoys", func() bool {
		return e.at(b).do(t, "GET", e.path()+"/secrets/LAST?path=/", nil).status == 200 && len(touches(t, b.admin, "last")) > 0
	})
	// Somebody outside waits for alarms, as an alert channel does.
	sink := newReceiver(t)
	send[api.StreamMade](t, a.admin, "POST", "/audit/streams", api.StreamRequest{Name: "alarms", Kind: "webhook", Settings: map[string]string{"url": sink.URL}, Actions: []string{"canary.touched"}})
	eventually(t, 10*time.Second, "the stream has begun", func() bool { return streamNamed(t, a.admin, "alarms").Position > 0 })

	begun := time.Now()
	e.at(b).value(t, "/", "DECOY")
	eventually(t, alarmWithin, "the alarm is outside", func() bool { return sink.count("canary.touched prod") == 1 })
	t.Logf("a secret touched on the other server: %s", time.Since(begun))
	begun = time.Now()
	b.admin.with(token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
	eventually(t, alarmWithin, "the alarm is outside", func() bool { return sink.count("canary.touched CI") == 1 })
	t.Logf("a token shown to the other server: %s", time.Since(begun))
	if len(touches(t, a.admin, "prod")) != 1 || len(touches(t, b.admin, "CI")) != 1 {
		t.Error("the places are not told on both servers")
	}

	one.Stop()
	begun = time.Now()
	e.at(b).value(t, "/", "SECOND")
	eventually(t, alarmWithin, "the alarm is outside after the other server went", func() bool { return sink.count("canary.touched second") == 1 })
	t.Logf("after a take-over: %s", time.Since(begun))
}

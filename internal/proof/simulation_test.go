package proof

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

const (
	// shortSimulation is for how long the short form goes on; a slow machine tries less, it does not fail.
	shortSimulation = 6 * time.Second
	// runsAtOnce is how many runs of about eighty operations are made before the time is looked at.
	runsAtOnce = 10
)

func TestTheServerDoesWhatANaiveModelDoesOnSQLite(t *testing.T) {
	simulate(t, keyturntest.Start(t), shortSimulation)
}

// simulate runs random operations by several principals against the server and the model in step. Each run has a project of
// its own; the log is one for all.
func simulate(t *testing.T, server *keyturntest.Server, during time.Duration) {
	t.Helper()
	seed := rand.Uint64() | 1
	if f := flag.Lookup("rapid.seed"); f.Value.String() != f.DefValue {
		seed, _ = strconv.ParseUint(f.Value.String(), 10, 64)
	}
	t.Logf("seed %d: repeat with -rapid.seed=%d", seed, seed)
	s := siteAt(t, server.URL)
	log := &witness{}
	c := newCast(t, s, server.Token)
	s.heard = &sync.Map{}
	log.read(t, s, server.Token)
	n, done := 0, map[string]int{}
	for began, round := time.Now(), uint64(0); round == 0 || time.Since(began) < during; round++ {
		withFlags(t, map[string]string{"rapid.seed": strconv.FormatUint(seed+round, 10), "rapid.checks": strconv.Itoa(runsAtOnce), "rapid.steps": "80", "rapid.nofailfile": "true"})
		rapid.Check(t, func(rt *rapid.T) {
			n++
			w := &world{t: rt, site: s, cast: c, log: log, slug: fmt.Sprintf("sim-%d", n), envs: map[string]*model{}, grants: map[string]string{}}
			w.begin()
			rt.Repeat(map[string]func(*rapid.T){
				"commit": w.commit, "commit again": w.commit, "commit once more": w.commit, "roll back": w.rollback, "get": w.get, "list": w.list,
				"grant": w.grant, "take away": w.ungrant, "make a token": w.makeToken, "revoke a token": w.revokeToken, "nonsense": w.nonsense,
			})
			w.t = rt
			w.finish(rt)
			for _, d := range w.done {
				done[fmt.Sprintf("%s allowed %v", d.action, d.ok)]++
			}
			done["roll back"] += w.rolled
		})
	}
	log.judge(t, s, server.Token, true)
	t.Logf("%d runs, %d entries: %v", n, len(log.entries), done)
	for _, what := range []string{"secret.write allowed true", "secret.write allowed false", "secret.read allowed false", "secret.delete allowed true", "token.revoke allowed true", "roll back"} {
		if enough := 3 * runsAtOnce; done[what] == 0 && n >= enough {
			t.Errorf("the simulation never did this: %s", what)
		}
	}
}

// withFlags sets flags of the library, which has no other way, until the test ends.
func withFlags(t *testing.T, flags map[string]string) {
	t.Helper()
	for name, value := range flags {
		old := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, old) })
	}
}

// world is one run.
type world struct {
	t       *rapid.T
	site    *site
	cast    *cast
	log     *witness
	slug    string
	project string // id
	envs    map[string]*model
	actors  []*actor
	grants  map[string]string // "name env" to the grant's id
	rolled  int               // roll backs that changed something
	began   int               // entries of the log before
	done    []deed
}

// deed is an operation that was answered, and what the log must say of it.
type deed struct {
	request, action, actor string
	ok                     bool
}

var (
	simEnvs   = []string{"dev", "prod"}
	simPaths  = []string{"/", "/a", "/a/b", "/c"}
	simNames  = []string{"ONE", "TWO", "THREE"}
	simValues = []string{"test-value 1", "test-value 2", "test-value 3", "", "$${not a reference}"}
)

func (w *world) draw(from []string, what string) string {
	return rapid.SampledFrom(from).Draw(w.t, what)
}

func (w *world) someone() *actor { return w.pick(w.actors, "who") }

// worker is somebody who, more often than not, may change things.
func (w *world) worker() *actor {
	if rapid.IntRange(0, 3).Draw(w.t, "any") > 0 {
		return w.pick(w.actors[:2], "worker")
	}
	return w.someone()
}

// pick draws by place in the list: a draw is printed, and tokens are not for printing.
func (w *world) pick(from []*actor, what string) *actor {
	return from[rapid.IntRange(0, len(from)-1).Draw(w.t, what)]
}

// call sends a request as somebody and notes what the log must say of it.
func (w *world) call(a *actor, action, method, path string, body any) answer {
	out := w.site.call(a.token, method, path, body)
	if out.err != nil || out.status >= 500 {
		w.t.Fatalf("%s %s: %s", method, path, out)
	}
	id := a.id
	if a.owner != nil {
		id = a.owner.id
	}
	w.done = append(w.done, deed{out.request, action, id, out.ok()})
	if a.dead() != (out.status == 401) {
		w.t.Fatalf("%s shows a token whose end is %v and gets %s", a.name, a.dead(), out)
	}
	return out
}

func (a *actor) dead() bool { return a.revoked }

// refused checks an answer that must be a refusal: whoever may not see gets the same as for what is not there.
func (w *world) refused(a *actor, env string, out answer) {
	w.t.Helper()
	switch {
	case out.status == 401 && a.dead():
	case out.ok():
		w.t.Fatalf("%s was let in where he may not: %s", a.name, out)
	case !a.reachesAny(env) && out.status != 404:
		w.t.Fatalf("%s may do nothing in %s and learns something: %s", a.name, env, out)
	case out.status != 403 && out.status != 404 && out.status != 409 && out.status != 400:
		w.t.Fatalf("%s is refused in an odd way: %s", a.name, out)
	}
}

func (w *world) begin() {
	w.actors = w.cast.actors()
	w.began = len(w.log.entries)
	out := w.call(w.actors[0], "project.create", "POST", "/projects", api.ProjectRequest{Slug: w.slug, Envs: simEnvs})
	w.project = decoded[api.Project](w.t, out).ID
	for _, env := range simEnvs {
		w.envs[env] = newModel()
	}
	for i, role := range []string{"developer", "developer", "viewer"} {
		env := ""
		if i == 1 {
			env = "dev"
		}
		w.give(w.actors[i+1], env, role)
	}
}

func (w *world) give(a *actor, env, role string) {
	out := w.call(w.actors[0], "access.manage", "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: a.name, Project: w.slug, Env: env, Role: role})
	w.grants[a.name+" "+env] = decoded[api.Grant](w.t, out).ID
	a.roles[env] = role
}

func (w *world) machine() *actor { return w.pick(w.actors[1:5], "machine") }

func (w *world) grant(t *rapid.T) {
	w.t = t
	a, by := w.machine(), w.someone()
	env := w.draw(append([]string{""}, simEnvs...), "place")
	role := w.draw([]string{"developer", "viewer", "none"}, "role")
	if by.name == "admin" {
		w.give(a, env, role)
		return
	}
	out := w.call(by, "access.manage", "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: a.name, Project: w.slug, Env: env, Role: role})
	if out.ok() {
		t.Fatalf("%s gave a role: %s", by.name, out)
	}
}

func (w *world) ungrant(t *rapid.T) {
	w.t = t
	a := w.machine()
	env := w.draw(append([]string{""}, simEnvs...), "place")
	id, held := w.grants[a.name+" "+env]
	if !held {
		t.Skip("he has no role there")
	}
	if by := w.someone(); by.name != "admin" {
		if out := w.call(by, "access.manage", "DELETE", "/grants/"+id, nil); out.ok() {
			t.Fatalf("%s took a role away: %s", by.name, out)
		}
		return
	}
	decoded[api.Done](t, w.call(w.actors[0], "access.manage", "DELETE", "/grants/"+id, nil))
	delete(w.grants, a.name+" "+env)
	delete(a.roles, env)
}

func (w *world) makeToken(t *rapid.T) {
	w.t = t
	a := w.someone()
	s := &scope{env: w.draw([]string{"dev", "prod", "*"}, "scope"), folder: w.draw(simPaths, "folder"),
		verbs: rapid.SliceOfNDistinct(rapid.SampledFrom(everything), 1, 4, rapid.ID).Draw(t, "verbs")}
	out := w.call(a, "token.create", "POST", "/tokens", api.TokenRequest{Project: w.slug, Scopes: s.env + ":" + s.folder + ":" + strings.Join(s.verbs, ","), TTL: "1h"})
	if a.dead() {
		return
	}
	if may := a.mayMakeTokens() && (s.env == "*" || a.reachesAny(s.env)); out.ok() != may {
		t.Fatalf("%s makes a token, which he may: %v; answer %d %s", a.name, may, out.status, out.kind())
	}
	if out.ok() {
		made := decoded[api.NewToken](t, out)
		w.actors = append(w.actors, &actor{name: a.name + "'s token", token: made.Token, tokenID: made.ID, scope: s, owner: a})
	}
}

func (w *world) revokeToken(t *rapid.T) {
	w.t = t
	if len(w.actors) <= 5 {
		t.Skip("there is no token")
	}
	victim := w.pick(w.actors[5:], "token")
	by := w.someone()
	own := by == victim || by == victim.owner || by.owner == victim.owner
	action := "access.manage"
	if own {
		action = "token.revoke"
	}
	out := w.call(by, action, "DELETE", "/tokens/"+victim.tokenID, nil)
	switch {
	case by.dead():
	case out.ok() != (own || by.name == "admin"):
		t.Fatalf("%s revokes %s (his own: %v): %s", by.name, victim.name, own, out)
	case out.ok():
		victim.revoked = true
	}
}

// nonsense sends what can never succeed and must leave no trace of success.
func (w *world) nonsense(t *rapid.T) {
	w.t = t
	a, env := w.someone(), w.draw(simEnvs, "env")
	bad := rapid.SampledFrom([]struct {
		method, path string
		body         any
	}{
		{"POST", at(w.slug, env, "commits"), api.CommitRequest{}},
		{"POST", at(w.slug, env, "commits"), api.CommitRequest{Changes: []api.Change{{Op: "explode", Path: "/", Name: "ONE"}}}},
		{"POST", at(w.slug, env, "commits"), api.CommitRequest{Changes: []api.Change{{Op: "set", Path: "/../x", Name: "ONE"}}}},
		{"POST", at(w.slug, env, "commits"), set("/", "NOT A NAME", "test-value")},
		{"POST", at(w.slug, env, "commits"), set("/", "LOOP", "${LOOP}")},
		{"POST", at(w.slug, env, "commits"), set("/", "DANGLING", "${NO_SUCH_NAME}")},
		{"POST", at(w.slug, env, "rollback"), api.RollbackRequest{To: 1 << 40}},
		{"GET", at(w.slug, env, "secrets", "ONE") + "?version=999999", nil},
		{"GET", at(w.slug, "nowhere", "secrets", "ONE"), nil},
		{"GET", "/projects/no-such-project", nil},
	}).Draw(t, "nonsense")
	if out := w.call(a, "", bad.method, bad.path, bad.body); out.ok() {
		t.Fatalf("nonsense was taken: %s", out)
	}
}

func (w *world) change(m *model) api.Change {
	c := api.Change{Op: w.draw([]string{"set", "set", "set", "set", "delete", "restore", "rename", "move", "folder.create", "folder.move", "folder.delete", "folder.restore"}, "op"),
		Path: w.draw(simPaths, "path")}
	if !strings.HasPrefix(c.Op, "folder.") {
		c.Name = w.draw(simNames, "name")
	}
	if keys := m.names(c.Op == "restore"); c.Name != "" && len(keys) > 0 && rapid.IntRange(0, 3).Draw(w.t, "known") > 0 {
		key := w.draw(keys, "key")
		c.Path, c.Name = folderOf(key), path.Base(key)
	}
	switch c.Op {
	case "set":
		v := w.draw(simValues, "value")
		c.Value = &v
	case "rename":
		c.To = w.draw(simNames, "to")
	case "move":
		c.ToPath = w.draw(simPaths, "to path")
	case "folder.move":
		c.ToPath = w.draw(append([]string{"/d", "/a/d"}, simPaths...), "to path")
	}
	return c
}

// changes gives one change of any sort, or several sets and deletes of different secrets.
func (w *world) changes(m *model) []api.Change {
	if n := rapid.IntRange(0, 5).Draw(w.t, "several"); n < 4 {
		return []api.Change{w.change(m)}
	}
	var out []api.Change
	for range rapid.IntRange(2, 4).Draw(w.t, "changes") {
		c := w.change(m)
		taken := slices.ContainsFunc(out, func(o api.Change) bool { return o.Path == c.Path && o.Name == c.Name })
		if (c.Op == "set" || c.Op == "delete") && !taken {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return []api.Change{w.change(m)}
	}
	return out
}

func (w *world) commit(t *rapid.T) {
	w.t = t
	a, env := w.worker(), w.draw(simEnvs, "env")
	m := w.envs[env]
	r := api.CommitRequest{Changes: w.changes(m), DryRun: rapid.IntRange(0, 9).Draw(t, "dry") == 0}
	if m.loose && slices.ContainsFunc(r.Changes, func(c api.Change) bool { return c.Op == "restore" || c.Op == "folder.restore" }) {
		t.Skip("nobody can foretell this after a roll back")
	}
	stale := rapid.IntRange(0, 9).Draw(t, "stale") == 0
	if stale {
		other := m.revision + 1
		r.IfRevision = &other
	}
	trial, want, changed, allowed, deletes := m.clone(), "", false, true, true
	for _, c := range r.Changes {
		verb := "write"
		if c.Op == "delete" || c.Op == "restore" || c.Op == "folder.delete" || c.Op == "folder.restore" {
			verb = "delete"
		} else {
			deletes = false
		}
		allowed = allowed && a.may(verb, env, c.Path) && (c.ToPath == "" || a.may("write", env, c.ToPath))
		if want == "" {
			var did bool
			did, want = trial.apply(c)
			changed = changed || did
		}
	}
	action := "secret.write"
	if deletes {
		action = "secret.delete"
	}
	allowed = allowed && a.reaches(strings.TrimPrefix(action, "secret."), env)
	if stale {
		want = "conflict"
	}
	out := w.call(a, action, "POST", at(w.slug, env, "commits"), r)
	switch {
	case a.dead() || !allowed:
		w.refused(a, env, out)
	case want != "":
		if out.kind() != want {
			t.Fatalf("%s commits %s: the model expects %q, the server says %s", a.name, texts(r.Changes), want, out)
		}
	case !out.ok():
		t.Fatalf("%s commits %s: the model expects no refusal, the server says %s", a.name, texts(r.Changes), out)
	case !r.DryRun:
		trial.close(changed)
		w.envs[env] = trial
		if got := decoded[api.Committed](t, out); got.Revision != trial.revision || (got.ID != "") != changed {
			t.Fatalf("%s: the model stands at revision %d (changed: %v), the server tells %d %q", texts(r.Changes), trial.revision, changed, got.Revision, got.ID)
		}
	}
	w.compare(env, texts(r.Changes))
}

func texts(changes []api.Change) string {
	b, _ := json.Marshal(changes)
	return string(b)
}

// compare looks at the whole environment as the admin sees it and at the model: names, values, versions, ids, folders.
func (w *world) compare(env, after string) {
	m := w.envs[env]
	got := w.look(env, "")
	want := m.view()
	if got.Revision != m.revision {
		w.t.Fatalf("after %s: the environment stands at revision %d, the model at %d", after, got.Revision, m.revision)
	}
	for _, s := range got.Secrets {
		key := fullName(s.Path, s.Name)
		sight, known := want.secrets[key]
		switch {
		case !known:
			w.t.Fatalf("after %s: the server has %s, the model does not", after, key)
		case s.Value == nil || s.Value.Value != sight.value || s.Version != sight.version:
			w.t.Fatalf("after %s: %s: the model has version %d %q, the server %d %v", after, key, sight.version, sight.value, s.Version, s.Value)
		case sight.id != "" && sight.id != s.ID:
			w.t.Fatalf("after %s: %s is another secret now", after, key)
		}
		kept := m.secrets[sight.key]
		kept.id = s.ID
		m.secrets[sight.key] = kept
		delete(want.secrets, key)
	}
	for key := range want.secrets {
		w.t.Fatalf("after %s: the model has %s, the server does not", after, key)
	}
	for _, f := range got.Folders {
		if _, known := want.folders[f]; !known {
			w.t.Fatalf("after %s: the server has folder %s, the model does not", after, f)
		}
		delete(want.folders, f)
	}
	delete(want.folders, "/")
	for f := range want.folders {
		w.t.Fatalf("after %s: the model has folder %s, the server does not", after, f)
	}
	m.past[m.revision] = m.view() // now with ids
}

func (w *world) look(env, query string) api.Secrets {
	out := w.call(w.actors[0], "secret.read", "GET", at(w.slug, env, "secrets")+"?path=/&recursive=true&reveal=true&raw=true"+query, nil)
	return decoded[api.Secrets](w.t, out)
}

func (w *world) get(t *rapid.T) {
	w.t = t
	a, env := w.someone(), w.draw(simEnvs, "env")
	folder, name := w.draw(simPaths, "path"), w.draw(simNames, "name")
	m := w.envs[env]
	query := "?raw=true&path=" + url.QueryEscape(folder)
	sight, there := m.view().secrets[fullName(folder, name)]
	if then := rapid.Int64Range(0, m.revision).Draw(t, "revision"); then > 0 {
		query += "&at=" + strconv.FormatInt(then, 10)
		sight, there = m.past[then].secrets[fullName(folder, name)]
	}
	out := w.call(a, "secret.read", "GET", at(w.slug, env, "secrets", name)+query, nil)
	switch {
	case a.dead() || !a.may("read", env, folder):
		w.refused(a, env, out)
		if out.status == 403 && !a.may("list", env, folder) {
			t.Fatalf("%s may not see %s and learns that it is there: %s", a.name, folder, out)
		}
	case !there:
		if out.status != 404 {
			t.Fatalf("%s of %s is not there, and the server says %s", fullName(folder, name), env, out)
		}
	default:
		if got := decoded[api.Secret](t, out); got.Value == nil || got.Value.Value != sight.value || got.Version != sight.version {
			t.Fatalf("%s: the model has version %d %q, the server gives %d %v", fullName(folder, name), sight.version, sight.value, got.Version, got.Value)
		}
	}
}

func (w *world) list(t *rapid.T) {
	w.t = t
	a, env := w.someone(), w.draw(simEnvs, "env")
	reveal := rapid.Bool().Draw(t, "reveal")
	action, verb := "secret.list", "list"
	if reveal {
		action, verb = "secret.read", "read"
	}
	out := w.call(a, action, "GET", at(w.slug, env, "secrets")+fmt.Sprintf("?path=/&recursive=true&raw=true&reveal=%v", reveal), nil)
	if a.dead() || !a.reaches(verb, env) {
		w.refused(a, env, out)
		return
	}
	got := decoded[api.Secrets](t, out)
	want := w.envs[env].view().secrets
	for _, s := range got.Secrets {
		key := fullName(s.Path, s.Name)
		sight, there := want[key]
		if !there || !a.may(verb, env, s.Path) || (s.Value != nil) != reveal || reveal && s.Value.Value != sight.value {
			t.Fatalf("%s lists %s of %s, which is there: %v, and he may: %v", a.name, key, env, there, a.may(verb, env, s.Path))
		}
		delete(want, key)
	}
	for key := range want {
		if a.may(verb, env, path.Dir(key)) {
			t.Fatalf("%s does not get %s of %s, which he may see", a.name, key, env)
		}
	}
}

// finish checks the invariants of the run: every version and every revision can be read, and the log tells exactly what was done.
func (w *world) finish(tb rapid.TB) {
	for _, env := range simEnvs {
		m := w.envs[env]
		for then := int64(1); then <= m.revision; then++ {
			got := w.look(env, "&at="+strconv.FormatInt(then, 10))
			if len(got.Secrets) != len(m.past[then].secrets) {
				w.t.Fatalf("%s at revision %d: the server has %d secrets, the model %d", env, then, len(got.Secrets), len(m.past[then].secrets))
			}
			for _, s := range got.Secrets {
				if sight := m.past[then].secrets[fullName(s.Path, s.Name)]; sight.value != s.Value.Value || sight.version != s.Version || sight.id != s.ID {
					w.t.Fatalf("%s at revision %d: %s is not what it was", env, then, fullName(s.Path, s.Name))
				}
			}
		}
		for key, sight := range m.view().secrets {
			for i, value := range m.secrets[sight.key].versions {
				out := w.call(w.actors[0], "secret.read", "GET", at(w.slug, env, "secrets", path.Base(key))+fmt.Sprintf("?raw=true&path=%s&version=%d", url.QueryEscape(path.Dir(key)), i+1), nil)
				if got := decoded[api.Secret](tb, out); got.Value == nil || got.Value.Value != value {
					w.t.Fatalf("version %d of %s cannot be read any more", i+1, key)
				}
			}
		}
	}
	w.log.read(tb, w.site, w.cast.admin)
	logged := w.log.byRequest(w.began)
	for _, d := range w.done {
		allowed := slices.ContainsFunc(logged[d.request], func(e entry) bool {
			return e.Outcome == "allowed" && (d.action == "" || e.Action == d.action) && e.Actor.ID == d.actor
		})
		any := slices.ContainsFunc(logged[d.request], func(e entry) bool { return e.Outcome == "allowed" })
		if d.ok && !allowed {
			w.t.Fatalf("%s by %s was done and the log does not say so: %+v", d.action, d.actor, logged[d.request])
		}
		if !d.ok && any {
			w.t.Fatalf("%s was not done and the log says that it was: %+v", d.action, logged[d.request])
		}
	}
	for _, e := range w.log.entries[w.began:] {
		status, heard := w.site.heard.Load(e.Request)
		if e.Outcome == "allowed" && (!heard || status.(int) >= 300) {
			w.t.Fatalf("the log tells of %s, which nobody did: %+v", e.Action, e)
		}
	}
}

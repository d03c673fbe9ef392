package proof

import (
	"maps"
	"strings"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
)

// rollback puts an environment, a folder or one secret back. The model knows only the promise: what the place held then it
// holds again, what came there since is gone, and everything else stays.
func (w *world) rollback(t *rapid.T) {
	w.t = t
	a, env := w.worker(), w.draw(simEnvs, "env")
	m := w.envs[env]
	if m.revision == 0 {
		t.Skip("there is nothing to go back to")
	}
	r := api.RollbackRequest{To: rapid.Int64Range(0, m.revision-1).Draw(t, "to"), Path: w.draw(append([]string{"/", "/"}, simPaths...), "path")}
	if rapid.IntRange(0, 3).Draw(t, "one") == 0 {
		r.Name = w.draw(simNames, "name")
	}
	now, then := m.view(), m.past[r.To]
	want, clash, scattered := rolledBack(now, then, r)
	out := w.call(a, "secret.write", "POST", at(w.slug, env, "rollback"), r)
	if a.dead() || !a.may("write", env, r.Path) || !a.may("delete", env, r.Path) {
		w.refused(a, env, out)
		w.compare(env, "a roll back that was refused")
		return
	}
	narrow := a.owner != nil && (a.scope.folder != "/" || len(a.scope.verbs) < len(everything))
	if !out.ok() {
		switch {
		case clash && out.kind() == "conflict", narrow && (out.status == 403 || out.status == 404):
		case r.Name != "" && out.kind() == "not_found" && !holdsName(now, r) && !holdsName(then, r):
		default:
			t.Fatalf("%s rolls %s back: %+v: %s", a.name, env, r, out)
		}
		w.compare(env, "a roll back that was refused")
		return
	}
	if clash {
		t.Fatalf("two secrets have one name after %+v: %s", r, out)
	}
	w.adopt(env, want, scattered, decoded[api.Committed](t, out))
	w.compare(env, "a roll back")
}

func holdsName(v view, r api.RollbackRequest) bool {
	_, there := v.secrets[fullName(r.Path, r.Name)]
	return there
}

// rolledBack says what must be where. A secret outside of the place that sat in its way makes a clash. Secrets whose folder
// goes elsewhere with the roll back are scattered: where they are afterwards is the server's choice.
func rolledBack(now, then view, r api.RollbackRequest) (want map[string]sight, clash bool, scattered map[int]bool) {
	covers := func(key string) bool {
		if r.Name != "" {
			return key == fullName(r.Path, r.Name)
		}
		return inside(r.Path, folderOf(key))
	}
	was, is := map[int]string{}, map[int]string{}
	for key, s := range then.secrets {
		was[s.key] = key
	}
	for key, s := range now.secrets {
		is[s.key] = key
	}
	want, scattered = maps.Clone(now.secrets), map[int]bool{}
	chosen := map[int]bool{}
	for key, s := range now.secrets {
		if covers(key) {
			delete(want, key)
			if _, existed := was[s.key]; existed {
				chosen[s.key] = true
			}
		}
	}
	for key, s := range then.secrets {
		if covers(key) {
			chosen[s.key] = true
		}
	}
	for k := range chosen {
		if key, live := is[k]; live {
			delete(want, key)
		}
	}
	for k := range chosen {
		if _, taken := want[was[k]]; taken {
			clash = true
		}
	}
	for k := range chosen {
		s := then.secrets[was[k]]
		want[was[k]] = s
	}
	if r.Name == "" {
		for p, k := range now.folders {
			if old, existed := folderPath(then, k); existed && old != p && (inside(r.Path, p) || inside(r.Path, old)) {
				for key, s := range now.secrets {
					if inside(p, folderOf(key)) && !chosen[s.key] {
						scattered[s.key] = true
					}
				}
			}
		}
	}
	return want, clash, scattered
}

func folderOf(key string) string {
	if i := strings.LastIndexByte(key, '/'); i > 0 {
		return key[:i]
	}
	return "/"
}

func folderPath(v view, key int) (string, bool) {
	for p, k := range v.folders {
		if k == key {
			return p, true
		}
	}
	return "", false
}

// adopt checks what the server made of a roll back against the promise and takes it over: folders are new ones to the model
// from then on.
func (w *world) adopt(env string, want map[string]sight, scattered map[int]bool, c api.Committed) {
	m := w.envs[env].clone()
	got := w.look(env, "")
	byID := map[string]int{}
	for k, s := range m.secrets {
		byID[s.id] = k
	}
	folders := map[string]int{}
	for k, f := range m.folders {
		if f.deleted == 0 {
			f.deleted = -1 // no revision: never restored
			m.folders[k] = f
		}
	}
	for _, p := range append([]string{"/"}, got.Folders...) {
		folders[p] = m.key()
		m.folders[folders[p]] = modelFolder{path: p}
	}
	live := map[int]bool{}
	for _, s := range got.Secrets {
		key := fullName(s.Path, s.Name)
		k, known := byID[s.ID]
		sight, promised := want[key]
		if !known || !scattered[k] && (!promised || sight.key != k) {
			w.t.Fatalf("after a roll back the server has %s, which is not what was there then", key)
		}
		if promised && sight.key == k && sight.value != s.Value.Value {
			w.t.Fatalf("after a roll back %s has another value than then", key)
		}
		live[k] = true
		mine := m.secrets[k]
		switch n := int64(len(mine.versions)); {
		case s.Version == n && mine.versions[n-1] == s.Value.Value:
		case s.Version == n+1 && mine.versions[n-1] != s.Value.Value:
			mine.versions = append(mine.versions, s.Value.Value)
		default:
			w.t.Fatalf("after a roll back %s has version %d, and had %d before", key, s.Version, n)
		}
		mine.folder, mine.name, mine.deleted = folders[s.Path], s.Name, 0
		m.secrets[k] = mine
	}
	for key, sight := range want {
		if !live[sight.key] && !scattered[sight.key] {
			w.t.Fatalf("after a roll back %s is missing", key)
		}
	}
	for k, s := range m.secrets {
		if !live[k] && s.deleted == 0 {
			s.deleted = m.revision + 1
			m.secrets[k] = s
		}
	}
	if c.ID != "" {
		w.rolled++
	}
	m.loose = true
	m.close(c.ID != "")
	w.envs[env] = m
}

package secrets

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

func TestPathsOfMounts(t *testing.T) {
	for in, want := range map[string]string{"secret": "secret", "/team/kv/": "team/kv", "A.b-c_d": "A.b-c_d"} {
		if got, err := ParseMountPath(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "/", "a//b", "a b", "a/../b", ".", "sys", "sys/x", "auth", "cubbyhole/a", "identity", "transit", strings.Repeat("x", maxMountPath+1), "a\x00", "ä"} {
		if got, err := ParseMountPath(in); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestPathsOfDocuments(t *testing.T) {
	project := Mount{Path: "shop", Kind: MountKV, Version: 2, Project: "p", Folder: domain.Root}
	deep := Mount{Path: "secret", Kind: MountKV, Version: 2, Project: "p", Env: "e", Folder: "/backend"}
	for _, c := range []struct {
		mount           Mount
		rest, env, path string
	}{
		{project, "prod", "prod", "/"}, {project, "prod/a/b", "prod", "/a/b"}, {deep, "db", "e", "/backend/db"}, {deep, "db/x", "e", "/backend/db/x"},
	} {
		if got, err := c.mount.Document(c.rest); err != nil || got.Env != c.env || string(got.Path) != c.path {
			t.Errorf("%s %s: %+v, %v", c.mount.Path, c.rest, got, err)
		}
	}
	for _, c := range []struct {
		mount Mount
		rest  string
	}{{project, ""}, {project, "Prod"}, {project, "prod/a b"}, {project, "prod/a.b"}, {project, "prod//a"}, {deep, ""}, {deep, "a/"}, {deep, strings.Repeat("a/", domain.MaxDepth) + "a"}, {transitMount, "x"}} {
		if _, err := c.mount.Document(c.rest); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s %q: %v", c.mount.Path, c.rest, err)
		}
	}
}

func TestTheLongestMountHasThePath(t *testing.T) {
	shop := &projectDirectory{row: store.Project{ID: "p", Slug: "shop"}, envs: map[string]store.Environment{}}
	named := &projectDirectory{row: store.Project{ID: "q", Slug: "sys"}}
	o := &orgDirectory{projects: map[string]*projectDirectory{"p": shop, "shop": shop, "q": named, "sys": named},
		mounts: []store.Mount{{ID: "1", Path: "team/kv", Project: "p", Kind: "kv", Version: 1, Folder: domain.Root}, {ID: "2", Path: "gone", Project: "deleted", Kind: "kv"}}}
	for path, want := range map[string][2]string{"shop/data/a": {"shop", "data/a"}, "shop": {"shop", ""}, "team/kv/x": {"team/kv", "x"}, "/team/kv/": {"team/kv", ""}, "transit/keys/k": {"transit", "keys/k"}} {
		m, rest, ok := o.find(path)
		if !ok || m.Path != want[0] || rest != want[1] {
			t.Errorf("%s: %s and %s, %v", path, m.Path, rest, ok)
		}
	}
	for _, path := range []string{"", "team", "team/kvx", "gone/x", "sys/x", "p/data", "shopping"} {
		if m, _, ok := o.find(path); ok {
			t.Errorf("%s lies below %s", path, m.Path)
		}
	}
}

func TestSettingsOfDocumentAndMountCountTogether(t *testing.T) {
	hour, day := time.Hour, 24*time.Hour
	for _, c := range []struct {
		own       store.DocumentSettings
		mount     MountSettings
		versions  int64
		cas       bool
		lifetime  time.Duration
		endsNever bool
	}{
		{versions: 10, endsNever: true},
		{own: store.DocumentSettings{MaxVersions: 3}, mount: MountSettings{MaxVersions: 5, CASRequired: true}, versions: 5, cas: true, endsNever: true},
		{own: store.DocumentSettings{DeleteAfter: hour.Milliseconds()}, mount: MountSettings{DeleteVersionAfter: day}, versions: 10, lifetime: hour},
		{mount: MountSettings{DeleteVersionAfter: day}, versions: 10, lifetime: day},
		{own: store.DocumentSettings{DeleteAfter: hour.Milliseconds()}, mount: MountSettings{DeleteVersionAfter: -1}, versions: 10, endsNever: true},
	} {
		got := effectiveSettings(&c.own, c.mount)
		if got.max != c.versions || got.cas != c.cas || got.after != c.lifetime || (got.end(1000) == 0) != c.endsNever {
			t.Errorf("%+v and %+v give %+v", c.own, c.mount, got)
		}
	}
}

// reference is RFC 7396 as its section 2 has it.
func reference(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = reference(t[k], v)
		}
	}
	return t
}

func FuzzMergePatch(f *testing.F) {
	for _, seed := range [][2]string{{`{"a":"b"}`, `{"a":"c"}`}, {`{"a":"b"}`, `{"a":null}`}, {`{"a":["b"]}`, `{"a":"c"}`}, {`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`}, {`["a","b"]`, `["c","d"]`}, {`{"a":"foo"}`, `null`}, {`[1,2]`, `{"a":"b","c":null}`}, {``, `{"a":{"bb":{"ccc":null}}}`}, {`1`, `{"n":12345678901234567890}`}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, target, patch string) {
		var a, b any
		if json.Unmarshal([]byte(patch), &b) != nil || target != "" && json.Unmarshal([]byte(target), &a) != nil {
			return
		}
		got, err := mergePatch([]byte(target), []byte(strings.TrimSpace(patch)))
		if err != nil {
			return // names that stand there twice, bytes that are no text
		}
		var merged any
		if err := json.Unmarshal(got, &merged); err != nil {
			t.Fatalf("%q and %q give %q: %v", target, patch, got, err)
		}
		if want := reference(a, b); !reflect.DeepEqual(merged, want) {
			t.Fatalf("%q and %q give %s, want %v", target, patch, got, want)
		}
	})
}

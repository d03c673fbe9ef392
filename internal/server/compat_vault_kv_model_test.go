package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/keyturntest"
)

// modelVersion is one version as the model knows it.
type modelVersion struct {
	data               map[string]string // JSON text by key
	deleted, destroyed bool
}

func (v *modelVersion) gone() bool { return v.deleted || v.destroyed }

// modelDocument is version 2 of the engine for one key, written down from its description.
type modelDocument struct {
	versions     map[int]*modelVersion
	current, old int // the current and the oldest version, 0 for none and for all
	max          int
	cas          bool
	there        bool
}

func newModel() *modelDocument { return &modelDocument{versions: map[int]*modelVersion{}} }

func (m *modelDocument) live() map[string]string {
	if v := m.versions[m.current]; v != nil && !v.gone() {
		return maps.Clone(v.data)
	}
	return map[string]string{}
}

func (m *modelDocument) put(data map[string]string) {
	m.current++
	m.there = true
	m.versions[m.current] = &modelVersion{data: data}
	limit := m.max
	if limit == 0 {
		limit = 10
	}
	if keep := m.current - limit + 1; keep > 1 && keep > m.old {
		m.old = keep
		maps.DeleteFunc(m.versions, func(n int, _ *modelVersion) bool { return n < keep })
	}
}

// checkDocument compares every version that there could be, and the metadata.
func checkDocument(t *rapid.T, k kv, at string, m *modelDocument) {
	for n := range m.current + 2 {
		r := k.ask(t, "GET", at+"?version="+strconv.Itoa(n), nil)
		v := m.versions[n]
		if n == 0 {
			v = m.versions[m.current]
		}
		var got struct {
			Data struct {
				Data     map[string]json.RawMessage `json:"data"`
				Metadata struct {
					Version   int    `json:"version"`
					Destroyed bool   `json:"destroyed"`
					Deletion  string `json:"deletion_time"`
				} `json:"metadata"`
			} `json:"data"`
		}
		if err := json.Unmarshal(r.body, &got); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		switch {
		case v == nil:
			if r.status != 404 || string(r.body) != `{"errors":[]}` {
				t.Fatalf("version %d: %d %s, want nothing", n, r.status, r.body)
			}
			continue
		case v.gone():
			if r.status != 404 || got.Data.Data != nil || got.Data.Metadata.Destroyed != v.destroyed || v.deleted != (got.Data.Metadata.Deletion != "") {
				t.Fatalf("version %d: %d %s, want one that is gone: %+v", n, r.status, r.body, v)
			}
		default:
			if r.status != 200 || got.Data.Metadata.Deletion != "" || !maps.EqualFunc(got.Data.Data, v.data, func(a json.RawMessage, b string) bool { return string(a) == b }) {
				t.Fatalf("version %d: %d %s, want %v", n, r.status, r.body, v.data)
			}
		}
		if want := n; n != 0 && got.Data.Metadata.Version != want || n == 0 && got.Data.Metadata.Version != m.current {
			t.Fatalf("version %d says %d", n, got.Data.Metadata.Version)
		}
	}
}

func checkMetadata(t *rapid.T, k kv, at string, m *modelDocument) {
	r := k.ask(t, "GET", at, nil)
	if !m.there {
		if r.status != 404 {
			t.Fatalf("%d %s, want no document", r.status, r.body)
		}
		return
	}
	var got struct {
		Data struct {
			Current  int  `json:"current_version"`
			Oldest   int  `json:"oldest_version"`
			Max      int  `json:"max_versions"`
			CAS      bool `json:"cas_required"`
			Versions map[string]struct {
				Destroyed bool   `json:"destroyed"`
				Deletion  string `json:"deletion_time"`
			} `json:"versions"`
		} `json:"data"`
	}
	r.fits(t, &got)
	d := got.Data
	if d.Current != m.current || d.Oldest != m.old || d.Max != m.max || d.CAS != m.cas || len(d.Versions) != len(m.versions) {
		t.Fatalf("metadata %s, want %+v", r.body, m)
	}
	for n, v := range m.versions {
		if got, ok := d.Versions[strconv.Itoa(n)]; !ok || got.Destroyed != v.destroyed || (got.Deletion != "") != v.deleted {
			t.Fatalf("version %d in %s, want %+v", n, r.body, v)
		}
	}
}

func TestDocumentsBehaveAsTheModel(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t))
	e, k := w.project(t), w.kv()
	keys, values := []string{"A", "B", "C"}, []string{`"x"`, `"y"`, `"${z}"`, `1`, `12345678901234567890`, `{"k":[null]}`}
	rapid.Check(t, func(rt *rapid.T) {
		folder := w.fresh("doc-")
		data, meta := e.project+"/data/dev/"+folder, e.project+"/metadata/dev/"+folder
		m := newModel()
		drawn := func() map[string]string {
			return rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 0, 3).Draw(rt, "data")
		}
		versions := func() []int { return rapid.SliceOfN(rapid.IntRange(1, m.current+1), 1, 3).Draw(rt, "versions") }
		each := func(verb string, change func(int, *modelVersion)) {
			all := versions()
			k.ask(rt, "POST", e.project+"/"+verb+"/dev/"+folder, map[string]any{"versions": all}).none(rt)
			for _, n := range all {
				if v := m.versions[n]; v != nil {
					change(n, v)
				}
			}
		}
		write := func(method string, d map[string]string, cas int) bool {
			raw := map[string]json.RawMessage{}
			for key, v := range d {
				raw[key] = json.RawMessage(v)
			}
			body := map[string]any{"data": raw}
			if cas >= 0 {
				body["options"] = map[string]any{"cas": cas}
			}
			r := k.ask(rt, method, data, body)
			want := 200
			switch {
			case cas >= 0 && cas != m.current, cas < 0 && m.cas:
				want = 400
			case method == "PATCH" && (m.current == 0 || m.versions[m.current].gone()):
				want = 404
			}
			if r.status != want {
				rt.Fatalf("%s %v: %d %s, want %d", method, body, r.status, r.body, want)
			}
			return want == 200
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) { checkDocument(rt, k, data, m); checkMetadata(rt, k, meta, m) },
			"write": func(rt *rapid.T) {
				if d := drawn(); write("POST", d, -1) {
					m.put(d)
				}
			},
			"write with a version": func(rt *rapid.T) {
				if d := drawn(); write("PUT", d, rapid.SampledFrom([]int{m.current, m.current, 0, m.current + 1}).Draw(rt, "cas")) {
					m.put(d)
				}
			},
			"patch": func(rt *rapid.T) {
				d := drawn()
				gone := rapid.SampledFrom(keys).Draw(rt, "removed")
				d[gone] = "null"
				if write("PATCH", d, m.current) {
					now := m.live()
					maps.Copy(now, d)
					maps.DeleteFunc(now, func(_, v string) bool { return v == "null" })
					m.put(now)
				}
			},
			"delete": func(rt *rapid.T) {
				k.ask(rt, "DELETE", data, nil).none(rt)
				if v := m.versions[m.current]; v != nil {
					v.deleted = v.deleted || !v.destroyed
				}
			},
			"delete versions": func(rt *rapid.T) {
				each("delete", func(_ int, v *modelVersion) { v.deleted = v.deleted || !v.destroyed })
			},
			"undelete": func(rt *rapid.T) {
				each("undelete", func(_ int, v *modelVersion) { v.deleted = v.deleted && v.destroyed })
			},
			"destroy": func(rt *rapid.T) { each("destroy", func(_ int, v *modelVersion) { v.destroyed = true }) },
			"settings": func(rt *rapid.T) {
				m.max, m.cas, m.there = rapid.IntRange(0, 4).Draw(rt, "max"), rapid.Bool().Draw(rt, "cas"), true
				k.ask(rt, "POST", meta, map[string]any{"max_versions": m.max, "cas_required": m.cas}).none(rt)
			},
			"forget": func(rt *rapid.T) {
				k.ask(rt, "DELETE", meta, nil).none(rt)
				m = newModel()
			},
			"another view sets": func(rt *rapid.T) {
				key, value := rapid.SampledFrom(keys).Draw(rt, "key"), fmt.Sprint("n", len(m.versions), m.current)
				e.commit(rt, set("/"+folder, key, value))
				now := m.live()
				now[key] = `"` + value + `"`
				m.put(now)
			},
			"another view deletes": func(rt *rapid.T) {
				now := m.live()
				if len(now) == 0 {
					return
				}
				key := slices.Sorted(maps.Keys(now))[0]
				e.commit(rt, api.Change{Op: "delete", Path: "/" + folder, Name: key})
				delete(now, key)
				m.put(now)
			},
		})
	})
	if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
		t.Errorf("the log and the data differ: %+v", v.Problems)
	}
}

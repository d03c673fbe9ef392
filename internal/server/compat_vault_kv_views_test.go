package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

func (r reply) keys(t tb, want ...string) {
	t.Helper()
	quoted := []string{}
	for _, k := range want {
		quoted = append(quoted, `"`+k+`"`)
	}
	r.data(t, 200, `{"keys":[`+strings.Join(quoted, ",")+`]}`)
}

func TestMountsShowTheSameDocuments(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t, "dev", "prod"), w.kv()
		m := e.project
		prod := e.in("prod")
		prod.commit(t, set("/", "ROOT", "r"), set("/backend", "USER", "app"), set("/backend", "COPY", "${prod.backend.USER}!"), set("/backend/db", "PASSWORD", "test-value"))
		mount := func(r api.MountRequest) string {
			r.Path, r.Project = w.fresh("mount-"), e.project
			return send[api.Mount](t, w.admin, "POST", "/mounts", r).Path
		}
		whole, two, deep, plain := mount(api.MountRequest{}), mount(api.MountRequest{Env: "prod"}), mount(api.MountRequest{Env: "prod", Folder: "/backend"}), mount(api.MountRequest{Env: "prod", Version: 1})
		want := `{"data":{"COPY":"app!","USER":"app"},"metadata":` + versionText("1", "", "false") + `}`
		for _, path := range []string{m + "/data/prod/backend", whole + "/data/prod/backend", two + "/data/backend"} {
			k.ask(t, "GET", path, nil).data(t, 200, want)
		}
		k.ask(t, "GET", deep+"/data/db", nil).data(t, 200, `{"data":{"PASSWORD":"test-value"},"metadata":`+versionText("1", "", "false")+`}`)
		k.ask(t, "GET", m+"/data/prod", nil).data(t, 200, `{"data":{"ROOT":"r"},"metadata":`+versionText("1", "", "false")+`}`)
		k.ask(t, "LIST", m+"/metadata", nil).keys(t, "prod", "prod/")
		k.ask(t, "LIST", m+"/metadata/prod/", nil).keys(t, "backend", "backend/")
		k.ask(t, "GET", m+"/metadata/prod/backend?list=true", nil).keys(t, "db")
		k.ask(t, "LIST", two+"/metadata/", nil).keys(t, "backend", "backend/")
		k.ask(t, "LIST", two+"/metadata?after=backend&limit=1", nil).keys(t, "backend/")
		k.ask(t, "LIST", deep+"/metadata", nil).keys(t, "db")
		k.ask(t, "LIST", deep+"/metadata/db", nil).errors(t, 404)
		k.ask(t, "GET", m+"/metadata?scan=true", nil).keys(t, "prod", "prod/backend", "prod/backend/db")
		k.ask(t, "GET", two+"/data/", nil).errors(t, 404)
		if r := k.ask(t, "PUT", two+"/data", `{"data":{"a":"b"}}`); r.status != 400 {
			t.Errorf("%s: %d %s", r.what, r.status, r.body)
		}

		// Version 1 of the engine.
		one := func(data string, seconds string) string {
			return `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":` + seconds + `,"data":` + data + `,"wrap_info":null,"warnings":null,"auth":null}`
		}
		k.ask(t, "GET", plain+"/backend", nil).exact(t, 200, one(`{"COPY":"app!","USER":"app"}`, "2764800"))
		k.ask(t, "LIST", plain, nil).keys(t, "backend", "backend/")
		k.ask(t, "POST", plain+"/new/one", `{"a":"b","ttl":"1h","n":7}`).none(t)
		k.ask(t, "GET", plain+"/new/one", nil).exact(t, 200, one(`{"a":"b","n":7,"ttl":"1h"}`, "3600"))
		k.ask(t, "LIST", plain, nil).keys(t, "backend", "backend/", "new/")
		k.ask(t, "POST", plain+"/new/one", `{}`).errors(t, 400, "missing data fields")
		k.ask(t, "DELETE", plain+"/new/one", nil).none(t)
		k.ask(t, "GET", plain+"/new/one", nil).errors(t, 404)
		k.ask(t, "LIST", plain+"/new", nil).errors(t, 404)
		k.ask(t, "LIST", two+"/metadata/new", nil).keys(t, "one")

		// Settings of a mount, also of a project's own.
		k.ask(t, "GET", m+"/config", nil).data(t, 200, `{"cas_required":false,"delete_version_after":"0s","max_versions":0}`)
		k.ask(t, "POST", m+"/config", `{"max_versions":"2","cas_required":true,"delete_version_after":"3h25m19s"}`).none(t)
		k.ask(t, "GET", m+"/config", nil).data(t, 200, `{"cas_required":true,"delete_version_after":"3h25m19s","max_versions":2}`)
		k.ask(t, "PUT", m+"/data/prod/backend", `{"data":{}}`).errors(t, 400, "check-and-set parameter required for this call")
		prod.commit(t, set("/other", "REF", "${prod.backend.USER}"))
		if r := k.ask(t, "DELETE", two+"/data/backend", nil); r.status != 400 || !bytes.Contains(r.body, []byte("/other/REF")) {
			t.Errorf("what others refer to was deleted: %d %s", r.status, r.body)
		}
	})
}

func TestMetadataOfDocuments(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		at := e.project + "/metadata/dev/app"
		k.ask(t, "PATCH", at, `{"max_versions":3}`).errors(t, 404)
		k.ask(t, "POST", at, `{"max_versions":"3","custom_metadata":{"owner":"backend","n":7}}`).none(t)
		meta := func(current, oldest, versions string) string {
			return `{"cas_required":false,"created_time":"T","current_version":` + current + `,"custom_metadata":{"n":"7","owner":"backend"},"delete_version_after":"0s","max_versions":3,"oldest_version":` +
				oldest + `,"updated_time":"T","versions":{` + versions + `}}`
		}
		line := func(n string) string {
			return `"` + n + `":{"created_time":"T","created_by":"` + w.server.Email + `","deletion_time":"","destroyed":false}`
		}
		k.ask(t, "GET", at, nil).data(t, 200, meta("0", "0", ""))
		k.ask(t, "GET", e.project+"/data/dev/app", nil).errors(t, 404)
		k.ask(t, "LIST", e.project+"/metadata/dev", nil).keys(t, "app")
		for range 5 {
			k.ask(t, "POST", e.project+"/data/dev/app", `{"data":{"a":"1"},"options":null}`).fits(t, &struct{}{})
		}
		r := k.ask(t, "GET", at, nil)
		var got struct {
			Data struct {
				Versions map[string]struct {
					By string `json:"created_by"`
				} `json:"versions"`
			} `json:"data"`
		}
		r.fits(t, &got)
		by := got.Data.Versions["5"].By
		if by == "" {
			t.Error("nobody knows who made version 5")
		}
		r.data(t, 200, strings.ReplaceAll(meta("5", "3", line("3")+","+line("4")+","+line("5")), w.server.Email, by))
		k.ask(t, "GET", e.project+"/data/dev/app?version=2", nil).errors(t, 404)
		k.ask(t, "PATCH", at, `{"max_versions":null,"cas_required":true,"delete_version_after":"1h","custom_metadata":{"owner":null,"team":"x"}}`).none(t)
		r = k.ask(t, "GET", at, nil)
		for _, want := range []string{`"max_versions":0`, `"cas_required":true`, `"delete_version_after":"1h0m0s"`, `"custom_metadata":{"n":"7","team":"x"}`} {
			if !bytes.Contains(r.body, []byte(want)) {
				t.Errorf("%s is not in %s", want, r.body)
			}
		}
		k.ask(t, "POST", e.project+"/data/dev/app", `{"data":{"a":"2"},"options":{"cas":5}}`).
			data(t, 200, `{"created_time":"T","custom_metadata":{"n":"7","team":"x"},"deletion_time":"T","destroyed":false,"version":6}`)
		k.ask(t, "PATCH", at, `{"custom_metadata":null}`).none(t)
		k.ask(t, "GET", e.project+"/data/dev/app", nil).data(t, 200, `{"data":{"a":"2"},"metadata":`+versionText("6", `"T"`, "false")+`}`)
		for _, bad := range []string{`{"x":""}`, `{"x":{}}`, `{"` + strings.Repeat("k", 129) + `":"v"}`, `{"a\u202e":"v"}`, `[]`, `"x"`} {
			if r := k.ask(t, "POST", at, `{"custom_metadata":`+bad+`}`); r.status != 400 || !bytes.Contains(r.body, []byte("custom_metadata validation failed")) {
				t.Errorf("%s: %d %s", bad, r.status, r.body)
			}
		}
	})
}

func TestOneStoreHasTwoViews(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		m := e.project
		e.commit(t, set("/app", "A", "one"), set("/app", "B", "${A}"))
		e.commit(t, set("/app", "A", "two"))
		k.ask(t, "GET", m+"/data/dev/app", nil).data(t, 200, `{"data":{"A":"two","B":"two"},"metadata":`+versionText("2", "", "false")+`}`)
		k.ask(t, "GET", m+"/data/dev/app?version=1", nil).data(t, 200, `{"data":{"A":"one","B":"two"},"metadata":`+versionText("1", "", "false")+`}`)
		written := k.ask(t, "POST", m+"/data/dev/app", `{"data":{"A":{"x":1},"B":"plain"}}`)
		written.data(t, 200, versionText("3", "", "false"))
		if got := e.secret(t, "/app", "A"); got.Version != 3 || bytesOf(t, got) != `{"x":1}` {
			t.Errorf("the native view shows %+v", got)
		}
		entry := w.entryOf(t, written)
		if entry["dialect"] != "vault" || entry["action"] != "secret.write" || fmt.Sprint(entry["keys"]) != "[/app/A /app/B]" || entry["revision"] != 3.0 {
			t.Errorf("the log says %v", entry)
		}
		read := k.ask(t, "GET", m+"/data/dev/app", nil)
		if entry := w.entryOf(t, read); entry["dialect"] != "vault" || entry["action"] != "secret.read" || fmt.Sprint(entry["keys"]) != "[/app/A /app/B]" {
			t.Errorf("the log says %v", entry)
		}
		log := get[api.Commits](t, w.admin, e.path()+"/commits").Commits
		if log[0].Author != log[1].Author || log[0].Cause != "document" {
			t.Errorf("the history says %+v", log[0])
		}
		// A plain value of another view is plain.
		e.commit(t, set("/app", "A", "7"))
		k.ask(t, "GET", m+"/data/dev/app", nil).data(t, 200, `{"data":{"A":"7","B":"plain"},"metadata":`+versionText("4", "", "false")+`}`)
		// Bytes that are no text.
		e.commit(t, setBytes("/bytes", "RAW", []byte{0xff, 0}))
		if r := k.ask(t, "GET", m+"/data/dev/bytes", nil); !bytes.Contains(r.body, []byte(`"RAW":"/wA="`)) || !bytes.Contains(r.body, []byte(`"warnings":["the value of RAW is not text`)) {
			t.Errorf("got %s", r.body)
		}

		// ETag, as long as nothing changes.
		tag := k.ask(t, "GET", m+"/data/dev/app", nil).header.Get("ETag")
		if r := k.ask(t, "GET", m+"/data/dev/app", nil, "If-None-Match", tag); tag == "" || r.status != http.StatusNotModified || len(r.body) != 0 {
			t.Errorf("the tag %s gives %d", tag, r.status)
		}
		k.ask(t, "POST", m+"/metadata/dev/app", `{"custom_metadata":{"a":"b"}}`).none(t)
		if r := k.ask(t, "GET", m+"/data/dev/app", nil, "If-None-Match", tag); r.status != 200 {
			t.Errorf("after a change the tag gives %d", r.status)
		}

		// What is destroyed is gone from the history of the other view, and what another version shows is not.
		k.ask(t, "POST", m+"/data/dev/d", `{"data":{"GONE":"test-value-1","KEPT":"k"}}`).fits(t, &struct{}{})
		k.ask(t, "POST", m+"/data/dev/d", `{"data":{"GONE":"test-value-2","KEPT":"k"}}`).fits(t, &struct{}{})
		destroyed := k.ask(t, "PUT", m+"/destroy/dev/d", `{"versions":[1]}`)
		destroyed.none(t)
		if d, _ := w.entryOf(t, destroyed)["detail"].(map[string]any); d["destroyed_values"] != "1" || d["kept_values"] != "1" {
			t.Errorf("the log says %v", d)
		}
		if r := e.ask(t, "/d", "GONE", "version", "1"); r.status < 400 {
			t.Errorf("a destroyed value is there: %s", r.body)
		}
		if got := e.value(t, "/d", "KEPT", "version", "1"); got != "k" {
			t.Errorf("a value that is shown went with the others: %s", got)
		}
		k.ask(t, "PUT", m+"/destroy/dev/d", `{"versions":[2]}`).none(t)
		if l := e.list(t, "/d"); len(l.Secrets) != 0 {
			t.Errorf("after the current version was destroyed there are %v", names(l))
		}
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the log and the data differ: %+v", v.Problems)
		}
	})
}

func TestDocumentsEndByTime(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		k.ask(t, "POST", e.project+"/metadata/dev/app", `{"delete_version_after":"400ms"}`).none(t)
		k.ask(t, "POST", e.project+"/data/dev/app", `{"data":{"a":"1"}}`).data(t, 200, versionText("1", `"T"`, "false"))
		e.commit(t, set("/app", "b", "2"))
		eventually(t, 30*time.Second, "the version ends", func() bool { return k.ask(t, "GET", e.project+"/data/dev/app", nil).status == 404 })
		k.ask(t, "GET", e.project+"/data/dev/app", nil).data(t, 404, `{"data":null,"metadata":`+versionText("2", `"T"`, "false")+`}`)
		eventually(t, 30*time.Second, "the secrets are deleted", func() bool { return len(e.list(t, "/app").Secrets) == 0 })
		k.ask(t, "POST", e.project+"/metadata/dev/app", `{"delete_version_after":0}`).none(t)
		k.ask(t, "POST", e.project+"/undelete/dev/app", `{"versions":[2]}`).none(t)
		k.ask(t, "GET", e.project+"/data/dev/app", nil).data(t, 200, `{"data":{"a":"1","b":"2"},"metadata":`+versionText("2", "", "false")+`}`)
	})
}

func TestOfManyWritersOneWins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		for round := range 2 {
			var all sync.WaitGroup
			var won atomic.Int64
			for i := range 20 {
				all.Go(func() {
					r, err := k.try("POST", k.url+"/v1/"+e.project+"/data/dev/app", fmt.Sprintf(`{"data":{"n":%d},"options":{"cas":%d}}`, i, round))
					if err == nil && r.status == 200 {
						won.Add(1)
					} else if err != nil || !bytes.Contains(r.body, []byte("did not match the current version")) {
						t.Errorf("%v %s", err, r.body)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 {
				t.Errorf("round %d: %d have won", round, won.Load())
			}
		}
	})
}

func TestDocumentsHideWhatNativeSecretsHide(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		m := e.project
		e.commit(t, set("/app", "A", "1"))
		e.in("prod").commit(t, set("/app", "A", "test-value"))
		one := w.machine(t, api.GrantRequest{Project: m, Env: "dev", Role: "developer"})
		seer := w.machine(t, api.GrantRequest{Project: m, Role: "viewer"})
		stranger := w.machine(t)
		kv{one}.ask(t, "GET", m+"/data/dev/app", nil).data(t, 200, `{"data":{"A":"1"},"metadata":`+versionText("1", "", "false")+`}`)
		kv{one}.ask(t, "LIST", m+"/metadata", nil).keys(t, "dev/")
		for _, path := range []string{"/data/prod/app", "/data/nowhere/app", "/metadata/prod/app", "/metadata/nowhere/app", "/subkeys/prod/app"} {
			kv{one}.ask(t, "GET", m+path, nil).errors(t, 404)
		}
		kv{one}.ask(t, "LIST", m+"/metadata/prod", nil).errors(t, 404)
		there, missing := kv{one}.ask(t, "PUT", m+"/data/prod/app", `{"data":{}}`), kv{one}.ask(t, "PUT", m+"/data/nowhere/app", `{"data":{}}`)
		if there.status != 400 || !bytes.Equal(there.body, missing.body) {
			t.Errorf("a hidden environment is told from none: %s and %s", there.body, missing.body)
		}
		for _, path := range []string{m + "/data/dev/app", m + "/metadata", "nothing/data/dev/app"} {
			kv{stranger}.ask(t, "GET", path, nil).errors(t, 404, `no handler for route \"`+path+`\". route entry not found.`)
		}
		kv{stranger.with("hvs.nonsense")}.ask(t, "GET", m+"/data/dev/app", nil).errors(t, 403, "permission denied")
		const denied = `1 error occurred:\n\t* permission denied\n\n`
		kv{seer}.ask(t, "GET", m+"/metadata/dev/app", nil).data(t, 200, string(dataOf(t, k.ask(t, "GET", m+"/metadata/dev/app", nil))))
		kv{seer}.ask(t, "GET", m+"/data/dev/app", nil).errors(t, 403, denied)
		kv{seer}.ask(t, "PUT", m+"/data/dev/app", `{"data":{}}`).errors(t, 403, denied)
		kv{seer}.ask(t, "DELETE", m+"/data/dev/app", nil).errors(t, 403, denied)
		kv{seer}.ask(t, "PUT", m+"/destroy/dev/app", `{"versions":[1]}`).errors(t, 403, denied)
		kv{seer}.ask(t, "POST", m+"/metadata/dev/app", `{"max_versions":1}`).errors(t, 403, denied)
		kv{seer}.ask(t, "POST", m+"/config", `{"max_versions":1}`).errors(t, 403, denied)

		// Where others must approve, a write waits, and says so as a failure.
		send[api.Approval](t, w.admin, "PUT", e.path()+"/approval", api.Approval{Need: 1})
		r := k.ask(t, "PUT", m+"/data/dev/app", `{"data":{"A":"2"}}`)
		if r.status != 400 || !bytes.Contains(r.body, []byte("the change waits for approval: ")) {
			t.Errorf("%d %s", r.status, r.body)
		}
		if got := e.value(t, "/app", "A"); got != "1" {
			t.Errorf("it was written: %s", got)
		}
	})
}

// dataOf gives the data of an envelope with its times taken out.
func dataOf(t tb, r reply) json.RawMessage {
	t.Helper()
	var out struct {
		Data json.RawMessage `json:"data"`
	}
	r.fits(t, &out)
	return json.RawMessage(stamps.ReplaceAllString(string(out.Data), `"T"`))
}

func TestDocumentsRefuseWhatTheyCannotHold(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		m := e.project
		before := e.revision(t)
		deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
		for _, c := range []struct{ path, body, says string }{
			{"/data/dev/app", `{"data":{"a b":"x"}}`, "a key of the data cannot be kept"},
			{"/data/dev/app", `{"data":{"a/b":"x"}}`, "a key of the data cannot be kept"},
			{"/data/dev/app", `{"data":{"":"x"}}`, "a key of the data cannot be kept"},
			{"/data/dev/app", "{\"data\":{\"a\u202eb\":\"x\"}}", "a key of the data cannot be kept"},
			{"/data/dev/app", `{"data":{"a\u0000b":"x"}}`, "a key of the data cannot be kept"},
			{"/data/dev/a.b", `{"data":{}}`, "not a folder name"},
			{"/data/dev/with%20blank", `{"data":{}}`, "not a folder name"},
			{"/data/dev/a%00b", `{"data":{}}`, "not a folder name"},
			{"/data/dev/a%2Fb", `{"data":{}}`, "%2F"},
			{"/data/dev//b", `{"data":{}}`, "not canonical"},
			{"/data/dev/../b", `{"data":{}}`, ""},
			{"/data", `{"data":{}}`, "must be an environment"},
			{"/data/DEV/app", `{"data":{}}`, "must be an environment"},
			{"/data/nowhere/app", `{"data":{}}`, "no environment of that name"},
			{"/data/dev/app", `{"data":` + deep + `}`, "too deep"},
			{"/data/dev/app", `{"data":{"a":"1","a":"2"}}`, "failed to decode JSON"},
			{"/data/dev/app", `{"data":"text"}`, "must be a JSON object"},
			{"/data/dev/app", `{"data":[1]}`, "must be a JSON object"},
			{"/data/dev/app", `{"data":`, "failed to decode JSON"},
			{"/data/dev/app", `{"data":{},"options":{"cas":1.5}}`, "error parsing check-and-set parameter"},
			{"/data/dev/app", `{"data":{},"options":{"cas":{}}}`, "error parsing check-and-set parameter"},
			{"/data/dev/app", `{"data":{},"options":"x"}`, "error parsing check-and-set parameter"},
			{"/data/dev/app", `{"data":{},"options":{"cas":-1}}`, "did not match the current version"},
			{"/data/dev/app", `{"data":{"a":"` + strings.Repeat("x", 64<<10+1) + `"}}`, "too large: at most 65536 bytes"},
			{"/delete/dev/app", `{"versions":[-1]}`, "version numbers from 1"},
			{"/destroy/dev/app", `{"versions":"1,x"}`, "version numbers from 1"},
			{"/destroy/dev/app", `{"versions":[[1]]}`, "version numbers"},
			{"/undelete/dev/app", `{"versions":[]}`, "No version number provided"},
			{"/metadata/dev/app", `{"max_versions":-1}`, "must be 0 to"},
			{"/metadata/dev/app", `{"max_versions":"many"}`, "a whole number"},
			{"/metadata/dev/app", `{"delete_version_after":"soon"}`, "a duration"},
			{"/metadata/dev/app", `{"cas_required":"perhaps"}`, "true or false"},
		} {
			r := k.ask(t, "POST", m+c.path, c.body)
			if r.status != 400 && !(c.says == "" && r.status >= 300 && r.status < 500) || !bytes.Contains(r.body, []byte(c.says)) {
				t.Errorf("%s %.60s: %d %.200s\nwant %s", c.path, c.body, r.status, r.body, c.says)
			}
		}
		for _, path := range []string{"/data/dev/a.b", "/data/dev/with%20blank", "/data/nowhere/x", "/data/dev/none", "/metadata/dev/a%00b"} {
			k.ask(t, "GET", m+path, nil).errors(t, 404)
		}
		if now := e.revision(t); now != before {
			t.Errorf("something was written: revision %d", now)
		}
		k.ask(t, "DELETE", m+"/data/dev/none", nil).none(t)
		k.ask(t, "DELETE", m+"/metadata/dev/none", nil).none(t)
		k.ask(t, "POST", m+"/destroy/dev/none", `{"versions":[1]}`).none(t)
	})
}

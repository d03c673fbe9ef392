package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// kv is somebody who talks to the Vault view.
type kv struct{ person }

func (w *world) kv() kv { return kv{w.admin} }

// ask sends a request below /v1/.
func (k kv) ask(t tb, method, path string, body any, header ...string) reply {
	t.Helper()
	if method == "PATCH" && len(header) == 0 {
		header = []string{"Content-Type", "application/merge-patch+json"}
	}
	return k.do(t, method, k.url+"/v1/"+path, body, header...)
}

var (
	requestIDs = regexp.MustCompile(`"request_id":"[0-9a-f-]{36}"`)
	stamps     = regexp.MustCompile(`"20\d\d-\d\d-\d\dT[0-9:.]+Z"`)
)

// exact compares status and body. Request ids and times, which differ from run to run, stand as ID and T.
func (r reply) exact(t tb, status int, want string) {
	t.Helper()
	got := stamps.ReplaceAllString(requestIDs.ReplaceAllString(string(r.body), `"request_id":"ID"`), `"T"`)
	if r.status != status || got != want {
		t.Errorf("%s: %d %s\nwant %d %s", r.what, r.status, got, status, want)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: content type %q", r.what, ct)
	}
}

// data is exact for the data of an envelope without anything else in it.
func (r reply) data(t tb, status int, want string) {
	t.Helper()
	r.exact(t, status, `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":0,"data":`+want+`,"wrap_info":null,"warnings":null,"auth":null}`)
}

func (r reply) errors(t tb, status int, messages ...string) {
	t.Helper()
	quoted := []string{}
	for _, m := range messages {
		quoted = append(quoted, `"`+m+`"`)
	}
	r.exact(t, status, `{"errors":[`+strings.Join(quoted, ",")+`]}`)
}

func (r reply) none(t tb) { t.Helper(); r.exact(t, http.StatusNoContent, "") }

func versionText(n, deleted, destroyed string) string {
	if deleted == "" {
		deleted = `""`
	}
	return `{"created_time":"T","custom_metadata":null,"deletion_time":` + deleted + `,"destroyed":` + destroyed + `,"version":` + n + `}`
}

func TestDocumentsAnswerAsInVault(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		m := e.project
		k.ask(t, "GET", m+"/data/dev/backend", nil).errors(t, 404)
		k.ask(t, "GET", m+"/metadata/dev/backend", nil).errors(t, 404)
		k.ask(t, "LIST", m+"/metadata", nil).errors(t, 404)
		k.ask(t, "POST", m+"/data/dev/backend", `{"data":{"user":"app","port":5432,"big":12345678901234567890,"opts":{ "tls" : true , "n":1.50},"none":null,"list":[1,"a"]}}`).
			data(t, 200, versionText("1", "", "false"))
		k.ask(t, "GET", m+"/data/dev/backend", nil).data(t, 200, `{"data":{"big":12345678901234567890,"list":[1,"a"],"none":null,"opts":{"tls":true,"n":1.50},"port":5432,"user":"app"},"metadata":`+versionText("1", "", "false")+`}`)
		k.ask(t, "PUT", m+"/data/dev/backend", `{"data":{"user":"app"},"options":{"cas":0}}`).errors(t, 400, "check-and-set parameter did not match the current version")
		k.ask(t, "PUT", m+"/data/dev/backend", `{"data":{"user":"app"},"options":{"cas":"one"}}`).errors(t, 400, "error parsing check-and-set parameter")
		k.ask(t, "PUT", m+"/data/dev/backend", `{"data":{"user":"app","k":"${plain}"},"options":{"cas":"1","method":"patch"}}`).data(t, 200, versionText("2", "", "false"))
		k.ask(t, "GET", m+"/data/dev/backend?version=2", nil).data(t, 200, `{"data":{"k":"${plain}","user":"app"},"metadata":`+versionText("2", "", "false")+`}`)
		k.ask(t, "GET", m+"/data/dev/backend?version=1", nil).data(t, 200, `{"data":{"big":12345678901234567890,"list":[1,"a"],"none":null,"opts":{"tls":true,"n":1.50},"port":5432,"user":"app"},"metadata":`+versionText("1", "", "false")+`}`)
		k.ask(t, "GET", m+"/data/dev/backend?version=3", nil).errors(t, 404)
		k.ask(t, "GET", m+"/data/dev/backend?version=-1", nil).errors(t, 404)
		// The same write again is a version of its own.
		k.ask(t, "POST", m+"/data/dev/backend", `{"data":{"user":"app","k":"${plain}"}}`).data(t, 200, versionText("3", "", "false"))
		k.ask(t, "PATCH", m+"/data/dev/backend", `{"data":{"k":null,"o":{"a":1,"b":{"c":2}}}}`).data(t, 200, versionText("4", "", "false"))
		k.ask(t, "PATCH", m+"/data/dev/backend", `{"data":{"o":{"a":null,"b":{"d":"x"}}}}`).data(t, 200, versionText("5", "", "false"))
		k.ask(t, "GET", m+"/data/dev/backend", nil).data(t, 200, `{"data":{"o":{"b":{"c":2,"d":"x"}},"user":"app"},"metadata":`+versionText("5", "", "false")+`}`)
		k.ask(t, "GET", m+"/subkeys/dev/backend", nil).data(t, 200, `{"metadata":`+versionText("5", "", "false")+`,"subkeys":{"o":{"b":{"c":null,"d":null}},"user":null}}`)
		k.ask(t, "GET", m+"/subkeys/dev/backend?depth=2", nil).data(t, 200, `{"metadata":`+versionText("5", "", "false")+`,"subkeys":{"o":{"b":null},"user":null}}`)
		k.ask(t, "GET", m+"/subkeys/dev/backend?depth=1", nil).data(t, 200, `{"metadata":`+versionText("5", "", "false")+`,"subkeys":{"o":null,"user":null}}`)
		k.ask(t, "PATCH", m+"/data/dev/none", `{"data":{}}`).errors(t, 404)
		k.ask(t, "PATCH", m+"/data/dev/backend", `{"data":{}}`, "Content-Type", "application/json").
			errors(t, 415, "PATCH requires Content-Type of application/merge-patch+json, provided application/json")

		k.ask(t, "DELETE", m+"/data/dev/backend", nil).none(t)
		k.ask(t, "GET", m+"/data/dev/backend", nil).data(t, 404, `{"data":null,"metadata":`+versionText("5", `"T"`, "false")+`}`)
		k.ask(t, "GET", m+"/subkeys/dev/backend", nil).data(t, 404, `{"metadata":`+versionText("5", `"T"`, "false")+`,"subkeys":null}`)
		k.ask(t, "PATCH", m+"/data/dev/backend", `{"data":{"a":"b"}}`).data(t, 404, versionText("5", `"T"`, "false"))
		if got := e.list(t, "/backend"); len(got.Secrets) != 0 {
			t.Errorf("the native view still shows %v", names(got))
		}
		k.ask(t, "PUT", m+"/undelete/dev/backend", `{"versions":["5"]}`).none(t)
		k.ask(t, "GET", m+"/data/dev/backend", nil).data(t, 200, `{"data":{"o":{"b":{"c":2,"d":"x"}},"user":"app"},"metadata":`+versionText("5", "", "false")+`}`)
		if got := e.value(t, "/backend", "o"); got != `{"b":{"c":2,"d":"x"}}` {
			t.Errorf("the native view shows %s", got)
		}
		k.ask(t, "POST", m+"/delete/dev/backend", `{"versions":"1,2"}`).none(t)
		k.ask(t, "GET", m+"/data/dev/backend?version=2", nil).data(t, 404, `{"data":null,"metadata":`+versionText("2", `"T"`, "false")+`}`)
		k.ask(t, "POST", m+"/undelete/dev/backend", `{"versions":[2]}`).none(t)
		k.ask(t, "POST", m+"/destroy/dev/backend", `{"versions":[1,3]}`).none(t)
		k.ask(t, "GET", m+"/data/dev/backend?version=1", nil).data(t, 404, `{"data":null,"metadata":`+versionText("1", `"T"`, "true")+`}`)
		k.ask(t, "GET", m+"/data/dev/backend?version=2", nil).data(t, 200, `{"data":{"k":"${plain}","user":"app"},"metadata":`+versionText("2", "", "false")+`}`)
		k.ask(t, "POST", m+"/undelete/dev/backend", `{"versions":[1]}`).none(t)
		line := func(deleted, destroyed string) string {
			return `{"created_time":"T","created_by":"Admin","deletion_time":` + deleted + `,"destroyed":` + destroyed + `}`
		}
		_ = line
		k.ask(t, "POST", m+"/delete/dev/backend", `{}`).errors(t, 400, "No version number provided")
		k.ask(t, "POST", m+"/destroy/dev/backend", `{}`).errors(t, 400, "no version number provided")
		k.ask(t, "POST", m+"/data/dev/backend", `{}`).errors(t, 400, "no data provided")
		k.ask(t, "POST", m+"/data/dev/backend", `{"data":null}`).data(t, 200, versionText("6", "", "false"))
		k.ask(t, "GET", m+"/data/dev/backend", nil).data(t, 200, `{"data":{},"metadata":`+versionText("6", "", "false")+`}`)
		k.ask(t, "GET", m+"/dev/backend", nil).exact(t, 404, `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,"warnings":["This path is not valid for a versioned key-value engine: its documents are below data/ and its lists below metadata/ of the mount. With the command line client use 'kv get' and the like."],"auth":null}`)
		k.ask(t, "GET", "nothing/data/x", nil).errors(t, 404, `no handler for route \"nothing/data/x\". route entry not found.`)
		k.ask(t, "LIST", m+"/data/dev", nil).errors(t, 405, `1 error occurred:\n\t* unsupported operation\n\n`)
		k.ask(t, "DELETE", m+"/metadata/dev/backend", nil).none(t)
		k.ask(t, "GET", m+"/data/dev/backend", nil).errors(t, 404)
		k.ask(t, "GET", m+"/metadata/dev/backend", nil).errors(t, 404)
		k.ask(t, "POST", m+"/data/dev/backend", `{"data":{"a":"b"},"options":{"cas":0}}`).data(t, 200, versionText("1", "", "false"))
		if v := send[api.Verification](t, w.admin, "POST", "/audit/verify?deep=true", nil); len(v.Problems) != 0 {
			t.Errorf("the log and the data differ: %+v", v.Problems)
		}
	})
}

package server_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

// plain takes out of an answer of the server what differs from run to run.
func (r reply) plain() string {
	text := regexp.MustCompile(`"(cluster_id|uuid)":"[0-9a-f-]{36}"`).ReplaceAllString(string(r.body), `"$1":"ID"`)
	text = regexp.MustCompile(`"accessor":"([a-z_]+)_[0-9a-z]{7,8}"`).ReplaceAllString(text, `"accessor":"$1"`)
	text = regexp.MustCompile(`"server_time_utc":\d{10}`).ReplaceAllString(text, `"server_time_utc":0`)
	text = stamps.ReplaceAllString(text, `"T"`)
	return requestIDs.ReplaceAllString(text, `"request_id":"ID"`)
}

func (r reply) plainly(t tb, status int, want string) {
	t.Helper()
	if got := r.plain(); r.status != status || got != want {
		t.Errorf("%s: %d %s\nwant %d %s", r.what, r.status, got, status, want)
	}
	if r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", r.what, r.header)
	}
}

const (
	healthBody = `{"initialized":true,"sealed":false,"standby":false,"performance_standby":false,"replication_performance_mode":"disabled","replication_dr_mode":"disabled",` +
		`"server_time_utc":0,"version":"1.20.0","cluster_name":"keyturn","cluster_id":"ID","enterprise":false,"echo_duration_ms":0,"clock_skew_ms":0,"replication_primary_canary_age_ms":0}`
	leaderBody = `{"ha_enabled":false,"is_self":false,"active_time":"0001-01-01T00:00:00Z","leader_address":"","leader_cluster_address":"","performance_standby":false,"performance_standby_last_remote_wal":0}`
)

func sealBody(storage string) string {
	return `{"type":"shamir","initialized":true,"sealed":false,"t":1,"n":1,"progress":0,"nonce":"","version":"1.20.0","build_date":"T","migration":false,` +
		`"cluster_name":"keyturn","cluster_id":"ID","recovery_seal":false,"storage_type":"` + storage + `"}`
}

func storageOf(t *testing.T) string {
	if strings.HasSuffix(t.Name(), "/postgres") {
		return "postgres"
	}
	return "sqlite"
}

func TestTheServerAnswersOnItselfAsVault(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		nobody, k := kv{w.admin.with("")}, w.kv()
		for _, who := range []kv{nobody, k, {w.admin.with("hvs.an-old-test-value")}} {
			who.ask(t, "GET", "sys/health", nil).plainly(t, 200, healthBody)
			who.ask(t, "GET", "sys/health?activecode=299&sealedcode=299&standbyok=true", nil).plainly(t, 299, healthBody)
			who.ask(t, "GET", "sys/seal-status", nil).plainly(t, 200, sealBody(storageOf(t)))
			who.ask(t, "PUT", "sys/unseal", `{"key":"test-value"}`).plainly(t, 200, sealBody(storageOf(t)))
			who.ask(t, "GET", "sys/init", nil).plainly(t, 200, `{"initialized":true}`)
			who.ask(t, "PUT", "sys/init", `{"secret_shares":1}`).errors(t, 400, "Vault is already initialized")
			if r := who.ask(t, "GET", "sys/leader", nil); r.status != 200 || string(r.body) != leaderBody {
				t.Errorf("leader: %d %s", r.status, r.body)
			}
		}
		if r := nobody.ask(t, "HEAD", "sys/health", nil); r.status != 200 || len(r.body) != 0 {
			t.Errorf("HEAD health: %d %q", r.status, r.body)
		}
		nobody.ask(t, "GET", "sys/health?activecode=7", nil).errors(t, 400, "bad activecode")
		nobody.ask(t, "GET", "sys/mounts", nil).errors(t, 403, "permission denied")
		nobody.ask(t, "PUT", "sys/seal", nil).errors(t, 403, "permission denied")
		k.ask(t, "PUT", "sys/seal", nil).errors(t, 400, "this server is sealed when it stops: stop it, and it waits for its root key at the next start")
		k.ask(t, "POST", "sys/rotate", nil).errors(t, 400, "turn keys with: keyturn keys rotate")
		k.ask(t, "GET", "sys/audit", nil).plainly(t, 200, `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":0,"data":{},"wrap_info":null,"warnings":null,"auth":null}`)
		k.ask(t, "PUT", "sys/audit/file", `{"type":"file"}`).errors(t, 400, "the log of this server is always on; where it is sent on is set with: keyturn audit stream")
		k.ask(t, "DELETE", "sys/health", nil).errors(t, 405, `1 error occurred:\n\t* unsupported operation\n\n`)
		k.ask(t, "GET", "sys/nothing", nil).errors(t, 404)
		var status struct {
			Term        int    `json:"term"`
			InstallTime string `json:"install_time"`
			Encryptions *int64 `json:"encryptions"`
		}
		k.ask(t, "GET", "sys/key-status", nil).fits(t, &status) // the copies beside the envelope
		if _, err := time.Parse(time.RFC3339Nano, status.InstallTime); err != nil || status.Term != 1 || status.Encryptions == nil {
			t.Errorf("key-status: %+v, %v", status, err)
		}
		kv{w.machine(t)}.ask(t, "GET", "sys/key-status", nil).errors(t, 403, `1 error occurred:\n\t* permission denied\n\n`)
	})
}

func kvEntry(version, description string) string {
	return `{"accessor":"kv","config":{"default_lease_ttl":0,"force_no_cache":false,"max_lease_ttl":0},"deprecation_status":"supported","description":"` + description +
		`","external_entropy_access":false,"local":false,"options":{"version":"` + version + `"},"plugin_version":"","running_plugin_version":"","running_sha256":"","seal_wrap":false,"type":"kv","uuid":"ID"}`
}

func data(v string) string {
	return `{"request_id":"ID","lease_id":"","renewable":false,"lease_duration":0,"data":` + v + `,"wrap_info":null,"warnings":null,"auth":null}`
}

func copied(v string) string {
	return strings.TrimSuffix(data(v), "}") + "," + strings.TrimPrefix(v, "{")
}

func TestMountsAreMadeTunedAndDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		// As a client of Vault makes one: it names no project.
		k.ask(t, "POST", "sys/mounts/secret", `{"type":"kv-v2","description":"","config":{"default_lease_ttl":"0s","max_lease_ttl":"0s","force_no_cache":false},"local":false,"seal_wrap":false,"external_entropy_access":false,"options":null}`).none(t)
		k.ask(t, "POST", "secret/data/backend", `{"data":{"KEY":"test-value"}}`).data(t, 200, versionText("1", "", "false"))
		k.ask(t, "GET", "secret/data/backend", nil).data(t, 200, `{"data":{"KEY":"test-value"},"metadata":`+versionText("1", "", "false")+`}`)
		made := env{w.admin, "kv-secret", "main"}
		if got := made.value(t, "/backend", "KEY"); got != "test-value" {
			t.Errorf("the native view shows %q", got)
		}
		// Over something that is there, of both versions.
		k.ask(t, "POST", "sys/mounts/team/app/", `{"type":"kv","description":"of the team","options":{"version":"2","project":"`+e.project+`","env":"prod","path":"/app"}}`).none(t)
		k.ask(t, "PUT", "sys/mounts/v1", `{"type":"kv","options":{"project":"`+e.project+`","env":"dev"}}`).none(t)
		k.ask(t, "GET", "sys/mounts/team/app", nil).plainly(t, 200, copied(kvEntry("2", "of the team")))
		k.ask(t, "GET", "sys/mounts/v1/", nil).plainly(t, 200, copied(kvEntry("1", "")))
		k.ask(t, "GET", "sys/mounts/nothing", nil).errors(t, 400, "No secret engine mount at nothing/")

		var list struct {
			Data map[string]struct {
				Type    string
				Options map[string]string
			}
			Secret *struct{} `json:"secret/"`
		}
		k.ask(t, "GET", "sys/mounts", nil).fits(t, &list)
		var paths []string
		for path, m := range list.Data {
			paths = append(paths, path+" "+m.Type+" "+m.Options["version"])
		}
		slices.Sort(paths)
		want := []string{"cubbyhole/ cubbyhole ", "kv-secret/ kv 2", e.project + "/ kv 2", "secret/ kv 2", "sys/ system ", "team/app/ kv 2", "transit/ transit ", "v1/ kv 1"}
		if !slices.Equal(paths, want) || list.Secret == nil {
			t.Errorf("listed are %v, beside the envelope %v", paths, list.Secret)
		}

		// Tune.
		tuned := `{"default_lease_ttl":2764800,"description":"of the team","force_no_cache":false,"max_lease_ttl":2764800,"options":{"version":"2"}}`
		k.ask(t, "GET", "sys/mounts/team/app/tune", nil).plainly(t, 200, copied(tuned))
		k.ask(t, "POST", "sys/mounts/v1/tune", `{"options":{"version":"2"},"description":"newer"}`).none(t)
		k.ask(t, "GET", "sys/mounts/v1", nil).plainly(t, 200, copied(kvEntry("2", "newer")))
		k.ask(t, "POST", "sys/mounts/v1/tune", `{"default_lease_ttl":"1h"}`).errors(t, 400, "the setting default_lease_ttl has no meaning for this mount, and is not kept: leave it out")
		k.ask(t, "POST", "sys/mounts/"+e.project+"/tune", `{"options":{"version":1}}`).
			errors(t, 400, "the mount of a project is of version 2 (lay a mount of version 1 over it: keyturn mount create PATH --project P --kv 1)")

		// What is refused.
		for path, c := range map[string][2]string{
			"secret":      {`{"type":"kv"}`, "path is already in use at secret/"},
			"secret/x":    {`{"type":"kv"}`, "path is already in use at secret/"},
			e.project:     {`{"type":"kv"}`, "path is already in use at " + e.project + "/"},
			"sys":         {`{"type":"kv"}`, "path is already in use at sys/"},
			"db":          {`{"type":"database"}`, "plugin not found in the catalog: database"},
			"none":        {`{}`, "backend type must be specified as a string"},
			"keys":        {`{"type":"transit"}`, "there is one encryption service, at transit/: leave the path out"},
			"sealed":      {`{"type":"kv","seal_wrap":true}`, "the setting seal_wrap has no meaning for this mount, and is not kept: leave it out"},
			"lasting":     {`{"type":"kv","config":{"max_lease_ttl":"5h"}}`, "the setting max_lease_ttl has no meaning for this mount, and is not kept: leave it out"},
			"homeless":    {`{"type":"kv","options":{"env":"dev"}}`, "the options name an environment or a folder and no project: add project=SLUG"},
			"a%2Fb":       {`{"type":"kv"}`, "a slash inside a segment cannot be kept: the path must not hold %2F"},
			"bad%20space": {`{"type":"kv"}`, "not a path of a mount: want at most 128 bytes of letters, digits, '-', '_', '.' and slashes"},
		} {
			k.ask(t, "POST", "sys/mounts/"+path, c[0]).errors(t, 400, c[1])
		}
		k.ask(t, "POST", "sys/mounts/transit", `{"type":"transit"}`).none(t)
		k.ask(t, "POST", "sys/remount", `{"from":"v1","to":"v2"}`).
			errors(t, 400, "a mount cannot be moved: make one of the new path over the same documents, move the clients, and delete the old one")
		nobody := kv{w.machine(t)}
		nobody.ask(t, "POST", "sys/mounts/mine", `{"type":"kv"}`).errors(t, 403, `1 error occurred:\n\t* permission denied\n\n`)
		nobody.ask(t, "DELETE", "sys/mounts/secret", nil).none(t) // as if it were not there

		k.ask(t, "DELETE", "sys/mounts/secret", nil).none(t)
		k.ask(t, "DELETE", "sys/mounts/secret", nil).none(t)
		k.ask(t, "GET", "secret/data/backend", nil).errors(t, 404, `no handler for route \"secret/data/backend\". route entry not found.`)
		// Made again, it shows what it showed.
		k.ask(t, "POST", "sys/mounts/secret", `{"type":"kv-v2"}`).none(t)
		k.ask(t, "GET", "secret/data/backend", nil).data(t, 200, `{"data":{"KEY":"test-value"},"metadata":`+versionText("1", "", "false")+`}`)
	})
}

func TestThePreflightShowsWhatTheCallerReaches(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, k := w.project(t), w.kv()
		k.ask(t, "POST", "sys/mounts/team/app", `{"type":"kv","description":"d","options":{"version":"1","project":"`+e.project+`","env":"dev","path":"/app"}}`).none(t)
		w.writePolicy(t, "app", `path "team/app/x" { capabilities = ["read"] }`)
		as, nobody := kv{w.machine(t, api.GrantRequest{Role: "app"})}, kv{w.machine(t)}
		entry := strings.Replace(kvEntry("1", "d"), `"options":{"version":"1"}`, `"options":{"version":"1"},"path":"team/app/"`, 1)
		for _, path := range []string{"team/app", "team/app/", "team/app/x", "team/app/x/y", "team/app/nothing-there"} {
			k.ask(t, "GET", "sys/internal/ui/mounts/"+path, nil).plainly(t, 200, data(entry))
			as.ask(t, "GET", "sys/internal/ui/mounts/"+path, nil).plainly(t, 200, data(entry))
			nobody.ask(t, "GET", "sys/internal/ui/mounts/"+path, nil).errors(t, 403,
				`preflight capability check returned 403, please ensure client's policies grant access to path \"`+strings.Trim(path, "/")+`/\"`)
		}
		for _, who := range []kv{k, as, nobody} {
			who.ask(t, "GET", "sys/internal/ui/mounts/nothing/x", nil).errors(t, 403,
				`preflight capability check returned 403, please ensure client's policies grant access to path \"nothing/x/\"`)
			who.ask(t, "GET", "sys/internal/ui/mounts/"+strings.ToUpper(e.project), nil).errors(t, 403,
				`preflight capability check returned 403, please ensure client's policies grant access to path \"`+strings.ToUpper(e.project)+`/\"`)
		}
		kv{w.admin.with("")}.ask(t, "GET", "sys/internal/ui/mounts/team/app", nil).errors(t, 403, "permission denied")
		kv{w.admin.with("")}.ask(t, "GET", "sys/internal/ui/mounts", nil).plainly(t, 200, data(`{"auth":{},"secret":{}}`))
		kv{w.admin.with("hvs.an-old-test-value")}.ask(t, "GET", "sys/internal/ui/mounts", nil).errors(t, 403, "permission denied")
		var ui struct {
			Data struct{ Secret, Auth map[string]json.RawMessage }
		}
		as.ask(t, "GET", "sys/internal/ui/mounts", nil).fits(t, &ui)
		if ui.Data.Secret["team/app/"] == nil || ui.Data.Auth["token/"] == nil {
			t.Errorf("shown are %+v", ui.Data)
		}
		k.ask(t, "GET", "sys/internal/ui/resultant-acl", nil).plainly(t, 200, data(`{"exact_paths":{},"glob_paths":{},"root":true}`))
		as.ask(t, "GET", "sys/internal/ui/resultant-acl", nil).plainly(t, 200, data(`{"exact_paths":{},"glob_paths":{},"root":false}`))
	})
}

func TestANamespaceStandsInFrontOfThePath(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e, other, k := w.project(t), w.project(t), w.kv()
		k.ask(t, "POST", e.project+"/data/dev/app", `{"data":{"KEY":"test-value"}}`).data(t, 200, versionText("1", "", "false"))
		k.ask(t, "POST", "sys/mounts/team/app", `{"type":"kv-v2","options":{"project":"`+e.project+`","env":"dev"}}`).none(t)
		read := `{"data":{"KEY":"test-value"},"metadata":` + versionText("1", "", "false") + `}`
		in := func(who kv, namespace, method, path string, body any) reply {
			return who.ask(t, method, path, body, "X-Vault-Namespace", namespace)
		}
		for namespace, path := range map[string]string{
			"": e.project + "/data/dev/app", "root": e.project + "/data/dev/app", "main": e.project + "/data/dev/app", "/main/": e.project + "/data/dev/app",
			e.project: "data/dev/app", "main/" + e.project: "data/dev/app", "main/" + e.project + "/": "data/dev/app",
			"team": "app/data/app", "main/team": "app/data/app", "team/app": "data/app",
		} {
			r := in(k, namespace, "GET", path, nil)
			r.data(t, 200, read)
			want := strings.Trim(namespace, "/")
			if want == "root" {
				want = ""
			}
			if got := r.header.Get("X-Vault-Namespace"); got != want {
				t.Errorf("in %q the answer is of namespace %q", namespace, got)
			}
		}
		// Paths of mounts are relative in it.
		var list struct{ Data map[string]any }
		in(k, "team", "GET", "sys/mounts", nil).fits(t, &list)
		if list.Data["app/"] == nil || list.Data["team/app/"] != nil || list.Data[e.project+"/"] != nil {
			t.Errorf("the namespace shows %v", list.Data)
		}
		var pre struct{ Data struct{ Path string } }
		in(k, "team", "GET", "sys/internal/ui/mounts/app/x", nil).fits(t, &pre)
		if pre.Data.Path != "app/" {
			t.Errorf("the preflight shows the path %q", pre.Data.Path)
		}
		in(k, "team", "POST", "sys/mounts/second", `{"type":"kv-v2","options":{"project":"`+e.project+`","env":"dev"}}`).none(t)
		k.ask(t, "GET", "team/second/data/app", nil).data(t, 200, read)
		in(k, "team", "GET", "sys/health", nil).plainly(t, 200, healthBody)

		// What is nobody's, what the caller may not know of, and what is no namespace look alike.
		w.writePolicy(t, "app", `path "`+e.project+`/data/dev/app" { capabilities = ["read"] }`)
		as := kv{w.machine(t, api.GrantRequest{Role: "app"})}
		in(as, e.project, "GET", "data/dev/app", nil).data(t, 200, read)
		for _, namespace := range []string{other.project, "main/" + other.project, "another-organisation", "another/" + e.project, e.project + "/dev", "..", "../" + e.project, "a\u00a0b", strings.ToUpper(e.project), "sys"} {
			in(as, namespace, "GET", "data/dev/app", nil).errors(t, 403, "permission denied")
			in(as, namespace, "GET", "sys/mounts", nil).errors(t, 403, "permission denied")
		}
		in(kv{w.admin.with("")}, "main/"+e.project, "GET", "data/dev/app", nil).errors(t, 403, "permission denied")
		in(as, e.project, "POST", "sys/capabilities-self", `{"path":"data/dev/app"}`).plainly(t, 200, copied(`{"capabilities":["read"],"data/dev/app":["read"]}`))
	})
}

package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

// role makes a custom role from rules and gives its name.
func (w *world) role(t tb, rules string) string {
	t.Helper()
	return send[api.CustomRole](t, w.admin, "POST", "/roles", api.RoleRequest{Name: w.fresh("role-"), Rules: rules}).Name
}

func TestRulesOnNamesAndTagsHoldOnEveryRoute(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		t.Run("denied", func(t *testing.T) { deniedOnEveryRoute(t, w) })
		t.Run("allowed by name only", func(t *testing.T) { allowedByName(t, w) })
		t.Run("allowed by tag only", func(t *testing.T) { allowedByTag(t, w) })
		t.Run("whatever the spelling", func(t *testing.T) { spellings(t, w) })
		t.Run("while a condition holds", func(t *testing.T) { conditions(t, w) })
	})
}

// kept are names and values that nobody but the admin may see. They hold what no answer says by itself.
var kept = []string{"KEEP_OUT", "PCI_ONE", "KEEP_OLD", "test-value-kept", "test-value-pci", "test-value-old"}

func tagged(path, name, value string, tags ...string) api.Change {
	c := set(path, name, value)
	c.Tags = &tags
	return c
}

// keptBack makes a project with secrets that two rules keep back, and somebody who may do everything else with secrets.
func keptBack(t *testing.T, w *world) (admin, p env) {
	t.Helper()
	e := w.project(t)
	e.commit(t, set("/", "SAFE", "test-value-safe"), set("/", "KEEP_OUT", "test-value-kept"), tagged("/", "PCI_ONE", "test-value-pci", "pci"),
		set("/", "KEEP_OLD", "test-value-old"), set("/sub", "KEEP_OUT", "test-value-kept"), set("/sub", "SAFE", "test-value-safe"))
	e.commit(t, set("/", "REF", "${KEEP_OUT}"), set("/", "REF2", "${PCI_ONE}"), showIn("/imp", api.Place{Env: "dev", Path: "/"}))
	e.commit(t, remove("/", "KEEP_OLD"))
	e.commit(t, rename("/", "SAFE", "SAFE2"))
	role := w.role(t, `
- {effect: allow, actions: ["secret.*", project.read]}
- {effect: deny, actions: "secret.*", names: ["KEEP_*"]}
- {effect: deny, actions: "secret.*", tags: ["pci"]}`)
	return e, e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: role}))
}

func deniedOnEveryRoute(t *testing.T, w *world) {
	e, p := keptBack(t, w)
	before := e.state(t)
	base := p.path()
	reads := []string{"/secrets?path=/", "/secrets?path=/&reveal=true&raw=true", "/secrets?path=/&recursive=true&reveal=true&raw=true", "/secrets?path=/imp&imports=true&reveal=true&raw=true",
		"/secrets?path=/&reveal=true&raw=true&at=1", "/secrets?path=/&recursive=true&at=2", "/schema?path=/", "/example?path=/", "/commits"}
	for _, name := range []string{"KEEP_OUT", "PCI_ONE", "KEEP_OLD"} {
		for _, q := range []string{"", "&version=1", "&at=1", "&at=2", "&raw=true", "&personal=true"} {
			reads = append(reads, "/secrets/"+name+"?path=/"+q, "/secrets/"+name+"?path=/imp"+q, "/secrets/"+name+"?path=/sub"+q)
		}
		reads = append(reads, "/secrets/"+name+"/history?path=/")
	}
	reads = append(reads, "/secrets/REF?path=/", "/secrets/REF2?path=/", "/secrets/REF?path=/imp")
	calls := []reply{}
	for _, r := range reads {
		calls = append(calls, p.do(t, "GET", base+r, nil))
	}
	for _, q := range []string{"/projects/" + p.project + "/diff?from=dev&to=prod", "/projects/" + p.project + "/diff?from=dev@1&to=dev&reveal=true", "/search?text=KEEP", "/search?text=PCI",
		"/search?text=pci", "/search?text=OUT&project=" + p.project, "/due?within=366d", "/reuse", "/reuse?project=" + p.project} {
		calls = append(calls, p.do(t, "GET", q, nil))
	}
	for _, v := range []string{"test-value-kept", "test-value-pci", "test-value-old"} {
		got := send[api.Found](t, p.person, "POST", "/where", api.WhereRequest{Value: api.NewValue([]byte(v))})
		for _, l := range got.Secrets {
			if l.Project == p.project {
				t.Errorf("the place of a value is told: %+v", l)
			}
		}
	}
	for _, c := range calls {
		if c.status == http.StatusBadRequest {
			t.Errorf("%s asks nothing: %s", c.what, c.body)
		}
		if c.status != http.StatusOK {
			c.body = []byte(strings.ReplaceAll(string(c.body), "${KEEP_OUT}", "")) // what the caller's own value says, he knows
			c.body = []byte(strings.ReplaceAll(string(c.body), "${PCI_ONE}", ""))
		} else if strings.Contains(c.what, "raw=true") || strings.Contains(c.what, "reveal=true") {
			c.body = []byte(strings.NewReplacer("${KEEP_OUT}", "", "${PCI_ONE}", "").Replace(string(c.body)))
		}
		for _, secret := range kept {
			if strings.Contains(string(c.body), secret) {
				t.Errorf("%s: status %d tells %s: %s", c.what, c.status, secret, c.body)
			}
		}
	}
	// Whatever is changed, what is kept back stays as it is, and nothing of it comes out elsewhere.
	from := func(path, name string) *api.Place { return &api.Place{Env: "dev", Path: path, Name: name} }
	none := []string{}
	for _, c := range []api.Change{
		set("/", "KEEP_OUT", "x"), set("/", "KEEP_NEW", "x"), remove("/", "KEEP_OUT"), rename("/", "KEEP_OUT", "MINE"), rename("/", "SAFE2", "KEEP_MINE"), move("/", "KEEP_OUT", "/other"),
		{Op: "copy", Path: "/", To: "MINE", From: from("/", "KEEP_OUT")}, {Op: "copy", Path: "/", To: "MINE", From: from("/", "PCI_ONE")}, {Op: "copy", Path: "/", To: "KEEP_MINE", From: from("/", "SAFE2")},
		{Op: "restore", Path: "/", Name: "KEEP_OLD"}, set("/", "PCI_ONE", "x"), remove("/", "PCI_ONE"), rename("/", "PCI_ONE", "MINE"), move("/", "PCI_ONE", "/other"),
		{Op: "set", Path: "/", Name: "PCI_ONE", Tags: &none}, tagged("/", "SAFE2", "x", "pci"), tagged("/", "FRESH", "x", "pci"), set("/", "MINE", "${KEEP_OUT}"), set("/", "MINE", "${PCI_ONE}"),
		set("/", "MINE", "${dev.sub.KEEP_OUT}"), {Op: "folder.delete", Path: "/sub"}, moveFolder("/sub", "/moved"), {Op: "set", Path: "/", Name: "KEEP_OUT", Generate: 9},
	} {
		if r := p.attempt(t, c); r.status < 400 {
			t.Errorf("%+v was done: %s", c, r.body)
		} else if strings.Contains(string(r.body), "test-value") {
			t.Errorf("%+v tells a value: %s", c, r.body)
		}
	}
	for what, r := range map[string]reply{
		"a value of one's own":      p.own(t, "/", "KEEP_OUT", "x"),
		"one's own of a tagged":     p.own(t, "/", "PCI_ONE", "x"),
		"a roll back of one":        p.do(t, "POST", base+"/rollback", api.RollbackRequest{To: 1, Path: "/", Name: "KEEP_OLD"}),
		"a roll back of everything": p.do(t, "POST", base+"/rollback", api.RollbackRequest{To: 1}),
		"a purge":                   p.do(t, "POST", base+"/secrets/purge", api.PurgeRequest{Path: "/", Name: "KEEP_OLD"}),
	} {
		if r.status < 400 {
			t.Errorf("%s was done: %s", what, r.body)
		}
	}
	same(t, "what the admin sees", e.state(t), before)
	// What is denied and what is not there cannot be told apart.
	alike(t, p.ask(t, "/", "KEEP_OUT"), p.ask(t, "/", "KEEP_NOTHING"))
	alike(t, p.ask(t, "/", "PCI_ONE"), p.ask(t, "/", "NOTHING"))
	alike(t, p.attempt(t, remove("/", "KEEP_OUT")), p.attempt(t, remove("/", "KEEP_NOTHING")))
	alike(t, p.attempt(t, remove("/", "PCI_ONE")), p.attempt(t, remove("/", "NOTHING")))
	// All else goes on.
	if got := p.value(t, "/", "SAFE2"); got != "test-value-safe" {
		t.Errorf("%q", got)
	}
	p.commit(t, set("/", "MINE", "test-value-mine"), rename("/", "SAFE2", "SAFE"), set("/new", "A", "x"))
	p.commit(t, remove("/", "MINE"), moveFolder("/new", "/newer"))
	// A tag that comes later guards the versions from before as well.
	e.commit(t, api.Change{Op: "set", Path: "/", Name: "SAFE", Tags: &[]string{"pci"}})
	for _, q := range [][]string{nil, {"version", "1"}, {"at", "1"}, {"at", "3"}} {
		if r := p.ask(t, "/", "SAFE", q...); r.status == http.StatusOK {
			t.Errorf("%s: %s", r.what, r.body)
		}
	}
	if l := p.list(t, "/", "at", "1", "reveal", "true", "raw", "true"); len(l.Secrets) != 0 {
		t.Errorf("listed as they were: %v", names(l))
	}
}

func allowedByName(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "DB_URL", "test-value-db"), set("/", "API", "test-value-api"), set("/deep/er", "DB_KEY", "test-value-key"), set("/other", "API", "test-value-api"))
	role := w.role(t, "- {effect: allow, actions: [\"secret.*\", project.read], names: [\"DB_*\"]}")
	p := e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: role}))
	if got := names(p.list(t, "/", "recursive", "true", "reveal", "true")); fmt.Sprint(got) != "[/DB_URL /deep/er/DB_KEY]" {
		t.Errorf("listed %v", got)
	}
	p.ask(t, "/", "API").refused(t, "not_found")
	p.commit(t, set("/", "DB_NEW", "x"), set("/", "DB_URL", "y"))
	for _, c := range []api.Change{set("/", "OTHER", "x"), {Op: "folder.create", Path: "/made"}, moveFolder("/deep", "/moved"), {Op: "folder.delete", Path: "/deep"}, rename("/", "DB_URL", "URL")} {
		if r := p.attempt(t, c); r.status < 400 {
			t.Errorf("%+v was done", c)
		}
	}
	if got := get[api.Project](t, p.person, "/projects/"+e.project); len(got.Envs) != 3 {
		t.Errorf("%+v", got)
	}
}

func allowedByTag(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, tagged("/", "MINE", "test-value-mine", "team:web"), tagged("/", "THEIRS", "test-value-theirs", "team:db"), set("/", "NONE", "x"))
	role := w.role(t, "- {effect: allow, actions: [\"secret.*\", project.read], tags: [\"team:web\"]}")
	p := e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: role}))
	if got := names(p.list(t, "/", "reveal", "true")); fmt.Sprint(got) != "[/MINE]" {
		t.Errorf("listed %v", got)
	}
	if got := p.value(t, "/", "MINE"); got != "test-value-mine" {
		t.Errorf("%q", got)
	}
	get[api.History](t, p.person, p.path()+"/secrets/MINE/history?path=/")
	p.ask(t, "/", "THEIRS").refused(t, "not_found")
	p.commit(t, tagged("/", "FRESH", "x", "team:web"), set("/", "MINE", "y"))
	none := []string{}
	for _, c := range []api.Change{set("/", "PLAIN", "x"), {Op: "set", Path: "/", Name: "MINE", Tags: &none}, {Op: "set", Path: "/", Name: "THEIRS", Tags: &[]string{"team:web"}}, remove("/", "THEIRS")} {
		if r := p.attempt(t, c); r.status < 400 {
			t.Errorf("%+v was done", c)
		}
	}
}

// spellings: no way to write a path or name reaches what another way of writing it does not.
func spellings(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/vault/inner", "KEY", "test-value-kept"), set("/vault", "KEY", "test-value-kept"), set("/open", "KEY", "test-value-open"), set("/open", "KEEP_OUT", "test-value-kept"))
	role := w.role(t, `
- {effect: allow, actions: "*"}
- {effect: deny, actions: "*", paths: /vault}
- {effect: deny, actions: "*", names: KEEP_OUT}`)
	scoped := w.role(t, "- {effect: allow, actions: \"*\", paths: [/open]}\n- {effect: deny, actions: \"*\", names: KEEP_OUT}")
	for _, who := range []env{e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: role})), e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: scoped}))} {
		if got := who.value(t, "/open", "KEY"); got != "test-value-open" {
			t.Errorf("%q", got)
		}
		paths := []string{"/vault", "vault", "vault/", "/vault/", "//vault", "/vault//inner", "/vault/inner", "/./vault", "/open/../vault", "/open/./../vault", "/VAULT", "/Vault", "/vault/.", "/vault/..", "/vault/../vault",
			"%2fvault", "/%76ault", "/vault%2finner", "/vault%00", "/vault%20", "/v\u0430ult", "/\uff56ault", "/vault\u200b", "/\u0076\u0061ult", "/vault;x", "/vault?x", "/vault#x", "\\vault", "/open\\..\\vault", "/**", "/*", "/v*"}
		for _, path := range paths {
			for _, raw := range []string{path, strings.NewReplacer("?", "%3f", "#", "%23", "\\", "%5c", ";", "%3b", " ", "%20").Replace(path)} {
				for _, q := range []string{"/secrets/KEY?path=", "/secrets?reveal=true&path=", "/secrets?recursive=true&reveal=true&path=", "/secrets/KEY/history?path=", "/schema?path="} {
					r, err := who.try("GET", who.path()+q+raw, nil)
					if err == nil && (strings.Contains(string(r.body), "test-value-kept") || r.status == http.StatusOK && strings.Contains(q, "history")) {
						t.Errorf("%s: %d %s", r.what, r.status, r.body)
					}
				}
			}
			if r := who.attempt(t, set(path, "KEY", "x")); r.status < 400 && !strings.EqualFold(strings.Trim(path, "/"), "vault") {
				t.Errorf("a commit to %q: %s", path, r.body)
			}
			if r := who.attempt(t, api.Change{Op: "copy", Path: "/open", To: "COPIED", From: &api.Place{Env: "dev", Path: path, Name: "KEY"}}); r.status < 400 && strings.Contains(string(r.body), "added") && who.ask(t, "/open", "COPIED").status == 200 {
				if got := who.value(t, "/open", "COPIED"); got == "test-value-kept" {
					t.Errorf("a copy from %q", path)
				}
			}
		}
		for _, name := range []string{"KEEP_OUT", "KEEP%5fOUT", "%4bEEP_OUT", "keep_out", "KEEP_OUT%00", "KEEP_OUT%20", "KEEP_OUT%2f", "..%2fopen%2fKEEP_OUT", "KEEP_O\u0055T", "\uff2bEEP_OUT", "KEEP_OUT."} {
			if r, err := who.try("GET", who.path()+"/secrets/"+name+"?path=/open", nil); err == nil && (r.status == http.StatusOK || strings.Contains(string(r.body), "test-value-kept")) {
				t.Errorf("%s: %d %s", r.what, r.status, r.body)
			}
		}
	}
	if got := e.value(t, "/vault", "KEY"); got != "test-value-kept" {
		t.Errorf("%q was written", got)
	}
}

func conditions(t *testing.T, w *world) {
	e := w.project(t)
	e.commit(t, set("/", "A", "test-value"))
	who := func(rules string) env {
		return e.as(w.machine(t, api.GrantRequest{Project: e.project, Role: w.role(t, rules)}))
	}
	list := "- {effect: allow, actions: [secret.list, project.read]}\n"
	for rules, want := range map[string]int{
		"- {effect: allow, actions: secret.read, when: {networks: [127.0.0.0/8, \"::1/128\"]}}":                             200,
		"- {effect: allow, actions: secret.read, when: {networks: [10.0.0.0/8]}}":                                           403,
		"- {effect: allow, actions: secret.read}\n- {effect: deny, actions: secret.read, unless: {networks: [10.0.0.0/8]}}": 403,
		"- {effect: allow, actions: secret.read, when: {mfa_within: 15m}}":                                                  403,
		"- {effect: allow, actions: secret.read, when: {attributes: {repository: \"shop/*\"}}}":                             403,
		"- {effect: allow, actions: secret.read, when: {times: [{from: \"00:00\", to: \"12:00\"}, {from: \"12:00\"}]}}":     200,
	} {
		if r := who(list+rules).ask(t, "/", "A"); r.status != want {
			t.Errorf("%s: status %d, want %d: %s", rules, r.status, want, r.body)
		}
	}
	// An answer that was kept by the client is not confirmed when the rights have changed meanwhile.
	p, i, _ := w.machineID(t, api.GrantRequest{Project: e.project, Role: "developer"})
	first := e.as(p).ask(t, "/", "A")
	if r := p.do(t, "GET", e.path()+"/secrets/A?path=%2F", nil, "If-None-Match", first.header.Get("ETag")); r.status != http.StatusNotModified {
		t.Errorf("status %d", r.status)
	}
	send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Role: w.role(t, "- {effect: deny, actions: secret.read, names: A}")})
	if r := p.do(t, "GET", e.path()+"/secrets/A?path=%2F", nil, "If-None-Match", first.header.Get("ETag")); r.status == http.StatusNotModified || r.status == http.StatusOK {
		t.Errorf("status %d", r.status)
	}
}

func TestAGrantForATimeEndsByItself(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/a", "A", "test-value"), set("/b", "A", "test-value"))
		p, i, _ := w.machineID(t, api.GrantRequest{Project: e.project, Role: "viewer"})
		me := e.as(p)
		me.ask(t, "/a", "A").refused(t, "denied")
		g := send[api.Grant](t, w.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Path: "/a", Role: "developer", TTL: "2s", Reason: "ticket 7"})
		if g.ExpiresAt == nil || g.Path != "/a" || g.Reason != "ticket 7" {
			t.Errorf("%+v", g)
		}
		if got := me.value(t, "/a", "A"); got != "test-value" { // the principal is kept in memory from here on
			t.Errorf("%q", got)
		}
		me.ask(t, "/b", "A").refused(t, "denied")
		eventually(t, 10*time.Second, "the grant ends", func() bool { return me.ask(t, "/a", "A").status == http.StatusForbidden })
		if now := time.Now(); now.Before(*g.ExpiresAt) {
			t.Errorf("it ended at %v, before %v", now, g.ExpiresAt)
		}
		if got := names(me.list(t, "/a")); len(got) != 1 {
			t.Errorf("what was held before is gone: %v", got)
		}
	})
}

func TestAFreezeStopsChangesAndAKillStopsReadsOnEveryServer(t *testing.T) {
	t.Parallel()
	database := testpg.Database(t)
	a := newWorld(keyturntest.Start(t, keyturntest.WithPostgres(database)))
	b := keyturntest.Bare(t, keyturntest.WithPostgres(database), keyturntest.WithData(a.server.Data))
	e, other := a.project(t), a.project(t)
	e.commit(t, set("/", "A", "test-value"))
	other.commit(t, set("/", "B", "${@"+e.project+".dev.A}"), set("/", "C", "x"))
	there := func(e env) env { return env{person{url: b.URL, token: e.token}, e.project, e.name} }
	dev := e.as(a.machine(t, api.GrantRequest{Project: e.project, Role: "developer"}))
	tag := dev.ask(t, "/", "A").header.Get("ETag")
	_, i, _ := a.machineID(t)

	freeze := func(path string, kill bool) {
		t.Helper()
		send[api.Freeze](t, a.admin, "POST", path, api.FreezeRequest{Kill: kill, Reason: "incident 42"})
	}
	mine := "/projects/" + e.project + "/freeze"
	a.admin.do(t, "POST", mine, api.FreezeRequest{}).refused(t, "invalid", "reason")
	freeze(mine, false)
	for _, who := range []env{e, dev} { // whoever asks
		who.attempt(t, set("/", "A", "y")).refused(t, "denied", "frozen", "incident 42", "admin@example.test", "thaw")
		if got := who.value(t, "/", "A"); got != "test-value" {
			t.Errorf("%q", got)
		}
	}
	eventually(t, time.Second, "the other server knows of the freeze", func() bool { return there(e).attempt(t, set("/", "A", "y")).status == http.StatusForbidden })
	e.do(t, "POST", e.path()+"/rollback", api.RollbackRequest{To: 0}).refused(t, "denied", "frozen")
	e.do(t, "PATCH", "/projects/"+e.project, api.RenameRequest{Name: "Other"}).refused(t, "denied", "frozen")
	e.do(t, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "1h"}).refused(t, "denied", "frozen")
	dev.own(t, "/", "A", "x").refused(t, "denied")
	other.commit(t, set("/", "C", "y")) // nothing else is stopped
	// Another project's change that would spell references anew in the frozen one is stopped too.
	a.admin.do(t, "DELETE", mine, nil).fits(t, &api.Done{})
	freeze("/projects/"+other.project+"/freeze", false)
	e.attempt(t, rename("/", "A", "A2")).refused(t, "denied", "frozen")
	a.admin.do(t, "DELETE", "/projects/"+other.project+"/freeze", nil).fits(t, &api.Done{})

	freeze(mine, true)
	for _, r := range []reply{dev.ask(t, "/", "A"), e.ask(t, "/", "A"), e.do(t, "GET", e.path()+"/secrets?path=/", nil), dev.do(t, "GET", e.path()+"/secrets/A?path=%2F", nil, "If-None-Match", tag),
		e.attempt(t, api.Change{Op: "set", Path: "/", Name: "N", Value: ptr("x")})} {
		r.refused(t, "denied", "switched off", "incident 42")
	}
	// Neither a reference nor a search nor a copy leads round it.
	if r := other.ask(t, "/", "B"); r.status < 400 {
		t.Errorf("%s", r.body)
	}
	if r := other.attempt(t, api.Change{Op: "copy", Path: "/", To: "COPY", From: &api.Place{Project: e.project, Env: "dev", Path: "/", Name: "A"}}); r.status < 400 {
		t.Errorf("%s", r.body)
	}
	if got := get[api.Found](t, a.admin, "/search?text=A&project="+e.project); len(got.Secrets) != 0 {
		t.Errorf("%+v", got)
	}
	eventually(t, time.Second, "the other server knows of the kill switch", func() bool { return there(dev).ask(t, "/", "A").status == http.StatusForbidden })
	// What is needed to end it goes on: logins, rights, the log. Only an admin of the project lifts it.
	send[api.Grant](t, a.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: i.ID, Project: e.project, Role: "viewer"})
	a.user(t)
	get[api.Entries](t, a.admin, "/audit/entries?limit=1")
	if got := get[api.Freezes](t, dev.person, "/freezes"); len(got.Freezes) != 1 || !got.Freezes[0].Kill || got.Freezes[0].Reason != "incident 42" {
		t.Errorf("%+v", got)
	}
	if got := get[api.Freezes](t, a.machine(t), "/freezes"); len(got.Freezes) != 0 {
		t.Errorf("a stranger sees %+v", got)
	}
	dev.do(t, "DELETE", mine, nil).refused(t, "denied")
	a.machine(t).do(t, "GET", e.path()+"/secrets/A?path=%2F", nil).refused(t, "not_found")
	a.admin.do(t, "DELETE", mine, nil).fits(t, &api.Done{})
	a.admin.do(t, "DELETE", mine, nil).refused(t, "not_found")
	if got := dev.value(t, "/", "A"); got != "test-value" {
		t.Errorf("%q", got)
	}

	freeze("/instance/freeze", true)
	for _, who := range []env{e, other} {
		who.ask(t, "/", "A").refused(t, "denied", "everything on this server", "--instance")
	}
	a.admin.do(t, "POST", "/projects", api.ProjectRequest{Slug: a.fresh("project-")}).refused(t, "denied", "switched off")
	a.admin.do(t, "DELETE", "/instance/freeze", nil).fits(t, &api.Done{})
	e.commit(t, set("/", "A", "z"))
}

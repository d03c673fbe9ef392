package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/httpapi"
	"github.com/keyturn/keyturn/internal/keyring"
)

// The columns of the matrix. Anonymous callers, garbage tokens and those of disabled principals are the same for every route.
var columns = []string{"admin", "project admin", "developer of dev", "viewer", "none", "stranger", "token to read", "token to write", "machine developer"}

// What comes up again and again, in the order of the columns.
const (
	everybody = "200 200 200 200 200 200 200 200 200"
	adminOnly = "200 403 403 403 403 403 403 403 403"
	adminMake = "201 403 403 403 403 403 403 403 403"
	adminsOf  = "200 200 403 403 404 404 403 403 403" // of a project
	envAdmins = "200 200 403 403 404 404 403 404 403" // of an environment: a token that may not list does not know of it
	listers   = "200 200 200 200 404 404 200 404 200"
	readers   = "200 200 200 403 404 404 200 404 200"
	writers   = "200 200 200 403 404 404 403 200 200"
	seers     = "200 200 200 200 404 404 200 200 200"
)

// row is what is expected of one route.
type row struct {
	want string
	// call makes what the route needs and gives path, body and what to do afterwards. who is the column.
	call func(t *testing.T, m *matrix, who string) (path string, body any, after func())
	// fresh callers lose their token by the call, so each gets another one.
	fresh bool
}

// matrix is the world that the routes are tried in.
type matrix struct {
	*world
	home      env
	people    map[string]*member
	target    string // a machine that gets and loses roles
	kit       bool   // there is a recovery kit
	committee *committee
	done      []tried
}

func at(format string, args ...any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return strings.ReplaceAll(fmt.Sprintf(format, args...), "HOME", m.home.path()), nil, nil
	}
}

func with(path string, body any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return strings.ReplaceAll(path, "HOME", m.home.path()), body, nil
	}
}

var rows = joinRows(
	coreRows,
	machineRows,
	streamRows,
	canaryRows,
	mountRows,
	alertRows,
	consumerRows,
	passkeyRows,
	archiveRows,
	peopleRows,
	ssoRows,
	policyRows,
	accountRows,
	approvalRows,
	requestRows,
	breakGlassRows,
	transitRows,
)

// joinRows puts the rows of all topics into one table; a route that stands in two of them is a mistake of the test.
func joinRows(topics ...map[string]row) map[string]row {
	out := map[string]row{}
	for _, topic := range topics {
		for route, r := range topic {
			if _, twice := out[route]; twice {
				panic("two rows for " + route)
			}
			out[route] = r
		}
	}
	return out
}

var coreRows = map[string]row{
	"POST /setup":          {want: "409", call: with("/setup", api.SetupRequest{Email: "again@example.test", Password: testPassword})},
	"POST /login":          {want: "401", call: with("/login", api.LoginRequest{Email: "nobody@example.test", Password: testPassword})},
	"POST /login/identity": {want: "401", call: with("/login/identity", api.IdentityLoginRequest{ClientID: "0198c0de-0000-7000-8000-000000000000", ClientSecret: "ktc_test-value"})},
	"POST /logout":         {want: everybody, fresh: true, call: at("/logout")},
	"GET /whoami":          {want: everybody, call: at("/whoami")},
	"POST /tokens": {want: "201 201 201 201 404 404 403 403 201", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/tokens", api.TokenRequest{Project: m.home.project, Scopes: "dev:/:read", TTL: "1m"}, nil
	}},
	"GET /tokens": {want: everybody, call: at("/tokens")},
	// The token is one of the last column.
	"DELETE /tokens/{id}": {want: "200 404 404 404 404 404 404 404 200", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/tokens/" + get[api.Principal](t, m.people["machine developer"].again(), "/whoami").TokenID, nil, nil
	}},
	"POST /identities": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/identities", api.IdentityRequest{Name: m.fresh("made")}, nil
	}},
	"GET /identities": {want: adminOnly, call: at("/identities")},
	"PATCH /identities/{name}": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/identities/" + m.target, api.EnabledRequest{}, nil
	}},
	"POST /identities/{name}/client-secrets": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/identities/" + m.target + "/client-secrets", api.ClientSecretRequest{}, nil
	}},
	"GET /identities/{name}/client-secrets": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/identities/" + m.target + "/client-secrets", nil, nil
	}},
	"DELETE /identities/{name}/client-secrets/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		c := send[api.ClientSecret](t, m.admin, "POST", "/identities/"+m.target+"/client-secrets", api.ClientSecretRequest{})
		return "/identities/" + m.target + "/client-secrets/" + c.ID, nil, nil
	}},
	"POST /users": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/users", api.UserRequest{Email: m.fresh("made") + "@example.test", Password: testPassword}, nil
	}},
	"GET /users": {want: adminOnly, call: at("/users")},
	"PATCH /users/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/users/" + m.people["developer of dev"].id.ID, api.EnabledRequest{}, nil
	}},
	"POST /grants": {want: "201 201 403 403 404 404 403 403 403", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/grants", api.GrantRequest{Kind: "identity", Principal: m.target, Project: m.home.project, Role: "viewer"}, nil
	}},
	"GET /grants": {want: adminOnly, call: at("/grants")},
	"DELETE /grants/{id}": {want: "200 200 404 404 404 404 404 404 404", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		g := send[api.Grant](t, m.admin, "POST", "/grants", api.GrantRequest{Kind: "identity", Principal: m.target, Project: m.home.project, Role: "viewer"})
		return "/grants/" + g.ID, nil, nil
	}},

	"GET /projects": {want: everybody, call: at("/projects")},
	"POST /projects": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/projects", api.ProjectRequest{Slug: m.fresh("made-")}, nil
	}},
	"GET /projects/{project}": {want: seers, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/projects/" + m.home.project, nil, nil
	}},
	"PATCH /projects/{project}": {want: adminsOf, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/projects/" + m.home.project, api.RenameRequest{Name: "Another name"}, nil
	}},
	"DELETE /projects/{project}": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		p := "/projects/" + m.home.project
		return p, nil, func() { m.admin.do(t, "POST", p+"/restore", nil) }
	}},
	"POST /projects/{project}/restore": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		p := "/projects/" + m.home.project
		send[api.Done](t, m.admin, "DELETE", p, nil)
		return p + "/restore", nil, func() { m.admin.do(t, "POST", p+"/restore", nil) }
	}},
	"POST /projects/{project}/purge": {want: adminsOf, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		old := m.home
		m.found(t)
		p := "/projects/" + m.home.project
		send[api.Done](t, m.admin, "DELETE", p, nil)
		return p + "/purge", nil, func() { m.admin.do(t, "POST", p+"/restore", nil); m.home = old; m.scope(t) }
	}},
	"POST /projects/{project}/envs": {want: "201 201 403 403 404 404 403 403 403", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/projects/" + m.home.project + "/envs", api.EnvRequest{Slug: m.fresh("env-")}, nil
	}},
	"GET /projects/{project}/envs/{env}":   {want: seers, call: at("HOME")},
	"PATCH /projects/{project}/envs/{env}": {want: envAdmins, call: with("HOME", api.RenameRequest{Name: "Another name"})},
	"DELETE /projects/{project}/envs/{env}": {want: envAdmins, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return m.home.path(), nil, func() { m.admin.do(t, "POST", m.home.path()+"/restore", nil) }
	}},
	"POST /projects/{project}/envs/{env}/restore": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		send[api.Done](t, m.admin, "DELETE", m.home.path(), nil)
		return m.home.path() + "/restore", nil, func() { m.admin.do(t, "POST", m.home.path()+"/restore", nil) }
	}},
	"POST /projects/{project}/envs/{env}/purge": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		v := send[api.Env](t, m.admin, "POST", "/projects/"+m.home.project+"/envs", api.EnvRequest{Slug: m.fresh("env-")})
		path := m.home.in(v.Slug).path()
		send[api.Done](t, m.admin, "DELETE", path, nil)
		return path + "/purge", nil, nil
	}},

	"GET /projects/{project}/envs/{env}/secrets/{name}":         {want: readers, call: at("HOME/secrets/A")},
	"GET /projects/{project}/envs/{env}/secrets":                {want: listers, call: at("HOME/secrets?path=/")},
	"GET /projects/{project}/envs/{env}/secrets/{name}/history": {want: listers, call: at("HOME/secrets/A/history")},
	"POST /projects/{project}/envs/{env}/commits": {want: writers, call: func(_ *testing.T, m *matrix, who string) (string, any, func()) {
		return m.home.path() + "/commits", api.CommitRequest{Changes: []api.Change{set("/", "LAST", who)}}, nil
	}},
	"GET /projects/{project}/envs/{env}/commits":   {want: listers, call: at("HOME/commits")},
	"POST /projects/{project}/envs/{env}/rollback": {want: writers, call: with("HOME/rollback", api.RollbackRequest{To: 1, Path: "/rolled"})},
	"POST /projects/{project}/envs/{env}/secrets/purge": {want: envAdmins, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.fresh("PURGED")
		m.home.commit(t, set("/", name, "x"))
		m.home.commit(t, remove("/", name))
		return m.home.path() + "/secrets/purge", api.PurgeRequest{Path: "/", Name: name}, nil
	}},
	"PUT /projects/{project}/envs/{env}/personal": {want: "200 403 200 403 404 404 403 404 403", call: with("HOME/personal", api.PersonalRequest{Path: "/", Name: "A", Value: api.Value{Value: "x"}})},
	"DELETE /projects/{project}/envs/{env}/personal/{name}": {want: "200 403 200 403 404 404 403 404 403", call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		if who == "admin" || who == "developer of dev" {
			m.home.as(m.people[who].person).own(t, "/", "A", "x").fits(t, &api.Done{})
		}
		return m.home.path() + "/personal/A", nil, nil
	}},
	"GET /projects/{project}/envs/{env}/schema":  {want: listers, call: at("HOME/schema")},
	"GET /projects/{project}/envs/{env}/example": {want: listers, call: at("HOME/example")},
	"GET /projects/{project}/envs/{env}/events":  {want: listers, call: at("HOME/events")},
	"GET /projects/{project}/diff": {want: listers, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/projects/" + m.home.project + "/diff?from=dev@1&to=dev", nil, nil
	}},
	"GET /due":    {want: everybody, call: at("/due")},
	"GET /reuse":  {want: everybody, call: at("/reuse")},
	"GET /search": {want: everybody, call: at("/search?text=a")},
	"POST /where": {want: everybody, call: with("/where", api.WhereRequest{Value: api.Value{Value: "x"}})},

	"GET /audit/entries":               {want: adminOnly, call: at("/audit/entries?limit=1")},
	"GET /audit/checkpoint":            {want: adminOnly, call: at("/audit/checkpoint")},
	"GET /audit/entries/{index}/proof": {want: adminOnly, call: at("/audit/entries/0/proof")},
	"GET /audit/consistency":           {want: adminOnly, call: at("/audit/consistency?old_size=1")},
	"GET /audit/log":                   {want: adminOnly, call: at("/audit/log?from=0")},
	"POST /audit/verify":               {want: adminOnly, call: at("/audit/verify")},
	"GET /status":                      {want: adminOnly, call: at("/status")},
	"GET /doctor":                      {want: adminOnly, call: at("/doctor")},

	"GET /keys": {want: adminOnly, call: at("/keys")},
	"POST /keys/rotations": {want: "202 403 403 403 403 403 403 403 403", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		m.settled(t)
		return "/keys/rotations", api.KeyRotation{Layer: "index"}, func() { m.settled(t) }
	}},
	"GET /keys/turns": {want: adminOnly, call: at("/keys/turns?limit=1")},
	"GET /keys/turns/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/keys/turns/" + m.running(t), nil, nil
	}},
	"POST /keys/turns/{id}/pause": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/keys/turns/" + m.running(t) + "/pause", nil, nil
	}},
	"POST /keys/turns/{id}/resume": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/keys/turns/" + m.running(t) + "/resume", nil, nil
	}},
	"POST /keys/turns/{id}/finish": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/keys/turns/" + m.running(t) + "/finish", nil, nil
	}},
	"GET /keys/census": {want: adminOnly, call: at("/keys/census")},
	"POST /keys/slots": {want: adminMake, call: func(_ *testing.T, _ *matrix, _ string) (string, any, func()) {
		root := keyring.NewRoot().Public()
		return "/keys/slots", api.KeySlotRequest{Kind: "file", Public: root.Key, Fingerprint: root.Fingerprint}, nil
	}},
	"POST /keys/slots/{id}/test": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/keys/slots/" + m.slot(t) + "/test", api.KeySlotAnswer{}, nil
	}},
	"DELETE /keys/slots/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/keys/slots/" + m.slot(t), nil, nil
	}},

	"GET /backups": {want: adminOnly, call: at("/backups")},
	"POST /backups": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		m.kitted(t)
		return "/backups", nil, nil
	}},
	"GET /backups/stream": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		m.kitted(t)
		return "/backups/stream", nil, nil
	}},
	"GET /backups/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/backups/" + m.saved(t), nil, nil
	}},
	"POST /backups/{name}/verify": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/backups/" + m.saved(t) + "/verify", nil, nil
	}},
	"POST /backups/{name}/drill": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/backups/" + m.saved(t) + "/drill", nil, nil
	}},
	"POST /backups/drill": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		m.saved(t)
		return "/backups/drill", nil, nil
	}},
	"DELETE /backups/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/backups/" + m.saved(t), nil, nil
	}},
}

// kitted makes a recovery kit, once.
func (m *matrix) kitted(t *testing.T) {
	t.Helper()
	if !m.kit {
		m.kit = true
		m.recoveryKit(t)
	}
}

// saved gives a backup at the place.
func (m *matrix) saved(t *testing.T) string {
	t.Helper()
	m.kitted(t)
	for _, b := range get[api.Backups](t, m.admin, "/backups").Backups {
		if b.Where == "place" {
			return b.Name
		}
	}
	return send[api.Backup](t, m.admin, "POST", "/backups", nil).Name
}

// running gives a turn that stays in its overlap, so that it can be held and ended.
func (m *matrix) running(t *testing.T) string {
	t.Helper()
	for _, turn := range get[api.KeysStatus](t, m.admin, "/keys").Running {
		if turn.Layer == "tokens" && turn.DueAt.After(time.Now().Add(time.Hour)) {
			return turn.ID
		}
	}
	m.settled(t)
	return send[api.KeyRotated](t, m.admin, "POST", "/keys/rotations", api.KeyRotation{Layer: "tokens"}).Turns[0].ID
}

// settled waits until no turn is at work but one in its overlap.
func (m *matrix) settled(t *testing.T) {
	t.Helper()
	eventually(t, turnsWithin, "turns have ended", func() bool {
		return !slices.ContainsFunc(get[api.KeysStatus](t, m.admin, "/keys").Running, func(turn api.KeyTurn) bool {
			return turn.DueAt.Before(time.Now().Add(time.Hour))
		})
	})
}

// slot gives a slot that nothing hangs on.
func (m *matrix) slot(t *testing.T) string {
	t.Helper()
	for _, s := range get[api.KeysStatus](t, m.admin, "/keys").Slots {
		if !s.Unlocked {
			return s.ID
		}
	}
	root := keyring.NewRoot().Public()
	return send[api.KeySlotMade](t, m.admin, "POST", "/keys/slots", api.KeySlotRequest{Kind: "file", Public: root.Key, Fingerprint: root.Fingerprint}).ID
}

// member is one kind of principal.
type member struct {
	person
	id    api.Principal
	again func() person // another token of the same principal
}

// found makes a project in which everybody has his role.
func (m *matrix) found(t *testing.T) {
	t.Helper()
	m.home = m.project(t)
	m.home.commit(t, set("/", "A", "test-value"), set("/rolled", "B", "test-value"))
	m.home.commit(t, set("/rolled", "B", "test-value-2"))
	for who, g := range map[string]api.GrantRequest{"project admin": {Role: "admin"}, "developer of dev": {Env: "dev", Role: "developer"}, "viewer": {Role: "viewer"},
		"none": {Role: "none"}, "machine developer": {Role: "developer"}, "disabled": {Role: "admin"}} {
		g.Kind, g.Principal, g.Project = m.people[who].id.Kind, m.people[who].id.ID, m.home.project
		send[api.Grant](t, m.admin, "POST", "/grants", g)
	}
	m.scope(t)
}

// scope makes tokens for the present project.
func (m *matrix) scope(t *testing.T) {
	t.Helper()
	for who, scopes := range map[string]string{"token to read": "dev:/:read,list", "token to write": "dev:/:write,delete"} {
		again := func() person { return m.admin.scoped(t, m.home.project, scopes) }
		m.people[who] = &member{person: again(), again: again}
	}
}

func newMatrix(t *testing.T, w *world) *matrix {
	t.Helper()
	m := &matrix{world: w, people: map[string]*member{}}
	add := func(who string, login func() person) {
		p := login()
		m.people[who] = &member{p, get[api.Principal](t, p, "/whoami"), login}
	}
	user := func(email, password string) func() person {
		return func() person {
			return w.admin.with(send[api.Session](t, w.admin.with(""), "POST", "/login", api.LoginRequest{Email: email, Password: password}).Token)
		}
	}
	add("admin", user(w.server.Email, w.server.Password))
	_, dev := w.userID(t)
	add("developer of dev", user(dev.Email, testPassword))
	for _, who := range []string{"project admin", "viewer", "none", "stranger", "machine developer", "disabled"} {
		_, i, c := w.machineID(t)
		add(who, func() person {
			return w.admin.with(send[api.Session](t, w.admin.with(""), "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: c.Secret}).Token)
		})
	}
	_, target, _ := w.machineID(t)
	m.target = target.Name
	m.found(t)
	send[api.Done](t, w.admin, "PATCH", "/identities/"+m.people["disabled"].id.ID, api.EnabledRequest{Disabled: true})
	return m
}

func TestEveryRouteForEveryKindOfPrincipal(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.admin.calls = &sync.Map{}
		m := newMatrix(t, w)
		known := map[string]bool{}
		for _, route := range httpapi.Routes() {
			key := route.Method + " " + route.Path
			known[key] = true
			r, ok := rows[key]
			if !ok {
				t.Errorf("%s has no row: say who may", key)
				continue
			}
			m.try(t, &route, r)
		}
		for key := range rows {
			if !known[key] {
				t.Errorf("there is no route %s any more", key)
			}
		}
		m.compareWithLog(t)
	})
}

// try calls one route as everybody.
func (m *matrix) try(t *testing.T, route *httpapi.Route, r row) {
	t.Helper()
	want := strings.Fields(r.want)
	if route.Auth == httpapi.Anyone {
		// No credential is looked at, whatever it is.
		for _, p := range []person{m.admin.with(""), m.admin.with("kts_test-value"), m.people["viewer"].person, m.people["disabled"].person} {
			m.once(t, route, r, "anybody", p, want[0])
		}
		return
	}
	if len(want) != len(columns) {
		t.Errorf("%s %s has %d expectations for %d principals", route.Method, route.Path, len(want), len(columns))
		return
	}
	m.once(t, route, r, "anonymous", m.admin.with(""), "401")
	m.once(t, route, r, "garbage", m.admin.with("kts_test-value"), "401")
	m.once(t, route, r, "disabled", m.people["disabled"].person, "401")
	for i, who := range columns {
		p := m.people[who].person
		if r.fresh {
			p = m.people[who].again()
		}
		m.once(t, route, r, who, p, want[i])
	}
}

func (m *matrix) once(t *testing.T, route *httpapi.Route, r row, who string, p person, want string) {
	t.Helper()
	path, body, after := r.call(t, m, who)
	if s := m.people[who]; s != nil && !r.fresh {
		p = s.person // the call may have made a project of its own, and tokens for it
	}
	var got reply
	if route.Stream {
		got = p.firstEvent(t, path)
	} else {
		got = p.do(t, route.Method, path, body)
	}
	if fmt.Sprint(got.status) != want {
		t.Errorf("%s %s as %s: status %d, want %s: %s", route.Method, route.Path, who, got.status, want, got.body)
	}
	switch {
	case got.status < 300 && got.status != route.Status && (route.Status != 0 || got.status != http.StatusOK):
		t.Errorf("%s %s: status %d is not what the table says", route.Method, route.Path, got.status)
	case got.status >= 400:
		got.refused(t, map[int]string{400: "invalid", 401: "unauthenticated", 403: "denied", 404: "not_found", 409: "exists", 501: "unsupported", 503: "unavailable"}[got.status])
	}
	m.done = append(m.done, tried{route.Method + " " + route.Path, route.Action, who, got.header.Get("X-Request-Id"), got.status})
	if after != nil {
		after()
	}
}

// firstEvent reads a stream up to its first event.
func (p person) firstEvent(t *testing.T, path string) reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", p.url+api.Prefix+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := wire.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if p.calls != nil {
		p.calls.Store(resp.Header.Get("X-Request-Id"), resp.StatusCode)
	}
	got := reply{"GET " + path, resp.StatusCode, resp.Header, nil}
	if resp.StatusCode != http.StatusOK {
		got.body, err = io.ReadAll(resp.Body)
	} else if lines := bufio.NewScanner(resp.Body); lines.Scan() {
		got.body = lines.Bytes()
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// tried is one call of the matrix and what came of it.
type tried struct {
	route, action, who, request string
	status                      int
}

// entry is what is compared of one entry in the log.
type entry struct {
	Action  string `json:"action"`
	Outcome string `json:"outcome"`
	Request string `json:"request"`
	Detail  struct {
		Missed string `json:"not_recorded_before"` // refusals that a flood left out of the log
	} `json:"detail"`
	whole string
}

// wholeLog reads all entries, page by page, newest first.
func wholeLog(t *testing.T, p person) []entry {
	t.Helper()
	var out []entry
	before := ""
	for {
		page := get[api.Entries](t, p, "/audit/entries?limit=500"+before)
		for _, raw := range page.Entries {
			var e entry
			if err := json.Unmarshal(raw.Entry, &e); err != nil {
				t.Fatal(err)
			}
			e.whole = string(raw.Entry)
			out = append(out, e)
		}
		if page.Next == nil {
			return out
		}
		before = fmt.Sprintf("&before=%d", *page.Next)
	}
}

// besides are actions that a route has beside its own: a rename shows what came of it, the doctor looks at the log, and
// another one's token is ended by the right to manage.
var besides = map[string][]string{
	"PATCH /projects/{project}": {"project.read"}, "PATCH /projects/{project}/envs/{env}": {"project.read"}, "GET /doctor": {"audit.read"},
	"DELETE /tokens/{id}": {"access.manage"},
}

// compareWithLog checks that no action was allowed without an entry, and that there is no entry without an action.
func (m *matrix) compareWithLog(t *testing.T) {
	t.Helper()
	// A flood of refusals is recorded in part and counted: the matrix is one on a quick machine. One more refusal tells the rest.
	eventually(t, 10*time.Second, "a refusal that is recorded", func() bool {
		refused := m.admin.with("kts_test-value").do(t, "GET", "/whoami", nil).header.Get("X-Request-Id")
		for _, e := range get[api.Entries](t, m.admin, "/audit/entries?limit=5").Entries {
			if bytes.Contains(e.Entry, []byte(refused)) {
				return true
			}
		}
		return false
	})
	byRequest := map[string][]entry{}
	missed, missing := 0, []string{}
	for _, e := range wholeLog(t, m.admin) {
		n, _ := strconv.Atoi(e.Detail.Missed)
		missed += n
		byRequest[e.Request] = append(byRequest[e.Request], e)
		if _, called := m.admin.calls.Load(e.Request); e.Request != "" && !called {
			t.Errorf("there was no such request: %s", e.whole)
		}
	}
	for _, c := range m.done {
		allowed, refused := 0, 0
		for _, e := range byRequest[c.request] {
			if e.Outcome != "allowed" {
				refused++
			} else if allowed++; e.Action != c.action && !slices.Contains(besides[c.route], e.Action) {
				t.Errorf("%s as %s is in the log as %s, not as %s", c.route, c.who, e.Action, c.action)
			}
		}
		switch {
		case c.status < 300 && allowed == 0:
			t.Errorf("%s as %s was done and is not in the log", c.route, c.who)
		case c.status >= 400 && allowed > 0:
			t.Errorf("%s as %s was refused with %d and is in the log as allowed", c.route, c.who, c.status)
		case c.status >= 400 && refused == 0 && c.who != "anonymous" && c.who != "garbage" && c.who != "disabled":
			missing = append(missing, fmt.Sprintf("%s as %s was refused with %d", c.route, c.who, c.status))
		case allowed > 2 || refused > 2:
			t.Errorf("%s as %s left %d and %d entries", c.route, c.who, allowed, refused)
		}
	}
	if len(missing) > missed {
		t.Errorf("the log counts %d refusals that it left out, and lacks %d: %s", missed, len(missing), strings.Join(missing, "; "))
	}
}

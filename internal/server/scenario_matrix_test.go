package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/httpapi"
)

// The columns of the matrix. Anonymous callers, garbage tokens and those of disabled principals are the same for every route.
var columns = []string{"admin", "project admin", "developer of dev", "viewer", "none", "stranger", "token to read", "token to write", "machine developer"}

// What comes up again and again, in the order of the columns.
const (
	everybody = "200 200 200 200 200 200 200 200 200"
	adminOnly = "200 403 403 403 403 403 403 403 403"
	adminMake = "201 403 403 403 403 403 403 403 403"
	adminHide = "200 404 404 404 404 404 404 404 404" // who may not manage does not learn whether it is there
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
	home   env
	people map[string]func() person
	target string // a machine that gets and loses roles
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

var rows = map[string]row{
	"POST /setup":          {want: "409", call: with("/setup", api.SetupRequest{Email: "again@example.test", Password: testPassword})},
	"POST /login":          {want: "401", call: with("/login", api.LoginRequest{Email: "nobody@example.test", Password: testPassword})},
	"POST /login/identity": {want: "401", call: with("/login/identity", api.IdentityLoginRequest{ClientID: "0198c0de-0000-7000-8000-000000000000", ClientSecret: "ktc_test-value"})},
	"POST /logout":         {want: everybody, fresh: true, call: at("/logout")},
	"GET /whoami":          {want: everybody, call: at("/whoami")},
	"POST /tokens": {want: "201 201 201 201 404 404 403 403 201", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/tokens", api.TokenRequest{Project: m.home.project, Scopes: "dev:/:read", TTL: "1m"}, nil
	}},
	"GET /tokens": {want: everybody, call: at("/tokens")},
	"DELETE /tokens/{id}": {want: adminHide, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		p := m.people["machine developer"]()
		return "/tokens/" + get[api.Principal](t, p, "/whoami").TokenID, nil, nil
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
		return "/users/" + get[api.Principal](t, m.people["developer of dev"](), "/whoami").ID, api.EnabledRequest{}, nil
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
		return p + "/purge", nil, func() { m.admin.do(t, "POST", p+"/restore", nil); m.home = old; m.meet(t) }
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
			m.home.as(m.people[who]()).own(t, "/", "A", "x").fits(t, &api.Done{})
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
}

// found makes a project in which everybody has his role.
func (m *matrix) found(t *testing.T) {
	t.Helper()
	m.home = m.project(t)
	m.home.commit(t, set("/", "A", "test-value"), set("/rolled", "B", "test-value"))
	m.home.commit(t, set("/rolled", "B", "test-value-2"))
	m.meet(t)
}

// meet gives everybody his role in the present project, and tokens for it.
func (m *matrix) meet(t *testing.T) {
	t.Helper()
	for who, g := range map[string]api.GrantRequest{"project admin": {Role: "admin"}, "developer of dev": {Env: "dev", Role: "developer"}, "viewer": {Role: "viewer"},
		"none": {Role: "none"}, "machine developer": {Role: "developer"}, "disabled": {Role: "admin"}} {
		if m.people[who] == nil {
			continue
		}
		id := get[api.Principal](t, m.people[who](), "/whoami")
		g.Kind, g.Principal, g.Project = id.Kind, id.ID, m.home.project
		send[api.Grant](t, m.admin, "POST", "/grants", g)
	}
	read, write := m.admin.scoped(t, m.home.project, "dev:/:read,list"), m.admin.scoped(t, m.home.project, "dev:/:write,delete")
	m.people["token to read"] = func() person { return read }
	m.people["token to write"] = func() person { return write }
}

func newMatrix(t *testing.T, w *world) *matrix {
	t.Helper()
	w.admin.calls = &sync.Map{}
	m := &matrix{world: w, people: map[string]func() person{"admin": func() person { return w.admin }}}
	for _, who := range []string{"project admin", "viewer", "none", "stranger", "machine developer"} {
		_, i, c := w.machineID(t)
		login := func() person {
			s := send[api.Session](t, w.admin.with(""), "POST", "/login/identity", api.IdentityLoginRequest{ClientID: i.ID, ClientSecret: c.Secret})
			return w.admin.with(s.Token)
		}
		kept := login()
		m.people[who] = func() person {
			if kept.try("GET", "/whoami", nil); get[any] == nil {
				return login()
			}
			return kept
		}
		_ = login
	}
	return m
}

func TestEveryRouteForEveryKindOfPrincipal(t *testing.T) {
	_ = bufio.NewReader
	_ = context.Background
	_ = json.Valid
	_ = http.StatusOK
	_ = httpapi.Routes
}

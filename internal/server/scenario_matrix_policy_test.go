package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

const readerRules = "- {effect: allow, actions: [secret.list, secret.read], names: ['DB_*']}"

// madeRole makes a custom role that nobody has.
func (m *matrix) madeRole(t *testing.T) api.CustomRole {
	t.Helper()
	return send[api.CustomRole](t, m.admin, "POST", "/roles", api.RoleRequest{Name: m.fresh("role-"), Rules: readerRules})
}

func (m *matrix) madeGroup(t *testing.T) api.Group {
	t.Helper()
	return send[api.Group](t, m.admin, "POST", "/groups", api.GroupRequest{Name: m.fresh("group-")})
}

// frozen freezes a place for one call; lift thaws it again, whoever did it.
func (m *matrix) frozen(t *testing.T, path string) {
	t.Helper()
	send[api.Freeze](t, m.admin, "POST", path, api.FreezeRequest{Reason: "matrix"})
}

func (m *matrix) lift(t *testing.T, path string) func() {
	return func() { m.admin.do(t, "DELETE", path, nil) }
}

var policyRows = map[string]row{
	"POST /roles": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/roles", api.RoleRequest{Name: m.fresh("role-"), Rules: readerRules}, nil
	}},
	"GET /roles": {want: adminOnly, call: at("/roles")},
	"GET /roles/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/roles/" + m.madeRole(t).Name, nil, nil
	}},
	"PATCH /roles/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/roles/" + m.madeRole(t).Name, api.RoleRequest{Rules: readerRules}, nil
	}},
	"DELETE /roles/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/roles/" + m.madeRole(t).Name, nil, nil
	}},
	"POST /groups": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/groups", api.GroupRequest{Name: m.fresh("group-")}, nil
	}},
	"GET /groups": {want: adminOnly, call: at("/groups")},
	"DELETE /groups/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/groups/" + m.madeGroup(t).ID, nil, nil
	}},
	"GET /groups/{name}/members": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/groups/" + m.madeGroup(t).ID + "/members", nil, nil
	}},
	"POST /groups/{name}/members": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/groups/" + m.madeGroup(t).ID + "/members", api.MemberRequest{Kind: "identity", Member: m.target}, nil
	}},
	"DELETE /groups/{name}/members/{kind}/{member}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		g := m.madeGroup(t)
		send[api.Done](t, m.admin, "POST", "/groups/"+g.ID+"/members", api.MemberRequest{Kind: "identity", Member: m.target})
		return "/groups/" + g.ID + "/members/identity/" + m.target, nil, nil
	}},
	"POST /policy/explain": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/policy/explain", api.ExplainRequest{Principal: "identity:" + m.target, Action: "secret.read", Resource: m.home.project + "/dev:/A"}, nil
	}},
	"POST /policy/who-can": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/policy/who-can", api.WhoCanRequest{Action: "secret.read", Resource: m.home.project + "/dev:/A"}, nil
	}},
	"POST /policy/diff": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/policy/diff", api.PolicyDiffRequest{Grant: &api.GrantRequest{Kind: "identity", Principal: m.target, Project: m.home.project, Role: "admin"}}, nil
	}},
	"POST /policy/test": {want: adminOnly, call: with("/policy/test", api.PolicyTestRequest{Tests: "[]"})},
	"GET /freezes":      {want: everybody, call: at("/freezes")},
	"POST /projects/{project}/freeze": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/projects/" + m.home.project + "/freeze"
		return path, api.FreezeRequest{Reason: "matrix"}, m.lift(t, path)
	}},
	"DELETE /projects/{project}/freeze": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/projects/" + m.home.project + "/freeze"
		m.frozen(t, path)
		return path, nil, m.lift(t, path)
	}},
	"POST /instance/freeze": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/instance/freeze", api.FreezeRequest{Reason: "matrix"}, m.lift(t, "/instance/freeze")
	}},
	"DELETE /instance/freeze": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		m.frozen(t, "/instance/freeze")
		return "/instance/freeze", nil, m.lift(t, "/instance/freeze")
	}},
}

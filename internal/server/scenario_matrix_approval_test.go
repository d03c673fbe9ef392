package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// committee is a machine that wants changes and people who review them, in every project.
type committee struct {
	author    person
	reviewers [2]person
	ids       [2]api.User
	glass     string // a break-glass credential that was opened and closed
	task      string // what it left to do
}

func (m *matrix) council(t *testing.T) *committee {
	t.Helper()
	if m.committee == nil {
		role := api.GrantRequest{Role: "developer"}
		m.committee = &committee{author: m.machine(t, role)}
		for i := range m.committee.reviewers {
			m.committee.reviewers[i], m.committee.ids[i] = m.userID(t, role)
		}
	}
	return m.committee
}

// onWaiting calls a route of a change that waits, of an environment that is guarded for so long.
func onWaiting(tail string, body func(api.ChangeSet) any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		all := m.council(t)
		send[api.Approval](t, m.admin, "PUT", m.home.path()+"/approval", api.Approval{Need: 2})
		c := waiting(t, m.home.as(all.author).attempt(t, set("/", m.fresh("WAITS"), "test-value")))
		return "/changes/" + c.ID + tail, body(c), func() {
			all.reviewers[0].do(t, "POST", "/changes/"+c.ID+"/reject", api.ReviewRequest{Digest: c.Digest})
			lift := waiting(t, m.admin.do(t, "PUT", m.home.path()+"/approval", api.Approval{Need: 0}))
			becomes(t, approve(t, all.reviewers[0], lift), "open")
			becomes(t, approve(t, all.reviewers[1], lift), "applied")
		}
	}
}

func nothing(api.ChangeSet) any { return nil }

func looked(c api.ChangeSet) any { return api.ReviewRequest{Digest: c.Digest} }

const (
	notHis   = "403 403 403 403 404 404 403 404 403" // of a change that nobody of the table has made
	reviewed = "200 403 200 403 404 404 403 404 403" // the project admin of the table is a machine
)

var approvalRows = map[string]row{
	"GET /projects/{project}/envs/{env}/approval": {want: seers, call: at("HOME/approval")},
	"PUT /projects/{project}/envs/{env}/approval": {want: envAdmins, call: with("HOME/approval", api.Approval{})},
	"GET /changes":           {want: everybody, call: at("/changes")},
	"GET /changes/{id}":      {want: listers, call: onWaiting("", nothing)},
	"GET /changes/{id}/diff": {want: listers, call: onWaiting("/diff", nothing)},
	"PUT /changes/{id}": {want: "403 403 403 403 404 404 403 404 403", call: onWaiting("", func(api.ChangeSet) any {
		return api.CommitRequest{Changes: []api.Change{set("/", "A", "x")}}
	})},
	"POST /changes/{id}/withdraw": {want: notHis, call: onWaiting("/withdraw", nothing)},
	"POST /changes/{id}/rebase":   {want: notHis, call: onWaiting("/rebase", nothing)},
	"POST /changes/{id}/approve":  {want: reviewed, call: onWaiting("/approve", looked)},
	"POST /changes/{id}/reject":   {want: reviewed, call: onWaiting("/reject", looked)},
	"POST /changes/{id}/comments": {want: "200 200 200 200 404 404 403 404 200", call: onWaiting("/comments", func(api.ChangeSet) any { return api.CommentRequest{Comment: "why?"} })},
	"POST /changes/{id}/link":     {want: "201 403 201 403 404 404 403 404 403", call: onWaiting("/link", nothing)},
	"POST /change-links/show":     {want: "401", call: with("/change-links/show", api.ReviewLinkRequest{Token: "ktv_test-value"})},
	"POST /change-links/approve":  {want: "401", call: with("/change-links/approve", api.ReviewLinkRequest{Token: "ktv_test-value"})},
}

// onRequest calls a route of a request for access that a reviewer made.
func onRequest(tail string, body any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		r := send[api.AccessRequest](t, m.council(t).author, "POST", "/access-requests", api.AccessAsked{Role: "viewer", Project: m.home.project, For: "1h", Reason: "test"})
		return "/access-requests/" + r.ID + tail, body, func() { m.council(t).author.do(t, "POST", "/access-requests/"+r.ID+"/withdraw", nil) }
	}
}

var requestRows = map[string]row{
	"POST /access-requests": {want: "201 201 201 201 201 201 403 403 201", call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		return "/access-requests", api.AccessAsked{Role: "viewer", Project: m.home.project, For: "1h", Reason: "test"}, nil
	}},
	"GET /access-requests":                {want: everybody, call: at("/access-requests")},
	"POST /access-requests/{id}/approve":  {want: "200 403 404 404 404 404 404 404 404", call: onRequest("/approve", api.CommentRequest{})},
	"POST /access-requests/{id}/deny":     {want: "200 403 404 404 404 404 404 404 404", call: onRequest("/deny", api.CommentRequest{})},
	"POST /access-requests/{id}/withdraw": {want: "404 404 404 404 404 404 404 404 404", call: onRequest("/withdraw", nil)},
}

func (m *matrix) prepared(t *testing.T) api.BreakGlassMade {
	t.Helper()
	all := m.council(t)
	return send[api.BreakGlassMade](t, m.admin, "POST", "/break-glass", api.BreakGlassRequest{Name: m.fresh("glass-"), Role: "viewer", Project: m.home.project, For: "1h",
		Custodians: []string{all.ids[0].ID, all.ids[1].ID}, Need: 2})
}

// onGlass calls a route of a prepared credential, begun where it says so.
func onGlass(tail string, begin bool, body any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		g := m.prepared(t)
		if begin {
			send[api.BreakGlass](t, m.council(t).reviewers[0], "POST", "/break-glass/"+g.Name+"/open", api.BreakGlassOpen{Reason: "test"})
		}
		return "/break-glass/" + g.Name + tail, body, nil
	}
}

// opened gives a credential that was opened and closed, and left something to do.
func (m *matrix) opened(t *testing.T) *committee {
	t.Helper()
	all := m.council(t)
	if all.glass == "" {
		g := send[api.BreakGlassMade](t, m.admin, "POST", "/break-glass", api.BreakGlassRequest{Name: "glass", Role: "developer", Project: m.home.project, Env: "dev", For: "1h",
			Custodians: []string{all.ids[0].ID, all.ids[1].ID}, Need: 2})
		token := openGlass(t, g, all.reviewers[0], all.reviewers[1])
		m.home.as(m.admin.with(token)).secret(t, "/", "A")
		send[api.BreakGlass](t, m.admin, "POST", "/break-glass/glass/close", nil)
		all.glass, all.task = "glass", get[api.BreakGlassReport](t, m.admin, "/break-glass/glass/report").Tasks[0].ID
	}
	return all
}

const glassOnly = "200 403 404 404 404 404 404 404 404" // a machine that could grant it may know of it

var breakGlassRows = map[string]row{
	"POST /break-glass": {want: "201 201 403 403 404 404 403 403 403", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		all := m.council(t)
		return "/break-glass", api.BreakGlassRequest{Name: m.fresh("glass-"), Role: "viewer", Project: m.home.project, For: "1h", Custodians: []string{all.ids[0].ID, all.ids[1].ID}, Need: 2}, nil
	}},
	"GET /break-glass":                 {want: everybody, call: at("/break-glass")},
	"POST /break-glass/{name}/open":    {want: glassOnly, call: onGlass("/open", false, api.BreakGlassOpen{Reason: "test"})},
	"POST /break-glass/{name}/share":   {want: "403 403 404 404 404 404 404 404 404", call: onGlass("/share", true, api.BreakGlassEntry{Share: "ktg_test-value"})},
	"POST /break-glass/{name}/session": {want: "403 403 404 404 404 404 404 404 404", call: onGlass("/session", true, nil)},
	"POST /break-glass/{name}/close":   {want: "200 200 404 404 404 404 404 404 404", call: onGlass("/close", true, nil)},
	"GET /break-glass/{name}/report": {want: "200 200 404 404 404 404 404 404 404", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/break-glass/" + m.opened(t).glass + "/report", nil, nil
	}},
	"GET /break-glass-tasks": {want: everybody, call: at("/break-glass-tasks")},
	"POST /break-glass-tasks/{id}/done": {want: writers, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/break-glass-tasks/" + m.opened(t).task + "/done", nil, nil
	}},
}

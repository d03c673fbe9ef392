package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// waitingChange makes a change of a guarded environment that waits: the admin's own where own is set, else that of another one.
func (m *matrix) waitingChange(t *testing.T) (api.ChangeSet, func()) {
	t.Helper()
	send[api.Approval](t, m.admin, "PUT", m.home.path()+"/approval", api.Approval{Need: 3})
	author := m.machine(t, api.GrantRequest{Project: m.home.project, Role: "developer"})
	c := waiting(t, m.home.as(author).attempt(t, set("/", m.fresh("WAITS"), "test-value")))
	return c, func() { m.unguard(t, c) }
}

// unguard ends a change and takes the rule away: the admin's request for that is approved by the others.
func (m *matrix) unguard(t *testing.T, c api.ChangeSet) {
	t.Helper()
	m.admin.do(t, "POST", "/changes/"+c.ID+"/reject", api.ReviewRequest{Digest: c.Digest})
	got := m.admin.do(t, "PUT", m.home.path()+"/approval", api.Approval{Need: 0})
	lift := waiting(t, got)
	for range 3 {
		becomesAny(t, approve(t, m.user(t, api.GrantRequest{Project: m.home.project, Role: "developer"}), lift))
	}
}

func becomesAny(t *testing.T, r reply) {
	t.Helper()
	var c api.ChangeSet
	r.fits(t, &c)
}

// onWaiting calls a route of a change that waits.
func onWaiting(tail string, body func(api.ChangeSet) any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		c, after := m.waitingChange(t)
		return "/changes/" + c.ID + tail, body(c), after
	}
}

func nothing(api.ChangeSet) any { return nil }

func looked(c api.ChangeSet) any { return api.ReviewRequest{Digest: c.Digest} }

var approvalRows = map[string]row{
	"GET /projects/{project}/envs/{env}/approval": {want: seers, call: at("HOME/approval")},
	"PUT /projects/{project}/envs/{env}/approval": {want: envAdmins, call: with("HOME/approval", api.Approval{})},
	"GET /changes":           {want: everybody, call: at("/changes")},
	"GET /changes/{id}":      {want: listers, call: onWaiting("", nothing)},
	"GET /changes/{id}/diff": {want: listers, call: onWaiting("/diff", nothing)},
	// Nobody here is the author.
	"PUT /changes/{id}": {want: "403 403 403 403 404 404 403 404 403", call: onWaiting("", func(api.ChangeSet) any {
		return api.CommitRequest{Changes: []api.Change{set("/", "A", "x")}}
	})},
	"POST /changes/{id}/withdraw": {want: "403 403 403 403 404 404 403 404 403", call: onWaiting("/withdraw", nothing)},
	"POST /changes/{id}/rebase":   {want: "403 403 403 403 404 404 403 404 403", call: onWaiting("/rebase", nothing)},
	// The project admin of the table is a machine.
	"POST /changes/{id}/approve":  {want: "200 403 200 403 404 404 403 404 403", call: onWaiting("/approve", looked)},
	"POST /changes/{id}/reject":   {want: "200 403 200 403 404 404 403 404 403", call: onWaiting("/reject", looked)},
	"POST /changes/{id}/comments": {want: "200 200 200 200 404 404 403 404 200", call: onWaiting("/comments", func(api.ChangeSet) any { return api.CommentRequest{Comment: "why?"} })},
	"POST /changes/{id}/link":     {want: "201 403 201 403 404 404 403 404 403", call: onWaiting("/link", nothing)},
	"POST /change-links/show":     {want: "401", call: with("/change-links/show", api.ReviewLinkRequest{Token: "ktv_test-value"})},
	"POST /change-links/approve":  {want: "401", call: with("/change-links/approve", api.ReviewLinkRequest{Token: "ktv_test-value"})},
}

package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

var accountRows = map[string]row{
	"POST /invites": {want: "201 201 403 403 404 404 403 403 403", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/invites", api.InviteRequest{Email: m.fresh("invited") + "@example.test", Project: m.home.project, Role: "viewer"}, nil
	}},
	"GET /invites": {want: adminOnly, call: at("/invites")},
	"DELETE /invites/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/invites/" + send[api.NewInvite](t, m.admin, "POST", "/invites", api.InviteRequest{Email: m.fresh("invited") + "@example.test"}).ID, nil, nil
	}},
	"POST /invites/show":    {want: "401", call: with("/invites/show", api.LinkRequest{Token: "kti_test-value"})},
	"POST /invites/accept":  {want: "401", call: with("/invites/accept", api.AcceptRequest{Token: "kti_test-value", Password: testPassword})},
	"POST /password/reset":  {want: "401", call: with("/password/reset", api.PasswordResetRequest{Token: "kti_test-value", Password: testPassword})},
	"POST /address/confirm": {want: "401", call: with("/address/confirm", api.LinkRequest{Token: "kti_test-value"})},
	"POST /users/{id}/password-link": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/users/" + m.people["developer of dev"].id.ID + "/password-link", nil, nil
	}},
	"GET /self":           {want: "200 404 200 404 404 404 200 200 404", call: at("/self")},
	"PATCH /self":         {want: ownOnly, call: with("/self", api.ProfileRequest{Name: "Another name"})},
	"POST /self/password": {want: "400 403 400 403 403 403 403 403 403", call: with("/self/password", api.PasswordRequest{Old: "a wrong test-value", Password: "another long test-value"})},
	"POST /self/address":  {want: "501 403 501 403 403 403 403 403 403", call: with("/self/address", api.AddressRequest{Email: "another@example.test"})},
	"GET /self/sessions":  {want: everybody, call: at("/self/sessions")},
	"DELETE /self/sessions": {want: ownOnly, call: func(_ *testing.T, m *matrix, who string) (string, any, func()) {
		s := m.people[who]
		if who != "admin" {
			return "/self/sessions", nil, nil
		}
		s.person = m.admin.with(m.admin.token) // the one that the rest of the test lives on must be the one that stays
		return "/self/sessions", nil, func() { s.person = s.again() }
	}},
	"GET /users/{id}": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/users/" + m.people["developer of dev"].id.ID, nil, nil
	}},
	"GET /users/{id}/sessions": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/users/" + m.people["developer of dev"].id.ID + "/sessions", nil, nil
	}},
	"DELETE /users/{id}/sessions": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		_, u := m.userID(t)
		return "/users/" + u.ID + "/sessions", nil, nil
	}},
	"PUT /users/{id}/address": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		_, u := m.userID(t)
		return "/users/" + u.ID + "/address", api.AddressRequest{Email: m.fresh("moved") + "@example.test"}, nil
	}},
	"POST /users/{id}/deactivate": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		_, u := m.userID(t)
		return "/users/" + u.ID + "/deactivate", nil, nil
	}},
	"POST /users/{id}/erase": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		_, u := m.userID(t)
		send[api.Done](t, m.admin, "PATCH", "/users/"+u.ID, api.EnabledRequest{Disabled: true})
		return "/users/" + u.ID + "/erase", nil, nil
	}},
	"GET /users/{id}/tasks": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/users/" + m.people["developer of dev"].id.ID + "/tasks", nil, nil
	}},
	"GET /tasks":               {want: everybody, call: at("/tasks")},
	"POST /tasks/{id}/dismiss": {want: "404 404 404 404 404 404 404 404 404", call: with("/tasks/0198c0de-0000-7000-8000-000000000000/dismiss", api.DismissRequest{Reason: "a test"})},
}

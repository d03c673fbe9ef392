package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// What a person does with his own account: neither machines nor tokens that were made for programs may.
const (
	ownOnly = "200 403 200 403 403 403 403 403 403"
	ownMake = "201 403 201 403 403 403 403 403 403"
)

var peopleRows = map[string]row{
	"POST /reauth": {want: ownOnly, call: func(_ *testing.T, m *matrix, who string) (string, any, func()) {
		password := testPassword
		if who == "admin" {
			password = m.server.Password
		}
		return "/reauth", api.Reproof{Password: password}, nil
	}},
	"GET /self/factors":  {want: everybody, call: at("/self/factors")},
	"POST /self/factors": {want: ownMake, call: with("/self/factors", api.FactorRequest{Name: "phone"})},
	"POST /self/factors/{id}/confirm": {want: "404 403 404 403 403 403 403 403 403", call: with("/self/factors/0198c0de-0000-7000-8000-000000000000/confirm",
		api.CodeRequest{Code: "000000"})},
	"DELETE /self/factors/{id}": {want: ownOnly, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		id := "0198c0de-0000-7000-8000-000000000000"
		if who == "admin" || who == "developer of dev" {
			id = send[api.NewFactor](t, m.people[who].person, "POST", "/self/factors", api.FactorRequest{}).ID
		}
		return "/self/factors/" + id, nil, nil
	}},
	"POST /self/recovery-codes": {want: "404 403 404 403 403 403 403 403 403", call: at("/self/recovery-codes")},
	"DELETE /users/{id}/factors": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		_, u := m.userID(t)
		return "/users/" + u.ID + "/factors", nil, nil
	}},
	"GET /settings":   {want: adminOnly, call: at("/settings")},
	"PATCH /settings": {want: adminOnly, call: with("/settings", api.Settings{MFAGrace: "1h"})},
}

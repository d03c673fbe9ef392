package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

// people alone have passkeys: of the columns, the admin and the developer of dev.
const (
	people     = "200 403 200 403 403 403 403 403 403"
	peopleMake = "201 403 201 403 403 403 403 403 403"
)

func isPerson(who string) bool { return who == "admin" || who == "developer of dev" }

var passkeyRows = map[string]row{
	"POST /login/passkey/begin": {want: "200", call: at("/login/passkey/begin")},
	"POST /login/passkey":       {want: "400", call: with("/login/passkey", api.PasskeyAnswer{Credential: "test-value"})},
	"GET /passkeys":             {want: everybody, call: at("/passkeys")},
	"POST /passkeys/begin":      {want: people, call: at("/passkeys/begin")},
	"POST /passkeys": {want: peopleMake, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		if !isPerson(who) {
			return "/passkeys", api.PasskeyRequest{}, nil
		}
		o := send[api.PasskeyOptions](t, m.people[who].person, "POST", "/passkeys/begin", nil)
		return "/passkeys", api.PasskeyRequest{Credential: newAuthenticator(t, m.world).create(t, o)}, nil
	}},
	"PATCH /passkeys/{id}": {want: people, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		return "/passkeys/" + m.passkey(t, who), api.PasskeyRename{Name: "another"}, nil
	}},
	"DELETE /passkeys/{id}": {want: people, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		return "/passkeys/" + m.passkey(t, who), nil, nil
	}},
	"POST /passkeys/verify/begin": {want: people, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		m.passkey(t, who)
		return "/passkeys/verify/begin", nil, nil
	}},
	"POST /passkeys/verify": {want: people, call: func(t *testing.T, m *matrix, who string) (string, any, func()) {
		if !isPerson(who) {
			return "/passkeys/verify", api.PasskeyAnswer{}, nil
		}
		a := newAuthenticator(t, m.world)
		a.added(t, m.people[who].person, "to confirm")
		o := send[api.PasskeyOptions](t, m.people[who].person, "POST", "/passkeys/verify/begin", nil)
		return "/passkeys/verify", api.PasskeyAnswer{Credential: a.get(t, o)}, nil
	}},
}

// passkey gives the id of one that somebody has, or of nobody's.
func (m *matrix) passkey(t *testing.T, who string) string {
	t.Helper()
	if !isPerson(who) {
		return "0198c0de-0000-7000-8000-000000000000"
	}
	return newAuthenticator(t, m.world).added(t, m.people[who].person, "one").ID
}

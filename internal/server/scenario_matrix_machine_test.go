package server_test

import (
	"encoding/json"
	"testing"

	"github.com/keyturn/keyturn/api"
)

// sharedSecret is what the tests sign JWTs with.
const sharedSecret = "test-value-shared-secret-of-at-least-32-bytes"

// jwtMethod is a way to log in with a JWT under that secret.
func jwtMethod(name string) api.MethodRequest {
	return api.MethodRequest{Name: name, Kind: "jwt", Settings: json.RawMessage(`{"issuer":"https://app.example.test","audience":["keyturn"],"bound":{"sub":["service:*"]}}`),
		Secrets: []string{sharedSecret}, TTL: "5m"}
}

// method gives the target machine of the matrix one that is gone afterwards: there may be so many only.
func (m *matrix) method(t *testing.T) (path string, gone func()) {
	t.Helper()
	name := m.fresh("method-")
	send[api.Method](t, m.admin, "POST", "/identities/"+m.target+"/methods", jwtMethod(name))
	path = "/identities/" + m.target + "/methods/" + name
	return path, func() { m.admin.do(t, "DELETE", path, nil) }
}

func (m *matrix) apiKey() api.APIKeyRequest {
	return api.APIKeyRequest{Identity: m.target, Name: m.fresh("key-"), Project: m.home.project, Scopes: "dev:/:read", TTL: "1h"}
}

var machineRows = map[string]row{
	"POST /login/machine": {want: "401", call: with("/login/machine", api.MachineLoginRequest{Identity: "0198c0de-0000-7000-8000-000000000000", Method: "ci", JWT: "a.b.c"})},
	"POST /identities/{name}/methods": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path, name := "/identities/"+m.target+"/methods", m.fresh("method-")
		return path, jwtMethod(name), func() { m.admin.do(t, "DELETE", path+"/"+name, nil) }
	}},
	"GET /identities/{name}/methods": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/identities/" + m.target + "/methods", nil, nil
	}},
	"PATCH /identities/{name}/methods/{method}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path, gone := m.method(t)
		return path, api.MethodChange{Disabled: ptr(true)}, gone
	}},
	"DELETE /identities/{name}/methods/{method}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path, gone := m.method(t)
		return path, nil, gone
	}},
	"DELETE /identities/{name}/tokens": {want: adminOnly, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/identities/" + m.target + "/tokens", nil, nil
	}},
	"POST /tokens/renew": {want: "403 403 403 403 403 403 403 403 403", call: with("/tokens/renew", api.RenewRequest{})},
	"POST /tokens/jwt":   {want: "201 201 201 201 201 201 403 403 201", call: with("/tokens/jwt", api.IdentityTokenRequest{Audience: "https://billing.example.test"})},
	"POST /api-keys": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/api-keys", m.apiKey(), nil
	}},
	"GET /api-keys": {want: adminOnly, call: at("/api-keys")},
	"DELETE /api-keys/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/api-keys/" + send[api.NewToken](t, m.admin, "POST", "/api-keys", m.apiKey()).ID, nil, nil
	}},
	"POST /wrap":   {want: "201 403 403 403 403 403 403 403 403", call: with("/wrap", api.WrapRequest{What: "a first password", Value: "test-value", TTL: "1m"})},
	"POST /unwrap": {want: "401", call: with("/unwrap", api.UnwrapRequest{Token: "ktw_test-value"})},
	"POST /projects/{project}/envs/{env}/jwt/rotate": {want: writers, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.fresh("SIGNING")
		m.home.commit(t, set("/", name, sharedSecret))
		return m.home.path() + "/jwt/rotate", api.JWTRotation{Path: "/", Name: name, Lifetime: "1h"}, nil
	}},
	"GET /projects/{project}/envs/{env}/jwt": {want: listers, call: at("HOME/jwt")},
}

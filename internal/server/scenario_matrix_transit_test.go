package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

var transitRows = map[string]row{
	"GET /transit/keys": {want: "200 200 403 200 404 404 403 403 200", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/transit/keys?project=" + m.home.project, nil, nil
	}},
	"POST /transit/keys": {want: "201 201 403 403 404 404 403 403 403", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/transit/keys", api.TransitKeyRequest{Project: m.home.project, Name: m.fresh("key-")}, nil
	}},
	"GET /transit/keys/{name}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/transit/keys/" + m.transitKey(t, ""), nil, nil
	}},
	"PATCH /transit/keys/{name}": {want: "200 200 403 403 404 404 403 403 403", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/transit/keys/" + m.transitKey(t, m.home.project) + "?project=" + m.home.project, api.TransitKeyConfig{Disabled: ptr(true)}, nil
	}},
	"POST /transit/keys/{name}/rotate": {want: "200 200 403 403 404 404 403 403 403", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/transit/keys/" + m.transitKey(t, m.home.project) + "/rotate?project=" + m.home.project, nil, nil
	}},
	"DELETE /transit/keys/{name}": {want: "200 200 403 403 404 404 403 403 403", call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.transitKey(t, m.home.project)
		send[api.TransitKey](t, m.admin, "PATCH", "/transit/keys/"+name+"?project="+m.home.project, api.TransitKeyConfig{DeletionAllowed: ptr(true)})
		return "/transit/keys/" + name + "?project=" + m.home.project, nil, nil
	}},
}

// transitKey makes a key of the encryption service.
func (m *matrix) transitKey(t *testing.T, project string) string {
	t.Helper()
	return send[api.TransitKey](t, m.admin, "POST", "/transit/keys", api.TransitKeyRequest{Project: project, Name: m.fresh("key-")}).Name
}

package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

var mountRows = map[string]row{
	"GET /mounts": {want: everybody, call: at("/mounts")},
	"POST /mounts": {want: "201 403 403 403 404 404 403 403 403", call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/mounts", api.MountRequest{Path: m.fresh("mount-"), Project: m.home.project}, nil
	}},
	"GET /mount": {want: seers, call: mountOfHome},
	"PATCH /mount": {want: adminsOf, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/mount?path=" + m.home.project, api.MountTune{MaxVersions: new(int64)}, nil
	}},
	"DELETE /mount": {want: adminsOf, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		made := send[api.Mount](t, m.admin, "POST", "/mounts", api.MountRequest{Path: m.fresh("mount-"), Project: m.home.project})
		return "/mount?path=" + made.Path, nil, nil
	}},
}

func mountOfHome(_ *testing.T, m *matrix, _ string) (string, any, func()) {
	return "/mount?path=" + m.home.project, nil, nil
}

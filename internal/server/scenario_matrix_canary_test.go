package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
)

var canaryRows = map[string]row{
	"GET /canaries": {want: adminOnly, call: at("/canaries")},
	"POST /canaries": {want: adminMake, call: func(_ *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/canaries", api.CanaryRequest{Kind: "token", Place: m.fresh("place ")}, nil
	}},
	"DELETE /canaries/{id}": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/canaries/" + send[api.CanaryMade](t, m.admin, "POST", "/canaries", api.CanaryRequest{Kind: "token", Place: m.fresh("place ")}).Canary.ID, nil, nil
	}},
}

package server_test

import (
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testsaml"
)

func oidcRequest(name string) api.SSORequest {
	return api.SSORequest{Name: name, OIDC: &api.OIDCSettings{Issuer: "https://id.example.test", ClientID: "keyturn"}}
}

// connected calls a route of a connection of its own, which is gone afterwards.
func connected(tail string, body func(name string) any) func(*testing.T, *matrix, string) (string, any, func()) {
	return func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.fresh("sso-")
		send[api.SSOConnection](t, m.admin, "POST", "/sso/connections", oidcRequest(name))
		path := "/sso/connections/" + name
		return path + tail, body(name), func() { m.admin.do(t, "DELETE", path, nil) }
	}
}

var ssoRows = map[string]row{
	"GET /sso/connections": {want: adminOnly, call: at("/sso/connections")},
	"POST /sso/connections": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		name := m.fresh("sso-")
		return "/sso/connections", oidcRequest(name), func() { m.admin.do(t, "DELETE", "/sso/connections/"+name, nil) }
	}},
	"PUT /sso/connections/{name}":    {want: adminOnly, call: connected("", func(name string) any { return oidcRequest(name) })},
	"DELETE /sso/connections/{name}": {want: adminOnly, call: connected("", func(string) any { return nil })},
	// That of SAML calls nobody.
	"POST /sso/connections/{name}/test": {want: adminOnly, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		path := "/sso/connections/" + m.fresh("sso-")
		send[api.SSOConnection](t, m.admin, "POST", "/sso/connections", api.SSORequest{Name: path[len("/sso/connections/"):], SAML: &api.SAMLSettings{Metadata: testsaml.Start(t).Metadata}})
		return path + "/test", nil, func() { m.admin.do(t, "DELETE", path, nil) }
	}},
	"PUT /sso/enforcement": {want: adminOnly, call: with("/sso/enforcement", api.SSOEnforcement{})},
	"POST /login/sso":      {want: "401", call: with("/login/sso", api.SSOCodeRequest{Code: "test-value", Verifier: ssoVerifier})},
	"POST /login/ldap":     {want: "404", call: with("/login/ldap", api.LDAPLoginRequest{Connection: "corp", Account: "ann", Password: testPassword})},
	"POST /scim/tokens": {want: adminMake, call: func(t *testing.T, m *matrix, _ string) (string, any, func()) {
		return "/scim/tokens", api.SCIMTokenRequest{Connection: "directory", TTL: "1h"}, nil
	}},
}

package httpapi

import (
	"time"

	"github.com/keyturn/keyturn/api"
)

// ssoSamples are answers about single sign-on.
func ssoSamples() []any {
	made := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	c := api.SSOConnection{ID: "0198c0de-0000-7000-8000-00000000550a", Name: "corp", Kind: "oidc", Domains: []string{"example.test"}, Create: true,
		Groups: []api.SSOGroup{{Value: "engineering", Role: "viewer"}}, OIDC: &api.OIDCSettings{Issuer: "https://id.example.test", ClientID: "keyturn", GroupsClaim: "groups"},
		CreatedAt: made, RedirectURI: "https://keyturn.example.test/keyturn/v1/sso/corp/callback"}
	return []any{c, api.SSOConnections{Connections: []api.SSOConnection{c}}, api.SSOTest{Found: "the provider publishes its metadata and its keys"}}
}

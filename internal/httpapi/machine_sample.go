package httpapi

import (
	stdjson "encoding/json"
	"time"

	"github.com/keyturn/keyturn/api"
)

// machineSamples are the examples of answers about machines.
func machineSamples(token api.TokenInfo, day, later time.Time) []any {
	method := api.Method{Name: "ci", Kind: "github", Settings: stdjson.RawMessage(`{"audience":["https://keyturn.example.com"],"bound":{"repository":["acme/shop"]}}`), TTL: "10m0s", CreatedAt: day}
	signing := api.JWTSecret{Path: "/backend", Name: "JWT_SECRET", Lifetime: "24h0m0s", Version: 4, RotatedAt: day, PreviousEndsAt: &later, Revision: 8}
	return []any{
		token, method, api.Methods{Methods: []api.Method{method}}, api.Revoked{Revoked: 3},
		api.IdentityToken{Token: "test-value.test-value.test-value", ID: sampleToken, ExpiresAt: later},
		api.Wrapping{ID: sampleToken, Token: "ktw_test-value", ExpiresAt: later},
		api.Unwrapped{Value: "test-value", What: "client secret of backend", CreatedBy: sampleMail, CreatedAt: day},
		signing, api.JWTSecrets{Secrets: []api.JWTSecret{signing}},
	}
}

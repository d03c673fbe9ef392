package api

import (
	"encoding/json"
	"time"
)

// MachineLoginRequest logs a machine in by one of its login methods.
type MachineLoginRequest struct {
	Identity string `json:"identity"` // id
	Method   string `json:"method"`   // name of the method
	// JWT is the token of methods that take one. A tls method takes the client certificate of the connection and nothing here.
	JWT string         `json:"jwt,omitzero"`
	AWS *SignedRequest `json:"aws,omitzero"` // of an aws method
}

// SignedRequest is a request of sts:GetCallerIdentity that the client has signed and not sent.
type SignedRequest struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// MethodRequest gives a machine one more way to log in.
type MethodRequest struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`              // jwt, jwks, github, gitlab, oidc, kubernetes, aws, gcp, azure, tls
	Settings json.RawMessage `json:"settings"`          // an object, as the kind understands it
	Secrets  []string        `json:"secrets,omitzero"`  // shared secrets of jwt, the reviewer's token of kubernetes; never shown again
	TTL      string          `json:"ttl,omitzero"`      // of the access tokens; absent: that of the identity
	MaxTTL   string          `json:"max_ttl,omitzero"`  // how far a token can be renewed; absent: not at all
	Uses     int64           `json:"uses,omitzero"`     // how often one token may be used; absent: any number
	Networks []string        `json:"networks,omitzero"` // where logins and tokens may come from, CIDR
}

// Method is a way for a machine to log in.
type Method struct {
	Name      string          `json:"name"`
	Kind      string          `json:"kind"`
	Settings  json.RawMessage `json:"settings"`
	Secrets   int64           `json:"secrets"` // how many it has
	TTL       string          `json:"ttl,omitzero"`
	MaxTTL    string          `json:"max_ttl,omitzero"`
	Uses      int64           `json:"uses,omitzero"`
	Networks  []string        `json:"networks,omitzero"`
	Disabled  bool            `json:"disabled"`
	CreatedAt time.Time       `json:"created_at"`
}

// Methods is a list of ways to log in.
type Methods struct {
	Methods []Method `json:"methods"`
}

// MethodChange switches a method off or on, or replaces its secrets.
type MethodChange struct {
	Disabled *bool    `json:"disabled,omitzero"`
	Secrets  []string `json:"secrets,omitzero"`
}

// RenewRequest gives the token that is shown a later end.
type RenewRequest struct {
	TTL string `json:"ttl,omitzero"` // from now; absent: as long as the machine's tokens live
}

// Revoked tells how many tokens were ended.
type Revoked struct {
	Revoked int `json:"revoked"`
}

// APIKeyRequest makes an API key: a long-lived token of a machine, narrowed to scopes.
type APIKeyRequest struct {
	Identity string   `json:"identity"`          // id or name
	Name     string   `json:"name"`              // of the application
	Project  string   `json:"project"`           // slug or id
	Scopes   string   `json:"scopes"`            // ENV:PATH:ACTIONS[;...]
	TTL      string   `json:"ttl"`               // 12h, 90d; at most 366 days
	Owner    string   `json:"owner,omitzero"`    // id of the person who answers for it; absent: the caller
	Networks []string `json:"networks,omitzero"` // where it may come from, CIDR
	Uses     int64    `json:"uses,omitzero"`     // how often it may be used; absent: any number
}

// WrapRequest seals a value and gives a token that opens it once.
type WrapRequest struct {
	What  string `json:"what"` // for the log and for whoever opens it
	Value string `json:"value"`
	TTL   string `json:"ttl"` // up to 7d
}

// Wrapping is a value that waits to be opened.
type Wrapping struct {
	ID        string    `json:"id"`
	Token     string    `json:"token"` // shown this once
	ExpiresAt time.Time `json:"expires_at"`
}

// UnwrapRequest opens a value, once.
type UnwrapRequest struct {
	Token string `json:"token"`
}

// Unwrapped is a value that was handed over.
type Unwrapped struct {
	Value     string    `json:"value"`
	What      string    `json:"what"`
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
}

// IdentityTokenRequest asks for a JWT about the caller.
type IdentityTokenRequest struct {
	Audience string `json:"audience"`
	TTL      string `json:"ttl,omitzero"` // default 10m, at most 24h
}

// IdentityToken is a JWT by which others can tell who the caller is. Their keys are at /.well-known/jwks.json.
type IdentityToken struct {
	Token     string    `json:"token"`
	ID        string    `json:"id"` // the claim "jti"
	ExpiresAt time.Time `json:"expires_at"`
}

// JWTRotation gives a signing secret a new value and keeps that before beside it.
type JWTRotation struct {
	Path     string `json:"path"`
	Name     string `json:"name"`
	Lifetime string `json:"lifetime,omitzero"` // the longest that a token lives; absent: as said before
	Value    string `json:"value,omitzero"`    // the new one; absent: random
	Force    bool   `json:"force,omitzero"`    // although the value before the present one is still in use
}

// JWTSecret is what is known of a signing secret.
type JWTSecret struct {
	Path           string     `json:"path"`
	Name           string     `json:"name"`
	Lifetime       string     `json:"lifetime"`
	Version        int64      `json:"version"`
	RotatedAt      time.Time  `json:"rotated_at"`
	PreviousEndsAt *time.Time `json:"previous_ends_at,omitzero"` // absent: there is no value before in use
	Revision       int64      `json:"revision"`
}

// JWTSecrets is a list of them.
type JWTSecrets struct {
	Secrets []JWTSecret `json:"secrets"`
}

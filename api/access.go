package api

import "time"

// SetupRequest creates the first admin, once.
type SetupRequest struct {
	Email        string `json:"email"`
	Password     string `json:"password"`              // 12 to 1024 bytes
	Name         string `json:"name,omitzero"`         // of the person
	Organization string `json:"organization,omitzero"` // display name
	SetupToken   string `json:"setup_token,omitzero"`  // printed by the start of the server; not needed from loopback in development mode
}

// Setup is what set-up gives back.
type Setup struct {
	Token          string `json:"token"`
	UserID         string `json:"user_id"`
	OrganizationID string `json:"organization_id"`
}

// LoginRequest logs a person in.
type LoginRequest struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	// Code is of a second factor, or a recovery code. Without it, who has a second factor gets the reason second_factor.
	Code string `json:"code,omitzero"`
}

// IdentityLoginRequest logs a machine in.
type IdentityLoginRequest struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// Session is what a login gives.
type Session struct {
	Token     string    `json:"token"`
	ID        string    `json:"id"` // of the token
	Name      string    `json:"name"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Principal is who the caller is.
type Principal struct {
	Kind         string     `json:"kind"` // "user" or "identity"
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Organization string     `json:"organization_id"`
	TokenID      string     `json:"token_id"`
	ExpiresAt    *time.Time `json:"expires_at,omitzero"`
	Grants       []Role     `json:"grants"`
	Scopes       []Scope    `json:"scopes,omitzero"` // absent: the token narrows nothing
}

// Role is a role somewhere.
type Role struct {
	ProjectID string     `json:"project_id,omitzero"` // absent: the whole organisation
	EnvID     string     `json:"env_id,omitzero"`     // absent: the whole project
	Path      string     `json:"path,omitzero"`       // absent: every folder
	Role      string     `json:"role"`                // name of a role
	GroupID   string     `json:"group_id,omitzero"`   // through which it is held
	ExpiresAt *time.Time `json:"expires_at,omitzero"`
}

// Scope is the most that a token may do.
type Scope struct {
	ProjectID string   `json:"project_id"`
	EnvID     string   `json:"env_id,omitzero"` // absent: every environment
	Path      string   `json:"path"`
	Actions   []string `json:"actions"` // read, list, write, delete
}

// TokenRequest makes a token that acts as the caller, narrowed to scopes.
type TokenRequest struct {
	Name    string `json:"name,omitzero"`
	Project string `json:"project"` // slug or id
	Scopes  string `json:"scopes"`  // ENV:PATH:ACTIONS[;...], for example prod:/backend:read,list
	TTL     string `json:"ttl"`     // Go duration or days: 90d, 12h
}

// NewToken is a token that was just made. The token itself is shown this once.
type NewToken struct {
	Token string `json:"token"`
	TokenInfo
}

// TokenInfo is what is known of a token; the token itself is stored nowhere.
type TokenInfo struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Kind          string     `json:"kind"` // prefix of the token: kts_ session, kta_ machine, ktk_ made by hand
	PrincipalKind string     `json:"principal_kind"`
	PrincipalID   string     `json:"principal_id"`
	Scopes        []Scope    `json:"scopes,omitzero"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	RevokedAt     *time.Time `json:"revoked_at,omitzero"`

	Method     string     `json:"method,omitzero"` // of the login that made it
	RenewUntil *time.Time `json:"renew_until,omitzero"`
	LastUsedAt *time.Time `json:"last_used_at,omitzero"` // to the minute or two
	Uses       int64      `json:"uses,omitzero"`         // how often it may be used at all
	Used       int64      `json:"used,omitzero"`         // how often it was, where that is counted
	Networks   []string   `json:"networks,omitzero"`     // where it may come from
	Owner      string     `json:"owner,omitzero"`        // id of the person who answers for an API key
	Address    string     `json:"address,omitzero"`      // of the client that got it
}

// Tokens is a list of tokens.
type Tokens struct {
	Tokens []TokenInfo `json:"tokens"`
}

// IdentityRequest makes a machine identity.
type IdentityRequest struct {
	Name     string `json:"name"`
	TokenTTL string `json:"token_ttl,omitzero"` // of its access tokens, default 1h
	// The limits of tokens that client secrets give.
	MaxTokenTTL string   `json:"max_token_ttl,omitzero"` // how far a token can be renewed; absent: not at all
	TokenUses   int64    `json:"token_uses,omitzero"`    // how often one may be used; absent: any number
	Networks    []string `json:"networks,omitzero"`      // where logins and tokens may come from, CIDR
}

// Identity is a machine.
type Identity struct {
	ID        string    `json:"id"` // also its client id
	Name      string    `json:"name"`
	TokenTTL  string    `json:"token_ttl"`
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`

	MaxTokenTTL string   `json:"max_token_ttl,omitzero"`
	TokenUses   int64    `json:"token_uses,omitzero"`
	Networks    []string `json:"networks,omitzero"`
}

// Identities is a list of machines.
type Identities struct {
	Identities []Identity `json:"identities"`
}

// EnabledRequest switches a user or an identity on or off.
type EnabledRequest struct {
	Disabled bool `json:"disabled"`
}

// ClientSecretRequest makes a client secret for a machine.
type ClientSecretRequest struct {
	Name string `json:"name,omitzero"`
	TTL  string `json:"ttl,omitzero"`  // absent: until revoked
	Uses int64  `json:"uses,omitzero"` // how often it may log in; absent: any number
	Wrap string `json:"wrap,omitzero"` // hand it over in a token that opens once in this time, such as 10m
}

// ClientSecret is what is known of one. Secret is there only in the answer that made it.
type ClientSecret struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	ClientID  string     `json:"client_id"`
	Secret    string     `json:"client_secret,omitzero"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitzero"`
	RevokedAt *time.Time `json:"revoked_at,omitzero"`

	WrapToken  string     `json:"wrap_token,omitzero"` // opens the secret once, in place of the secret itself
	Uses       int64      `json:"uses,omitzero"`
	Used       int64      `json:"used,omitzero"`
	LastUsedAt *time.Time `json:"last_used_at,omitzero"`
}

// ClientSecrets is a list of them.
type ClientSecrets struct {
	ClientSecrets []ClientSecret `json:"client_secrets"`
}

// UserRequest makes a user with a first password.
type UserRequest struct {
	Email    string `json:"email"`
	Name     string `json:"name,omitzero"`
	Password string `json:"password"`
}

// User is a person.
type User struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Disabled  bool      `json:"disabled"`
	CreatedAt time.Time `json:"created_at"`
}

// Users is a list of people.
type Users struct {
	Users []User `json:"users"`
}

// GrantRequest gives a role.
type GrantRequest struct {
	Kind      string `json:"kind"`             // user, identity or group
	Principal string `json:"principal"`        // id, address of a user, name of an identity or group
	Project   string `json:"project,omitzero"` // slug or id; absent: the organisation
	Env       string `json:"env,omitzero"`     // slug; absent: the project
	Path      string `json:"path,omitzero"`    // pattern of folders; absent: all
	Role      string `json:"role"`             // admin, developer, viewer, none, or the name or id of a custom role
	TTL       string `json:"ttl,omitzero"`     // how long it holds: 2h, 14d; absent: for good
	Reason    string `json:"reason,omitzero"`
}

// Grant is a role that was given.
type Grant struct {
	ID            string     `json:"id"`
	PrincipalKind string     `json:"principal_kind"`
	PrincipalID   string     `json:"principal_id"`
	ProjectID     string     `json:"project_id,omitzero"`
	EnvID         string     `json:"env_id,omitzero"`
	Path          string     `json:"path,omitzero"`
	Role          string     `json:"role"` // name of a built-in role, or id of a custom one
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at,omitzero"`
	Reason        string     `json:"reason,omitzero"`
	Cause         string     `json:"cause,omitzero"` // what gave it, absent: somebody's hand
}

// Grants is a list of roles that were given.
type Grants struct {
	Grants []Grant `json:"grants"`
}

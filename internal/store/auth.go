package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// AuthMount is a place at which one logs in. Paths have no slashes at the ends and may have some between.
type AuthMount struct {
	ID          string       `db:"id,key"`
	Org         domain.OrgID `db:"org_id"`
	Path        string       `db:"path"`
	Type        string       `db:"type"`
	Description string       `db:"description"`
	Settings    AuthSettings `db:"settings,json"`
	Secret      bool         `db:"secret"` // [AuthSecret] is kept
	CreatedAt   int64        `db:"created_at"`
	Disabled    bool         `db:"disabled"` // of those that are there from the beginning: somebody took it away
}

// AuthSettings are what is set for a place: times are milliseconds, 0 for the default.
type AuthSettings struct {
	TTL        int64             `json:"ttl,omitempty"`     // of tokens of roles that say nothing
	MaxTTL     int64             `json:"max_ttl,omitempty"` // how far tokens can be renewed of roles that say nothing
	Visibility string            `json:"visibility,omitempty"`
	TokenType  string            `json:"token_type,omitempty"`
	Fields     map[string]string `json:"fields,omitempty"` // JSON by name: the configuration as it was written, without secrets
}

// AuthRole is what is set for a role at a place. The identity itself holds who it is, how long its tokens live and where they may
// come from; its login method, where there is one, how it logs in.
type AuthRole struct {
	ID        string            `db:"id,key"`
	Org       domain.OrgID      `db:"org_id"`
	Mount     string            `db:"mount"`
	Name      string            `db:"name"`
	Identity  domain.IdentityID `db:"identity_id"`
	RoleID    string            `db:"role_id"` // "" = the client id alone
	Settings  RoleSettings      `db:"settings,json"`
	CreatedAt int64             `db:"created_at"`
}

// RoleSettings are the settings of an [AuthRole]: times are milliseconds, 0 for the default of the place.
type RoleSettings struct {
	TTL            int64             `json:"ttl,omitempty"`
	MaxTTL         int64             `json:"max_ttl,omitempty"`
	LongestTTL     int64             `json:"longest_ttl,omitempty"` // bounds MaxTTL, 0 = does not
	Period         int64             `json:"period,omitempty"`      // what each renewal gives, 0 = up to MaxTTL
	Default        bool              `json:"default,omitempty"`     // somebody has named the policy that everybody has
	SecretTTL      int64             `json:"secret_ttl,omitempty"`  // of new client secrets, 0 = no end
	SecretUses     int64             `json:"secret_uses,omitempty"` // of new client secrets, 0 = any number
	SecretNetworks []string          `json:"secret_networks,omitempty"`
	TokenType      string            `json:"token_type,omitempty"`
	Fields         map[string]string `json:"fields,omitempty"` // JSON by name: how the login method was written
}

var (
	authMounts = newTable[AuthMount]("auth_mount", true)
	authRoles  = newTable[AuthRole]("auth_role", true)
)

// AuthSecret names the instance secret of an [AuthMount].
func AuthSecret(id string) string { return "auth." + id }

// AuthMounts lists those of an organisation by path.
func (q Queries) AuthMounts(ctx context.Context, org domain.OrgID) ([]AuthMount, error) {
	return authMounts.list(ctx, q.q, "WHERE org_id = ? ORDER BY path", string(org))
}

// PutAuthMount stores one.
func (tx *Tx) PutAuthMount(ctx context.Context, row *AuthMount) error {
	return authMounts.put(ctx, tx, row)
}

// RemoveAuthMount removes one.
func (tx *Tx) RemoveAuthMount(ctx context.Context, row *AuthMount) error {
	return authMounts.remove(ctx, tx, row)
}

// AuthRoles lists those of a place by name.
func (q Queries) AuthRoles(ctx context.Context, org domain.OrgID, mount string) ([]AuthRole, error) {
	return authRoles.list(ctx, q.q, "WHERE org_id = ? AND mount = ? ORDER BY name", string(org), mount)
}

// AuthRole finds one by its place and name.
func (q Queries) AuthRole(ctx context.Context, org domain.OrgID, mount, name string) (AuthRole, error) {
	return authRoles.one(ctx, q.q, "WHERE org_id = ? AND mount = ? AND name = ?", string(org), mount, name)
}

// AuthRoleOf finds the one of an identity.
func (q Queries) AuthRoleOf(ctx context.Context, id domain.IdentityID) (AuthRole, error) {
	return authRoles.one(ctx, q.q, "WHERE identity_id = ?", string(id))
}

// AuthRoleByRoleID finds the one that has another name for its client id, of whatever organisation.
func (q Queries) AuthRoleByRoleID(ctx context.Context, roleID string) (AuthRole, error) {
	return authRoles.one(ctx, q.q, "WHERE role_id = ? AND role_id <> ''", roleID)
}

// PutAuthRole stores one.
func (tx *Tx) PutAuthRole(ctx context.Context, row *AuthRole) error {
	return authRoles.put(ctx, tx, row)
}

// RemoveAuthRole removes one.
func (tx *Tx) RemoveAuthRole(ctx context.Context, row *AuthRole) error {
	return authRoles.remove(ctx, tx, row)
}

// LoginMethodsNamed lists those of an organisation that have a name, of whatever machine.
func (q Queries) LoginMethodsNamed(ctx context.Context, org domain.OrgID, name string) ([]LoginMethod, error) {
	return loginMethods.list(ctx, q.q, "WHERE org_id = ? AND name = ? ORDER BY id", string(org), name)
}

// RemoveClientSecret removes one; that it was there stays in the log.
func (tx *Tx) RemoveClientSecret(ctx context.Context, row *ClientSecret) error {
	return clientSecrets.remove(ctx, tx, row)
}

// RemoveIdentity removes a machine to which nothing belongs any more.
func (tx *Tx) RemoveIdentity(ctx context.Context, row *Identity) error {
	return identities.remove(ctx, tx, row)
}

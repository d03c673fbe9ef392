package store

import (
	"context"
	"encoding/json"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// SSORules say what a connection does with those who come through it.
type SSORules struct {
	// Domains are those of e-mail addresses that the connection may speak for: accounts are found by address in these only.
	Domains []string `json:"domains,omitzero"`
	// Create makes an account for somebody who has none; otherwise people must be invited or kept by a directory.
	Create bool `json:"create,omitzero"`
	// Groups say what a group at the provider gives here.
	Groups []SSOGroup `json:"groups,omitzero"`
}

// SSOGroup gives membership in a group, or a role, to those who are in a group at the provider.
type SSOGroup struct {
	Value   string           `json:"value"`
	Group   domain.GroupID   `json:"group,omitzero"`
	Role    domain.Role      `json:"role,omitzero"`
	Project domain.ProjectID `json:"project,omitzero"`
	Env     domain.EnvID     `json:"env,omitzero"`
}

// SSOConnection is one identity provider or directory.
type SSOConnection struct {
	ID        string          `db:"id,key"`
	Org       domain.OrgID    `db:"org_id"`
	Kind      string          `db:"kind"`
	Name      string          `db:"name"`
	Settings  json.RawMessage `db:"settings,json"`
	Rules     SSORules        `db:"rules,json"`
	Enabled   bool            `db:"enabled"`
	CreatedAt int64           `db:"created_at"`
	CreatedBy string          `db:"created_by"`
}

// SSOLink says who somebody at a provider is here.
type SSOLink struct {
	Connection  string        `db:"connection_id,key"`
	Subject     string        `db:"subject,key"`
	Org         domain.OrgID  `db:"org_id"`
	User        domain.UserID `db:"user_id"`
	CreatedAt   int64         `db:"created_at"`
	LastLoginAt int64         `db:"last_login_at,volatile"`
}

// The kinds of what happens once.
const (
	OnceState = "state" // an answer of a provider that was taken
	OnceCode  = "code"  // a login that waits for whoever takes its session
)

// SSOOnce is something that happens once. It decides nothing for longer than minutes.
type SSOOnce struct {
	ID         []byte        `db:"id,key"`
	Kind       string        `db:"kind"`
	Challenge  string        `db:"challenge"`
	Connection string        `db:"connection_id"`
	User       domain.UserID `db:"user_id"`
	MFA        bool          `db:"mfa"`
	ExpiresAt  int64         `db:"expires_at"`
}

var (
	ssoConnections = newTable[SSOConnection]("sso_connection", true)
	ssoLinks       = newTable[SSOLink]("sso_link", true)
	ssoOnces       = newTable[SSOOnce]("sso_once", false)
)

// SSOConnections lists those of an organisation by name.
func (q Queries) SSOConnections(ctx context.Context, org domain.OrgID) ([]SSOConnection, error) {
	return ssoConnections.list(ctx, q.q, "WHERE org_id = ? ORDER BY name", string(org))
}

// AllSSOConnections lists those of all organisations.
func (q Queries) AllSSOConnections(ctx context.Context) ([]SSOConnection, error) {
	return ssoConnections.list(ctx, q.q, "ORDER BY name")
}

// SSOConnection finds one by id.
func (q Queries) SSOConnection(ctx context.Context, id string) (SSOConnection, error) {
	return ssoConnections.one(ctx, q.q, "WHERE id = ?", id)
}

// SSOConnectionByName finds one by name.
func (q Queries) SSOConnectionByName(ctx context.Context, name string) (SSOConnection, error) {
	return ssoConnections.one(ctx, q.q, "WHERE name = ?", name)
}

// PutSSOConnection stores one.
func (tx *Tx) PutSSOConnection(ctx context.Context, row *SSOConnection) error {
	return ssoConnections.put(ctx, tx, row)
}

// RemoveSSOConnection removes one that has no links any more.
func (tx *Tx) RemoveSSOConnection(ctx context.Context, row *SSOConnection) error {
	return ssoConnections.remove(ctx, tx, row)
}

// SSOLink finds who somebody at a provider is.
func (q Queries) SSOLink(ctx context.Context, connection, subject string) (SSOLink, error) {
	return ssoLinks.one(ctx, q.q, "WHERE connection_id = ? AND subject = ?", connection, subject)
}

// SSOLinks lists those of a connection.
func (q Queries) SSOLinks(ctx context.Context, connection string) ([]SSOLink, error) {
	return ssoLinks.list(ctx, q.q, "WHERE connection_id = ? ORDER BY subject", connection)
}

// SSOLinksOf lists those of a person.
func (q Queries) SSOLinksOf(ctx context.Context, user domain.UserID) ([]SSOLink, error) {
	return ssoLinks.list(ctx, q.q, "WHERE user_id = ? ORDER BY connection_id", string(user))
}

// PutSSOLink stores one.
func (tx *Tx) PutSSOLink(ctx context.Context, row *SSOLink) error { return ssoLinks.put(ctx, tx, row) }

// RemoveSSOLink removes one.
func (tx *Tx) RemoveSSOLink(ctx context.Context, row *SSOLink) error {
	return ssoLinks.remove(ctx, tx, row)
}

// TakeOnce remembers that something happened; a second time is [fault.Conflict]. Whatever has expired is forgotten.
func (tx *Tx) TakeOnce(ctx context.Context, row *SSOOnce) error {
	if _, err := tx.exec(ctx, "DELETE FROM sso_once WHERE expires_at < ?", tx.now); err != nil {
		return err
	}
	if _, err := tx.Once(ctx, row.ID); fault.KindOf(err) != fault.NotFound || err == nil {
		if err != nil {
			return err
		}
		return fault.New(fault.Conflict, "this has happened already")
	}
	return ssoOnces.put(ctx, tx, row)
}

// Once finds one.
func (q Queries) Once(ctx context.Context, id []byte) (SSOOnce, error) {
	return ssoOnces.one(ctx, q.q, "WHERE id = ?", id)
}

// RemoveOnce removes one.
func (tx *Tx) RemoveOnce(ctx context.Context, row *SSOOnce) error {
	return ssoOnces.remove(ctx, tx, row)
}

// GrantsOfCause lists what something gave, in an organisation.
func (q Queries) GrantsOfCause(ctx context.Context, org domain.OrgID, cause string) ([]Grant, error) {
	return grants.list(ctx, q.q, "WHERE org_id = ? AND cause = ? ORDER BY id", string(org), cause)
}

// MembersOfCause lists the places in groups that something gave, in an organisation.
func (q Queries) MembersOfCause(ctx context.Context, org domain.OrgID, cause string) ([]GroupMember, error) {
	return groupMembers.list(ctx, q.q, "WHERE org_id = ? AND cause = ? ORDER BY group_id, member_id", string(org), cause)
}

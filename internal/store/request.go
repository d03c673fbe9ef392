package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// AccessRequest is a role that somebody asks for, for a time.
type AccessRequest struct {
	ID            string               `db:"id,key"`
	Org           domain.OrgID         `db:"org_id"`
	PrincipalKind domain.PrincipalKind `db:"principal_kind"`
	PrincipalID   string               `db:"principal_id"`
	PrincipalName string               `db:"principal_name"`
	Role          domain.Role          `db:"role"`
	Project       string               `db:"project"` // as it was asked for
	Env           string               `db:"env"`
	ProjectID     domain.ProjectID     `db:"project_id"` // "" when there is none
	EnvID         domain.EnvID         `db:"env_id"`
	Path          domain.Pattern       `db:"path"`
	TTL           int64                `db:"ttl_ms"`
	Reason        string               `db:"reason"`
	State         string               `db:"state"`
	CreatedAt     int64                `db:"created_at"`
	ExpiresAt     int64                `db:"expires_at"`
	DecidedAt     int64                `db:"decided_at"`
	DecidedID     string               `db:"decided_id"`
	DecidedName   string               `db:"decided_name"`
	Comment       string               `db:"comment"`
	Grant         string               `db:"grant_id"`
	GrantedUntil  int64                `db:"granted_until"`
}

var accessRequests = newTable[AccessRequest]("access_request", true)

// AccessRequest finds one.
func (q Queries) AccessRequest(ctx context.Context, id string) (AccessRequest, error) {
	return accessRequests.one(ctx, q.q, "WHERE id = ?", id)
}

// AccessRequests lists up to limit of an organisation, newest first; with open only those that nobody has decided.
func (q Queries) AccessRequests(ctx context.Context, org domain.OrgID, open bool, limit int64) ([]AccessRequest, error) {
	where := "WHERE org_id = ?"
	if open {
		where += " AND state = 'open'"
	}
	return accessRequests.list(ctx, q.q, where+" ORDER BY id DESC LIMIT ?", string(org), limit)
}

// AccessRequestsOf lists the open ones of one principal.
func (q Queries) AccessRequestsOf(ctx context.Context, principal string) ([]AccessRequest, error) {
	return accessRequests.list(ctx, q.q, "WHERE principal_id = ? AND state = 'open' ORDER BY id", principal)
}

// AccessRequestsDue lists up to limit open ones that have expired at a time.
func (q Queries) AccessRequestsDue(ctx context.Context, now, limit int64) ([]AccessRequest, error) {
	return accessRequests.list(ctx, q.q, "WHERE state = 'open' AND expires_at <= ? ORDER BY expires_at LIMIT ?", now, limit)
}

// PutAccessRequest stores one.
func (tx *Tx) PutAccessRequest(ctx context.Context, row *AccessRequest) error {
	return accessRequests.put(ctx, tx, row)
}

// GrantsOver lists up to limit grants that a request or an opening gave and that have ended at a time.
func (q Queries) GrantsOver(ctx context.Context, now, limit int64) ([]Grant, error) {
	return grants.list(ctx, q.q, "WHERE expires_at > 0 AND expires_at <= ? AND (cause LIKE 'request:%' OR cause LIKE 'breakglass:%') ORDER BY expires_at LIMIT ?", now, limit)
}

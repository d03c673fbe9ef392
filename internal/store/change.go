package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// Approver names who may approve: a role by its name, a group or a user by id.
type Approver struct {
	Kind string `json:"kind"` // role, group or user
	ID   string `json:"id"`
}

// EnvApproval says whose approval changes of an environment need.
type EnvApproval struct {
	Env       domain.EnvID        `db:"env_id,key"`
	Org       domain.OrgID        `db:"org_id"`
	Project   domain.ProjectID    `db:"project_id"`
	Need      int64               `db:"need"`
	Approvers []Approver          `db:"approvers,json"`
	Expiry    int64               `db:"expiry_ms"`
	Bypass    []domain.IdentityID `db:"bypass,json"`
	UpdatedAt int64               `db:"updated_at"`
}

// ChangeItem is one thing that a change set does, without values.
type ChangeItem struct {
	Path    domain.Path        `json:"path"`
	Name    domain.SecretName  `json:"name,omitzero"` // "" of a folder
	Outcome string             `json:"outcome"`       // added, changed, removed, purged, or what happens to the whole environment
	From    string             `json:"from,omitzero"` // full name before a rename or move
	Value   bool               `json:"value,omitzero"`
	Attrs   *domain.Attributes `json:"attrs,omitzero"` // as they will be
	Changed []string           `json:"changed,omitzero"`
}

// ChangeSet is a change that waits for approval, or waited.
type ChangeSet struct {
	ID         domain.ChangeID      `db:"id,key"`
	Org        domain.OrgID         `db:"org_id"`
	Project    domain.ProjectID     `db:"project_id"`
	Env        domain.EnvID         `db:"env_id"`
	Kind       string               `db:"kind"`
	Base       int64                `db:"base"`
	Need       int64                `db:"need"`
	AuthorKind domain.PrincipalKind `db:"author_kind"`
	AuthorID   string               `db:"author_id"`
	AuthorName string               `db:"author_name"`
	Scopes     []domain.Scope       `db:"scopes,json"`
	Message    string               `db:"message"`
	Cause      string               `db:"cause"`
	Summary    []ChangeItem         `db:"summary,json"`
	Digest     []byte               `db:"digest"`
	State      string               `db:"state"`
	Problem    string               `db:"problem"`
	CreatedAt  int64                `db:"created_at"`
	ExpiresAt  int64                `db:"expires_at"`
	EndedAt    int64                `db:"ended_at"`
	Revision   int64                `db:"revision"`
	Commit     domain.CommitID      `db:"commit_id"`
}

// ChangePart is one envelope of the content of a change set.
type ChangePart struct {
	ID      string           `db:"id,key"`
	Change  domain.ChangeID  `db:"change_id"`
	Project domain.ProjectID `db:"project_id"`
	Part    int64            `db:"part"`
	Value   []byte           `db:"value,volatile"`
}

// ChangeReview is what one reviewer said of one content.
type ChangeReview struct {
	ID           string               `db:"id,key"`
	Change       domain.ChangeID      `db:"change_id"`
	Org          domain.OrgID         `db:"org_id"`
	ReviewerKind domain.PrincipalKind `db:"reviewer_kind"`
	ReviewerID   string               `db:"reviewer_id"`
	ReviewerName string               `db:"reviewer_name"`
	Verdict      string               `db:"verdict"`
	Comment      string               `db:"comment"`
	Digest       []byte               `db:"digest"`
	At           int64                `db:"at"`
}

// ChangeLink lets one reviewer approve one content, once.
type ChangeLink struct {
	ID        string          `db:"id,key"`
	Change    domain.ChangeID `db:"change_id"`
	Org       domain.OrgID    `db:"org_id"`
	Reviewer  domain.UserID   `db:"reviewer_id"`
	Digest    []byte          `db:"digest"`
	Hash      []byte          `db:"hash"`
	CreatedAt int64           `db:"created_at"`
	ExpiresAt int64           `db:"expires_at"`
	UsedAt    int64           `db:"used_at"`
}

var (
	envApprovals  = newTable[EnvApproval]("env_approval", true)
	changeSets    = newTable[ChangeSet]("change_set", true)
	changeParts   = newTable[ChangePart]("change_part", true)
	changeReviews = newTable[ChangeReview]("change_review", true)
	changeLinks   = newTable[ChangeLink]("change_link", true)
)

// EnvApproval gives the rule of one environment; fault.NotFound when it has none.
func (q Queries) EnvApproval(ctx context.Context, env domain.EnvID) (EnvApproval, error) {
	return envApprovals.one(ctx, q.q, "WHERE env_id = ?", string(env))
}

// EnvApprovals lists the rules in a project.
func (q Queries) EnvApprovals(ctx context.Context, project domain.ProjectID) ([]EnvApproval, error) {
	return envApprovals.list(ctx, q.q, "WHERE project_id = ? ORDER BY env_id", string(project))
}

// PutEnvApproval stores one.
func (tx *Tx) PutEnvApproval(ctx context.Context, row *EnvApproval) error {
	return envApprovals.put(ctx, tx, row)
}

// ChangeSet finds one.
func (q Queries) ChangeSet(ctx context.Context, id domain.ChangeID) (ChangeSet, error) {
	return changeSets.one(ctx, q.q, "WHERE id = ?", string(id))
}

// ChangeSets lists up to limit of an organisation, newest first; with open only those that are not over.
func (q Queries) ChangeSets(ctx context.Context, org domain.OrgID, open bool, limit int64) ([]ChangeSet, error) {
	where := "WHERE org_id = ?"
	if open {
		where += " AND state IN ('open', 'stale')"
	}
	return changeSets.list(ctx, q.q, where+" ORDER BY id DESC LIMIT ?", string(org), limit)
}

// ChangeSetsDue lists up to limit that wait and have expired at a time.
func (q Queries) ChangeSetsDue(ctx context.Context, now, limit int64) ([]ChangeSet, error) {
	return changeSets.list(ctx, q.q, "WHERE state IN ('open', 'stale') AND expires_at <= ? ORDER BY expires_at LIMIT ?", now, limit)
}

// PutChangeSet stores one.
func (tx *Tx) PutChangeSet(ctx context.Context, row *ChangeSet) error {
	return changeSets.put(ctx, tx, row)
}

// ChangeParts gives the content of a change set, in order.
func (q Queries) ChangeParts(ctx context.Context, id domain.ChangeID) ([]ChangePart, error) {
	return changeParts.list(ctx, q.q, "WHERE change_id = ? ORDER BY part", string(id))
}

// SetChangeParts replaces the content of a change set.
func (tx *Tx) SetChangeParts(ctx context.Context, id domain.ChangeID, rows []*ChangePart) error {
	old, err := tx.ChangeParts(ctx, id)
	if err != nil {
		return err
	}
	for i := range old {
		if err := changeParts.remove(ctx, tx, &old[i]); err != nil {
			return err
		}
	}
	return changeParts.put(ctx, tx, rows...)
}

// ChangeReviews lists those of a change set, oldest first.
func (q Queries) ChangeReviews(ctx context.Context, id domain.ChangeID) ([]ChangeReview, error) {
	return changeReviews.list(ctx, q.q, "WHERE change_id = ? ORDER BY id", string(id))
}

// PutChangeReview stores one.
func (tx *Tx) PutChangeReview(ctx context.Context, row *ChangeReview) error {
	return changeReviews.put(ctx, tx, row)
}

// ChangeLinkByHash finds one by its hash.
func (q Queries) ChangeLinkByHash(ctx context.Context, hash []byte) (ChangeLink, error) {
	return changeLinks.one(ctx, q.q, "WHERE hash = ?", hash)
}

// PutChangeLink stores one.
func (tx *Tx) PutChangeLink(ctx context.Context, row *ChangeLink) error {
	return changeLinks.put(ctx, tx, row)
}

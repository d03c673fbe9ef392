package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// Projects lists those of an organisation, deleted ones too, oldest first.
func (q Queries) Projects(ctx context.Context, org domain.OrgID) ([]Project, error) {
	return projects.list(ctx, q.q, "WHERE org_id = ? ORDER BY id", string(org))
}

// Project finds one by id.
func (q Queries) Project(ctx context.Context, id domain.ProjectID) (Project, error) {
	return projects.one(ctx, q.q, "WHERE id = ?", string(id))
}

// ProjectBySlug finds a live one.
func (q Queries) ProjectBySlug(ctx context.Context, org domain.OrgID, slug domain.Slug) (Project, error) {
	return projects.one(ctx, q.q, "WHERE org_id = ? AND slug = ? AND deleted_at = 0", string(org), string(slug))
}

// PutProject stores one.
func (tx *Tx) PutProject(ctx context.Context, row *Project) error { return projects.put(ctx, tx, row) }

// Environments lists those of a project, deleted ones too, in their order.
func (q Queries) Environments(ctx context.Context, project domain.ProjectID) ([]Environment, error) {
	return environments.list(ctx, q.q, "WHERE project_id = ? ORDER BY position, id", string(project))
}

// Environment finds one by id.
func (q Queries) Environment(ctx context.Context, id domain.EnvID) (Environment, error) {
	return environments.one(ctx, q.q, "WHERE id = ?", string(id))
}

// EnvironmentBySlug finds a live one.
func (q Queries) EnvironmentBySlug(ctx context.Context, project domain.ProjectID, slug domain.Slug) (Environment, error) {
	return environments.one(ctx, q.q, "WHERE project_id = ? AND slug = ? AND deleted_at = 0", string(project), string(slug))
}

// PutEnvironment stores one.
func (tx *Tx) PutEnvironment(ctx context.Context, row *Environment) error {
	return environments.put(ctx, tx, row)
}

// PutCommit stores one.
func (tx *Tx) PutCommit(ctx context.Context, row *Commit) error { return commits.put(ctx, tx, row) }

// Commits lists those of an environment below a revision, newest first.
func (q Queries) Commits(ctx context.Context, env domain.EnvID, below int64, limit int) ([]Commit, error) {
	return commits.list(ctx, q.q, "WHERE env_id = ? AND revision < ? ORDER BY revision DESC LIMIT ?", string(env), below, int64(limit))
}

// CommitAt finds the one that made a revision.
func (q Queries) CommitAt(ctx context.Context, env domain.EnvID, revision int64) (Commit, error) {
	return commits.one(ctx, q.q, "WHERE env_id = ? AND revision = ?", string(env), revision)
}

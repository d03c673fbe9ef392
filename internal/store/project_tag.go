package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// ProjectTag says how one tag of a project looks.
type ProjectTag struct {
	ID        string           `db:"id,key"`
	Org       domain.OrgID     `db:"org_id"`
	Project   domain.ProjectID `db:"project_id"`
	Slug      domain.Tag       `db:"slug"`
	Name      string           `db:"name"`
	Color     string           `db:"color"`
	CreatedAt int64            `db:"created_at"`
	CreatedBy string           `db:"created_by"`
}

var projectTags = newTable[ProjectTag]("project_tag", true)

// ProjectTags lists those of an organisation, by project and slug.
func (q Queries) ProjectTags(ctx context.Context, org domain.OrgID) ([]ProjectTag, error) {
	return projectTags.list(ctx, q.q, "WHERE org_id = ? ORDER BY project_id, slug", string(org))
}

// ProjectTag finds one by id.
func (q Queries) ProjectTag(ctx context.Context, id string) (ProjectTag, error) {
	return projectTags.one(ctx, q.q, "WHERE id = ?", id)
}

// PutProjectTag stores one. A second one of a slug is fault.Exists.
func (tx *Tx) PutProjectTag(ctx context.Context, row *ProjectTag) error {
	return projectTags.put(ctx, tx, row)
}

// RemoveProjectTag removes one.
func (tx *Tx) RemoveProjectTag(ctx context.Context, row *ProjectTag) error {
	return projectTags.remove(ctx, tx, row)
}

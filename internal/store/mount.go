package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// MountSettings are what documents below a mount have when they say nothing themselves.
type MountSettings struct {
	// MaxVersions is how many versions of a document are shown; 0 leaves it to the document.
	MaxVersions int64 `json:"max_versions,omitzero"`
	// CASRequired refuses writes that do not say which version they replace.
	CASRequired bool `json:"cas_required,omitzero"`
	// DeleteAfter is how long a version stays, in milliseconds: 0 leaves it to the document, less than 0 is for ever.
	DeleteAfter int64 `json:"delete_after,omitzero"`
}

// Mount is one path of the Vault view. The row with the empty path keeps the settings of a project's own mount.
type Mount struct {
	ID          string           `db:"id,key"`
	Org         domain.OrgID     `db:"org_id"`
	Project     domain.ProjectID `db:"project_id"`
	Env         domain.EnvID     `db:"env_id"` // "" = the next segment names it
	Folder      domain.Path      `db:"folder"`
	Path        string           `db:"path"`
	Kind        string           `db:"kind"`
	Version     int64            `db:"version"`
	Description string           `db:"description"`
	Settings    MountSettings    `db:"settings,json"`
	CreatedAt   int64            `db:"created_at"` // unix milliseconds
}

var mounts = newTable[Mount]("mount", true)

// Mounts lists those of an organisation by path, those of its projects themselves first.
func (q Queries) Mounts(ctx context.Context, org domain.OrgID) ([]Mount, error) {
	return mounts.list(ctx, q.q, "WHERE org_id = ? ORDER BY path, id", string(org))
}

// Mount finds one by id.
func (q Queries) Mount(ctx context.Context, id string) (Mount, error) {
	return mounts.one(ctx, q.q, "WHERE id = ?", id)
}

// MountByPath finds one by its path.
func (q Queries) MountByPath(ctx context.Context, org domain.OrgID, path string) (Mount, error) {
	return mounts.one(ctx, q.q, "WHERE org_id = ? AND path = ? AND path <> ''", string(org), path)
}

// OwnMount finds the settings of a project's own mount.
func (q Queries) OwnMount(ctx context.Context, project domain.ProjectID) (Mount, error) {
	return mounts.one(ctx, q.q, "WHERE project_id = ? AND path = ''", string(project))
}

// PutMount stores one.
func (tx *Tx) PutMount(ctx context.Context, row *Mount) error { return mounts.put(ctx, tx, row) }

// RemoveMount removes one.
func (tx *Tx) RemoveMount(ctx context.Context, row *Mount) error { return mounts.remove(ctx, tx, row) }

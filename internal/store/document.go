package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// DocumentVersion is a folder as the document that one commit made of it. What it holds is the state of the folder at the
// revision. Times are unix milliseconds.
type DocumentVersion struct {
	Folder    domain.FolderID  `db:"folder_id,key"`
	Version   int64            `db:"version,key"`
	Org       domain.OrgID     `db:"org_id"`
	Project   domain.ProjectID `db:"project_id"`
	Env       domain.EnvID     `db:"env_id"`
	Revision  int64            `db:"revision"`
	CreatedAt int64            `db:"created_at"`
	DeletedAt int64            `db:"deleted_at"` // 0 = is not; may lie in the future
	Destroyed bool             `db:"destroyed"`
	Oldest    int64            `db:"oldest"` // the lowest version that was kept when it was made, 0 = all were
	Due       int64            `db:"due"`    // when its secrets are to be deleted, 0 = never, or done
}

var documentVersions = newTable[DocumentVersion]("document_version", true)

// DocumentVersion finds one.
func (q Queries) DocumentVersion(ctx context.Context, folder domain.FolderID, version int64) (DocumentVersion, error) {
	return documentVersions.one(ctx, q.q, "WHERE folder_id = ? AND version = ?", string(folder), version)
}

// DocumentVersions lists those of a folder, the newest first.
func (q Queries) DocumentVersions(ctx context.Context, folder domain.FolderID) ([]DocumentVersion, error) {
	return documentVersions.list(ctx, q.q, "WHERE folder_id = ? ORDER BY version DESC", string(folder))
}

// DocumentVersionsDue lists versions whose time is over and which still must be deleted, the earliest first.
func (q Queries) DocumentVersionsDue(ctx context.Context, now int64, limit int) ([]DocumentVersion, error) {
	return documentVersions.list(ctx, q.q, "WHERE due > 0 AND due <= ? ORDER BY due LIMIT ?", now, int64(limit))
}

// PutDocumentVersions stores some.
func (tx *Tx) PutDocumentVersions(ctx context.Context, rows ...*DocumentVersion) error {
	return documentVersions.put(ctx, tx, rows...)
}

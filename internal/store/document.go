package store

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

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

// DocumentVersionsFrom lists those from a number on, newest first.
func (q Queries) DocumentVersionsFrom(ctx context.Context, folder domain.FolderID, from int64) ([]DocumentVersion, error) {
	return documentVersions.list(ctx, q.q, "WHERE folder_id = ? AND version >= ? ORDER BY version DESC", string(folder), from)
}

// DocumentVersionsDue lists versions whose time is over and which still must be deleted, the earliest first.
func (q Queries) DocumentVersionsDue(ctx context.Context, now int64, skip, limit int) ([]DocumentVersion, error) {
	return documentVersions.list(ctx, q.q, "WHERE due > 0 AND due <= ? ORDER BY due, folder_id, version LIMIT ? OFFSET ?", now, int64(limit), int64(skip))
}

// PutDocumentVersions stores some.
func (tx *Tx) PutDocumentVersions(ctx context.Context, rows ...*DocumentVersion) error {
	return documentVersions.put(ctx, tx, rows...)
}

// RemoveDocumentVersions removes all of a folder.
func (tx *Tx) RemoveDocumentVersions(ctx context.Context, folder domain.FolderID) error {
	rows, err := tx.DocumentVersions(ctx, folder)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := documentVersions.remove(ctx, tx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// EmptyFolders lists the folders of an environment that hold no live secret.
func (q Queries) EmptyFolders(ctx context.Context, env domain.EnvID) ([]Folder, error) {
	return folders.list(ctx, q.q, "WHERE env_id = ? AND deleted = 0 AND NOT EXISTS (SELECT 1 FROM secret WHERE secret.folder_id = folder.id AND secret.deleted = 0)", string(env))
}

// SecretState names one state of a secret, without what it holds.
type SecretState struct {
	ID       domain.SecretID   `db:"id,key"`
	Folder   domain.FolderID   `db:"folder_id"`
	Name     domain.SecretName `db:"name"`
	Revision int64             `db:"revision,key"`
	Version  int64             `db:"version"`
	Deleted  int64             `db:"deleted"`
}

var (
	statesNow = newTable[SecretState]("secret", false)
	statesOld = newTable[SecretState]("secret_history", false)
)

// everIn selects the secrets that are or were in a folder.
const everIn = "id IN (SELECT id FROM secret WHERE folder_id = ? UNION SELECT id FROM secret_history WHERE folder_id = ?)"

// StatesEverIn lists every state of every secret that is or was in a folder, without values, the newest of each secret first.
func (q Queries) StatesEverIn(ctx context.Context, folder domain.FolderID) ([]SecretState, error) {
	now, err := statesNow.list(ctx, q.q, "WHERE "+everIn, string(folder), string(folder))
	if err != nil {
		return nil, err
	}
	old, err := statesOld.list(ctx, q.q, "WHERE "+everIn+" ORDER BY id, revision DESC", string(folder), string(folder))
	return append(now, old...), err
}

// SecretsInAt gives the states that a folder showed at a revision of its environment, by name.
func (q Queries) SecretsInAt(ctx context.Context, folder domain.FolderID, revision int64) ([]Secret, error) {
	now, err := secretRows.list(ctx, q.q, "WHERE folder_id = ? AND revision <= ?", string(folder), revision)
	if err != nil {
		return nil, err
	}
	// Of what is newer now, or in another folder, the newest state that is not newer than the revision counts.
	old, err := secretHistory.list(ctx, q.q, `WHERE folder_id = ? AND revision <= ? AND revision =
		(SELECT max(h.revision) FROM secret_history h WHERE h.id = secret_history.id AND h.revision <= ?)
		AND NOT EXISTS (SELECT 1 FROM secret s WHERE s.id = secret_history.id AND s.revision <= ?)`, string(folder), revision, revision, revision)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(distinct(append(now, old...)), func(s Secret) bool { return s.Deleted != 0 })
	slices.SortFunc(out, func(a, b Secret) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// DestroyVersion destroys one value of a secret in every state that has it, and leaves a mark in the log.
func (tx *Tx) DestroyVersion(ctx context.Context, id domain.SecretID, version int64) error {
	for _, table := range []string{"secret", "secret_history"} {
		if _, err := tx.exec(ctx, "UPDATE "+table+" SET value = NULL, digest = NULL WHERE id = ? AND version = ?", string(id), version); err != nil {
			return err
		}
	}
	tx.markPurged(PurgedVersion(string(id), version))
	return nil
}

// PurgedVersion is the name under which the log knows one purged value of a secret.
func PurgedVersion(id string, version int64) string { return id + "/" + strconv.FormatInt(version, 10) }

// LastTouched tells at which revision, up to one, the secrets of a folder were last touched, and when; zeros for never.
func (q Queries) LastTouched(ctx context.Context, folder domain.FolderID, upTo int64) (revision, at int64, err error) {
	const one = "(SELECT coalesce(max(%), 0) FROM secret WHERE folder_id = ? AND revision <= ?), (SELECT coalesce(max(%), 0) FROM secret_history WHERE folder_id = ? AND revision <= ?)"
	var args []any
	for range 4 {
		args = append(args, string(folder), upTo)
	}
	rows, err := q.q.query(ctx, "SELECT "+strings.ReplaceAll(one, "%", "revision")+", "+strings.ReplaceAll(one, "%", "at"), args...)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var oldRevision, oldAt int64
		if err := rows.Scan(&revision, &oldRevision, &at, &oldAt); err != nil {
			return 0, 0, q.q.classify(err)
		}
		revision, at = max(revision, oldRevision), max(at, oldAt)
	}
	return revision, at, q.q.classify(rows.Err())
}

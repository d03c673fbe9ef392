package store

import (
	"context"
	"strconv"

	"github.com/keyturn/keyturn/internal/domain"
)

// TransitKey is one named key of the encryption service. Its material lies in its versions.
type TransitKey struct {
	ID            string           `db:"id,key"`
	Org           domain.OrgID     `db:"org_id"`
	Project       domain.ProjectID `db:"project_id"` // empty: of the organisation
	Name          string           `db:"name"`
	Description   string           `db:"description"`
	Kind          string           `db:"kind"`
	Disabled      bool             `db:"disabled"`
	Derived       bool             `db:"derived"`
	Convergent    bool             `db:"convergent"`
	Exportable    bool             `db:"exportable"`
	PlainBackup   bool             `db:"plain_backup"`
	Deletable     bool             `db:"deletion_allowed"`
	Imported      bool             `db:"imported"`
	Latest        int64            `db:"latest"`
	MinAvailable  int64            `db:"min_available"`
	MinDecryption int64            `db:"min_decryption"`
	MinEncryption int64            `db:"min_encryption"`
	RotateMS      int64            `db:"rotate_ms"`
	RotatedAt     int64            `db:"rotated_at"`
	CreatedAt     int64            `db:"created_at"`
	CreatedBy     string           `db:"created_by"`
}

// TransitVersion is one generation of a key. Make it with [NewTransitVersion], which gives it the id that binds its envelope.
type TransitVersion struct {
	ID        string           `db:"id,key"`
	Key       string           `db:"key_id"`
	Org       domain.OrgID     `db:"org_id"`
	Project   domain.ProjectID `db:"project_id"`
	Version   int64            `db:"version"`
	Public    []byte           `db:"public"` // SubjectPublicKeyInfo, nil of symmetric keys
	CreatedAt int64            `db:"created_at"`
	Value     []byte           `db:"value,volatile"` // envelope
}

// NewTransitVersion begins a row. The id is made of key and version, so that neither can be exchanged without the other.
func NewTransitVersion(key *TransitKey, version, now int64) TransitVersion {
	return TransitVersion{ID: key.ID + ":" + strconv.FormatInt(version, 10), Key: key.ID, Org: key.Org, Project: key.Project, Version: version, CreatedAt: now}
}

var (
	transitKeys     = newTable[TransitKey]("transit_key", true)
	transitVersions = newTable[TransitVersion]("transit_version", true)
)

// TransitKey finds one by id.
func (q Queries) TransitKey(ctx context.Context, id string) (TransitKey, error) {
	return transitKeys.one(ctx, q.q, "WHERE id = ?", id)
}

// TransitKeyByName finds one in its place; an empty project is the organisation itself.
func (q Queries) TransitKeyByName(ctx context.Context, org domain.OrgID, project domain.ProjectID, name string) (TransitKey, error) {
	return transitKeys.one(ctx, q.q, "WHERE org_id = ? AND project_id = ? AND name = ?", string(org), string(project), name)
}

// TransitKeys lists those of one place, by name.
func (q Queries) TransitKeys(ctx context.Context, org domain.OrgID, project domain.ProjectID) ([]TransitKey, error) {
	return transitKeys.list(ctx, q.q, "WHERE org_id = ? AND project_id = ? ORDER BY name", string(org), string(project))
}

// TransitKeysDue lists up to limit keys of all organisations whose time to rotate has come.
func (q Queries) TransitKeysDue(ctx context.Context, now, skip, limit int64) ([]TransitKey, error) {
	return transitKeys.list(ctx, q.q, "WHERE rotate_ms > 0 AND rotated_at + rotate_ms <= ? ORDER BY rotated_at + rotate_ms, id LIMIT ? OFFSET ?", now, limit, skip)
}

// TransitVersions lists the versions of a key, oldest first.
func (q Queries) TransitVersions(ctx context.Context, key string) ([]TransitVersion, error) {
	return transitVersions.list(ctx, q.q, "WHERE key_id = ? ORDER BY version", key)
}

// CountTransitKeys counts those of one place.
func (q Queries) CountTransitKeys(ctx context.Context, org domain.OrgID, project domain.ProjectID) (int64, error) {
	rows, err := q.q.query(ctx, "SELECT count(*) FROM transit_key WHERE org_id = ? AND project_id = ?", string(org), string(project))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var n int64
	if rows.Next() {
		err = rows.Scan(&n)
	}
	if err == nil {
		err = rows.Err()
	}
	return n, q.q.classify(err)
}

// PutTransitKey stores one.
func (tx *Tx) PutTransitKey(ctx context.Context, row *TransitKey) error {
	return transitKeys.put(ctx, tx, row)
}

// PutTransitVersions stores versions.
func (tx *Tx) PutTransitVersions(ctx context.Context, rows ...*TransitVersion) error {
	return transitVersions.put(ctx, tx, rows...)
}

// RemoveTransitVersions destroys those below a version and gives how many.
func (tx *Tx) RemoveTransitVersions(ctx context.Context, key string, below int64) (int64, error) {
	rows, err := transitVersions.list(ctx, tx, "WHERE key_id = ? AND version < ?", key, below)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		if err := transitVersions.remove(ctx, tx, &rows[i]); err != nil {
			return 0, err
		}
	}
	return int64(len(rows)), nil
}

// RemoveTransitKey destroys a key with all its versions.
func (tx *Tx) RemoveTransitKey(ctx context.Context, row *TransitKey) error {
	rows, err := tx.TransitVersions(ctx, row.ID)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := transitVersions.remove(ctx, tx, &rows[i]); err != nil {
			return err
		}
	}
	return transitKeys.remove(ctx, tx, row)
}

// PurgeTransitKeys destroys all keys of a project.
func (tx *Tx) PurgeTransitKeys(ctx context.Context, org domain.OrgID, project domain.ProjectID) error {
	rows, err := tx.TransitKeys(ctx, org, project)
	if err != nil {
		return err
	}
	for i := range rows {
		if err := tx.RemoveTransitKey(ctx, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// SealedTransit is the table of key versions, see [Queries.SealedUnder].
const SealedTransit = "transit_version"

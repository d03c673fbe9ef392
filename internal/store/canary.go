package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// Canary is one decoy.
type Canary struct {
	ID        string           `db:"id,key"`
	Org       domain.OrgID     `db:"org_id"`
	Kind      string           `db:"kind"`
	Place     string           `db:"place"`
	Hash      []byte           `db:"hash"`
	Project   domain.ProjectID `db:"project_id"`
	Env       domain.EnvID     `db:"env_id"`
	Secret    domain.SecretID  `db:"secret_id"`
	Exempt    []string         `db:"exempt,json"`
	CreatedAt int64            `db:"created_at"`
	CreatedBy string           `db:"created_by"`
	TouchedAt int64            `db:"touched_at,volatile"`
	Touched   int64            `db:"touched,volatile"`
}

var canaries = newTable[Canary]("canary", true)

// Canaries lists those of an organisation, oldest first.
func (q Queries) Canaries(ctx context.Context, org domain.OrgID) ([]Canary, error) {
	return canaries.list(ctx, q.q, "WHERE org_id = ? ORDER BY id", string(org))
}

// SecretCanaries lists the decoy secrets of all organisations.
func (q Queries) SecretCanaries(ctx context.Context) ([]Canary, error) {
	return canaries.list(ctx, q.q, "WHERE secret_id <> '' ORDER BY id")
}

// Canary finds one by id.
func (q Queries) Canary(ctx context.Context, id string) (Canary, error) {
	return canaries.one(ctx, q.q, "WHERE id = ?", id)
}

// CanaryByHash finds a decoy token.
func (q Queries) CanaryByHash(ctx context.Context, hash []byte) (Canary, error) {
	return canaries.one(ctx, q.q, "WHERE hash = ?", hash)
}

// PutCanary stores one.
func (tx *Tx) PutCanary(ctx context.Context, row *Canary) error { return canaries.put(ctx, tx, row) }

// RemoveCanary removes one.
func (tx *Tx) RemoveCanary(ctx context.Context, row *Canary) error {
	return canaries.remove(ctx, tx, row)
}

// TouchCanary counts a touch.
func (tx *Tx) TouchCanary(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, "UPDATE canary SET touched = touched + 1, touched_at = ? WHERE id = ?", tx.now, id)
	return err
}

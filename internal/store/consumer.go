package store

import (
	"context"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// Consumer is a principal at a place that uses a secret, with the version that it holds.
type Consumer struct {
	Secret        domain.SecretID      `db:"secret_id,key"`
	PrincipalID   string               `db:"principal_id,key"`
	Address       string               `db:"address,key"`
	PrincipalKind domain.PrincipalKind `db:"principal_kind"`
	PrincipalName string               `db:"principal_name"`
	Agent         string               `db:"agent"`
	Org           domain.OrgID         `db:"org_id"`
	Project       domain.ProjectID     `db:"project_id"`
	Env           domain.EnvID         `db:"env_id"`
	Version       int64                `db:"version"`
	FirstAt       int64                `db:"first_at"`
	LastAt        int64                `db:"last_at"`
	Reads         int64                `db:"reads"`
	Entry         int64                `db:"entry"`
}

var consumers = newTable[Consumer]("consumer", false)

// Consumers lists those of a secret, the latest first.
func (q Queries) Consumers(ctx context.Context, id domain.SecretID) ([]Consumer, error) {
	return consumers.list(ctx, q.q, "WHERE secret_id = ? ORDER BY last_at DESC, principal_id, address", string(id))
}

// ConsumersIn lists those of the secrets of an environment.
func (q Queries) ConsumersIn(ctx context.Context, env domain.EnvID) ([]Consumer, error) {
	return consumers.list(ctx, q.q, "WHERE secret_id IN (SELECT id FROM secret WHERE env_id = ?) ORDER BY secret_id", string(env))
}

// ConsumersOf lists what one principal was given.
func (q Queries) ConsumersOf(ctx context.Context, principal string) ([]Consumer, error) {
	return consumers.list(ctx, q.q, "WHERE principal_id = ? ORDER BY secret_id, last_at DESC", principal)
}

// ConsumersSince lists those that are there since a moment, newest first, at most limit.
func (q Queries) ConsumersSince(ctx context.Context, org domain.OrgID, since, limit int64) ([]Consumer, error) {
	return consumers.list(ctx, q.q, "WHERE org_id = ? AND first_at >= ? ORDER BY first_at DESC, secret_id LIMIT ?", string(org), since, limit)
}

// ConsumersAmong gives those of some secrets and one principal.
func (q Queries) ConsumersAmong(ctx context.Context, principal string, ids []domain.SecretID) ([]Consumer, error) {
	var out []Consumer
	const perQuery = 256
	for len(ids) > 0 {
		n := min(len(ids), perQuery)
		args := []any{principal}
		for _, id := range ids[:n] {
			args = append(args, string(id))
		}
		rows, err := consumers.list(ctx, q.q, "WHERE principal_id = ? AND secret_id IN ("+strings.TrimSuffix(strings.Repeat("?, ", n), ", ")+")", args...)
		if err != nil {
			return nil, err
		}
		out, ids = append(out, rows...), ids[n:]
	}
	return out, nil
}

// PutConsumers stores some.
func (d *Derived) PutConsumers(ctx context.Context, rows ...*Consumer) error {
	return consumers.put(ctx, d.tx, rows...)
}

// ForgetConsumers removes those that were last seen before a moment.
func (d *Derived) ForgetConsumers(ctx context.Context, before int64) error {
	_, err := d.tx.exec(ctx, "DELETE FROM consumer WHERE last_at < ?", before)
	return err
}

// Place is a state of a secret and where it is found, without what is sealed.
type Place struct {
	ID       domain.SecretID
	Path     domain.Path
	Name     domain.SecretName
	Revision int64
	Version  int64
	At       int64 // when this state was made
	Tags     []domain.Tag
}

// Places lists the live secrets of an environment with their folders.
func (q Queries) Places(ctx context.Context, env domain.EnvID) ([]Place, error) {
	rows, err := q.q.query(ctx, `SELECT s.id, f.path, s.name, s.revision, s.version, s.at, s.attrs FROM secret s JOIN folder f ON f.id = s.folder_id
		WHERE s.env_id = ? AND s.deleted = 0`, string(env))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Place
	for rows.Next() {
		var p Place
		var attrs string
		if err := rows.Scan(&p.ID, &p.Path, &p.Name, &p.Revision, &p.Version, &p.At, &attrs); err != nil {
			return nil, q.q.classify(err)
		}
		if p.Tags, err = tagsOf(attrs); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, q.q.classify(rows.Err())
}

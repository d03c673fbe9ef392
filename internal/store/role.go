package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// Role is a custom role. Grants name it by its id.
type Role struct {
	ID          domain.RoleID `db:"id,key"`
	Org         domain.OrgID  `db:"org_id"`
	Name        domain.Slug   `db:"name"`
	Description string        `db:"description"`
	Rules       []domain.Rule `db:"rules,json"`
	CreatedAt   int64         `db:"created_at"`
	// Policy is the text of the ACL policy that the rules were made of; "" when they were written as rules.
	Policy string `db:"policy,late"`
}

var roles = newTable[Role]("role", true)

// Roles lists the custom roles of an organisation.
func (q Queries) Roles(ctx context.Context, org domain.OrgID) ([]Role, error) {
	return roles.list(ctx, q.q, "WHERE org_id = ? ORDER BY name", string(org))
}

// Role finds one by id.
func (q Queries) Role(ctx context.Context, id domain.RoleID) (Role, error) {
	return roles.one(ctx, q.q, "WHERE id = ?", string(id))
}

// RoleByName finds one by name.
func (q Queries) RoleByName(ctx context.Context, org domain.OrgID, name domain.Slug) (Role, error) {
	return roles.one(ctx, q.q, "WHERE org_id = ? AND name = ?", string(org), string(name))
}

// PutRole stores one.
func (tx *Tx) PutRole(ctx context.Context, row *Role) error { return roles.put(ctx, tx, row) }

// RemoveRole removes one. Its grants must be gone before.
func (tx *Tx) RemoveRole(ctx context.Context, row *Role) error { return roles.remove(ctx, tx, row) }

// GrantsOfRole lists where a role was given.
func (q Queries) GrantsOfRole(ctx context.Context, org domain.OrgID, role domain.Role) ([]Grant, error) {
	return grants.list(ctx, q.q, "WHERE org_id = ? AND role = ? ORDER BY id", string(org), string(role))
}

// GrantsEverywhere lists those that hold in the whole organisation.
func (q Queries) GrantsEverywhere(ctx context.Context, org domain.OrgID) ([]Grant, error) {
	return grants.list(ctx, q.q, "WHERE project_id = '' AND org_id = ? ORDER BY id", string(org))
}

// Grant finds one by id.
func (q Queries) Grant(ctx context.Context, id string) (Grant, error) {
	return grants.one(ctx, q.q, "WHERE id = ?", id)
}

// MembersOfAll lists every place in every group of an organisation.
func (q Queries) MembersOfAll(ctx context.Context, org domain.OrgID) ([]GroupMember, error) {
	return groupMembers.list(ctx, q.q, "WHERE org_id = ? ORDER BY group_id, member_id", string(org))
}

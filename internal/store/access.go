package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// Persons lists the users of an organisation.
func (q Queries) Persons(ctx context.Context, org domain.OrgID) ([]Person, error) {
	return persons.list(ctx, q.q, "WHERE org_id = ? ORDER BY id", string(org))
}

// AnyPerson tells whether somebody was set up already.
func (q Queries) AnyPerson(ctx context.Context) (bool, error) {
	rows, err := persons.list(ctx, q.q, "ORDER BY id LIMIT 1")
	return len(rows) > 0, err
}

// Person finds one by id.
func (q Queries) Person(ctx context.Context, id domain.UserID) (Person, error) {
	return persons.one(ctx, q.q, "WHERE id = ?", string(id))
}

// PersonByEmail finds one by address.
func (q Queries) PersonByEmail(ctx context.Context, email domain.Email) (Person, error) {
	return persons.one(ctx, q.q, "WHERE email = ?", string(email))
}

// PutPerson stores one.
func (tx *Tx) PutPerson(ctx context.Context, row *Person) error { return persons.put(ctx, tx, row) }

// Identities lists the machines of an organisation, without those that were deleted.
func (q Queries) Identities(ctx context.Context, org domain.OrgID) ([]Identity, error) {
	return identities.list(ctx, q.q, "WHERE org_id = ? AND deleted_at = 0 ORDER BY id", string(org))
}

// Identity finds one by id.
func (q Queries) Identity(ctx context.Context, id domain.IdentityID) (Identity, error) {
	return identities.one(ctx, q.q, "WHERE id = ?", string(id))
}

// IdentityByName finds one by name.
func (q Queries) IdentityByName(ctx context.Context, org domain.OrgID, name domain.Label) (Identity, error) {
	return identities.one(ctx, q.q, "WHERE org_id = ? AND name = ?", string(org), string(name))
}

// PutIdentity stores one.
func (tx *Tx) PutIdentity(ctx context.Context, row *Identity) error {
	return identities.put(ctx, tx, row)
}

// ClientSecretByHash finds one by its hash.
func (q Queries) ClientSecretByHash(ctx context.Context, hash []byte) (ClientSecret, error) {
	return clientSecrets.one(ctx, q.q, "WHERE hash = ?", hash)
}

// ClientSecrets lists those of an identity.
func (q Queries) ClientSecrets(ctx context.Context, id domain.IdentityID) ([]ClientSecret, error) {
	return clientSecrets.list(ctx, q.q, "WHERE identity_id = ? ORDER BY id", string(id))
}

// PutClientSecret stores one.
func (tx *Tx) PutClientSecret(ctx context.Context, row *ClientSecret) error {
	return clientSecrets.put(ctx, tx, row)
}

// TokenByHash finds one by its hash.
func (q Queries) TokenByHash(ctx context.Context, hash []byte) (Token, error) {
	return tokens.one(ctx, q.q, "WHERE hash = ?", hash)
}

// Token finds one by id.
func (q Queries) Token(ctx context.Context, id domain.TokenID) (Token, error) {
	return tokens.one(ctx, q.q, "WHERE id = ?", string(id))
}

// Tokens lists those of an organisation, newest first.
func (q Queries) Tokens(ctx context.Context, org domain.OrgID) ([]Token, error) {
	return tokens.list(ctx, q.q, "WHERE org_id = ? ORDER BY id DESC", string(org))
}

// TokensOf lists those of one principal, newest first.
func (q Queries) TokensOf(ctx context.Context, principal string) ([]Token, error) {
	return tokens.list(ctx, q.q, "WHERE principal_id = ? ORDER BY id DESC", principal)
}

// PutToken stores one.
func (tx *Tx) PutToken(ctx context.Context, row *Token) error { return tokens.put(ctx, tx, row) }

// GrantsOf lists what one principal was given.
func (q Queries) GrantsOf(ctx context.Context, principal string) ([]Grant, error) {
	return grants.list(ctx, q.q, "WHERE principal_id = ? ORDER BY id", principal)
}

// Grants lists all of an organisation.
func (q Queries) Grants(ctx context.Context, org domain.OrgID) ([]Grant, error) {
	return grants.list(ctx, q.q, "WHERE org_id = ? ORDER BY id", string(org))
}

// PutGrant stores one.
func (tx *Tx) PutGrant(ctx context.Context, row *Grant) error { return grants.put(ctx, tx, row) }

// RemoveGrant removes one.
func (tx *Tx) RemoveGrant(ctx context.Context, row *Grant) error { return grants.remove(ctx, tx, row) }

// Groups lists those of an organisation.
func (q Queries) Groups(ctx context.Context, org domain.OrgID) ([]Group, error) {
	return groups.list(ctx, q.q, "WHERE org_id = ? ORDER BY id", string(org))
}

// Group finds one by id.
func (q Queries) Group(ctx context.Context, id domain.GroupID) (Group, error) {
	return groups.one(ctx, q.q, "WHERE id = ?", string(id))
}

// GroupByName finds one by name.
func (q Queries) GroupByName(ctx context.Context, org domain.OrgID, name string) (Group, error) {
	return groups.one(ctx, q.q, "WHERE org_id = ? AND name = ?", string(org), name)
}

// PutGroup stores one.
func (tx *Tx) PutGroup(ctx context.Context, row *Group) error { return groups.put(ctx, tx, row) }

// RemoveGroup removes one that has no members any more.
func (tx *Tx) RemoveGroup(ctx context.Context, row *Group) error { return groups.remove(ctx, tx, row) }

// GroupMembers lists who is in a group.
func (q Queries) GroupMembers(ctx context.Context, id domain.GroupID) ([]GroupMember, error) {
	return groupMembers.list(ctx, q.q, "WHERE group_id = ? ORDER BY member_id", string(id))
}

// GroupsOf lists the places that somebody has in groups, not those that the groups have in others.
func (q Queries) GroupsOf(ctx context.Context, member string) ([]GroupMember, error) {
	return groupMembers.list(ctx, q.q, "WHERE member_id = ? ORDER BY group_id", member)
}

// PutGroupMember stores a place in a group.
func (tx *Tx) PutGroupMember(ctx context.Context, row *GroupMember) error {
	return groupMembers.put(ctx, tx, row)
}

// RemoveGroupMember removes one.
func (tx *Tx) RemoveGroupMember(ctx context.Context, row *GroupMember) error {
	return groupMembers.remove(ctx, tx, row)
}

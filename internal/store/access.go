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

// Identities lists the machines of an organisation.
func (q Queries) Identities(ctx context.Context, org domain.OrgID) ([]Identity, error) {
	return identities.list(ctx, q.q, "WHERE org_id = ? ORDER BY id", string(org))
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

package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Passkey is the public half of a WebAuthn credential of a person.
type Passkey struct {
	ID             string        `db:"id,key"`
	Org            domain.OrgID  `db:"org_id"`
	User           domain.UserID `db:"user_id"`
	Credential     []byte        `db:"credential"`
	PublicKey      []byte        `db:"public_key"`
	Transports     []string      `db:"transports,json"`
	Model          string        `db:"model"`
	BackupEligible bool          `db:"backup_eligible"`
	Name           domain.Label  `db:"name"`
	CreatedAt      int64         `db:"created_at"`
	SignCount      int64         `db:"sign_count,volatile"`
	LastUsedAt     int64         `db:"last_used_at,volatile"`
	ClonedAt       int64         `db:"cloned_at,volatile"`
}

// Challenge is one that a browser was asked to sign and has not answered yet.
type Challenge struct {
	Hash      string         `db:"hash,key"`
	Ceremony  string         `db:"ceremony"`
	Token     domain.TokenID `db:"token_id"`
	Session   string         `db:"session"`
	ExpiresAt int64          `db:"expires_at"`
}

var (
	passkeys   = newTable[Passkey]("passkey", true)
	challenges = newTable[Challenge]("passkey_challenge", false)
)

// Passkeys lists those of a person, oldest first.
func (q Queries) Passkeys(ctx context.Context, user domain.UserID) ([]Passkey, error) {
	return passkeys.list(ctx, q.q, "WHERE user_id = ? ORDER BY id", string(user))
}

// PasskeyByCredential finds one by the id that its authenticator gave it.
func (q Queries) PasskeyByCredential(ctx context.Context, credential []byte) (Passkey, error) {
	return passkeys.one(ctx, q.q, "WHERE credential = ?", credential)
}

// PutPasskey stores one. One whose credential is known already is fault.Exists.
func (tx *Tx) PutPasskey(ctx context.Context, row *Passkey) error { return passkeys.put(ctx, tx, row) }

// RemovePasskey removes one.
func (tx *Tx) RemovePasskey(ctx context.Context, row *Passkey) error {
	return passkeys.remove(ctx, tx, row)
}

// TouchPasskey notes a use: count, time and warning of the row. They are counters that no digest covers.
func (tx *Tx) TouchPasskey(ctx context.Context, row *Passkey) error {
	_, err := tx.exec(ctx, "UPDATE passkey SET sign_count = ?, last_used_at = ?, cloned_at = ? WHERE id = ?", row.SignCount, row.LastUsedAt, row.ClonedAt, row.ID)
	return err
}

// Challenge finds one that is still open; fault.NotFound when it was used, has ended or never was.
func (q Queries) Challenge(ctx context.Context, hash string, now int64) (Challenge, error) {
	return challenges.one(ctx, q.q, "WHERE hash = ? AND expires_at > ?", hash, now)
}

// PutChallenge stores one, and forgets those that have ended.
func (tx *Tx) PutChallenge(ctx context.Context, row *Challenge) error {
	if _, err := tx.exec(ctx, "DELETE FROM passkey_challenge WHERE expires_at <= ?", tx.now); err != nil {
		return err
	}
	return challenges.put(ctx, tx, row)
}

// SpendChallenge takes one out of the store: only the first who asks gets nil, everybody after him fault.NotFound.
func (tx *Tx) SpendChallenge(ctx context.Context, hash string) error {
	res, err := tx.exec(ctx, "DELETE FROM passkey_challenge WHERE hash = ? AND expires_at > ?", hash, tx.now)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fault.New(fault.NotFound, "no such challenge")
	}
	return nil
}

package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/fault"
)

// InstanceSecret is a secret of the server itself. Its value is an envelope under the instance key.
type InstanceSecret struct {
	ID    string `db:"id,key"`
	At    int64  `db:"at"`
	Value []byte `db:"value,volatile"`
}

// Backup is one that this instance made and knows of.
type Backup struct {
	ID         string   `db:"id,key"`
	Place      string   `db:"place"`
	Name       string   `db:"name"`
	CreatedAt  int64    `db:"created_at"`
	Bytes      int64    `db:"bytes"`
	Digest     []byte   `db:"digest"`
	Recipients []string `db:"recipients,json"`
	Summary    string   `db:"summary"`
	CheckedAt  int64    `db:"checked_at"`
	DrilledAt  int64    `db:"drilled_at"`
	Problem    string   `db:"problem"`
	RemovedAt  int64    `db:"removed_at"`
}

var (
	instanceSecrets = newTable[InstanceSecret]("instance_secret", true)
	backups         = newTable[Backup]("backup", true)
)

// InstanceSecret finds one by id.
func (q Queries) InstanceSecret(ctx context.Context, id string) (InstanceSecret, error) {
	return instanceSecrets.one(ctx, q.q, "WHERE id = ?", id)
}

// PutInstanceSecret stores one.
func (tx *Tx) PutInstanceSecret(ctx context.Context, row *InstanceSecret) error {
	return instanceSecrets.put(ctx, tx, row)
}

// RemoveInstanceSecret removes one; one that is not there is no error.
func (tx *Tx) RemoveInstanceSecret(ctx context.Context, id string) error {
	row, err := tx.InstanceSecret(ctx, id)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	return instanceSecrets.remove(ctx, tx, &row)
}

// Backups lists the known backups, newest first.
func (q Queries) Backups(ctx context.Context) ([]Backup, error) {
	return backups.list(ctx, q.q, "ORDER BY created_at DESC, id DESC")
}

// PutBackup stores what is known of one.
func (tx *Tx) PutBackup(ctx context.Context, row *Backup) error { return backups.put(ctx, tx, row) }

// Backup finds one by id.
func (q Queries) Backup(ctx context.Context, id string) (Backup, error) {
	return backups.one(ctx, q.q, "WHERE id = ?", id)
}

// RemoveBackup forgets one; the file is another matter.
func (tx *Tx) RemoveBackup(ctx context.Context, row *Backup) error {
	return backups.remove(ctx, tx, row)
}

// RevokeCredentials revokes every token, session and client secret that still works, erases what waits to be opened once, and
// gives their number.
func (tx *Tx) RevokeCredentials(ctx context.Context) (int, error) {
	all, err := tokens.list(ctx, tx, "WHERE revoked_at = 0 ORDER BY id")
	if err != nil {
		return 0, err
	}
	secrets, err := clientSecrets.list(ctx, tx, "WHERE revoked_at = 0 ORDER BY id")
	if err != nil {
		return 0, err
	}
	var rows []*Token
	for i := range all {
		all[i].RevokedAt = tx.now
		rows = append(rows, &all[i])
	}
	var more []*ClientSecret
	for i := range secrets {
		secrets[i].RevokedAt = tx.now
		more = append(more, &secrets[i])
	}
	if err := tokens.put(ctx, tx, rows...); err != nil {
		return 0, err
	}
	if err := clientSecrets.put(ctx, tx, more...); err != nil {
		return 0, err
	}
	if err := tx.eraseCubbies(ctx); err != nil {
		return 0, err
	}
	gone, err := tx.eraseWrapped(ctx)
	return len(rows) + len(more) + gone, err
}

// KeySlotOf reads a raw row of a snapshot; columns that its schema did not have stay empty.
func KeySlotOf(columns []string, values []any) (KeySlot, error) {
	return keySlots.parse(columns, values)
}

// KeyGenerationOf is [KeySlotOf] for keys.
func KeyGenerationOf(columns []string, values []any) (KeyGeneration, error) {
	return keyGenerations.parse(columns, values)
}

// OrgOf is [KeySlotOf] for organisations.
func OrgOf(columns []string, values []any) (Org, error) { return orgs.parse(columns, values) }

// ProjectOf is [KeySlotOf] for projects.
func ProjectOf(columns []string, values []any) (Project, error) {
	return projects.parse(columns, values)
}

// EnvironmentOf is [KeySlotOf] for environments.
func EnvironmentOf(columns []string, values []any) (Environment, error) {
	return environments.parse(columns, values)
}

// CommitOf is [KeySlotOf] for commits.
func CommitOf(columns []string, values []any) (Commit, error) { return commits.parse(columns, values) }

// FolderOf is [KeySlotOf] for folders, current or replaced.
func FolderOf(columns []string, values []any) (Folder, error) { return folders.parse(columns, values) }

// SecretOf is [KeySlotOf] for states of secrets, current or replaced.
func SecretOf(columns []string, values []any) (Secret, error) {
	return secretRows.parse(columns, values)
}

// PersonalOf is [KeySlotOf] for personal values.
func PersonalOf(columns []string, values []any) (Personal, error) {
	return personals.parse(columns, values)
}

// PersonOf is [KeySlotOf] for people.
func PersonOf(columns []string, values []any) (Person, error) { return persons.parse(columns, values) }

// IdentityOf is [KeySlotOf] for machines.
func IdentityOf(columns []string, values []any) (Identity, error) {
	return identities.parse(columns, values)
}

// GrantOf is [KeySlotOf] for grants.
func GrantOf(columns []string, values []any) (Grant, error) { return grants.parse(columns, values) }

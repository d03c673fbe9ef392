package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Instance reads the instance row; fault.NotFound means that the database is empty.
func (q Queries) Instance(ctx context.Context) (Instance, error) { return readInstance(ctx, q.q, "") }

// KeySlots lists the wrappings of the instance key.
func (q Queries) KeySlots(ctx context.Context) ([]KeySlot, error) {
	if db, ok := q.q.(*DB); ok && db.peeked == 1 { // the root key is asked for before the schema is brought up to date
		return firstKeySlots(ctx, q.q)
	}
	return keySlots.list(ctx, q.q, "ORDER BY id")
}

// KeyGenerations lists all keys that were ever made.
func (q Queries) KeyGenerations(ctx context.Context) ([]KeyGeneration, error) {
	return keyGenerations.list(ctx, q.q, "ORDER BY id")
}

// firstKeySlots lists slots as the first schema has them.
func firstKeySlots(ctx context.Context, q querier) ([]KeySlot, error) {
	rows, err := q.query(ctx, "SELECT id, kind, fingerprint, key_id, wrapped, key_check, created_at FROM key_slot ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []KeySlot
	for rows.Next() {
		var s KeySlot
		if err := rows.Scan(&s.ID, &s.Kind, &s.Fingerprint, &s.Key, &s.Wrapped, &s.Check, &s.CreatedAt); err != nil {
			return nil, q.classify(err)
		}
		out = append(out, s)
	}
	return out, q.classify(rows.Err())
}

// KeySlot finds one.
func (q Queries) KeySlot(ctx context.Context, id string) (KeySlot, error) {
	return keySlots.one(ctx, q.q, "WHERE id = ?", id)
}

// KeyGeneration finds one key.
func (q Queries) KeyGeneration(ctx context.Context, id string) (KeyGeneration, error) {
	return keyGenerations.one(ctx, q.q, "WHERE id = ?", id)
}

// KeysWrappedBy lists up to limit keys that lie under an instance key.
func (q Queries) KeysWrappedBy(ctx context.Context, id string, limit int64) ([]KeyGeneration, error) {
	return keyGenerations.list(ctx, q.q, "WHERE wrapped_by = ? ORDER BY id LIMIT ?", id, limit)
}

// PutKeySlots stores slots.
func (tx *Tx) PutKeySlots(ctx context.Context, rows ...*KeySlot) error {
	for _, row := range rows {
		if row.Check == nil { // an empty blob comes back as nil from some engines, and the column takes none
			row.Check = []byte{}
		}
	}
	return keySlots.put(ctx, tx, rows...)
}

// PutKeyGenerations stores keys.
func (tx *Tx) PutKeyGenerations(ctx context.Context, rows ...*KeyGeneration) error {
	return keyGenerations.put(ctx, tx, rows...)
}

// RemoveKeySlot removes one.
func (tx *Tx) RemoveKeySlot(ctx context.Context, row *KeySlot) error {
	return keySlots.remove(ctx, tx, row)
}

// ReserveSeals adds a block to the seals that are taken out under a key and gives the new count.
func (tx *Tx) ReserveSeals(ctx context.Context, id string, block int64) (int64, error) {
	rows, err := tx.query(ctx, "UPDATE key_generation SET seals_reserved = seals_reserved + ? WHERE id = ? RETURNING seals_reserved", block, id)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if !rows.Next() {
		return 0, fault.New(fault.Internal, "key %s has no row", id)
	}
	var n int64
	err = rows.Scan(&n)
	return n, tx.classify(err)
}

// Found starts a new world: the instance row must not exist yet. It runs before the writer's first transaction.
func (db *DB) Found(ctx context.Context, id string, now int64) error {
	if _, err := db.Instance(ctx); err == nil {
		return fault.New(fault.Exists, "the database already holds an instance")
	} else if fault.KindOf(err) != fault.NotFound {
		return err
	}
	empty := sha256.Sum256(nil) // RFC 6962: the root of an empty tree
	_, err := db.engine.Writer.ExecContext(ctx, db.text(`INSERT INTO instance (one, id, created_at, epoch, log_size, log_root, feed_seq)
		VALUES (1, ?, ?, 1, 0, ?, 0)`), id, now, empty[:])
	return db.classify(err)
}

// ErrBehind is in the error of a fence whose server lacks a key that another one has made, and can fetch it.
var ErrBehind = errors.New("behind")

// Fence sets the check that every write transaction makes of the epoch it finds, before anything else; it may ask the
// database inside the transaction. An error keeps the transaction from going on. When that is [ErrBehind], catchUp is called
// with no transaction open, since it may take long, and the batch is tried once more. Call it before the first write.
func (db *DB) Fence(check func(ctx context.Context, q Queries, epoch int64) error, catchUp func(context.Context) error) {
	db.writer.guard, db.writer.behind = check, catchUp
}

// FeedSince lists changes after seq, oldest first.
func (q Queries) FeedSince(ctx context.Context, seq int64) ([]Feed, error) {
	return feedRows.list(ctx, q.q, "WHERE seq > ? ORDER BY seq LIMIT 1000", seq)
}

// FeedHead gives the number of the last change.
func (q Queries) FeedHead(ctx context.Context) (int64, error) {
	i, err := q.Instance(ctx)
	return i.FeedSeq, err
}

// Idempotent finds a write that was applied under the key.
func (q Queries) Idempotent(ctx context.Context, id string) (Idempotent, error) {
	return idempotents.one(ctx, q.q, "WHERE id = ?", id)
}

// PutIdempotent stores one, and forgets those older than keepMS.
func (tx *Tx) PutIdempotent(ctx context.Context, row *Idempotent, keepMS int64) error {
	if _, err := tx.exec(ctx, "DELETE FROM idempotency WHERE at < ?", tx.now-keepMS); err != nil {
		return err
	}
	return idempotents.put(ctx, tx, row)
}

// Digests walks every row that decides something, with the key under which the log knows it.
func (q Queries) Digests(ctx context.Context, yield func(table, key string, digest [32]byte) error) error {
	walks := []func(context.Context, querier, func(string, string, [32]byte) error) error{
		orgs.digests, projects.digests, environments.digests, commits.digests, folders.digests, secretRows.digests,
		personals.digests, persons.digests, identities.digests, clientSecrets.digests, tokens.digests, grants.digests, groups.digests, groupMembers.digests,
		roles.digests, freezes.digests,
		keySlots.digests, keyGenerations.digests, keyTurns.digests, instanceSecrets.digests, backups.digests,
		streams.digests, canaries.digests, archiveSegments.digests,
		alertChannels.digests, alertRules.digests,
		ssoConnections.digests, ssoLinks.digests, scimUsers.digests, scimGroups.digests,
		orgSettings.digests, invites.digests, secondFactors.digests, recoveryCodes.digests, leaverTasks.digests,
		loginMethods.digests, wrappeds.digests, signingOverlaps.digests, authMounts.digests, authRoles.digests,
		tokenRoles.digests, cubbies.digests,
		passkeys.digests,
		projectTags.digests,
		mounts.digests, documentVersions.digests,
		envApprovals.digests, changeSets.digests, changeParts.digests, changeReviews.digests, changeLinks.digests, accessRequests.digests,
		breakGlasses.digests, breakGlassShares.digests, breakGlassOpenings.digests, breakGlassEntries.digests, breakGlassTasks.digests,
		transitKeys.digests, transitVersions.digests,
	}
	for _, walk := range walks {
		if err := walk(ctx, q.q, yield); err != nil {
			return err
		}
	}
	// A replaced state keeps the name that the log knows it by.
	if err := folderHistory.digestsAs(ctx, q.q, "folder", yield); err != nil {
		return err
	}
	return secretHistory.digestsAs(ctx, q.q, "secret", yield)
}

func (db *DB) panicked(r any) {
	slog.Error("a change panicked", "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
}

// Org gives the organisation.
func (q Queries) Org(ctx context.Context, id domain.OrgID) (Org, error) {
	return orgs.one(ctx, q.q, "WHERE id = ?", string(id))
}

// Orgs lists all organisations.
func (q Queries) Orgs(ctx context.Context) ([]Org, error) { return orgs.list(ctx, q.q, "ORDER BY id") }

// PutOrg stores one.
func (tx *Tx) PutOrg(ctx context.Context, row *Org) error { return orgs.put(ctx, tx, row) }

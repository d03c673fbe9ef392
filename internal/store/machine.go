package store

import (
	"context"
	"maps"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
)

// LoginMethod is one way in which a machine may log in. Times are milliseconds.
type LoginMethod struct {
	ID        string            `db:"id,key"`
	Org       domain.OrgID      `db:"org_id"`
	Identity  domain.IdentityID `db:"identity_id"`
	Kind      string            `db:"kind"`
	Name      string            `db:"name"`
	Settings  string            `db:"settings"` // JSON
	Secrets   int64             `db:"secrets"`  // how many lie in instance_secret
	TTL       int64             `db:"ttl_ms"`
	MaxTTL    int64             `db:"max_ttl_ms"` // 0 = tokens cannot be renewed
	Uses      int64             `db:"uses"`       // of one token, 0 = any
	Networks  []string          `db:"networks,json"`
	CreatedAt int64             `db:"created_at"`
	Disabled  bool              `db:"disabled"`
}

// Wrapped is a value that opens once.
type Wrapped struct {
	ID            string       `db:"id,key"`
	Org           domain.OrgID `db:"org_id"`
	Hash          []byte       `db:"hash"`
	What          string       `db:"what"`
	CreatedAt     int64        `db:"created_at"`
	CreatedBy     string       `db:"created_by"`
	CreatedName   string       `db:"created_name"`
	ExpiresAt     int64        `db:"expires_at"`
	OpenedAt      int64        `db:"opened_at"`
	OpenedAddress string       `db:"opened_address"`
	OpenedAgent   string       `db:"opened_agent"`
	ErasedAt      int64        `db:"erased_at"`
	Kind          string       `db:"kind,late"`     // WrappedAnswer; "" = a bare value
	Path          string       `db:"path,late"`     // of the request that was answered
	Accessor      string       `db:"accessor,late"` // of the credential in the answer, "" = none
}

// WrappedAnswer is the kind of a [Wrapped] that holds the answer to a request.
const WrappedAnswer = "answer"

// SigningOverlap is the predecessor of a signing secret, which ends.
type SigningOverlap struct {
	Secret  domain.SecretID   `db:"secret_id,key"`
	Org     domain.OrgID      `db:"org_id"`
	Project domain.ProjectID  `db:"project_id"`
	Env     domain.EnvID      `db:"env_id"`
	Path    domain.Path       `db:"path"`
	Name    domain.SecretName `db:"name"`
	Version int64             `db:"version"`
	BegunAt int64             `db:"begun_at"`
	EndsAt  int64             `db:"ends_at"`
}

var (
	loginMethods    = newTable[LoginMethod]("login_method", true)
	wrappeds        = newTable[Wrapped]("wrapped", true)
	signingOverlaps = newTable[SigningOverlap]("signing_overlap", true)
)

// LoginMethods lists those of an identity.
func (q Queries) LoginMethods(ctx context.Context, id domain.IdentityID) ([]LoginMethod, error) {
	return loginMethods.list(ctx, q.q, "WHERE identity_id = ? ORDER BY id", string(id))
}

// LoginMethod finds one by its name.
func (q Queries) LoginMethod(ctx context.Context, id domain.IdentityID, name string) (LoginMethod, error) {
	return loginMethods.one(ctx, q.q, "WHERE identity_id = ? AND name = ?", string(id), name)
}

// PutLoginMethod stores one.
func (tx *Tx) PutLoginMethod(ctx context.Context, row *LoginMethod) error {
	return loginMethods.put(ctx, tx, row)
}

// RemoveLoginMethod removes one.
func (tx *Tx) RemoveLoginMethod(ctx context.Context, row *LoginMethod) error {
	return loginMethods.remove(ctx, tx, row)
}

// WrappedByHash finds a value by the hash of the token that opens it.
func (q Queries) WrappedByHash(ctx context.Context, hash []byte) (Wrapped, error) {
	return wrappeds.one(ctx, q.q, "WHERE hash = ?", hash)
}

// WrappedEnded lists up to limit values that nobody has opened in time and that are not erased.
func (q Queries) WrappedEnded(ctx context.Context, now, limit int64) ([]Wrapped, error) {
	return wrappeds.list(ctx, q.q, "WHERE opened_at = 0 AND erased_at = 0 AND expires_at <= ? ORDER BY expires_at LIMIT ?", now, limit)
}

// PutWrapped stores one.
func (tx *Tx) PutWrapped(ctx context.Context, row *Wrapped) error { return wrappeds.put(ctx, tx, row) }

// EraseWrapped takes the value of one away, unopened.
func (tx *Tx) EraseWrapped(ctx context.Context, row *Wrapped) error {
	row.ErasedAt = tx.now
	if err := tx.RemoveInstanceSecret(ctx, WrappedSecret(row.ID)); err != nil {
		return err
	}
	return tx.PutWrapped(ctx, row)
}

// eraseWrapped does so with all that nobody has opened.
func (tx *Tx) eraseWrapped(ctx context.Context) (int, error) {
	rows, err := wrappeds.list(ctx, tx, "WHERE opened_at = 0 AND erased_at = 0 ORDER BY id")
	if err != nil {
		return 0, err
	}
	for i := range rows {
		if err := tx.EraseWrapped(ctx, &rows[i]); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// WrappedSecret names the instance secret that holds the value of a [Wrapped].
func WrappedSecret(id string) string { return "wrapped." + id }

// SigningOverlap finds one by the predecessor.
func (q Queries) SigningOverlap(ctx context.Context, id domain.SecretID) (SigningOverlap, error) {
	return signingOverlaps.one(ctx, q.q, "WHERE secret_id = ?", string(id))
}

// SigningOverlaps lists those of an environment.
func (q Queries) SigningOverlaps(ctx context.Context, env domain.EnvID) ([]SigningOverlap, error) {
	return signingOverlaps.list(ctx, q.q, "WHERE env_id = ? ORDER BY ends_at, secret_id", string(env))
}

// SigningOverlapsEnded lists up to limit whose time is over.
func (q Queries) SigningOverlapsEnded(ctx context.Context, now, limit int64) ([]SigningOverlap, error) {
	return signingOverlaps.list(ctx, q.q, "WHERE ends_at <= ? ORDER BY ends_at, secret_id LIMIT ?", now, limit)
}

// PutSigningOverlap stores one.
func (tx *Tx) PutSigningOverlap(ctx context.Context, row *SigningOverlap) error {
	return signingOverlaps.put(ctx, tx, row)
}

// RemoveSigningOverlap removes one.
func (tx *Tx) RemoveSigningOverlap(ctx context.Context, row *SigningOverlap) error {
	return signingOverlaps.remove(ctx, tx, row)
}

// UseToken counts one use of a token and tells whether it had one left. Two servers that ask at once count two.
func (d *Derived) UseToken(ctx context.Context, id domain.TokenID) (bool, error) {
	return d.changed(ctx, "UPDATE token SET used = used + 1, last_used_at = ? WHERE id = ? AND (uses = 0 OR used < uses) AND revoked_at = 0", d.tx.now, string(id))
}

// TouchTokens notes when tokens were last used, unix milliseconds by id; a time never goes back.
func (d *Derived) TouchTokens(ctx context.Context, used map[domain.TokenID]int64) error {
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if _, err := d.changed(ctx, "UPDATE token SET last_used_at = ? WHERE id = ? AND last_used_at < ?", used[id], string(id), used[id]); err != nil {
			return err
		}
	}
	return nil
}

package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// BreakGlass is a credential for emergencies as it was prepared. It is good for one opening.
type BreakGlass struct {
	ID          string           `db:"id,key"`
	Org         domain.OrgID     `db:"org_id"`
	Name        domain.Slug      `db:"name"`
	Role        domain.Role      `db:"role"`
	Project     domain.ProjectID `db:"project_id"`
	Env         domain.EnvID     `db:"env_id"`
	TTL         int64            `db:"ttl_ms"`
	Need        int64            `db:"need"`
	State       string           `db:"state"` // ready, used, replaced
	CreatedAt   int64            `db:"created_at"`
	CreatedID   string           `db:"created_id"`
	CreatedName string           `db:"created_name"`
}

// BreakGlassShare is what one custodian proves himself with; only its hash is kept.
type BreakGlassShare struct {
	ID         string        `db:"id,key"`
	BreakGlass string        `db:"breakglass_id"`
	User       domain.UserID `db:"user_id"`
	UserName   string        `db:"user_name"`
	Hash       []byte        `db:"hash"`
}

// BreakGlassOpening is one opening of a credential, from the first call for shares to its report.
type BreakGlassOpening struct {
	ID         string           `db:"id,key"`
	BreakGlass string           `db:"breakglass_id"`
	Org        domain.OrgID     `db:"org_id"`
	Name       domain.Slug      `db:"name"`
	Project    domain.ProjectID `db:"project_id"`
	Env        domain.EnvID     `db:"env_id"`
	Opener     domain.UserID    `db:"opener_id"`
	OpenerName string           `db:"opener_name"`
	Reason     string           `db:"reason"`
	State      string           `db:"state"` // begun, open, closed, lapsed
	BegunAt    int64            `db:"begun_at"`
	ExpiresAt  int64            `db:"expires_at"`
	OpenedAt   int64            `db:"opened_at"`
	ClosedAt   int64            `db:"closed_at"`
	ClosedBy   string           `db:"closed_by"`
	LogFrom    int64            `db:"log_from"`
	Token      domain.TokenID   `db:"token_id"`
	Settled    bool             `db:"settled"`
	Report     string           `db:"report"`
}

// BreakGlassEntry is a share that a custodian entered.
type BreakGlassEntry struct {
	ID       string        `db:"id,key"`
	Opening  string        `db:"opening_id"`
	User     domain.UserID `db:"user_id"`
	UserName string        `db:"user_name"`
	At       int64         `db:"at"`
}

// BreakGlassTask is a value that was read under a break-glass credential and must be replaced.
type BreakGlassTask struct {
	ID      string            `db:"id,key"`
	Opening string            `db:"opening_id"`
	Org     domain.OrgID      `db:"org_id"`
	Project domain.ProjectID  `db:"project_id"`
	Env     domain.EnvID      `db:"env_id"`
	Path    domain.Path       `db:"path"`
	Name    domain.SecretName `db:"name"`
	Secret  domain.SecretID   `db:"secret_id"`
	ReadAt  int64             `db:"read_at"`
	DueAt   int64             `db:"due_at"`
	DoneAt  int64             `db:"done_at"`
	DoneBy  string            `db:"done_by"`
}

var (
	breakGlasses       = newTable[BreakGlass]("breakglass", true)
	breakGlassShares   = newTable[BreakGlassShare]("breakglass_share", true)
	breakGlassOpenings = newTable[BreakGlassOpening]("breakglass_opening", true)
	breakGlassEntries  = newTable[BreakGlassEntry]("breakglass_entry", true)
	breakGlassTasks    = newTable[BreakGlassTask]("breakglass_task", true)
)

// BreakGlasses lists those of an organisation, newest first.
func (q Queries) BreakGlasses(ctx context.Context, org domain.OrgID) ([]BreakGlass, error) {
	return breakGlasses.list(ctx, q.q, "WHERE org_id = ? ORDER BY id DESC", string(org))
}

// BreakGlassNamed finds the newest preparation of a name.
func (q Queries) BreakGlassNamed(ctx context.Context, org domain.OrgID, name domain.Slug) (BreakGlass, error) {
	return breakGlasses.one(ctx, q.q, "WHERE org_id = ? AND name = ? ORDER BY id DESC LIMIT 1", string(org), string(name))
}

// BreakGlass finds one by id.
func (q Queries) BreakGlass(ctx context.Context, id string) (BreakGlass, error) {
	return breakGlasses.one(ctx, q.q, "WHERE id = ?", id)
}

// PutBreakGlass stores one.
func (tx *Tx) PutBreakGlass(ctx context.Context, row *BreakGlass) error {
	return breakGlasses.put(ctx, tx, row)
}

// BreakGlassShares lists those of a preparation.
func (q Queries) BreakGlassShares(ctx context.Context, id string) ([]BreakGlassShare, error) {
	return breakGlassShares.list(ctx, q.q, "WHERE breakglass_id = ? ORDER BY id", id)
}

// PutBreakGlassShares stores shares.
func (tx *Tx) PutBreakGlassShares(ctx context.Context, rows ...*BreakGlassShare) error {
	return breakGlassShares.put(ctx, tx, rows...)
}

// BreakGlassOpening finds the newest of a preparation.
func (q Queries) BreakGlassOpening(ctx context.Context, breakGlass string) (BreakGlassOpening, error) {
	return breakGlassOpenings.one(ctx, q.q, "WHERE breakglass_id = ? ORDER BY id DESC LIMIT 1", breakGlass)
}

// BreakGlassOpeningByID finds one.
func (q Queries) BreakGlassOpeningByID(ctx context.Context, id string) (BreakGlassOpening, error) {
	return breakGlassOpenings.one(ctx, q.q, "WHERE id = ?", id)
}

// BreakGlassOpeningsOf lists those of a name, newest first.
func (q Queries) BreakGlassOpeningsOf(ctx context.Context, org domain.OrgID, name domain.Slug) ([]BreakGlassOpening, error) {
	return breakGlassOpenings.list(ctx, q.q, "WHERE org_id = ? AND name = ? ORDER BY id DESC", string(org), string(name))
}

// BreakGlassUnsettled lists openings that are not over, or whose report is not final.
func (q Queries) BreakGlassUnsettled(ctx context.Context) ([]BreakGlassOpening, error) {
	return breakGlassOpenings.list(ctx, q.q, "WHERE state IN ('begun', 'open') OR state = 'closed' AND settled = 0 ORDER BY id")
}

// PutBreakGlassOpening stores one.
func (tx *Tx) PutBreakGlassOpening(ctx context.Context, row *BreakGlassOpening) error {
	return breakGlassOpenings.put(ctx, tx, row)
}

// BreakGlassEntries lists the shares that were entered for an opening.
func (q Queries) BreakGlassEntries(ctx context.Context, opening string) ([]BreakGlassEntry, error) {
	return breakGlassEntries.list(ctx, q.q, "WHERE opening_id = ? ORDER BY id", opening)
}

// PutBreakGlassEntry stores one.
func (tx *Tx) PutBreakGlassEntry(ctx context.Context, row *BreakGlassEntry) error {
	return breakGlassEntries.put(ctx, tx, row)
}

// BreakGlassTasks lists those of an opening.
func (q Queries) BreakGlassTasks(ctx context.Context, opening string) ([]BreakGlassTask, error) {
	return breakGlassTasks.list(ctx, q.q, "WHERE opening_id = ? ORDER BY path, name", opening)
}

// BreakGlassTask finds one.
func (q Queries) BreakGlassTask(ctx context.Context, id string) (BreakGlassTask, error) {
	return breakGlassTasks.one(ctx, q.q, "WHERE id = ?", id)
}

// OpenBreakGlassTasks lists those of an organisation that are not done, oldest first.
func (q Queries) OpenBreakGlassTasks(ctx context.Context, org domain.OrgID) ([]BreakGlassTask, error) {
	return breakGlassTasks.list(ctx, q.q, "WHERE org_id = ? AND done_at = 0 ORDER BY id", string(org))
}

// PutBreakGlassTasks stores tasks.
func (tx *Tx) PutBreakGlassTasks(ctx context.Context, rows ...*BreakGlassTask) error {
	return breakGlassTasks.put(ctx, tx, rows...)
}

// LogSize is how many entries the log has inside this transaction, without those of its own batch.
func (tx *Tx) LogSize() int64 { return tx.w.inst.LogSize }

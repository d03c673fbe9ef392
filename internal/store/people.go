package store

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
)

// OrgSetting is one thing that an organisation has decided. A name without a row has its default.
type OrgSetting struct {
	Org   domain.OrgID `db:"org_id,key"`
	Name  string       `db:"name,key"`
	Value string       `db:"value"`
	At    int64        `db:"at"`
}

// The purposes of links that work once.
const (
	LinkInvite   = "invite"   // makes an account
	LinkPassword = "password" // sets a new password
	LinkAddress  = "address"  // proves that mail reaches an address
)

// Invite is a link that works once; only the hash of what is in it is kept.
type Invite struct {
	ID        string           `db:"id,key"`
	Org       domain.OrgID     `db:"org_id"`
	Purpose   string           `db:"purpose"`
	Hash      []byte           `db:"hash"`
	Email     domain.Email     `db:"email"`
	Name      domain.Label     `db:"name"`
	User      domain.UserID    `db:"user_id"` // "" of an invitation until it is accepted
	Grants    []domain.Grant   `db:"grants,json"`
	Groups    []domain.GroupID `db:"groups,json"`
	InvitedBy string           `db:"invited_by"`
	Mailed    bool             `db:"mailed"`
	CreatedAt int64            `db:"created_at"`
	ExpiresAt int64            `db:"expires_at"`
	UsedAt    int64            `db:"used_at"`    // 0 = never
	RevokedAt int64            `db:"revoked_at"` // 0 = never
}

// SecondFactor is what a person shows beside the password. The seed of a time-based one is an instance secret.
type SecondFactor struct {
	ID          string        `db:"id,key"`
	Org         domain.OrgID  `db:"org_id"`
	User        domain.UserID `db:"user_id"`
	Kind        string        `db:"kind"`
	Name        domain.Label  `db:"name"`
	CreatedAt   int64         `db:"created_at"`
	ConfirmedAt int64         `db:"confirmed_at"` // 0 = not yet in force
	LastStep    int64         `db:"last_step,volatile"`
}

// RecoveryCode stands in once for a second factor that is lost; only its hash is kept.
type RecoveryCode struct {
	ID        string        `db:"id,key"`
	Org       domain.OrgID  `db:"org_id"`
	User      domain.UserID `db:"user_id"`
	Hash      []byte        `db:"hash"`
	CreatedAt int64         `db:"created_at"`
	UsedAt    int64         `db:"used_at"` // 0 = never
}

// LeaverTask is one secret that a leaver had read, to be rotated by its owner.
type LeaverTask struct {
	ID        string           `db:"id,key"`
	Org       domain.OrgID     `db:"org_id"`
	User      domain.UserID    `db:"user_id"`
	Secret    domain.SecretID  `db:"secret_id"`
	Project   domain.ProjectID `db:"project_id"`
	Env       domain.EnvID     `db:"env_id"`
	Version   int64            `db:"version"` // the newest that he has read
	ReadAt    int64            `db:"read_at"` // when last
	Owner     string           `db:"owner"`
	CreatedAt int64            `db:"created_at"`
	ClosedAt  int64            `db:"closed_at"` // 0 = open
	Outcome   string           `db:"outcome"`   // rotated, gone or dismissed
	Reason    string           `db:"reason"`
	ClosedBy  string           `db:"closed_by"` // "" when it closed by itself
}

var (
	orgSettings   = newTable[OrgSetting]("org_setting", true)
	invites       = newTable[Invite]("invite", true)
	secondFactors = newTable[SecondFactor]("second_factor", true)
	recoveryCodes = newTable[RecoveryCode]("recovery_code", true)
	leaverTasks   = newTable[LeaverTask]("leaver_task", true)
)

// OrgSettings lists what an organisation has decided.
func (q Queries) OrgSettings(ctx context.Context, org domain.OrgID) ([]OrgSetting, error) {
	return orgSettings.list(ctx, q.q, "WHERE org_id = ? ORDER BY name", string(org))
}

// PutOrgSettings stores decisions.
func (tx *Tx) PutOrgSettings(ctx context.Context, rows ...*OrgSetting) error {
	return orgSettings.put(ctx, tx, rows...)
}

// Invites lists the links of an organisation for one purpose, newest first.
func (q Queries) Invites(ctx context.Context, org domain.OrgID, purpose string) ([]Invite, error) {
	return invites.list(ctx, q.q, "WHERE org_id = ? AND purpose = ? ORDER BY id DESC", string(org), purpose)
}

// InvitesOf lists the links that are about one person.
func (q Queries) InvitesOf(ctx context.Context, user domain.UserID) ([]Invite, error) {
	return invites.list(ctx, q.q, "WHERE user_id = ? ORDER BY id", string(user))
}

// Invite finds one by id.
func (q Queries) Invite(ctx context.Context, id string) (Invite, error) {
	return invites.one(ctx, q.q, "WHERE id = ?", id)
}

// InviteByHash finds one by its hash.
func (q Queries) InviteByHash(ctx context.Context, hash []byte) (Invite, error) {
	return invites.one(ctx, q.q, "WHERE hash = ?", hash)
}

// PutInvite stores one.
func (tx *Tx) PutInvite(ctx context.Context, row *Invite) error { return invites.put(ctx, tx, row) }

// SecondFactors lists those of a person, oldest first, also those that are not confirmed.
func (q Queries) SecondFactors(ctx context.Context, user domain.UserID) ([]SecondFactor, error) {
	return secondFactors.list(ctx, q.q, "WHERE user_id = ? ORDER BY id", string(user))
}

// PutSecondFactor stores one.
func (tx *Tx) PutSecondFactor(ctx context.Context, row *SecondFactor) error {
	return secondFactors.put(ctx, tx, row)
}

// RemoveSecondFactor removes one.
func (tx *Tx) RemoveSecondFactor(ctx context.Context, row *SecondFactor) error {
	return secondFactors.remove(ctx, tx, row)
}

// RecoveryCodes lists those of a person, also those that were used.
func (q Queries) RecoveryCodes(ctx context.Context, user domain.UserID) ([]RecoveryCode, error) {
	return recoveryCodes.list(ctx, q.q, "WHERE user_id = ? ORDER BY id", string(user))
}

// PutRecoveryCodes stores some.
func (tx *Tx) PutRecoveryCodes(ctx context.Context, rows ...*RecoveryCode) error {
	return recoveryCodes.put(ctx, tx, rows...)
}

// RemoveRecoveryCode removes one.
func (tx *Tx) RemoveRecoveryCode(ctx context.Context, row *RecoveryCode) error {
	return recoveryCodes.remove(ctx, tx, row)
}

// LeaverTasks lists those of an organisation, or those about one leaver, newest first; closed ones too if asked.
func (q Queries) LeaverTasks(ctx context.Context, org domain.OrgID, user domain.UserID, closed bool) ([]LeaverTask, error) {
	where, args := "WHERE org_id = ?", []any{string(org)}
	if user != "" {
		where, args = where+" AND user_id = ?", append(args, string(user))
	}
	if !closed {
		where += " AND closed_at = 0"
	}
	return leaverTasks.list(ctx, q.q, where+" ORDER BY id DESC", args...)
}

// LeaverTask finds one by id.
func (q Queries) LeaverTask(ctx context.Context, id string) (LeaverTask, error) {
	return leaverTasks.one(ctx, q.q, "WHERE id = ?", id)
}

// PutLeaverTasks stores some.
func (tx *Tx) PutLeaverTasks(ctx context.Context, rows ...*LeaverTask) error {
	return leaverTasks.put(ctx, tx, rows...)
}

package access

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// FactorTOTP is the kind of factors that show time-based codes.
const FactorTOTP = "totp"

// maxFactors bounds those of one person: a phone, a spare, and some that were never confirmed.
const maxFactors = 10

// How often somebody who knows the password may guess at a code: NIST SP 800-63B-4 section 3.2.2 allows a hundred failures in
// a row; with three codes good at a time this is one chance in a thousand per month and server. They count by account, whatever
// the address: only who knows the password gets here, so it keeps no one out by a stranger's hand, and recovery codes work on.
const (
	codeBurst  = 10
	codeRefill = 10 * time.Minute
)

// FactorStatus is how a person stands with second factors.
type FactorStatus struct {
	Factors      []store.SecondFactor
	RecoveryLeft int
	Required     bool
	// EnrolBy is from when nothing goes without one, unix milliseconds, zero for never.
	EnrolBy int64
}

// own lets a person do something with his own account.
func (s *Service) own(ctx context.Context, action policy.Action, facts map[string]string, work func(tx *store.Tx, p guard.Permit, me store.Person) error) error {
	who := guard.CallerOf(ctx).Principal
	if who.Kind == domain.Identity {
		return s.door.Miss(ctx, guard.Op{Action: action, Resource: policy.Resource{Org: who.Org}}, fault.New(fault.Denied, "this is for people, and you are a machine"))
	}
	return s.door.Do(ctx, guard.Op{Action: action, Resource: policy.Resource{Org: who.Org}, Detail: facts}, func(tx *store.Tx, p guard.Permit) error {
		me, err := tx.Person(ctx, domain.UserID(p.Principal().ID))
		if err != nil {
			return err
		}
		if err := work(tx, p, me); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

// Factors tells how the caller stands with second factors.
func (s *Service) Factors(ctx context.Context) (FactorStatus, error) {
	who := guard.CallerOf(ctx).Principal
	var out FactorStatus
	err := s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "second factors"}}, func(p guard.Permit) (err error) {
		set, err := settingsOf(ctx, s.db.Queries, p.Org())
		if err != nil {
			return err
		}
		out.Required, out.EnrolBy = set.MFARequired, who.EnrolBy
		if out.Factors, err = s.db.SecondFactors(ctx, domain.UserID(who.ID)); err == nil {
			out.RecoveryLeft, err = recoveryLeft(ctx, s.db.Queries, domain.UserID(who.ID))
		}
		return err
	})
	return out, err
}

// EnrolTOTP makes a time-based factor, which is in force when a code of it was shown to [Service.ConfirmFactor]. Seed and
// address are given this once.
func (s *Service) EnrolTOTP(ctx context.Context, name string) (row store.SecondFactor, seed sensitive.Value, address string, err error) {
	if name == "" {
		name = "authenticator"
	}
	label, err := domain.ParseLabel(name)
	if err != nil {
		return row, seed, "", err
	}
	err = s.own(ctx, policy.SelfManage, map[string]string{"second_factor": "enrol"}, func(tx *store.Tx, p guard.Permit, me store.Person) error {
		all, err := tx.SecondFactors(ctx, me.ID)
		if err != nil {
			return err
		}
		for _, f := range all { // one that was begun and left behind gives way
			if f.ConfirmedAt == 0 && f.Kind == FactorTOTP {
				if err := removeFactor(ctx, tx, &f); err != nil {
					return err
				}
			}
		}
		if len(all) >= maxFactors {
			return fault.New(fault.Exhausted, "there are %d second factors already", maxFactors).WithHint("remove one first: keyturn mfa disable")
		}
		org, err := tx.Org(ctx, me.Org)
		if err != nil {
			return err
		}
		if seed, address, err = newSeed("Keyturn "+string(org.Name), string(me.Email)); err != nil {
			return err
		}
		row = store.SecondFactor{ID: domain.NewID[string](), Org: me.Org, User: me.ID, Kind: FactorTOTP, Name: label, CreatedAt: tx.Now()}
		if err := s.keep(ctx, tx, seedID(row.ID), seed); err != nil {
			return err
		}
		return tx.PutSecondFactor(ctx, &row)
	})
	return row, seed, address, err
}

// seedID is the id of the instance secret that holds the seed of a factor.
func seedID(factor string) string { return "factor." + factor }

func removeFactor(ctx context.Context, tx *store.Tx, row *store.SecondFactor) error {
	if err := tx.RemoveInstanceSecret(ctx, seedID(row.ID)); err != nil {
		return err
	}
	return tx.RemoveSecondFactor(ctx, row)
}

// ConfirmFactor puts a factor in force by a code of it. With the first one the recovery codes are given, this once.
func (s *Service) ConfirmFactor(ctx context.Context, id, code string) ([]sensitive.Value, error) {
	who := guard.CallerOf(ctx).Principal
	if err := s.codes.take(who.ID); err != nil {
		return nil, s.fail(ctx, guard.Op{Action: policy.SelfManage, Resource: policy.Resource{Org: who.Org}}, err)
	}
	var out []sensitive.Value
	err := s.own(ctx, policy.SelfManage, map[string]string{"second_factor": "confirm"}, func(tx *store.Tx, p guard.Permit, me store.Person) error {
		all, err := tx.SecondFactors(ctx, me.ID)
		if err != nil {
			return err
		}
		first := true
		var row *store.SecondFactor
		for i, f := range all {
			first = first && f.ConfirmedAt == 0
			if f.ID == id {
				row = &all[i]
			}
		}
		if row == nil || row.ConfirmedAt != 0 {
			return fault.New(fault.NotFound, "no such second factor waits to be confirmed").WithHint("keyturn mfa enroll")
		}
		seed, err := s.kept(ctx, tx.Queries, seedID(row.ID))
		if err != nil {
			return err
		}
		defer seed.Wipe()
		step := totpStep(seed, code, row.LastStep, time.Now())
		if step == 0 {
			return fault.New(fault.Invalid, "the code is not right").WithHint("is the clock of the phone right? Wait for the next code").WithField("/code", "wrong")
		}
		row.ConfirmedAt, row.LastStep = tx.Now(), step
		if err := tx.PutSecondFactor(ctx, row); err != nil {
			return err
		}
		if first {
			if out, err = s.renewRecovery(ctx, tx, me.ID, me.Org); err != nil {
				return err
			}
		}
		return s.proved(ctx, tx, p, true)
	})
	if err == nil {
		s.codes.giveBack(who.ID)
	}
	return out, err
}

// proved moves on when the session that asks was proved.
func (s *Service) proved(ctx context.Context, tx *store.Tx, p guard.Permit, factor bool) error {
	token, err := tx.Token(ctx, p.Principal().Token)
	if err != nil {
		return err
	}
	if factor {
		token.MFAAt = tx.Now()
	} else {
		token.AuthAt = tx.Now()
	}
	return tx.PutToken(ctx, &token)
}

// RemoveFactor takes one of the caller's own factors out of force. The last one takes the recovery codes with it; where the
// organisation asks for a factor it stays until there is another one.
func (s *Service) RemoveFactor(ctx context.Context, id string) error {
	return s.own(ctx, policy.SelfManage, map[string]string{"second_factor": "remove"}, func(tx *store.Tx, p guard.Permit, me store.Person) error {
		all, err := tx.SecondFactors(ctx, me.ID)
		if err != nil {
			return err
		}
		var row *store.SecondFactor
		others := 0
		for i, f := range all {
			if f.ID == id {
				row = &all[i]
			} else if f.ConfirmedAt != 0 {
				others++
			}
		}
		if row == nil {
			return guard.Missing()
		}
		if row.ConfirmedAt != 0 && others == 0 {
			set, err := settingsOf(ctx, tx.Queries, me.Org)
			if err != nil {
				return err
			}
			passkey, err := hasPasskey(ctx, tx.Queries, me.ID)
			if err != nil {
				return err
			}
			if set.MFARequired && !passkey {
				return lastFactor()
			}
			if err := dropRecovery(ctx, tx, me.ID); err != nil {
				return err
			}
		}
		return removeFactor(ctx, tx, row)
	})
}

// RenewRecoveryCodes gives the caller fresh recovery codes, this once; the old ones are good for nothing from then on.
func (s *Service) RenewRecoveryCodes(ctx context.Context) ([]sensitive.Value, error) {
	var out []sensitive.Value
	err := s.own(ctx, policy.SelfManage, map[string]string{"recovery_codes": "renew"}, func(tx *store.Tx, p guard.Permit, me store.Person) (err error) {
		if !p.Principal().Factor {
			return fault.New(fault.NotFound, "there is no second factor that the codes could stand in for").WithHint("keyturn mfa enroll")
		}
		out, err = s.renewRecovery(ctx, tx, me.ID, me.Org)
		return err
	})
	return out, err
}

// ResetFactors takes all factors of somebody out of force who has lost them and the recovery codes too; all that he was logged
// in with ends.
func (s *Service) ResetFactors(ctx context.Context, id domain.UserID) error {
	return s.manage(ctx, map[string]string{"user": domain.RecordedName(string(id)), "second_factor": "reset"}, func(tx *store.Tx, p guard.Permit) error {
		row, err := s.ofOrg(ctx, tx, p, id)
		if err != nil {
			return err
		}
		if err := s.mayActOn(ctx, tx, p, row); err != nil {
			return err
		}
		if err := dropFactors(ctx, tx, id); err != nil {
			return err
		}
		return s.endSessions(ctx, tx, id, "", true)
	})
}

func dropFactors(ctx context.Context, tx *store.Tx, id domain.UserID) error {
	all, err := tx.SecondFactors(ctx, id)
	if err != nil {
		return err
	}
	for _, f := range all {
		if err := removeFactor(ctx, tx, &f); err != nil {
			return err
		}
	}
	if err := dropPasskeys(ctx, tx, id); err != nil {
		return err
	}
	return dropRecovery(ctx, tx, id)
}

// hasFactor tells whether somebody has a factor in force.
func hasFactor(ctx context.Context, q store.Queries, user domain.UserID) (bool, error) {
	all, err := q.SecondFactors(ctx, user)
	for _, f := range all {
		if f.ConfirmedAt != 0 {
			return true, err
		}
	}
	return false, err
}

// shown is a code that was found right; spend marks it as used, in the transaction of what it is for.
type shown struct {
	factor   store.SecondFactor
	step     int64
	recovery *store.RecoveryCode
}

func badCode() *fault.Error {
	return fault.New(fault.Unauthenticated, "the code is not right, or it was used already").
		WithHint("wait for the next code, or take a recovery code").WithReason(fault.ReasonSecondFactor)
}

// checkCode looks at a code of a person, time-based or for recovery. It is asked of nobody whose first factor is not proved.
func (s *Service) checkCode(ctx context.Context, user domain.UserID, code string) (shown, error) {
	recovery, err := findRecovery(ctx, s.db.Queries, user, code)
	if err != nil {
		return shown{}, err
	}
	if recovery != nil {
		return shown{recovery: recovery}, nil
	}
	if err := s.codes.take(string(user)); err != nil {
		return shown{}, err
	}
	all, err := s.db.SecondFactors(ctx, user)
	if err != nil {
		return shown{}, err
	}
	for _, f := range all {
		if f.ConfirmedAt == 0 || f.Kind != FactorTOTP {
			continue
		}
		seed, err := s.kept(ctx, s.db.Queries, seedID(f.ID))
		if err != nil {
			return shown{}, err
		}
		step := totpStep(seed, code, f.LastStep, time.Now())
		seed.Wipe()
		if step != 0 {
			s.codes.giveBack(string(user))
			return shown{factor: f, step: step}, nil
		}
	}
	return shown{}, badCode()
}

// spend marks a code as used. One that was used meanwhile, by a login at the same moment or on another server, is refused.
func (c shown) spend(ctx context.Context, tx *store.Tx, p guard.Permit) error {
	if c.recovery != nil {
		row, err := findRecoveryRow(ctx, tx, c.recovery)
		if err != nil {
			return err
		}
		row.UsedAt = tx.Now()
		left, err := recoveryLeft(ctx, tx.Queries, row.User)
		if err != nil {
			return err
		}
		p.Note("recovery_codes_left", strconv.Itoa(left-1))
		return tx.PutRecoveryCodes(ctx, &row)
	}
	all, err := tx.SecondFactors(ctx, c.factor.User)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.ID == c.factor.ID && f.ConfirmedAt != 0 && f.LastStep < c.step {
			f.LastStep = c.step
			return tx.PutSecondFactor(ctx, &f)
		}
	}
	return badCode()
}

func findRecoveryRow(ctx context.Context, tx *store.Tx, want *store.RecoveryCode) (store.RecoveryCode, error) {
	rows, err := tx.RecoveryCodes(ctx, want.User)
	if err != nil {
		return store.RecoveryCode{}, err
	}
	for _, row := range rows {
		if row.ID == want.ID && row.UsedAt == 0 {
			return row, nil
		}
	}
	return store.RecoveryCode{}, badCode()
}

// wantsCode tells of an error whether a client should ask for a code.
func wantsCode(err error) bool {
	f, ok := errors.AsType[*fault.Error](err)
	return ok && f.Reason == fault.ReasonSecondFactor
}

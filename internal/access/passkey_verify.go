package access

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// BeginVerify gives the caller a challenge for his own passkeys, to confirm that he is still there.
func (k *Passkeys) BeginVerify(ctx context.Context) (string, error) {
	h, token, err := k.own(ctx, policy.SessionVerify, "verify", false)
	if err != nil {
		return "", err
	}
	if len(h.keys) == 0 {
		op := guard.Op{Action: policy.SessionVerify, Resource: policy.Resource{Org: h.person.Org}}
		return "", k.door.Fail(ctx, op, fault.New(fault.Conflict, "you have no passkey yet").WithHint("log in again instead"))
	}
	assertion, session, err := k.rp.BeginLogin(h)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "no challenge could be made")
	}
	return k.open(ctx, policy.SessionVerify, ceremonyVerify, token.ID, assertion.Response, session)
}

// Verify makes the caller's session fresh, with both factors, when one of his own passkeys signed a challenge of
// [Passkeys.BeginVerify].
func (k *Passkeys) Verify(ctx context.Context, answer string) error {
	h, token, err := k.own(ctx, policy.SessionVerify, "verify", false)
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.SessionVerify, Resource: policy.Resource{Org: h.person.Org}, Detail: map[string]string{"method": "passkey"}}
	parsed, err := parseAssertion(answer)
	if err != nil {
		return k.door.Fail(ctx, op, err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	session, err := k.begun(ctx, ceremonyVerify, token.ID, challenge)
	if err != nil {
		return k.door.Fail(ctx, op, err)
	}
	used, err := k.rp.ValidateLogin(h, session, parsed)
	if err != nil {
		return k.door.Fail(ctx, op, unproved(err))
	}
	i := slices.IndexFunc(h.keys, func(p Passkey) bool { return bytes.Equal(p.Credential, used.ID) })
	if i < 0 {
		return k.door.Fail(ctx, op, unproved(nil))
	}
	if err := k.cloned(ctx, &h.keys[i], used); err != nil {
		return k.door.Fail(ctx, op, err)
	}
	return k.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
		if err := answered(ctx, tx, challenge, &h.keys[i], used); err != nil {
			return err
		}
		row, err := tx.Token(ctx, token.ID)
		if err != nil {
			return err
		}
		if row.RevokedAt != 0 || row.ExpiresAt <= time.Now().UnixMilli() {
			return unknown()
		}
		row.AuthAt, row.MFAAt = tx.Now(), tx.Now()
		if err := tx.PutToken(ctx, &row); err != nil {
			return err
		}
		return k.changed(ctx, tx)
	})
}

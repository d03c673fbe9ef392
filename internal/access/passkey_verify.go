package access

import (
	"bytes"
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// BeginVerify gives the caller a challenge for his own passkeys, to confirm that he is still there.
func (k *Passkeys) BeginVerify(ctx context.Context) (string, error) {
	h, err := k.holder(ctx, policy.SelfProve)
	if err != nil {
		return "", err
	}
	if len(h.keys) == 0 {
		return "", k.door.Fail(ctx, h.op(policy.SelfProve, "none"), fault.New(fault.Conflict, "you have no passkey yet").WithHint("log in again instead"))
	}
	assertion, session, err := k.rp.BeginLogin(h)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "no challenge could be made")
	}
	return k.open(ctx, policy.SelfProve, ceremonyVerify, guard.CallerOf(ctx).Principal.Token, assertion.Response, session)
}

// Verify makes the caller's session fresh, with both factors, when one of his own passkeys signed a challenge of
// [Passkeys.BeginVerify].
func (k *Passkeys) Verify(ctx context.Context, answer string) error {
	h, err := k.holder(ctx, policy.SelfProve)
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.SelfProve, Resource: policy.Resource{Org: h.person.Org}, Detail: map[string]string{"by": "passkey"}}
	parsed, err := parseAssertion(answer)
	if err != nil {
		return k.door.Fail(ctx, op, err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	session, err := k.begun(ctx, ceremonyVerify, guard.CallerOf(ctx).Principal.Token, challenge)
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
	if err := k.cloned(ctx, policy.SelfProve, &h.keys[i], used); err != nil {
		return k.door.Fail(ctx, op, err)
	}
	return k.own(ctx, policy.SelfProve, op.Detail, func(tx *store.Tx, p guard.Permit, _ store.Person) error {
		if err := answered(ctx, tx, challenge, &h.keys[i], used); err != nil {
			return err
		}
		if err := k.proved(ctx, tx, p, false); err != nil {
			return err
		}
		return k.proved(ctx, tx, p, true)
	})
}

package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

func challengeHash(challenge string) string {
	sum := sha256.Sum256([]byte("keyturn passkey challenge v1\x00" + challenge))
	return hex.EncodeToString(sum[:])
}

// parseAssertion reads the answer to a login or a verification. What the library says about a broken one may quote it.
func parseAssertion(answer string) (*protocol.ParsedCredentialAssertionData, error) {
	if len(answer) > maxAnswer {
		return nil, badAnswer()
	}
	out, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return nil, badAnswer()
	}
	return out, nil
}

// BeginLogin gives a challenge to anybody: PublicKeyCredentialRequestOptionsJSON. It names no account, so nobody learns who
// has one; the authenticator tells whose it is.
func (k *Passkeys) BeginLogin(ctx context.Context) (string, error) {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	if err := k.ready(); err != nil {
		return "", err
	}
	if !k.asked.spend(challengesPer(guard.CallerOf(ctx).Address)) {
		f := fault.New(fault.Exhausted, "too many logins were begun from here and not ended").WithHint("wait, then try again")
		f.RetryAfter = refillEvery
		return "", k.fail(ctx, guard.Op{Action: policy.PasskeyChallenge}, f)
	}
	assertion, session, err := k.rp.BeginDiscoverableLogin()
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "no challenge could be made")
	}
	return k.open(ctx, policy.PasskeyChallenge, ceremonyLogin, "", assertion.Response, session)
}

// Login logs in whoever holds the passkey that signed a challenge of [Passkeys.BeginLogin]; answer is the browser's
// AuthenticationResponseJSON. The session has both factors.
func (k *Passkeys) Login(ctx context.Context, answer string) (Session, error) {
	if err := k.ready(); err != nil {
		return Session{}, err
	}
	parsed, unread := parseAssertion(answer)
	account := "passkey"
	if unread == nil { // failures count for the one passkey, so that it locks nobody else out
		id := sha256.Sum256(parsed.RawID)
		account += " " + hex.EncodeToString(id[:8])
	}
	out, err := k.login(ctx, account, func() (Proof, error) {
		if unread != nil {
			return Proof{}, unread
		}
		challenge := parsed.Response.CollectedClientData.Challenge
		session, err := k.begun(ctx, ceremonyLogin, "", challenge)
		if err != nil {
			return Proof{}, err
		}
		var h holder
		var unasked error // the database could not be asked: no verdict on the passkey
		find := func(id, handle []byte) (webauthn.User, error) {
			row, err := k.db.PasskeyByCredential(ctx, id)
			if err == nil && string(row.User) != string(handle) {
				err = fault.New(fault.NotFound, "the passkey belongs to somebody else")
			}
			if err == nil {
				h.keys = []store.Passkey{row}
				h.person, err = k.db.Person(ctx, row.User)
			}
			if err != nil && fault.KindOf(err) != fault.NotFound {
				unasked = err
			}
			return h, err
		}
		_, used, err := k.rp.ValidatePasskeyLogin(find, session, parsed)
		switch {
		case unasked != nil:
			return Proof{}, unasked
		case err != nil:
			return Proof{}, unproved(err)
		case h.person.Disabled:
			return Proof{}, badLogin()
		}
		if err := k.cloned(ctx, policy.PasskeyChallenge, &h.keys[0], used); err != nil {
			return Proof{}, err
		}
		set, err := settingsOf(ctx, k.db.Queries, h.person.Org)
		return Proof{Kind: domain.User, ID: string(h.person.ID), Name: string(h.person.Email), Method: "passkey", TTL: set.SessionMax, Idle: set.Idle, MFA: true,
			then: func(ctx context.Context, tx *store.Tx, _ guard.Permit) error {
				return answered(ctx, tx, challenge, &h.keys[0], used)
			}}, err
	})
	if err == nil {
		k.asked.restore(challengesPer(guard.CallerOf(ctx).Address))
	}
	return out, err
}

// answered spends the challenge and counts the use, in the transaction that the answer leads to.
func answered(ctx context.Context, tx *store.Tx, challenge string, row *store.Passkey, used *webauthn.Credential) error {
	if err := spend(ctx, tx, challenge); err != nil {
		return err
	}
	row.SignCount, row.LastUsedAt = int64(used.Authenticator.SignCount), tx.Now()
	return tx.TouchPasskey(ctx, row)
}

// cloned refuses a passkey whose count went back: perhaps two devices hold its key (Web Authentication, section 6.1.1). The
// owner sees the warning in his account.
func (k *Passkeys) cloned(ctx context.Context, action policy.Action, row *store.Passkey, used *webauthn.Credential) error {
	if !used.Authenticator.CloneWarning {
		return nil
	}
	op := guard.Op{Action: action, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"passkey": row.ID, "warning": "its count went back"}}
	err := k.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
		row.ClonedAt = tx.Now()
		return tx.TouchPasskey(ctx, row)
	})
	if err != nil {
		return err
	}
	return fault.New(fault.Unauthenticated, "the passkey counts fewer uses than were seen: it may have been copied").
		WithHint("log in another way, remove this passkey and add a new one")
}

package access

import (
	"context"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// parseAttestation reads the answer to a registration.
func parseAttestation(answer string) (*protocol.ParsedCredentialCreationData, error) {
	if len(answer) > maxAnswer {
		return nil, badAnswer()
	}
	out, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return nil, badAnswer()
	}
	return out, nil
}

// BeginRegister gives the caller a challenge for a new passkey: PublicKeyCredentialCreationOptionsJSON.
func (k *Passkeys) BeginRegister(ctx context.Context) (string, error) {
	h, err := k.holder(ctx, policy.SelfManage)
	if err != nil {
		return "", err
	}
	creation, session, err := k.rp.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "no challenge could be made")
	}
	return k.open(ctx, policy.SelfManage, ceremonyRegister, guard.CallerOf(ctx).Principal.Token, creation.Response, session)
}

// Register adds the passkey that signed a challenge of [Passkeys.BeginRegister] in the same session; answer is the browser's
// RegistrationResponseJSON.
func (k *Passkeys) Register(ctx context.Context, name, answer string) (Passkey, error) {
	h, err := k.holder(ctx, policy.SelfManage)
	if err != nil {
		return Passkey{}, err
	}
	op := h.op(policy.SelfManage, "register")
	label, err := passkeyName(name)
	if err != nil {
		return Passkey{}, k.door.Fail(ctx, op, err)
	}
	parsed, err := parseAttestation(answer)
	if err != nil {
		return Passkey{}, k.door.Fail(ctx, op, err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	session, err := k.begun(ctx, ceremonyRegister, guard.CallerOf(ctx).Principal.Token, challenge)
	if err != nil {
		return Passkey{}, k.door.Fail(ctx, op, err)
	}
	made, err := k.rp.CreateCredential(h, session, parsed)
	if err != nil {
		return Passkey{}, k.door.Fail(ctx, op, unproved(err))
	}
	row := Passkey{ID: domain.NewID[string](), Org: h.person.Org, User: h.person.ID, Credential: made.ID, PublicKey: made.PublicKey,
		Model: model(made.Authenticator.AAGUID), BackupEligible: made.Flags.BackupEligible, Name: label, SignCount: int64(made.Authenticator.SignCount), Transports: []string{}}
	for _, t := range made.Transport {
		row.Transports = append(row.Transports, string(t))
	}
	op.Detail["name"] = string(label)
	return row, k.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
		if err := spend(ctx, tx, challenge); err != nil {
			return err
		}
		held, err := tx.Passkeys(ctx, h.person.ID)
		if err != nil {
			return err
		}
		if len(held) >= maxPasskeys {
			return fault.New(fault.Exhausted, "you have %d passkeys, which is the most", maxPasskeys).WithHint("remove one that you do not use")
		}
		if _, err := tx.PasskeyByCredential(ctx, row.Credential); err == nil {
			return fault.New(fault.Exists, "this passkey is known here already")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		row.CreatedAt = tx.Now()
		if err := tx.PutPasskey(ctx, &row); err != nil {
			return err
		}
		return k.changed(ctx, tx)
	})
}

func model(aaguid []byte) string {
	id, err := uuid.FromBytes(aaguid)
	if err != nil {
		return uuid.Nil.String()
	}
	return id.String()
}

// change runs work on one of the caller's own passkeys.
func (k *Passkeys) change(ctx context.Context, id, fact string, work func(tx *store.Tx, all []Passkey, row *Passkey) error) error {
	if err := k.ready(); err != nil {
		return err
	}
	return k.own(ctx, policy.SelfManage, map[string]string{"passkey": domain.RecordedName(id), "change": fact}, func(tx *store.Tx, _ guard.Permit, me store.Person) error {
		all, err := tx.Passkeys(ctx, me.ID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p Passkey) bool { return p.ID == id })
		if i < 0 {
			return guard.Missing()
		}
		return work(tx, all, &all[i])
	})
}

// Rename gives one of the caller's own another name.
func (k *Passkeys) Rename(ctx context.Context, id, name string) error {
	label, err := passkeyName(name)
	if err != nil {
		return err
	}
	return k.change(ctx, id, "rename", func(tx *store.Tx, _ []Passkey, row *Passkey) error {
		row.Name = label
		return tx.PutPasskey(ctx, row)
	})
}

// Remove forgets one of the caller's own: it logs nobody in from now on. The last one stays where the organisation asks for a
// second factor and there is no other.
func (k *Passkeys) Remove(ctx context.Context, id string) error {
	return k.change(ctx, id, "remove", func(tx *store.Tx, all []Passkey, row *Passkey) error {
		if len(all) == 1 {
			set, err := settingsOf(ctx, tx.Queries, row.Org)
			if err != nil {
				return err
			}
			other, err := hasFactor(ctx, tx.Queries, row.User)
			if err != nil {
				return err
			}
			if set.MFARequired && !other {
				return lastFactor()
			}
		}
		return tx.RemovePasskey(ctx, row)
	})
}

func lastFactor() *fault.Error {
	return fault.New(fault.Conflict, "the organisation asks for a second factor, and this is your last").WithHint("enrol another one first: keyturn mfa enroll")
}

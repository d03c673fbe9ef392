package access

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// challengeTTL is how long a person may take to find his key and to type its PIN.
	challengeTTL = 5 * time.Minute
	// maxPasskeys bounds those of one person; more are not devices any more.
	maxPasskeys = 20
	// maxAnswer bounds what a browser sends back: some hundred bytes, a few KiB with the certificates of an authenticator.
	maxAnswer = 32 << 10
)

// The ceremonies that a challenge is good for.
const (
	ceremonyLogin    = "login"
	ceremonyRegister = "register"
	ceremonyVerify   = "verify"
)

// Passkeys registers WebAuthn credentials and logs people in with them (W3C Web Authentication Level 3). Every ceremony
// asks the authenticator to verify its user, so a passkey counts as both factors.
type Passkeys struct {
	*Service
	rp *webauthn.WebAuthn // nil: off
	// asked bounds how many challenges one address gets: each is a row until it ends.
	asked *attempts
}

// Passkey is what is known of one.
type Passkey = store.Passkey

// NewPasskeys builds the service for the address that people open in their browsers, such as https://keyturn.example.com.
// Browsers bind passkeys to a host name; with an empty address or a bare IP address passkeys are off.
func NewPasskeys(s *Service, address string) (*Passkeys, error) {
	out := &Passkeys{Service: s, asked: newAttempts()}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the public address is no URL")
	}
	host := u.Hostname()
	if host == "" || net.ParseIP(host) != nil {
		return out, nil
	}
	limit := webauthn.TimeoutConfig{Enforce: true, Timeout: challengeTTL, TimeoutUVD: challengeTTL}
	out.rp, err = webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "Keyturn", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired},
		Timeouts: webauthn.TimeoutsConfig{Login: limit, Registration: limit},
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the public address is not one that passkeys can be bound to")
	}
	return out, nil
}

// Origin is the one that browsers must show, "" when passkeys are off.
func (k *Passkeys) Origin() string {
	if k.rp == nil {
		return ""
	}
	return k.rp.Config.RPOrigins[0]
}

func (k *Passkeys) ready() error {
	if k.rp == nil {
		return fault.New(fault.Unsupported, "passkeys are off: the server does not know the host name that people open").
			WithHint("set KEYTURN_PUBLIC_URL to the address in the browser, https://keyturn.example.com")
	}
	return nil
}

// holder is a person as the library sees him.
type holder struct {
	person store.Person
	keys   []store.Passkey
}

// WebAuthnID implements [webauthn.User] by the id of the person, which tells nothing about him.
func (h holder) WebAuthnID() []byte { return []byte(h.person.ID) }

// WebAuthnName implements [webauthn.User].
func (h holder) WebAuthnName() string { return string(h.person.Email) }

// WebAuthnDisplayName implements [webauthn.User].
func (h holder) WebAuthnDisplayName() string { return string(h.person.Name) }

// WebAuthnCredentials implements [webauthn.User].
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, 0, len(h.keys))
	for i := range h.keys {
		row := &h.keys[i]
		c := webauthn.Credential{ID: row.Credential, PublicKey: row.PublicKey}
		c.Flags.BackupEligible, c.Flags.UserVerified = row.BackupEligible, true
		c.Authenticator.SignCount = uint32(row.SignCount)
		if id, err := uuid.Parse(row.Model); err == nil {
			c.Authenticator.AAGUID = id[:]
		}
		for _, t := range row.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		out = append(out, c)
	}
	return out
}

// open keeps a challenge and gives what the browser needs, as JSON.
func (k *Passkeys) open(ctx context.Context, action policy.Action, ceremony string, token domain.TokenID, options any, session *webauthn.SessionData) (string, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the challenge could not be written")
	}
	kept, err := json.Marshal(session)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the challenge could not be kept")
	}
	op := guard.Op{Action: action, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"challenge": ceremony}}
	err = k.door.Do(ctx, op, func(tx *store.Tx, _ guard.Permit) error {
		return tx.PutChallenge(ctx, &store.Challenge{Hash: challengeHash(session.Challenge), Ceremony: ceremony, Token: token, Session: string(kept),
			ExpiresAt: tx.Now() + challengeTTL.Milliseconds()})
	})
	return string(text), err
}

// begun finds the beginning of a ceremony by the challenge that its answer signs.
func (k *Passkeys) begun(ctx context.Context, ceremony string, token domain.TokenID, challenge string) (webauthn.SessionData, error) {
	var out webauthn.SessionData
	row, err := k.db.Challenge(ctx, challengeHash(challenge), time.Now().UnixMilli())
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return out, err
	}
	if err != nil || row.Ceremony != ceremony || row.Token != token {
		return out, spent()
	}
	if err := json.Unmarshal([]byte(row.Session), &out); err != nil {
		return out, fault.Wrap(fault.Internal, err, "a stored challenge is damaged")
	}
	return out, nil
}

// spend uses the challenge up inside the transaction that its answer leads to.
func spend(ctx context.Context, tx *store.Tx, challenge string) error {
	err := tx.SpendChallenge(ctx, challengeHash(challenge))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return spent()
	}
	return err
}

func spent() *fault.Error {
	return fault.New(fault.Unauthenticated, "the challenge was answered before, has expired or was made for something else").
		WithHint("begin again; each challenge is good for one answer within %v", challengeTTL)
}

func badAnswer() *fault.Error {
	return fault.New(fault.Invalid, "this is not the answer of a browser to a challenge").
		WithField("/credential", "want the JSON of a PublicKeyCredential, as its method toJSON gives it, up to %d bytes", maxAnswer)
}

// unproved is a passkey that did not prove what it should. The library says why; only the log has it.
func unproved(cause error) *fault.Error {
	return fault.Wrap(fault.Unauthenticated, cause, "the passkey is not right: unknown here, for another address, or without a check of its user").
		WithHint("use a passkey that was added to your account on this server, and unlock it by PIN or finger")
}

// holder gives the caller with his passkeys, and refuses machines and tokens that were made for programs, with a record: what
// changes how a person logs in is for the person alone.
func (k *Passkeys) holder(ctx context.Context, action policy.Action) (holder, error) {
	who := guard.CallerOf(ctx).Principal
	if err := k.ready(); err != nil {
		return holder{}, err
	}
	if who.Kind != domain.User || !who.Session {
		return holder{}, k.own(ctx, action, nil, func(*store.Tx, guard.Permit, store.Person) error { return guard.Missing() })
	}
	var h holder
	var err error
	if h.person, err = k.db.Person(ctx, domain.UserID(who.ID)); err == nil {
		h.keys, err = k.db.Passkeys(ctx, h.person.ID)
	}
	return h, err
}

// op is something that the holder does with his passkeys.
func (h holder) op(action policy.Action, fact string) guard.Op {
	return guard.Op{Action: action, Resource: policy.Resource{Org: h.person.Org}, Detail: map[string]string{"passkey": fact}}
}

// List gives the caller's own.
func (k *Passkeys) List(ctx context.Context) ([]Passkey, error) {
	who := guard.CallerOf(ctx).Principal
	var out []Passkey
	err := k.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "passkeys"}}, func(guard.Permit) (err error) {
		out, err = k.db.Passkeys(ctx, domain.UserID(who.ID))
		return err
	})
	return out, err
}

// hasPasskey tells whether somebody has one: it is a second factor too, since it is both.
func hasPasskey(ctx context.Context, q store.Queries, user domain.UserID) (bool, error) {
	all, err := q.Passkeys(ctx, user)
	return len(all) > 0, err
}

// dropPasskeys forgets those of somebody who has lost them or has left.
func dropPasskeys(ctx context.Context, tx *store.Tx, user domain.UserID) error {
	all, err := tx.Passkeys(ctx, user)
	if err != nil {
		return err
	}
	for i := range all {
		if err := tx.RemovePasskey(ctx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// challengesPer bounds how many challenges one network may have open: each is a row until it ends.
func challengesPer(address string) []bucket {
	narrow, wide := network(address)
	out := []bucket{{narrow, addressBurst, refillEvery}}
	if wide != "" {
		out = append(out, bucket{wide, wideAddressBurst, refillEvery / 4})
	}
	return out
}

// passkeyName makes a name for a passkey that was given none.
func passkeyName(name string) (domain.Label, error) {
	if strings.TrimSpace(name) == "" {
		name = "passkey"
	}
	return domain.ParseLabel(name)
}

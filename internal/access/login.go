package access

import (
	"context"
	"errors"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Session is what a login gives.
type Session struct {
	Token sensitive.Value
	Row   store.Token
	Name  string
}

func badLogin() *fault.Error {
	return fault.New(fault.Unauthenticated, "the login is not right: wrong name or secret, or the account is disabled")
}

// Proof is what a login method found out: who it is, and how long and from where the token may be used that the login gives.
type Proof struct {
	Kind   domain.PrincipalKind // User or Identity
	ID     string
	Name   string
	Method string        // "password", "client-secret", or the name of the method
	TTL    time.Duration // of the token
	MaxTTL time.Duration // no renewal reaches further; zero allows none
	Idle   time.Duration // the token ends when it was not used for so long; zero for no such limit
	Uses   int64         // how often the token may be used, zero for any number
	// Networks are where the token may come from, CIDR; nil for anywhere.
	Networks   []string
	Attributes map[string]string // what was proved about the holder, for conditions of policy
	MFA        bool              // a second factor was shown, here or to the identity provider

	// What only Vault clients ask for.
	Period      time.Duration     // what each renewal gives, 0: not periodic
	ExplicitMax time.Duration     // shown beside MaxTTL, which is what counts
	Batch       bool              // no accessor, no renewal
	Policies    []domain.Role     // the only roles that count, by id or built-in name, and domain.DefaultPolicy; nil for all
	Display     string            // such as "approle" or "userpass-ann"
	Path        string            // such as "auth/approle/login"
	Meta        map[string]string // noted and shown; decides nothing

	// then is done in the transaction that makes the token: a code is marked as used, a hash is made anew.
	then func(context.Context, *store.Tx, guard.Permit) error
}

// login runs a check and, when it says who it is, makes a token. Failures are counted and recorded. The account is what the
// tries are counted for: in its one canonical form.
func (s *Service) login(ctx context.Context, account string, check func() (Proof, error)) (Session, error) {
	ctx = guard.WithCaller(ctx, anonymous(guard.CallerOf(ctx)))
	c := guard.CallerOf(ctx)
	op := guard.Op{Action: policy.SessionLogin, Detail: map[string]string{"account": account}}
	if err := s.attempts.take(c.Address, account); err != nil {
		return Session{}, s.fail(ctx, op, err)
	}
	s.crowd.slow(ctx, c.Address, account)
	proof, err := check()
	if err != nil {
		// A right password without a code is no guess; a wrong code is one.
		if fault.KindOf(err) != fault.Unauthenticated || errors.Is(err, errNoCode) {
			s.attempts.giveBack(c.Address, account)
		}
		if wantsCode(err) { // whoever reads the log sees that the password is known
			op.Detail["second_factor"] = map[bool]string{true: "missing", false: "wrong"}[errors.Is(err, errNoCode)]
		}
		return Session{}, s.door.Fail(ctx, op, err)
	}
	s.attempts.giveBack(c.Address, account)
	s.crowd.succeeded(c.Address, account)
	op.Detail["method"] = proof.Method
	var out Session
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if proof.then != nil {
			if err := proof.then(ctx, tx, p); err != nil {
				return err
			}
		}
		out, err = s.session(ctx, tx, p, proof)
		return err
	})
	return out, err
}

// session makes the token of a login inside its transaction.
func (s *Service) session(ctx context.Context, tx *store.Tx, p guard.Permit, proof Proof) (Session, error) {
	c := guard.CallerOf(ctx)
	row := store.Token{Kind: domain.SessionToken, Name: "login", PrincipalKind: proof.Kind, PrincipalID: proof.ID, ExpiresAt: tx.Now() + proof.TTL.Milliseconds(),
		Method: proof.Method, AuthAt: tx.Now(), Idle: proof.Idle.Milliseconds(), Uses: proof.Uses, Networks: proof.Networks, Attributes: proof.Attributes,
		Address: c.Address, Agent: c.Agent, Period: proof.Period.Milliseconds(), ExplicitMax: proof.ExplicitMax.Milliseconds(),
		Batch: proof.Batch, Policies: proof.Policies, Display: proof.Display, Path: proof.Path, Meta: proof.Meta}
	if proof.MFA {
		row.MFAAt = tx.Now()
	}
	if proof.MaxTTL > 0 && !proof.Batch {
		row.RenewUntil = tx.Now() + proof.MaxTTL.Milliseconds()
	}
	if Renewable(row) { // of others it can be told from their end
		row.TTL = proof.TTL.Milliseconds()
	}
	disabled := false
	if proof.Kind == domain.Identity {
		row.Kind = domain.AccessToken
		i, err := tx.Identity(ctx, domain.IdentityID(proof.ID))
		if err != nil {
			return Session{}, err
		}
		row.Org, disabled = i.Org, i.Disabled
	} else {
		u, err := tx.Person(ctx, domain.UserID(proof.ID))
		if err != nil {
			return Session{}, err
		}
		row.Org, disabled = u.Org, u.Disabled
	}
	if disabled {
		return Session{}, badLogin()
	}
	if err := ssoOnly(ctx, tx.Queries, row); err != nil {
		return Session{}, err
	}
	row, value, err := putToken(ctx, tx, row)
	p.As(&domain.Principal{Kind: proof.Kind, ID: proof.ID, Name: proof.Name, Org: row.Org, Token: row.ID})
	return Session{Token: value, Row: row, Name: proof.Name}, err
}

// LoginInput is what a person proves himself with. Code is of a second factor or a recovery code; it may be empty.
type LoginInput struct {
	Email    string
	Password sensitive.Value
	Code     string
}

// errNoCode says that the password was right and a code is wanted.
var errNoCode = errors.New("no code")

func codeWanted() *fault.Error {
	return fault.Wrap(fault.Unauthenticated, errNoCode, "a code of the second factor is needed too").
		WithHint("log in again with the code that your authenticator shows, or with a recovery code").WithReason(fault.ReasonSecondFactor)
}

// Login checks a person's password and, where he has one, his second factor. Whoever does not know the password is not told
// that there is one: the fault whose reason is [fault.ReasonSecondFactor] follows a right password only.
func (s *Service) Login(ctx context.Context, in LoginInput) (Session, error) {
	return s.loginPerson(ctx, in, func(store.Person, *Proof) error { return nil })
}

// loginPerson is [Service.Login]; finish adds to what was proved once the password is right.
func (s *Service) loginPerson(ctx context.Context, in LoginInput, finish func(store.Person, *Proof) error) (Session, error) {
	email, err := domain.ParseEmail(in.Email)
	if err != nil {
		return Session{}, err
	}
	return s.login(ctx, string(email), func() (Proof, error) {
		row, err := s.db.PersonByEmail(ctx, email)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return Proof{}, err
		}
		ok, err := s.checkPassword(ctx, row.Password, in.Password)
		if err == nil && (!ok || row.Disabled) {
			err = badLogin()
		}
		if err != nil {
			return Proof{}, err
		}
		set, err := settingsOf(ctx, s.db.Queries, row.Org)
		if err != nil {
			return Proof{}, err
		}
		proof := Proof{Kind: domain.User, ID: string(row.ID), Name: string(row.Email), Method: "password", TTL: set.SessionMax, Idle: set.Idle}
		if err := finish(row, &proof); err != nil {
			return Proof{}, err
		}
		code, err := s.secondFactor(ctx, row.ID, in.Code)
		if err != nil {
			return Proof{}, err
		}
		fresh, err := s.strengthened(ctx, row.Password, in.Password)
		if err != nil {
			return Proof{}, err
		}
		proof.MFA = code != nil
		proof.then = func(ctx context.Context, tx *store.Tx, p guard.Permit) error {
			if code != nil {
				if err := code.spend(ctx, tx, p); err != nil {
					return err
				}
			}
			return renewHash(ctx, tx, row, fresh)
		}
		return proof, nil
	})
}

// secondFactor checks the code of somebody whose first factor is proved. Nil means that he has no second one.
func (s *Service) secondFactor(ctx context.Context, user domain.UserID, code string) (*shown, error) {
	has, err := hasFactor(ctx, s.db.Queries, user)
	if err != nil || !has {
		return nil, err
	}
	if code == "" {
		return nil, codeWanted()
	}
	found, err := s.checkCode(ctx, user, code)
	return &found, err
}

// LoginIdentity checks a machine's client secret.
func (s *Service) LoginIdentity(ctx context.Context, clientID string, secret sensitive.Value) (Session, error) {
	id, err := domain.ParseID[domain.IdentityID](clientID)
	if err != nil {
		return Session{}, fault.New(fault.Invalid, "the client id is not an id").WithField("/client_id", "want the UUID that \"identity create\" printed")
	}
	return s.login(ctx, string(id), func() (Proof, error) {
		proof, _, err := s.proveSecret(ctx, id, secret)
		return proof, err
	})
}

// proveSecret checks a machine's client secret, and gives what is known of it.
func (s *Service) proveSecret(ctx context.Context, id domain.IdentityID, secret sensitive.Value) (Proof, store.ClientSecret, error) {
	hash := secretHash(id, secret)
	row, err := s.db.ClientSecretByHash(ctx, hash[:])
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = badLogin()
		}
		return Proof{}, row, err
	}
	if !usable(row, id, time.Now().UnixMilli()) {
		return Proof{}, row, badLogin()
	}
	i, err := s.db.Identity(ctx, id)
	if err == nil && i.Disabled {
		err = badLogin()
	}
	if err == nil {
		err = s.secretReachable(ctx, i, row)
	}
	if err != nil {
		return Proof{}, row, err
	}
	proof := Proof{Kind: domain.Identity, ID: string(id), Name: string(i.Name), Method: methodClientSecret, TTL: time.Duration(i.TokenTTL) * time.Millisecond,
		MaxTTL: time.Duration(i.MaxTTL) * time.Millisecond, Uses: i.TokenUses, Networks: i.Networks}
	if proof.Networks, err = narrower(row.TokenNetworks, i.Networks); err != nil { // those of the machine may have been narrowed since
		return Proof{}, row, badLogin()
	}
	proof.then = func(ctx context.Context, tx *store.Tx, p guard.Permit) error {
		// Looked at again inside the transaction, so that a secret for one login gives one, however many ask at once.
		row, err := tx.ClientSecretByHash(ctx, hash[:])
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return badLogin()
		}
		if err != nil {
			return err
		}
		if !usable(row, id, tx.Now()) {
			return badLogin()
		}
		row.Used++
		row.LastUsedAt = tx.Now()
		p.Note("client_secret", row.ID)
		return tx.PutClientSecret(ctx, &row)
	}
	return proof, row, nil
}

// usable tells whether a client secret may log its machine in.
func usable(row store.ClientSecret, id domain.IdentityID, now int64) bool {
	return row.Identity == id && row.RevokedAt == 0 && (row.ExpiresAt == 0 || now < row.ExpiresAt) && (row.Uses == 0 || row.Used < row.Uses)
}

// Logout ends the token that was shown.
func (s *Service) Logout(ctx context.Context) error {
	who := guard.CallerOf(ctx).Principal
	return s.door.Do(ctx, guard.Op{Action: policy.SessionEnd, Resource: policy.Resource{Org: who.Org}}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Token(ctx, who.Token)
		if err != nil {
			return err
		}
		if _, err := tx.EndToken(ctx, &row); err != nil {
			return err
		}
		return s.changed(ctx, tx)
	})
}

// WhoAmI records the question and gives the caller.
func (s *Service) WhoAmI(ctx context.Context) (*domain.Principal, error) {
	who := guard.CallerOf(ctx).Principal
	err := s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}}, func(guard.Permit) error { return nil })
	return who, err
}

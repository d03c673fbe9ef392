package infisical

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func (s *Surface) userRoutes() []route {
	return []route{
		{"POST /v3/auth/login", withoutToken, s.userLogin},
		{"POST /v3/auth/login1", withoutToken, noSRP},
		{"POST /v3/auth/login2", withoutToken, noSRP},
		{"POST /v3/auth/select-organization", withoutToken, s.selectOrganization},
		{"POST /v2/auth/mfa/verify", withoutToken, s.verifyFactor},
		{"POST /v1/auth/checkAuth", withToken, s.checkAuth},
		{"POST /v1/auth/logout", withToken, s.logout},
	}
}

// The login of a person has steps, and between them the client holds a token that is good for the next step alone: a sealed note
// of this process in the form of a JWT, which no other route takes for a token.

// codeFault is what goes wrong with a code; clients read its word.
type codeFault struct {
	cause *fault.Error
	code  string
	left  int // tries
}

// Error implements error.
func (c codeFault) Error() string { return c.cause.Error() }

// Unwrap gives the fault.
func (c codeFault) Unwrap() error { return c.cause }

func (c codeFault) context() any { return object{"code": c.code, "triesLeft": c.left} }

// between makes the token for the next step.
func (s *Surface) between(b httpkit.Begun) (string, error) {
	note, err := s.pending.Seal(b)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the login could not go on")
	}
	now := time.Now()
	text, err := json.Marshal(claims{Expires: now.Add(httpkit.PendingFor).Unix(), Issued: now.Unix(), Type: "accessToken", Method: "email"}, json.Deterministic(true))
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the login could not go on")
	}
	b64 := base64.RawURLEncoding
	return b64.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64.EncodeToString(text) + "." + note, nil
}

// begun finds what is known of the login whose next step the client takes; false when it shows something else than such a token.
func (s *Surface) begun(c *call) (httpkit.Begun, bool, error) {
	shown, err := httpkit.Bearer(c.http)
	if err != nil {
		return httpkit.Begun{}, false, err
	}
	parts := strings.Split(shown, ".")
	if len(parts) != 3 {
		return httpkit.Begun{}, false, nil
	}
	b, ours, good := s.pending.Open(parts[2])
	if ours && !good {
		return b, true, codeFault{fault.New(fault.Unauthenticated, "that took too long").WithHint("begin with the password again"), "mfa_expired", 0}
	}
	return b, ours, nil
}

// userLogin takes the password. Whether a code is wanted is told at the next step, as clients expect it.
func (s *Surface) userLogin(ctx context.Context, c *call) (*answer, error) {
	email, err := c.must("email")
	if err != nil {
		return nil, err
	}
	password, err := c.must("password")
	if err != nil {
		return nil, err
	}
	b := httpkit.Begun{Email: email}
	in := access.LoginInput{Email: email, Password: sensitive.FromString(password)}
	session, err := s.Access.Login(ctx, in)
	switch {
	case err == nil:
		b.Session = session.Token
	case fault.As(err).Reason == fault.ReasonSecondFactor:
		b.Password = in.Password
	default:
		return nil, err
	}
	token, err := s.between(b)
	if err != nil {
		return nil, err
	}
	return with(object{"accessToken": token}), nil
}

// noSRP refuses the older way, which the client tries after every failure of the newer one.
func noSRP(context.Context, *call) (*answer, error) {
	return nil, fault.New(fault.Unsupported, "this way to log in is not served").WithHint("log in with email and password")
}

// selectOrganization gives the token for all else, or asks for a code first.
func (s *Surface) selectOrganization(ctx context.Context, c *call) (*answer, error) {
	wanted, err := c.must("organizationId")
	if err != nil {
		return nil, err
	}
	b, ours, err := s.begun(c)
	if err != nil {
		return nil, err
	}
	if !ours {
		return s.sameOrganization(ctx, c, wanted)
	}
	if b.Session.Empty() { // the password was right, and a code is wanted
		org, _, err := s.Access.Between(ctx, b.Email)
		if err != nil {
			return nil, err
		}
		if wanted != string(org.ID) {
			return nil, notYours()
		}
		token, err := s.between(b)
		if err != nil {
			return nil, err
		}
		return with(object{"token": token, "isMfaEnabled": true, "mfaMethod": "totp"}), nil
	}
	who, err := s.Access.Authenticate(ctx, string(b.Session.Reveal()), guard.CallerOf(ctx).Address)
	if err != nil {
		return nil, s.Access.Refused(ctx, err)
	}
	return chosen(who, b.Session, wanted)
}

// sameOrganization lets somebody choose again who has chosen before.
func (s *Surface) sameOrganization(ctx context.Context, c *call, wanted string) (*answer, error) {
	caller := guard.CallerOf(ctx)
	if err := s.identify(ctx, c.http, caller); err != nil {
		return nil, err
	}
	if !caller.Principal.Session {
		return nil, fault.New(fault.Denied, "this is for the login of a person")
	}
	shown, err := httpkit.Bearer(c.http)
	if err != nil {
		return nil, err
	}
	return chosen(caller.Principal, sensitive.FromString(shown), wanted)
}

func notYours() *fault.Error {
	return fault.New(fault.Denied, "you are no member of this organisation, or there is none such")
}

func chosen(who *domain.Principal, session sensitive.Value, wanted string) (*answer, error) {
	if wanted != string(who.Org) {
		return nil, notYours()
	}
	row := access.Token{PrincipalKind: who.Kind, PrincipalID: who.ID, Org: who.Org, Method: who.Method, CreatedAt: who.AuthAt, ExpiresAt: who.ExpiresAt}
	token, err := dress(session, who.Name, row, true)
	if err != nil {
		return nil, err
	}
	return with(object{"token": string(token.Reveal()), "isMfaEnabled": false}), nil
}

// verifyFactor takes the code and gives the token that a client chooses its organisation with.
func (s *Surface) verifyFactor(ctx context.Context, c *call) (*answer, error) {
	code, err := c.must("mfaToken")
	if err != nil {
		return nil, err
	}
	method, err := c.text("mfaMethod")
	if err == nil && method != "" && method != "totp" {
		err = fault.New(fault.Unsupported, "the second factor is an authenticator, or a recovery code").WithHint("send mfaMethod totp")
	}
	if err != nil {
		return nil, err
	}
	b, ours, err := s.begun(c)
	if err == nil && (!ours || b.Password.Empty()) {
		err = s.Access.Refused(ctx, fault.New(fault.Unauthenticated, "no login waits for a code here").WithHint("begin with the password"))
	}
	if err != nil {
		return nil, err
	}
	session, err := s.Access.Login(ctx, access.LoginInput{Email: b.Email, Password: b.Password, Code: code})
	if f := fault.As(err); err != nil && f.Reason == fault.ReasonSecondFactor {
		_, left, problem := s.Access.Between(ctx, b.Email)
		if problem != nil {
			return nil, problem
		}
		return nil, codeFault{f, "mfa_invalid", left}
	}
	if err != nil {
		return nil, err
	}
	token, err := s.between(httpkit.Begun{Email: b.Email, Session: session.Token})
	if err != nil {
		return nil, err
	}
	return with(object{"token": token}), nil
}

// checkAuth tells whether the token of a person is good.
func (s *Surface) checkAuth(ctx context.Context, _ *call) (*answer, error) {
	who, err := s.Access.WhoAmI(ctx)
	if err == nil && who.Kind != domain.User {
		err = fault.New(fault.Denied, "this is for the tokens of people")
	}
	if err != nil {
		return nil, err
	}
	return with(object{"message": "Authenticated"}), nil
}

func (s *Surface) logout(ctx context.Context, _ *call) (*answer, error) {
	if err := s.Access.Logout(ctx); err != nil {
		return nil, err
	}
	return with(object{"message": "Successfully logged out"}), nil
}

// DressSession gives the session of a person the form in which clients of the dialect hold it, for a page that hands one over.
func DressSession(session access.Session) (sensitive.Value, error) {
	return dress(session.Token, session.Name, session.Row, true)
}

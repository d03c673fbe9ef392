package login

import (
	"context"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// MinSharedSecret is the shortest shared secret of HS256 that is taken, bytes: as long as the digest (RFC 7518 section 3.2).
const MinSharedSecret = 32

// SharedJWT is a method for JWTs that are signed with HMAC-SHA256 under a secret which both sides know, as Supabase's legacy
// keys. There may be two secrets, so that one follows the other without an outage; more would only help who guesses.
type SharedJWT struct {
	Rules
}

func (s *SharedJWT) needs() (least, most int) { return 1, 2 }

func (s *SharedJWT) open(a Around) (Verifier, error) {
	for _, secret := range a.Secrets {
		if secret.Len() < MinSharedSecret {
			return nil, fault.New(fault.Invalid, "the shared secret is shorter than %d bytes", MinSharedSecret).WithField("/secrets", "too short")
		}
	}
	if n := len(a.Secrets); n < 1 || n > 2 {
		return nil, fault.New(fault.Internal, "the shared secret is missing")
	}
	return &sharedJWT{s.Rules, a.Secrets}, nil
}

type sharedJWT struct {
	rules   Rules
	secrets []sensitive.Value
}

var onlyHS256 = []jose.SignatureAlgorithm{jose.HS256}

// Verify implements [Verifier].
func (s *sharedJWT) Verify(_ context.Context, c Credential) (Evidence, error) {
	t, err := parse(c.Token, onlyHS256)
	if err != nil {
		return Evidence{}, err
	}
	good := false
	for _, secret := range s.secrets { // both, always: which of them fits is nobody's business
		if t.signedBy(secret.Reveal(), onlyHS256) {
			good = true
		}
	}
	if !good {
		return Evidence{}, rejected("its signature is not right")
	}
	return s.rules.accept(t.claims, time.Now())
}

package guard

import (
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
)

// What the log says of those who were held up although their roles allow it.
const (
	heldEnrol   = "a second factor must be enrolled first"
	heldSession = "needs the person's own session"
	heldProof   = "the session was proved too long ago"
)

// held tells what keeps a credential from an action that its roles allow: how it was proved, and when. It is asked after the
// policy, so that nobody learns by it of what he may not know.
func held(p *domain.Principal, action policy.Action, nowMS int64) string {
	switch {
	case p.Kind != domain.User:
		if policy.NeedsSession(action) && p.Kind != domain.System {
			return heldSession
		}
		return ""
	case p.EnrolBy != 0 && nowMS >= p.EnrolBy && (!p.Session || !policy.Enrolling(action)):
		return heldEnrol
	case policy.NeedsSession(action) && !p.Session:
		return heldSession
	case p.Session && p.Fresh > 0 && policy.NeedsFresh(action) && nowMS-p.Proven() > p.Fresh:
		return heldProof
	}
	return ""
}

// heldFault is what the caller is told.
func heldFault(p *domain.Principal, reason string) error {
	switch reason {
	case heldEnrol:
		if !p.Session {
			return fault.New(fault.Denied, "the owner of this token must enrol a second factor first").WithHint("log in as the owner, then: keyturn mfa enroll").WithReason(fault.ReasonEnrol)
		}
		return fault.New(fault.Denied, "the organisation asks for a second factor, and you have none yet").WithHint("keyturn mfa enroll").WithReason(fault.ReasonEnrol)
	case heldSession:
		return fault.New(fault.Denied, "only a person's own login may do this, no token").WithHint("keyturn login")
	}
	window := time.Duration(p.Fresh) * time.Millisecond
	return fault.New(fault.Unauthenticated, "this needs a proof of who you are that is not older than %v", window).
		WithHint("keyturn login --again, then the same once more").WithReason(fault.ReasonReprove)
}

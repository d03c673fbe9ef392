package guard

import (
	"errors"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/policy"
)

func TestWhatHoldsACredentialUp(t *testing.T) {
	const now, window = int64(1_800_000_000_000), int64(15 * time.Minute / time.Millisecond)
	session := func(change func(*domain.Principal)) *domain.Principal {
		p := &domain.Principal{Kind: domain.User, Session: true, Fresh: window, AuthAt: now - window - 1}
		change(p)
		return p
	}
	for name, tt := range map[string]struct {
		p      *domain.Principal
		action policy.Action
		want   string
	}{
		"an old session reads":                    {session(func(*domain.Principal) {}), policy.SecretRead, ""},
		"an old session turns keys":               {session(func(*domain.Principal) {}), policy.KeysManage, heldProof},
		"a fresh one turns keys":                  {session(func(p *domain.Principal) { p.AuthAt = now - window }), policy.KeysManage, ""},
		"one of before this was known":            {session(func(p *domain.Principal) { p.AuthAt = 0 }), policy.AccessManage, heldProof},
		"a password is no second factor":          {session(func(p *domain.Principal) { p.AuthAt, p.Factor = now, true }), policy.AccessManage, heldProof},
		"a second factor is":                      {session(func(p *domain.Principal) { p.MFAAt, p.Factor = now, true }), policy.AccessManage, ""},
		"and an old one is not":                   {session(func(p *domain.Principal) { p.AuthAt, p.MFAAt, p.Factor = now, now-window-1, true }), policy.AccessManage, heldProof},
		"a provider's second factor":              {session(func(p *domain.Principal) { p.MFAAt = now }), policy.AccessManage, ""},
		"tokens have scopes instead":              {session(func(p *domain.Principal) { p.Session = false }), policy.KeysManage, ""},
		"a token does not change its owner":       {session(func(p *domain.Principal) { p.Session, p.AuthAt = false, now }), policy.SelfManage, heldSession},
		"a machine has no password":               {&domain.Principal{Kind: domain.Identity}, policy.SelfManage, heldSession},
		"a machine turns keys":                    {&domain.Principal{Kind: domain.Identity}, policy.KeysManage, ""},
		"the server itself":                       {&domain.Principal{Kind: domain.System}, policy.KeysManage, ""},
		"who owes a factor later":                 {session(func(p *domain.Principal) { p.EnrolBy = now + 1 }), policy.SecretRead, ""},
		"who owes a factor":                       {session(func(p *domain.Principal) { p.EnrolBy = now }), policy.SecretRead, heldEnrol},
		"may look":                                {session(func(p *domain.Principal) { p.EnrolBy = now }), policy.SelfRead, ""},
		"may enrol":                               {session(func(p *domain.Principal) { p.EnrolBy, p.AuthAt = now, now }), policy.SelfManage, ""},
		"by a session that was proved":            {session(func(p *domain.Principal) { p.EnrolBy = now }), policy.SelfManage, heldProof},
		"not by a token":                          {session(func(p *domain.Principal) { p.EnrolBy, p.Session = now, false }), policy.SelfRead, heldEnrol},
		"no window means at any time":             {session(func(p *domain.Principal) { p.Fresh = 0 }), policy.KeysManage, ""},
		"a stolen session may not prove by token": {session(func(p *domain.Principal) { p.Session = false }), policy.SelfProve, heldSession},
	} {
		if got := held(tt.p, tt.action, now); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestClientsCanTellWhatToDo(t *testing.T) {
	p := &domain.Principal{Kind: domain.User, Session: true, Fresh: 60_000}
	for held, want := range map[string]struct {
		kind   fault.Kind
		reason string
	}{heldEnrol: {fault.Denied, fault.ReasonEnrol}, heldSession: {fault.Denied, ""}, heldProof: {fault.Unauthenticated, fault.ReasonReprove}} {
		err := heldFault(p, held)
		if f := fault.As(err); !errors.Is(err, want.kind) || f.Reason != want.reason || f.Hint == "" {
			t.Errorf("%s: %+v", held, f)
		}
	}
}

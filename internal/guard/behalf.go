package guard

import (
	"maps"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/policy"
)

// OnBehalf gives a permit that decides for somebody else, such as the author of a change that another one approves. What is
// recorded stays the record of whoever was let in.
func (p Permit) OnBehalf(who *domain.Principal) Permit {
	if !p.Valid() || who == nil {
		return Permit{}
	}
	c := *p.caller
	c.Principal = who
	return Permit{p.door, &c, p.entry, p.op, p.facts}
}

// breakGlass tells how the act of a break-glass session is recorded: with its opening, and a read as one that nobody overlooks.
func breakGlass(who *domain.Principal, op *Op) (policy.Action, map[string]string) {
	if who.Method != domain.BreakGlassMethod {
		return op.Action, op.Detail
	}
	detail := maps.Clone(op.Detail)
	if detail == nil {
		detail = map[string]string{}
	}
	detail[domain.BreakGlassAttribute] = who.Attributes[domain.BreakGlassAttribute]
	if op.Action != policy.SecretRead {
		return op.Action, detail
	}
	detail["did"] = string(op.Action)
	return policy.BreakRead, detail
}

package guard

import "github.com/keyturn/keyturn/internal/domain"

// OnBehalf gives a permit that decides for somebody else, such as the author of a change that another one approves. What is
// recorded stays the record of whoever was let in.
func (p Permit) OnBehalf(who *domain.Principal) Permit {
	if !p.Valid() || who == nil {
		return Permit{}
	}
	c := *p.caller
	c.Principal = who
	return Permit{&c, p.entry, p.op}
}

package policy

import (
	"net/netip"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
)

// Facts are what a decision may depend on beside principal, action and resource. What is not known lets no allow hold and no
// deny fall.
type Facts struct {
	At      int64  // unix milliseconds; zero when the moment is not known
	Address string // of the client
}

// moment is the facts of one question. The address is parsed when the first rule asks for it.
type moment struct {
	Facts
	addr   netip.Addr
	parsed bool
}

// clause is a condition in the form that is quick to ask. Attributes are settled when it is made: they belong to the token.
type clause struct {
	never    bool // the attributes do not fit
	networks []netip.Prefix
	times    []span
	mfa      int64 // milliseconds, zero for none
	nets     bool  // networks are asked for, perhaps none of them valid
}

// span is a window: the days on which it begins, as bits of [time.Weekday], and minutes of the day.
type span struct {
	days     uint8
	from, to int
}

// minutesOfDay is where a window ends that has no end of its own.
const minutesOfDay = 24 * 60

var weekdays = map[string]time.Weekday{"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday,
	"thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday}

// clauseOf compiles a condition for a principal; nil for none. A part that does not parse can never hold.
func clauseOf(w *domain.When, p *domain.Principal) *clause {
	if w == nil {
		return nil
	}
	c := &clause{}
	for name, want := range w.Attribute {
		have, ok := p.Attributes[name]
		c.never = c.never || !ok || !fits(want, have)
	}
	for _, n := range w.Networks {
		c.nets = true
		if prefix, err := netip.ParsePrefix(n); err == nil {
			c.networks = append(c.networks, prefix.Masked())
		}
	}
	for _, window := range w.Times {
		s, err := spanOf(window)
		if err == nil {
			c.times = append(c.times, s)
		} else {
			c.times = append(c.times, span{}) // no day: never
		}
	}
	if w.MFAWithin != "" {
		d, err := time.ParseDuration(w.MFAWithin)
		c.never = c.never || err != nil || d <= 0
		c.mfa = d.Milliseconds()
	}
	return c
}

// settled tells whether the clause asks nothing that changes between two questions, and its answer then.
func (c *clause) settled() (holds, settled bool) {
	switch {
	case c == nil:
		return true, true
	case c.never:
		return false, true
	}
	return true, !c.nets && len(c.times) == 0 && c.mfa == 0
}

// answer is what is known of a condition.
type answer int8

const (
	no answer = iota
	unknown
	yes
)

// ask tells whether the clause holds.
func (c *clause) ask(p *domain.Principal, f *moment) answer {
	if c.never {
		return no
	}
	out := yes
	if c.nets {
		out = min(out, c.askNetwork(f))
	}
	if f.At == 0 && (len(c.times) > 0 || c.mfa > 0) {
		return min(out, unknown)
	}
	if len(c.times) > 0 && !c.inTimes(f.At) {
		return no
	}
	if c.mfa > 0 && (p.MFAAt == 0 || f.At-p.MFAAt > c.mfa) {
		return no
	}
	return out
}

func (c *clause) askNetwork(f *moment) answer {
	if !f.parsed {
		addr, _ := netip.ParseAddr(f.Address)
		f.addr, f.parsed = addr.Unmap().WithZone(""), true
	}
	if !f.addr.IsValid() {
		return unknown
	}
	for _, n := range c.networks {
		if n.Contains(f.addr) {
			return yes
		}
	}
	return no
}

func (c *clause) inTimes(at int64) bool {
	t := time.UnixMilli(at).UTC()
	minute := t.Hour()*60 + t.Minute()
	today, yesterday := uint8(1)<<t.Weekday(), uint8(1)<<((t.Weekday()+6)%7)
	for _, s := range c.times {
		switch {
		case s.from < s.to:
			if s.days&today != 0 && minute >= s.from && minute < s.to {
				return true
			}
		case s.days&today != 0 && minute >= s.from, s.days&yesterday != 0 && minute < s.to:
			return true
		}
	}
	return false
}

func spanOf(w domain.Window) (span, error) {
	s := span{to: minutesOfDay}
	for _, d := range w.Days {
		day, ok := weekdays[d]
		if !ok {
			return span{}, errDay
		}
		s.days |= 1 << day
	}
	if len(w.Days) == 0 {
		s.days = 1<<7 - 1
	}
	var err error
	if w.From != "" {
		if s.from, err = minuteOf(w.From); err != nil {
			return span{}, err
		}
	}
	if w.To != "" {
		if s.to, err = minuteOf(w.To); err != nil {
			return span{}, err
		}
	}
	if s.from == s.to {
		return span{}, errEmptyWindow
	}
	if s.to == 0 {
		s.to = minutesOfDay
	}
	return s, nil
}

func minuteOf(s string) (int, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") || strings.TrimSpace(s) != s {
		return 0, errClock
	}
	return t.Hour()*60 + t.Minute(), nil
}

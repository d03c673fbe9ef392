package shamir

import (
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// Patience is how long shares wait in memory for the next one. People on the telephone need minutes; shares that lie around
// for hours need only one more dishonest holder.
const Patience = 10 * time.Minute

// Progress tells how far a collection is.
type Progress struct {
	Have, Need int    // shares
	Set        string // name of the set that is collected, as on the shares
	Restarted  bool   // earlier shares had waited longer than [Patience] and were forgotten
}

// Complete tells whether there are enough shares.
func (p Progress) Complete() bool { return p.Have >= p.Need }

// Collector takes the shares of one slot, one after the other. It may be used by several goroutines.
type Collector struct {
	kept    verifiers
	binding rootkey.Binding

	mu     sync.Mutex
	shares []Share   // guarded by mu
	last   time.Time // of the last share; guarded by mu
}

// NewCollector reads what [Split] gave the slot to keep. What does not read, or was kept for another binding, is
// [fault.Invalid].
func NewCollector(kept []byte, b rootkey.Binding) (*Collector, error) {
	v, err := parseVerifiers(kept, b)
	if err != nil {
		return nil, err
	}
	return &Collector{kept: v, binding: b}, nil
}

// Add takes a share at the time now. The collector owns it from then on and wipes it. [fault.Invalid] is a share that is
// foreign or was never given out, [fault.Expired] one of another set of this slot, [fault.Exists] one that is there already,
// or one more than is needed. A refused share changes nothing.
func (c *Collector) Add(s Share, now time.Time) (Progress, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	restarted := c.expire(now)
	if err := c.kept.judge(s, c.binding); err != nil {
		s.Wipe()
		return c.progress(restarted), err
	}
	for _, other := range c.shares {
		if other.index == s.index {
			return c.progress(restarted), c.repeated(s, other)
		}
	}
	if len(c.shares) == int(c.kept.k) {
		s.Wipe()
		return c.progress(restarted), fault.New(fault.Exists, "there are %d shares already, as many as are needed", c.kept.k)
	}
	c.shares = append(c.shares, s)
	c.last = now
	return c.progress(restarted), nil
}

// repeated wipes the copy, unless it is the very share that is kept.
func (c *Collector) repeated(s, kept Share) error {
	if a, b := s.point.Reveal(), kept.point.Reveal(); &a[0] != &b[0] {
		s.Wipe()
	}
	return fault.New(fault.Exists, "share %d has been entered already", s.index).
		WithHint("ask a holder of another share; %d more are needed", int(c.kept.k)-len(c.shares))
}

// Progress tells how far the collection is at the time now.
func (c *Collector) Progress(now time.Time) Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.progress(c.expire(now))
}

// Root gives the key and forgets the shares. Too few shares at the time now are [fault.Sealed]. The caller wipes the value.
func (c *Collector) Root(now time.Time) (sensitive.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
	if missing := int(c.kept.k) - len(c.shares); missing > 0 {
		return sensitive.Value{}, fault.New(fault.Sealed, "the key needs %d more of its shares", missing).
			WithHint("shares that wait longer than %v are forgotten; enter all of them again then", Patience)
	}
	root := combine(c.shares)
	c.forget()
	return root, nil
}

// Cancel wipes what was collected. The collector may be used again.
func (c *Collector) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
}

// expire forgets shares that have waited too long, and tells whether there were any. A clock that was set far back counts as
// too long, since nobody knows how long it was; a little earlier is another goroutine that came in between.
func (c *Collector) expire(now time.Time) bool {
	waited := now.Sub(c.last)
	if len(c.shares) == 0 || waited.Abs() <= Patience {
		return false
	}
	c.forget()
	return true
}

func (c *Collector) forget() {
	for _, s := range c.shares {
		s.Wipe()
	}
	c.shares = nil
}

func (c *Collector) progress(restarted bool) Progress {
	return Progress{len(c.shares), int(c.kept.k), setName(c.kept.set), restarted}
}

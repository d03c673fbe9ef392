package keys

import (
	"context"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/store"
)

// speeds keeps the pace of each turn that this server works on. It is lost with the process: nothing hangs on it.
type speeds struct {
	mu  sync.Mutex
	all map[string]*pace
}

// pace decides how large the next slice is, and measures.
type pace struct {
	mu    sync.Mutex
	least int64 // what a slice is in company
	limit int64
	pass  *Pass
	rate  float64 // envelopes a second, smoothed
	seen  int64   // what had been submitted when the last slice ended

	failures  int
	notBefore time.Time // of the next try after a failure
}

// of gives the pace of a turn; shared tells whether other servers may use the same database.
func (s *speeds) of(t *store.KeyTurn, shared bool) *pace {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]*pace{}
	}
	p := s.all[t.ID]
	if p == nil {
		p = newPace(shared)
		s.all[t.ID] = p
	}
	return p
}

// forget drops the pace of a turn that is over, or that somebody wants tried again at once.
func (s *speeds) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, id)
}

// waits tells how long the turn still rests after a failure.
func (p *pace) waits(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.notBefore.Sub(now)
}

// failed notes a failure and gives the pause until the next try.
func (p *pace) failed(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(retryAfter<<min(p.failures, 16), retryAtMost)
	p.failures++
	p.notBefore = now.Add(wait)
	return wait
}

func (p *pace) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures, p.notBefore = 0, time.Time{}
}

func newPace(shared bool) *pace {
	p := &pace{least: minSlice, pass: &Pass{}}
	if shared {
		p.least = minSliceShared
	}
	p.limit = p.least
	return p
}

// perSecond tells how fast a turn goes; zero when this server has not worked on it.
func (s *speeds) perSecond(id string) float64 {
	s.mu.Lock()
	p := s.all[id]
	s.mu.Unlock()
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}

func (p *pace) next() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

// done learns from a slice and tells how many others wrote since the last one; submitted is [store.DB.Submitted] at its end.
// Alone, the next slice is twice as large; with others about, it falls back at once.
func (p *pace) done(moved int64, took time.Duration, submitted int64) (others int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen != 0 {
		others = max(0, submitted-p.seen-1) // the slice itself is one
	}
	p.seen = submitted
	if others > 0 {
		p.limit = p.least
	} else {
		p.limit = min(p.limit*2, maxSlice)
	}
	const weight = 0.2
	if seconds := took.Seconds(); moved > 0 && seconds > 0 {
		now := float64(moved) / seconds
		if p.rate == 0 {
			p.rate = now
		}
		p.rate += weight * (now - p.rate)
	}
	return others
}

// restFor is how long others have the server for themselves after a slice: as many times what the slice took as there were
// others, up to a bound.
func restFor(others int64, took time.Duration) time.Duration {
	return min(time.Duration(min(others, maxShare))*took, maxRest)
}

// atRate is how long a slice must take to stay within a bound on the rate, envelopes a second; 0 is none.
func atRate(rate, moved int64) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Duration(float64(moved) / float64(rate) * float64(time.Second))
}

func rest(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

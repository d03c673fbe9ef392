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
	mu      sync.Mutex
	limit   int64
	damages *Damages
	rate    float64 // envelopes a second, smoothed
}

func (s *speeds) of(t *store.KeyTurn) *pace {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]*pace{}
	}
	p := s.all[t.ID]
	if p == nil {
		p = &pace{limit: minSlice, damages: &Damages{}}
		s.all[t.ID] = p
	}
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

// done learns from a slice: alone, the next one is twice as large; with others about, it falls back at once.
func (p *pace) done(moved int64, took time.Duration, busy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if busy {
		p.limit = minSlice
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
}

// rest waits as long as a bound on the rate asks for.
func (p *pace) rest(ctx context.Context, rate, moved int64, took time.Duration) error {
	if rate <= 0 || moved == 0 {
		return nil
	}
	wait := time.Duration(float64(moved)/float64(rate)*float64(time.Second)) - took
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

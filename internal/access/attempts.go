package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/keyturn/keyturn/internal/fault"
)

// Limits of failed logins. They count by address and account together, so that a stranger cannot lock somebody else out,
// and by address alone, so that one machine cannot try all accounts.
const (
	pairBurst    = 10
	addressBurst = 50
	refillEvery  = 30 * time.Second // one more try
	maxTracked   = 50_000           // past it the memory of attempts starts anew
)

type attempts struct {
	mu   sync.Mutex
	seen map[string]*rate.Limiter
}

func newAttempts() *attempts { return &attempts{seen: map[string]*rate.Limiter{}} }

func (a *attempts) limiter(key string, burst int) *rate.Limiter {
	if len(a.seen) > maxTracked {
		clear(a.seen)
	}
	l := a.seen[key]
	if l == nil {
		l = rate.NewLimiter(rate.Every(refillEvery), burst)
		a.seen[key] = l
	}
	return l
}

// allow tells whether another try may be made now.
func (a *attempts) allow(address, account string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limiter("pair "+address+" "+account, pairBurst).Tokens() < 1 || a.limiter("address "+address, addressBurst).Tokens() < 1 {
		f := fault.New(fault.Exhausted, "too many failed logins from here")
		f.RetryAfter = refillEvery
		return f
	}
	return nil
}

// failed counts a try that failed.
func (a *attempts) failed(address, account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limiter("pair "+address+" "+account, pairBurst).Allow()
	a.limiter("address "+address, addressBurst).Allow()
}

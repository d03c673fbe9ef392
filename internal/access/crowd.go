package access

import (
	"context"
	"sync"
	"time"
)

// One account that is tried from very many networks is under attack, and no limit by network sees it. Refusing would let the
// attackers lock its owner out; so logins to it are made slow from where nobody has got in lately, and stay as they are from where
// somebody has.
const (
	crowdBurst = 100 // failures from anywhere
	crowdDelay = 2 * time.Second
	// maxDelayed bounds the logins that wait: past it, waiting would cost us more than them.
	maxDelayed = 256
	maxKnown   = 10_000 // places where somebody got in
)

type crowd struct {
	attempts
	waiting chan struct{}
	mu      sync.Mutex
	known   map[string]bool
}

func newCrowd() *crowd {
	return &crowd{attempts: attempts{seen: map[string]*tries{}}, waiting: make(chan struct{}, maxDelayed), known: map[string]bool{}}
}

func crowdBucket(account string) []bucket { return []bucket{{account, crowdBurst, refillEvery}} }

func placeKey(address, account string) string {
	place, _ := network(address)
	return place + " " + account
}

// slow counts a try of an account and makes it wait when there were too many.
func (c *crowd) slow(ctx context.Context, address, account string) {
	if c.spend(crowdBucket(account)) {
		return
	}
	c.mu.Lock()
	known := c.known[placeKey(address, account)]
	c.mu.Unlock()
	if known {
		return
	}
	select {
	case c.waiting <- struct{}{}:
		defer func() { <-c.waiting }()
	default:
		return
	}
	select {
	case <-time.After(crowdDelay):
	case <-ctx.Done():
	}
}

// succeeded gives a try back and remembers the place.
func (c *crowd) succeeded(address, account string) {
	c.restore(crowdBucket(account))
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[placeKey(address, account)] = true
}

package access

import (
	"net/netip"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Limits of failed logins. They count by address and account together, so that a stranger cannot lock somebody else out,
// and by address alone, so that one machine cannot try all accounts. A try is taken when it begins and given back when it
// succeeds: otherwise many at once would all begin before the first has failed.
const (
	pairBurst    = 10
	addressBurst = 50
	refillEvery  = 30 * time.Second // one more try
	maxTracked   = 50_000           // past it those are forgotten that have all their tries back
)

type attempts struct {
	mu   sync.Mutex
	seen map[string]*tries
	pair float64 // tries of one address for one account
}

// tries is what one address, or one address for one account, has left.
type tries struct {
	left, burst float64
	at          time.Time // when left was counted
}

func newAttempts() *attempts { return &attempts{seen: map[string]*tries{}, pair: pairBurst} }

func (t *tries) refill(now time.Time) {
	t.left = min(t.burst, t.left+float64(now.Sub(t.at))/float64(refillEvery))
	t.at = now
}

func (a *attempts) tries(key string, burst float64, now time.Time) *tries {
	t := a.seen[key]
	if t == nil {
		if len(a.seen) >= maxTracked {
			a.forget(now)
		}
		t = &tries{left: burst, burst: burst, at: now}
		a.seen[key] = t
	}
	t.refill(now)
	return t
}

func (a *attempts) forget(now time.Time) {
	for key, t := range a.seen {
		if t.refill(now); t.left >= t.burst {
			delete(a.seen, key)
		}
	}
	if len(a.seen) >= maxTracked { // so many addresses at once are no people: memory goes first
		clear(a.seen)
	}
}

// take begins a try. The address comes first: one that is used up must not fill the memory with accounts.
func (a *attempts) take(address, account string) error {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	place := network(address)
	byAddress := a.tries("address "+place, addressBurst, now)
	if byAddress.left >= 1 {
		if pair := a.tries("pair "+place+" "+account, a.pair, now); pair.left >= 1 {
			byAddress.left--
			pair.left--
			return nil
		}
	}
	f := fault.New(fault.Exhausted, "too many failed logins from here").WithHint("wait, then try again")
	f.RetryAfter = refillEvery
	return f
}

// giveBack ends a try that did not fail for a wrong secret.
func (a *attempts) giveBack(address, account string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	place := network(address)
	for _, key := range []string{"address " + place, "pair " + place + " " + account} {
		if t := a.seen[key]; t != nil {
			t.left = min(t.burst, t.left+1)
		}
	}
}

// network is the part of an address that one person holds: all of IPv4, the first 64 bits of IPv6 (RFC 6177).
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

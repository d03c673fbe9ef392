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
	// A customer is often given 48 bits of IPv6 (RFC 6177), which are 65,536 networks of 64: so those count together too.
	widePairBurst    = 3 * pairBurst
	wideAddressBurst = 4 * addressBurst
	refillEvery      = 30 * time.Second // one more try
	maxTracked       = 50_000           // past it those are forgotten that have all their tries back
)

type attempts struct {
	mu   sync.Mutex
	seen map[string]*tries
}

// tries is what one address, or one address for one account, has left.
type tries struct {
	left, burst float64
	every       time.Duration // one more
	at          time.Time     // when left was counted
}

// bucket names one thing that tries are counted for.
type bucket struct {
	key   string
	burst float64
	every time.Duration
}

func newAttempts() *attempts { return &attempts{seen: map[string]*tries{}} }

func (t *tries) refill(now time.Time) {
	t.left = min(t.burst, t.left+float64(now.Sub(t.at))/float64(t.every))
	t.at = now
}

func (a *attempts) tries(b bucket, now time.Time) *tries {
	t := a.seen[b.key]
	if t == nil {
		if len(a.seen) >= maxTracked {
			a.forget(now)
		}
		t = &tries{left: b.burst, burst: b.burst, every: b.every, at: now}
		a.seen[b.key] = t
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

// spend takes a try of each bucket, or of none when one has none left. A bucket comes into memory only when all before it have
// a try left: an address that is used up must not fill the memory with accounts.
func (a *attempts) spend(buckets []bucket) bool {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*tries, 0, len(buckets))
	for _, b := range buckets {
		t := a.tries(b, now)
		if t.left < 1 {
			return false
		}
		all = append(all, t)
	}
	for _, t := range all {
		t.left--
	}
	return true
}

// restore gives a try back to each bucket.
func (a *attempts) restore(buckets []bucket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range buckets {
		if t := a.seen[b.key]; t != nil {
			t.left = min(t.burst, t.left+1)
		}
	}
}

// buckets are what a try of an account from an address counts for. Networks come first, and wide ones before narrow ones.
func buckets(address, account string) []bucket {
	place, wide := network(address)
	var out []bucket
	if wide != "" {
		out = append(out, bucket{"address " + wide, wideAddressBurst, refillEvery / 4})
	}
	out = append(out, bucket{"address " + place, addressBurst, refillEvery})
	if wide != "" {
		out = append(out, bucket{"pair " + wide + " " + account, widePairBurst, refillEvery / 3})
	}
	return append(out, bucket{"pair " + place + " " + account, pairBurst, refillEvery})
}

// take begins a try.
func (a *attempts) take(address, account string) error {
	if a.spend(buckets(address, account)) {
		return nil
	}
	f := fault.New(fault.Exhausted, "too many failed logins from here").WithHint("wait, then try again")
	f.RetryAfter = refillEvery
	return f
}

// giveBack ends a try that did not fail for a wrong secret.
func (a *attempts) giveBack(address, account string) { a.restore(buckets(address, account)) }

// codeTries counts guesses at the second factor of an account, by whoever has proved the first.
type codeTries struct{ attempts }

func newCodeTries() *codeTries { return &codeTries{attempts{seen: map[string]*tries{}}} }

func codeBucket(user string) []bucket { return []bucket{{user, codeBurst, codeRefill}} }

func (c *codeTries) take(user string) error {
	if c.spend(codeBucket(user)) {
		return nil
	}
	f := fault.New(fault.Exhausted, "too many wrong codes").WithHint("wait, or take a recovery code")
	f.RetryAfter = codeRefill
	return f
}

// left tells how many codes may be tried now.
func (c *codeTries) left(user string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.tries(codeBucket(user)[0], time.Now()).left)
}

func (c *codeTries) giveBack(user string) { c.restore(codeBucket(user)) }

// network is the part of an address that one person holds: all of IPv4, the first 64 bits of IPv6, and of that the 48 that one
// customer may hold (RFC 6177); "" of IPv4.
func network(address string) (narrow, wide string) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address, ""
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String(), ""
	}
	n, err1 := ip.Prefix(64)
	w, err2 := ip.Prefix(48)
	if err1 != nil || err2 != nil {
		return address, ""
	}
	return n.String(), w.String()
}

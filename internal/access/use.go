package access

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// bearer is a token that was seen, with who shows it and what limits its use.
type bearer struct {
	who      *domain.Principal
	networks []netip.Prefix // nil: from anywhere
	counted  bool           // each use is counted in the database
	idle     int64          // ms; 0: no such limit
	born     int64          // when it was made or somebody proved himself with it, unix ms
	last     atomic.Int64   // last use that is known here, unix ms
}

func newBearer(who *domain.Principal, row store.Token) (*bearer, error) {
	b := &bearer{who: who, counted: row.Uses > 0, idle: who.Idle, born: max(row.AuthAt, row.MFAAt, row.CreatedAt)}
	b.last.Store(row.LastUsedAt)
	var err error
	b.networks, err = parseNetworks(row.Networks)
	return b, err
}

// uses remembers when tokens were last used until that is written, which happens each minute and in one transaction: a write
// for every read would make reads as slow as writes.
type uses struct {
	mu   sync.Mutex
	last map[domain.TokenID]int64
}

const (
	flushEvery = time.Minute
	// useGrain is how exactly the time of the last use is kept in memory; more exact, and each request would take the lock.
	useGrain = 5 * time.Second
)

func (u *uses) note(id domain.TokenID, at int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[domain.TokenID]int64{}
	}
	u.last[id] = max(u.last[id], at)
}

func (u *uses) of(id domain.TokenID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last[id]
}

func (u *uses) take() map[domain.TokenID]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := u.last
	u.last = nil
	return out
}

// use checks what a token's own limits say of this request, and counts it.
func (s *Service) use(ctx context.Context, b *bearer, address string) error {
	if b.networks != nil && !within(b.networks, address) {
		return fault.New(fault.Unauthenticated, "the token may not be used from this address").WithHint("it is bound to networks: see keyturn token list")
	}
	now := time.Now().UnixMilli()
	if b.idle > 0 && now-max(b.born, b.last.Load()) > b.idle {
		awake, err := s.awake(ctx, b, now)
		if err != nil {
			return err
		}
		if !awake {
			return unknown().WithHint("the session was not used for too long: log in again")
		}
	}
	if b.counted {
		left := false
		err := s.db.Derive(ctx, func(d *store.Derived) (err error) {
			left, err = d.UseToken(ctx, b.who.Token)
			return err
		})
		if err != nil {
			return err
		}
		if !left {
			return unknown().WithHint("the token was used as often as it may be: log in again")
		}
	}
	if now-b.last.Load() >= useGrain.Milliseconds() {
		b.last.Store(now)
		s.used.note(b.who.Token, now)
	}
	return nil
}

// awake asks the other servers, by way of the database, whether an idle token was used there.
func (s *Service) awake(ctx context.Context, b *bearer, now int64) (bool, error) {
	row, err := s.db.Token(ctx, b.who.Token)
	if err != nil {
		return false, err
	}
	last := max(row.LastUsedAt, s.used.of(row.ID))
	b.last.Store(last)
	return now-max(b.born, last) <= b.idle, nil
}

// runUses writes down when tokens were last used, and erases what nobody has opened in time and what ended tokens kept, until
// the context ends.
func (s *Service) runUses(ctx context.Context) {
	every := time.NewTicker(flushEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			// What was used in the last minute of a server is worth one more transaction.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
			defer cancel()
			s.Flush(last)
			return
		case <-every.C:
			s.Flush(ctx)
			s.eraseEnded(ctx)
			if err := s.endOutlived(ctx); err != nil {
				slog.Warn("tokens that have ended could not be cleared", "error", err)
			}
		}
	}
}

// Flush writes down when tokens were last used. A failure loses times that decide little and is logged.
func (s *Service) Flush(ctx context.Context) {
	used := s.used.take()
	if len(used) == 0 {
		return
	}
	if err := s.db.Derive(ctx, func(d *store.Derived) error { return d.TouchTokens(ctx, used) }); err != nil {
		slog.Warn("the last uses of tokens could not be written", "error", err)
		for id, at := range used {
			s.used.note(id, at)
		}
	}
}

// maxNetworks bounds the networks of one token.
const maxNetworks = 64

// checkNetworks puts a list of networks into canonical form: CIDR, or single addresses.
func checkNetworks(field string, texts []string) ([]string, error) {
	if len(texts) > maxNetworks {
		return nil, fault.New(fault.Invalid, "too many networks: at most %d", maxNetworks).WithField(field, "too many")
	}
	var out []string
	for _, text := range texts {
		prefix, err := parseNetwork(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "not a network: want CIDR such as 10.1.0.0/16, or an address").WithField(field, "not a network")
		}
		if one := prefix.String(); !slices.Contains(out, one) { // in the order in which they were given, as programs read them back
			out = append(out, one)
		}
	}
	return out, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		ip = ip.Unmap().WithZone("")
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fault.New(fault.Invalid, "write IPv4 networks as such")
	}
	return prefix.Masked(), nil
}

func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		prefix, err := parseNetwork(text)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "the networks of a token are damaged")
		}
		out = append(out, prefix)
	}
	return out, nil
}

// within tells whether an address is in one of the networks. One that cannot be read is in none.
func within(networks []netip.Prefix, address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// narrower gives those networks, or the limits where none are named. What reaches beyond the limits is refused. Nil is anywhere.
func narrower(texts, limits []string) ([]string, error) {
	if texts == nil || limits == nil {
		if texts == nil {
			texts = limits
		}
		return texts, nil
	}
	inner, err := parseNetworks(texts)
	if err != nil {
		return nil, err
	}
	outer, err := parseNetworks(limits)
	if err != nil {
		return nil, err
	}
	for _, n := range inner {
		if !slices.ContainsFunc(outer, func(o netip.Prefix) bool { return o.Bits() <= n.Bits() && o.Contains(n.Addr()) }) {
			return nil, fault.New(fault.Denied, "the token may be used from fewer networks than those")
		}
	}
	return texts, nil
}

// reachable refuses a login from outside of networks.
func reachable(texts []string, address string) error {
	networks, err := parseNetworks(texts)
	if err == nil && networks != nil && !within(networks, address) {
		err = fault.New(fault.Unauthenticated, "logging in this way is not allowed from this address")
	}
	return err
}

package alert

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// lookEvery is how often a server looks for what is due and nobody told it of: other servers' events, and what was left by
	// one that died.
	lookEvery = 5 * time.Second
	// keepFor is how long events and deliveries that are over can be looked at.
	keepFor = 90 * day
	// forgetEvery is how often older ones are looked for.
	forgetEvery = time.Hour
)

// Vault keeps the secrets of channels sealed.
type Vault interface {
	KeepSecret(ctx context.Context, tx *store.Tx, id string, value sensitive.Value) error
	OpenSecret(ctx context.Context, id string) (sensitive.Value, error)
}

// Service watches the log and tells people.
type Service struct {
	db       *store.DB
	door     *guard.Door
	vault    Vault
	outside  channel.Outside
	instance string // what messages call this Keyturn
	states   []Watch
	damaged  chan damage

	wake  chan struct{} // holds one token when something may be due
	stale atomic.Bool   // rules may have changed
	rules atomic.Pointer[[]Rule]

	mu     sync.Mutex // guards the rest but for what says otherwise
	judge  *judge
	unsaid []hit // found, and not stored yet
	known  *knowledge

	working sync.WaitGroup
	busyMu  sync.Mutex      // guards busy
	busy    map[string]bool // channels that are being sent to
}

// New makes the service. instance is what messages call this Keyturn.
func New(db *store.DB, door *guard.Door, vault Vault, outside channel.Outside, instance string) *Service {
	s := &Service{db: db, door: door, vault: vault, outside: outside, instance: instance, wake: make(chan struct{}, 1), damaged: make(chan damage, maxDamages),
		judge: newJudge(), known: newKnowledge(db), busy: map[string]bool{}}
	s.stale.Store(true)
	db.Hear(func(f store.Feed) {
		if f.Kind == store.FeedWatching || f.Kind == store.FeedLost {
			s.stale.Store(true)
			s.nudge()
		}
	})
	return s
}

func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// current gives the rules as they stand.
func (s *Service) current(ctx context.Context) ([]Rule, error) {
	if rules := s.rules.Load(); rules != nil && !s.stale.Load() {
		return *rules, nil
	}
	s.stale.Store(false) // before the question: a change meanwhile is seen the next time
	changed, err := s.db.AlertRules(ctx)
	if err != nil {
		s.stale.Store(true)
		return nil, err
	}
	rules := Rules(changed)
	s.rules.Store(&rules)
	return rules, nil
}

// Follower hands the log to the rules. It begins with the next entry: what happened before is no news.
func (s *Service) Follower() follow.Follower {
	return follow.Follower{Name: "alerts", Wants: watched, Handle: s.handle, Close: func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.judge, s.unsaid, s.known = newJudge(), nil, newKnowledge(s.db) // another server goes on
	}}
}

// handle takes entries in. What was found is kept until it is stored, also when it takes several tries.
func (s *Service) handle(ctx context.Context, batch []follow.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rules, err := s.current(ctx)
	if err != nil {
		return err
	}
	s.judge.use(rules)
	for i := range batch {
		hits, err := s.judge.look(ctx, &batch[i], s.known)
		if err != nil {
			return err
		}
		s.unsaid = append(s.unsaid, hits...)
	}
	if len(s.unsaid) == 0 && len(s.known.news) == 0 {
		return nil
	}
	if err := s.record(ctx, s.unsaid, s.known.news); err != nil {
		return err
	}
	s.unsaid, s.known.news = nil, nil
	return nil
}

// Run tells what is due, asks how things stand, and sends, until the context ends; it waits for attempts under way.
func (s *Service) Run(ctx context.Context) {
	defer s.working.Wait()
	s.working.Go(func() { s.watch(ctx) })
	s.working.Go(func() { s.hearDamage(ctx) })
	var forgot time.Time
	for {
		wait, err := s.turn(ctx)
		if err == nil && time.Since(forgot) > forgetEvery {
			forgot = time.Now()
			err = s.db.Derive(ctx, func(d *store.Derived) error { return d.ForgetAlerts(ctx, d.Now()-keepFor.Milliseconds()) })
		}
		if err != nil && ctx.Err() == nil {
			slog.Warn("alerts cannot be sent at the moment", "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// turn does what is due and tells when to look again.
func (s *Service) turn(ctx context.Context) (time.Duration, error) {
	if err := s.tell(ctx); err != nil {
		return lookEvery, err
	}
	if err := s.send(ctx); err != nil {
		return lookEvery, err
	}
	next, err := s.db.NextAlert(ctx)
	if err != nil || next == 0 {
		return lookEvery, err
	}
	return min(max(time.Until(time.UnixMilli(next)), 50*time.Millisecond), lookEvery), nil
}

// system is the caller of what the server does by itself.
func system(ctx context.Context) context.Context {
	return guard.WithCaller(ctx, &guard.Caller{Principal: &domain.Principal{Kind: domain.System, ID: "alert", Name: "alerts"}, Request: domain.NewID[string](), Dialect: "native"})
}

// missing tells of an error whether it says that there is no such thing.
func missing(err error) bool { return err != nil && fault.KindOf(err) == fault.NotFound }

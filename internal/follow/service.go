package follow

import (
	"context"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// Entry is one record of the log with its place.
type Entry struct {
	audit.Entry
	Index int64  // counted from 0
	Raw   []byte // canonical form; shared with other followers, not to be changed
}

// Follower is what somebody does with every entry.
type Follower struct {
	// Name is that of the bookmark: lower-case letters, digits, "-", "." and ":".
	Name string
	// FromStart lets a new follower begin with the first entry there is; without it, it begins with the next one. A bookmark
	// that exists counts.
	FromStart bool
	// Wants tells of an action whether entries of it are wanted; nil wants all. It is called often and must be quick.
	Wants func(action string) bool
	// Picks tells of the canonical form of an entry whether it is wanted, before it is parsed; nil wants all.
	Picks func(raw []byte) bool
	// Gather is how long it lets entries gather once it has caught up; 0 is a tenth of a second. A full batch does not wait.
	Gather time.Duration
	// Handle does it, for entries in order, never none. It may see entries again: after an error, after a crash, and when
	// another server takes over. Its context ends after [handleWithin], with the server, and when the lease is lost.
	Handle func(ctx context.Context, batch []Entry) error
	// Close, if there is one, is called when this server stops working for the follower, after the last Handle.
	Close func()
}

// Service runs the followers of one server.
type Service struct {
	db     *store.DB
	holder string // this server's name in leases
	tail   *tail
	grown  chan struct{} // holds one token when the log may have grown
	keep   chan struct{} // holds one token when leases should be looked at now
	size   atomic.Int64  // of the log, as far as known

	mu      sync.Mutex // guards what follows, and the fields of followers that say so
	all     map[string]*follower
	ctx     context.Context // of Run; nil before
	workers sync.WaitGroup
	// closed is true when Run is over, so that nobody begins to work any more.
	closed bool
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,99}$`)

// New makes a service without followers. It hears of this server's entries from now on.
func New(db *store.DB) *Service {
	s := &Service{db: db, holder: domain.NewID[string](), tail: &tail{log: db.Log()}, grown: make(chan struct{}, 1), keep: make(chan struct{}, 1),
		all: map[string]*follower{}}
	db.Grew(s.heard)
	return s
}

// heard must not wait: it is called by whoever commits.
func (s *Service) heard(size int64) {
	for {
		old := s.size.Load()
		if old >= size || s.size.CompareAndSwap(old, size) {
			break
		}
	}
	ring(s.grown)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Add makes a follower known, before or while the service runs. A name that is taken is [fault.Exists].
func (s *Service) Add(f Follower) error {
	if !validName.MatchString(f.Name) || f.Handle == nil {
		return fault.New(fault.Internal, "a follower needs a name and something to do")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[f.Name] != nil {
		return fault.New(fault.Exists, "there is a follower of this name")
	}
	s.all[f.Name] = &follower{Follower: f, wake: make(chan struct{}, 1)}
	ring(s.keep)
	return nil
}

// Remove stops a follower here, waits for what it handles, and leaves its bookmark to other servers. A name that is not known
// is no error.
func (s *Service) Remove(ctx context.Context, name string) error {
	s.mu.Lock()
	f := s.all[name]
	if f == nil {
		s.mu.Unlock()
		return nil
	}
	delete(s.all, name)
	held, done := f.held, f.done
	f.release()
	s.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the follower is still at work")
		}
	}
	if !held {
		return nil
	}
	return s.db.Derive(ctx, func(d *store.Derived) error {
		_, err := d.MoveFollower(ctx, s.row(f, 0))
		return err
	})
}

// Forget removes a follower with its bookmark, whoever works with it.
func (s *Service) Forget(ctx context.Context, name string) error {
	if err := s.Remove(ctx, name); err != nil {
		return err
	}
	return s.db.Derive(ctx, func(d *store.Derived) error { return d.RemoveFollower(ctx, name) })
}

// Run works until the context ends, and waits for all that it started. What was handled is saved before it returns.
func (s *Service) Run(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	s.look(ctx)
	s.workers.Go(func() { s.listen(ctx) })
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		s.attend(ctx)
		select {
		case <-ctx.Done():
			s.end()
			return
		case <-s.keep:
		case <-tick.C:
		}
	}
}

// listen wakes the workers when the log has grown.
func (s *Service) listen(ctx context.Context) {
	var poll <-chan time.Time
	if s.db.Shared() { // other servers write too
		ticker := time.NewTicker(pollEvery)
		defer ticker.Stop()
		poll = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll:
			s.look(ctx)
		case <-s.grown:
			s.wakeAll()
		}
	}
}

// look asks how long the log is.
func (s *Service) look(ctx context.Context) {
	if size, _, err := s.db.Log().Head(ctx); err == nil && size > s.size.Load() {
		s.heard(size)
	}
}

func (s *Service) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		ring(f.wake)
	}
}

// end waits for the workers and gives the leases back, so that another server need not wait for them to run out.
func (s *Service) end() {
	s.mu.Lock()
	s.closed = true
	var held []*follower
	for _, f := range s.all {
		if f.held {
			held = append(held, f)
		}
		f.release()
	}
	s.mu.Unlock()
	s.workers.Wait()
	if len(held) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), endWithin)
	defer cancel()
	err := s.db.Derive(ctx, func(d *store.Derived) error {
		for _, f := range held {
			if _, err := d.MoveFollower(ctx, s.row(f, 0)); err != nil {
				return err
			}
		}
		return nil
	})
	warn(err, "the bookmarks of the log's followers were not saved: some entries will be handled again")
}

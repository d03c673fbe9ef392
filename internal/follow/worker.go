package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// gather is how long a follower that has caught up lets entries gather before it looks again: on a busy server each look
	// costs more than what it finds.
	gather = 100 * time.Millisecond
	// handleWithin bounds one batch: a channel that hangs must not hold the rest of the log for ever.
	handleWithin = 2 * time.Minute
	// firstRetry and lastRetry bound the wait after a failure, which doubles each time.
	firstRetry, lastRetry = 500 * time.Millisecond, time.Minute
)

// follower is one at work, or one that waits for its lease.
type follower struct {
	Follower
	wake     chan struct{}
	position atomic.Int64           // the first entry that is not handled
	problem  atomic.Pointer[string] // why the last batch was not handled
	gaps     atomic.Int64           // entries that were missing or could not be read
	failures atomic.Int64

	// The rest is guarded by the service.
	known   bool // there is a bookmark; one that vanishes was removed by somebody and is not made again
	held    bool // this server has the lease
	cancel  context.CancelFunc
	done    chan struct{} // closed when the last worker has ended
	saved   store.Follower
	renewed time.Time      // by this server's clock
	seen    store.Follower // another server's lease, and since when it stands so
	seenAt  time.Time
}

// release lets go of the work; its end is not waited for.
func (f *follower) release() {
	if f.held {
		f.held = false
		f.cancel()
	}
}

func (f *follower) problemText() string {
	if p := f.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// start begins to work from a bookmark. The caller holds the lock.
func (s *Service) start(f *follower, row store.Follower, began time.Time) {
	f.position.Store(max(row.Position, f.position.Load())) // what this server has handled since it lost the lease is handled
	f.held, f.saved, f.renewed, f.seen = true, row, began, store.Follower{}
	ctx, cancel := context.WithCancel(s.ctx)
	before := f.done
	f.cancel, f.done = cancel, make(chan struct{})
	done := f.done
	s.workers.Go(func() {
		defer close(done)
		if before != nil {
			<-before
		}
		s.work(ctx, f)
		if f.Close != nil {
			f.Close()
		}
	})
}

// work handles entry after entry until the context ends.
func (s *Service) work(ctx context.Context, f *follower) {
	wait := firstRetry
	for ctx.Err() == nil {
		more, err := s.step(ctx, f)
		if err == nil {
			f.problem.Store(nil)
			wait = firstRetry
			if !more {
				s.sleep(ctx, f)
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		text := fault.As(err).Message
		before := f.problemText()
		f.problem.Store(&text)
		f.failures.Add(1)   // after the problem, so that whoever sees the count sees why
		if before != text { // once for each trouble, not once for each try
			slog.Warn("a follower of the log failed and will try again", "follower", f.Name, "error", err)
		}
		pause(ctx, wait/2+rand.N(wait/2+1))
		wait = min(2*wait, lastRetry)
	}
}

// sleep waits for the log to grow, and then a little for more.
func (s *Service) sleep(ctx context.Context, f *follower) {
	select {
	case <-ctx.Done():
		return
	case <-f.wake:
	}
	enough := time.NewTimer(max(f.Gather, gather))
	defer enough.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-enough.C:
			return
		case <-f.wake:
			if f.Gather > gather && s.size.Load()-f.position.Load() >= batchEntries {
				return
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step handles the next batch and tells whether there is more.
func (s *Service) step(ctx context.Context, f *follower) (more bool, err error) {
	at, size := f.position.Load(), s.size.Load()
	if at >= size {
		if err := s.beyond(ctx, f, at); err != nil {
			return false, err
		}
		return false, nil
	}
	page, next, err := s.tail.read(ctx, at, size)
	if err != nil {
		return false, err
	}
	var batch []Entry
	gaps := next - at
	for _, item := range page {
		gaps--
		if f.Wants != nil && !f.Wants(item.action()) || f.Picks != nil && !f.Picks(item.raw) {
			continue
		}
		e, err := item.entry()
		if err != nil {
			gaps++
			continue
		}
		batch = append(batch, Entry{Entry: *e, Index: item.index, Raw: item.raw})
	}
	if len(batch) > 0 {
		if err := handle(ctx, f, batch); err != nil {
			return false, err
		}
	}
	if gaps > 0 { // to wait for them would silence every alarm after them
		f.gaps.Add(gaps)
		slog.Error("entries of the log are missing or damaged; their follower went on", "follower", f.Name, "from", at, "to", next-1, "entries", gaps,
			"fix", "run: keyturn audit verify")
	}
	f.position.Store(next)
	return next < size, nil
}

// beyond looks into a bookmark that is not in the log: the size in memory may be old, or somebody moved the bookmark.
func (s *Service) beyond(ctx context.Context, f *follower, at int64) error {
	if at == s.size.Load() {
		return nil
	}
	size, _, err := s.db.Log().Head(ctx)
	if err != nil {
		return err
	}
	s.heard(size)
	if at > size {
		slog.Error("the bookmark of a follower lay behind the end of the log, where only a stranger puts it; it goes on from the end",
			"follower", f.Name, "bookmark", at, "entries", size)
		f.gaps.Add(1)
		f.position.Store(size)
	}
	return nil
}

// handle guards against what a handler may do: hang or panic.
func handle(ctx context.Context, f *follower, batch []Entry) (err error) {
	ctx, cancel := context.WithTimeout(ctx, handleWithin)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			slog.Error("a follower of the log panicked", "follower", f.Name, "panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "the follower %s failed inside the server", f.Name)
		}
	}()
	err = f.Handle(ctx, batch)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "a batch was not handled within %s", handleWithin)
	}
	return err
}

// parse reads an entry and says which one cannot be read.
func parse(index int64, raw []byte) (*audit.Entry, error) {
	e, err := audit.ParseEntry(raw)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", index, err)
	}
	return &e, nil
}

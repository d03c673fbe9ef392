package cli

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/runner"
)

// follow listens for commits and sends what the program should have after each. The returned function ends it and waits.
func (a *app) follow(ctx context.Context, src *runSource, got runner.Snapshot) (chan []runner.Var, func()) {
	// Signals are the program's business; this ends when the program has ended.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	changes := make(chan []runner.Var)
	done := make(chan struct{})
	have := got.Revision
	go func() {
		defer close(done)
		defer close(changes)
		err := src.client.Watch(ctx, src.place, func(e api.Event) error {
			if strconv.FormatInt(e.Revision, 10) == have {
				return nil
			}
			fresh, err := src.refetch(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				// The next commit is another chance; what runs keeps what it has.
				a.warn("the secrets changed and couldn't be fetched: %s", reportOf(err).message)
				return nil
			}
			src.keep(fresh)
			have = fresh.Revision
			select {
			case changes <- fresh.Vars:
			case <-ctx.Done():
			}
			return nil
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			a.warn("no longer watching for changes: %s", reportOf(err).message)
		}
	}()
	return changes, func() {
		cancel()
		<-done
	}
}

// Waits between tries to fetch what a commit changed.
const (
	refetchFirst = 500 * time.Millisecond
	refetchMost  = 30 * time.Second
)

// refetch is fetch that waits for a server which is away: the event is told once, so giving up would lose the change.
func (s *runSource) refetch(ctx context.Context) (runner.Snapshot, error) {
	for wait := refetchFirst; ; wait = min(2*wait, refetchMost) {
		got, err := s.fetch(ctx)
		if err == nil || !errors.Is(err, client.ErrUnreachable) && !errors.Is(err, client.Unavailable) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, ctx.Err()
		case <-time.After(wait):
		}
	}
}

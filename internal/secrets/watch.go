package secrets

import (
	"context"
	"sync"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// watchers are the callers that wait for commits. A slow one loses events in between but never the last: its channel holds
// one event, the newest.
type watchers struct {
	mu  sync.Mutex
	all map[chan store.Feed]domain.EnvID // "" for any environment
}

func (w *watchers) tell(f store.Feed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch, env := range w.all {
		if env != f.Env {
			continue
		}
		select {
		case <-ch: // the older one is of no use any more
		default:
		}
		ch <- f
	}
}

// Watch gives the commits of an environment as they come, the first one at once with the current revision. The channel is
// never closed; stop ends it.
func (s *Service) Watch(ctx context.Context, ref EnvRef) (events <-chan store.Feed, stop func(), err error) {
	pl, err := s.where(ctx, policy.SecretList, ref)
	if err != nil {
		return nil, nil, err
	}
	ch := make(chan store.Feed, 1)
	err = s.door.Read(ctx, guard.Op{Action: policy.SecretList, Resource: pl.resource(""), Somewhere: true, Detail: map[string]string{"watch": "true"}}, func(p guard.Permit) error {
		s.watching.mu.Lock()
		s.watching.all[ch] = pl.env.ID
		s.watching.mu.Unlock()
		env, err := s.db.Environment(ctx, pl.env.ID)
		if err != nil {
			return err
		}
		p.Revision(env.Revision)
		select {
		case ch <- store.Feed{Seq: s.heard.Load(), Kind: store.FeedCommit, Project: env.Project, Env: env.ID, Revision: env.Revision}:
		default: // a commit was quicker
		}
		return nil
	})
	stop = func() {
		s.watching.mu.Lock()
		delete(s.watching.all, ch)
		s.watching.mu.Unlock()
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	return ch, stop, nil
}

// StillMay tells whether a watcher's rights still reach the environment.
func (s *Service) StillMay(ctx context.Context, ref EnvRef) bool {
	pl, err := s.dir.find(ctx, guard.CallerOf(ctx).Principal.Org, ref)
	return err == nil && policy.Reaches(guard.CallerOf(ctx).Principal, policy.SecretList, pl.resource(""))
}

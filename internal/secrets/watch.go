package secrets

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// watchers are the callers that wait for commits. A slow one loses events in between but never the last: its channel holds
// one event, the newest.
type watchers struct {
	mu    sync.Mutex
	all   map[chan store.Feed]domain.EnvID
	tails map[*Tail]bool
}

func (w *watchers) tell(f store.Feed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch, env := range w.all {
		if env == f.Env {
			newest(ch, f)
		}
	}
	for t := range w.tails {
		t.add(f.Project, f.Env)
	}
}

// newest leaves the newer event in the channel: two servers' news and one's own may come in any order. The caller holds
// the lock, so nobody else sends.
func newest(ch chan store.Feed, f store.Feed) {
	select {
	case waiting := <-ch:
		if waiting.Revision > f.Revision {
			f = waiting
		}
	default:
	}
	ch <- f
}

// tellAll tells every watcher where its environment stands, after news were lost.
func (s *Service) tellAll() {
	s.watching.mu.Lock()
	envs := slices.Collect(maps.Values(s.watching.all))
	for t := range s.watching.tails {
		t.addAll()
	}
	s.watching.mu.Unlock()
	for _, id := range envs {
		if env, err := s.db.Environment(context.Background(), id); err == nil {
			s.watching.tell(store.Feed{Kind: store.FeedCommit, Project: env.Project, Env: env.ID, Revision: env.Revision})
		}
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
		s.watching.mu.Lock()
		newest(ch, store.Feed{Seq: max(0, s.heard.Load()), Kind: store.FeedCommit, Project: env.Project, Env: env.ID, Revision: env.Revision})
		s.watching.mu.Unlock()
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

// StillMay tells whether the rights that a watcher has now reach the environment.
func (s *Service) StillMay(ctx context.Context, who *domain.Principal, ref EnvRef) bool {
	pl, err := s.dir.find(ctx, who.Org, ref)
	c := *guard.CallerOf(ctx)
	c.Principal = who
	return err == nil && s.door.Reaches(guard.WithCaller(ctx, &c), policy.SecretList, pl.resource(""))
}

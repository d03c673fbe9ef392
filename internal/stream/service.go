package stream

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxStreams bounds the streams of an instance: each walks along the whole log.
	maxStreams = 32
	// maxActions bounds the patterns of one stream.
	maxActions = 64
	// syncEvery is how often a server looks by itself which streams there are; it is told of changes sooner.
	syncEvery = 30 * time.Second
	// testWithin bounds a test, so that whoever asked for it gets an answer.
	testWithin = 20 * time.Second
)

// Vault keeps credentials sealed.
type Vault interface {
	KeepSecret(ctx context.Context, tx *store.Tx, id string, value sensitive.Value) error
	OpenSecret(ctx context.Context, id string) (sensitive.Value, error)
}

// Service keeps the streams of an instance and runs those of this server.
type Service struct {
	db     *store.DB
	door   *guard.Door
	follow *follow.Service
	vault  Vault
	around surroundings
	change chan struct{} // holds one token when streams may have changed

	mu      sync.Mutex              // guards running
	running map[string]store.Stream // by id: those that this server has given to follow
}

// New makes the service. folder is where file streams write, origin that of the log.
func New(db *store.DB, door *guard.Door, f *follow.Service, vault Vault, rules outbound.Rules, folder, origin string) *Service {
	s := &Service{db: db, door: door, follow: f, vault: vault, around: surroundings{rules, folder, origin}, change: make(chan struct{}, 1), running: map[string]store.Stream{}}
	db.Hear(func(feed store.Feed) {
		if feed.Kind == store.FeedWatching || feed.Kind == store.FeedLost {
			s.nudge()
		}
	})
	return s
}

func (s *Service) nudge() {
	select {
	case s.change <- struct{}{}:
	default:
	}
}

// Run keeps the followers those of the table until the context ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		if err := s.sync(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("the streams of the log cannot be looked up", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.change:
		case <-tick.C:
		}
	}
}

// sync starts and stops followers.
func (s *Service) sync(ctx context.Context) error {
	s.mu.Lock() // before the question: a stream that is removed meanwhile must not come back
	defer s.mu.Unlock()
	rows, err := s.db.Streams(ctx)
	if err != nil {
		return err
	}
	want := map[string]store.Stream{}
	for _, row := range rows {
		if !row.Paused {
			want[row.ID] = row
		}
	}
	for id := range s.running {
		if _, ok := want[id]; ok {
			continue
		}
		if err := s.follow.Remove(ctx, followerName(id)); err != nil {
			return err
		}
		delete(s.running, id)
	}
	for id, row := range want {
		if _, ok := s.running[id]; ok {
			continue
		}
		f, err := s.follower(row)
		if err != nil {
			return err
		}
		if err := s.follow.Add(f); err != nil {
			return err
		}
		s.running[id] = row
	}
	return nil
}

func followerName(id string) string { return "stream:" + id }
func secretName(id string) string   { return "stream." + id }

// follower hands entries to the sink, which is opened when the first come and again after a failure.
func (s *Service) follower(row store.Stream) (follow.Follower, error) {
	k, err := kindOf(row.Kind)
	if err != nil {
		return follow.Follower{}, err
	}
	var to sink
	f := follow.Follower{Name: followerName(row.ID), FromStart: row.FromStart}
	if len(row.Actions) > 0 {
		f.Wants = func(action string) bool { return matches(row.Actions, action) }
	}
	if k.slow {
		f.Gather = bucketGather
	}
	f.Handle = func(ctx context.Context, batch []follow.Entry) error {
		if to == nil {
			fresh, err := s.open(ctx, row)
			if err != nil {
				return err
			}
			to = fresh
		}
		err := to.send(ctx, batch)
		if err != nil {
			_ = to.close()
			to = nil
		}
		return err
	}
	f.Close = func() {
		if to != nil {
			_ = to.close()
			to = nil
		}
	}
	return f, nil
}

func (s *Service) open(ctx context.Context, row store.Stream) (sink, error) {
	k, err := kindOf(row.Kind)
	if err != nil {
		return nil, err
	}
	var credential sensitive.Value
	if k.credential != "" {
		if credential, err = s.vault.OpenSecret(ctx, secretName(row.ID)); err != nil {
			return nil, err
		}
	}
	return k.open(s.around, row.Settings, credential)
}

func matches(patterns []string, action string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(action, prefix) || p == action {
			return true
		}
	}
	return false
}

func op(ctx context.Context, what, name string) guard.Op {
	return guard.Op{Action: policy.AuditManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org},
		Detail: map[string]string{"what": what, "stream": domain.RecordedName(name)}}
}

// Create makes a stream. The credential, if the kind has one, is in the answer only when the server made it.
func (s *Service) Create(ctx context.Context, in api.StreamRequest) (api.StreamMade, error) {
	var out api.StreamMade
	row := store.Stream{ID: domain.NewID[string](), Name: in.Name, Kind: in.Kind, Settings: in.Settings, Actions: in.Actions, FromStart: in.FromStart}
	o := op(ctx, "stream add", in.Name)
	o.Detail["kind"] = domain.RecordedName(in.Kind)
	err := s.door.Do(ctx, o, func(tx *store.Tx, p guard.Permit) error {
		credential, made, err := s.accept(&row, in.Credential)
		if err != nil {
			return err
		}
		all, err := tx.Streams(ctx)
		switch {
		case err != nil:
			return err
		case len(all) >= maxStreams:
			return fault.New(fault.Exhausted, "there are %d streams already, and no more are kept", maxStreams)
		case slices.ContainsFunc(all, func(other store.Stream) bool { return other.Name == row.Name }):
			return fault.New(fault.Exists, "there is a stream of this name")
		}
		row.CreatedAt, row.CreatedBy = tx.Now(), p.Principal().ID
		if !credential.Empty() {
			if err := s.vault.KeepSecret(ctx, tx, secretName(row.ID), credential); err != nil {
				return err
			}
		}
		if err := tx.PutStream(ctx, &row); err != nil {
			return err
		}
		out.Stream = view(row, nil)
		if made {
			out.Credential = string(credential.Reveal())
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedWatching})
	})
	return out, err
}

// accept checks what a new stream is made of: everything that can be known without calling anybody.
func (s *Service) accept(row *store.Stream, given string) (credential sensitive.Value, made bool, err error) {
	if _, err := domain.ParseSlug(row.Name); err != nil {
		return credential, false, err
	}
	k, err := kindOf(row.Kind)
	if err != nil {
		return credential, false, err
	}
	if err := k.check(row.Settings); err != nil {
		return credential, false, err
	}
	if len(row.Actions) > maxActions || slices.ContainsFunc(row.Actions, func(a string) bool { return a == "" || len(a) > 64 }) {
		return credential, false, fault.New(fault.Invalid, "the actions are not valid: at most %d, each such as secret.read or secret.*", maxActions).WithField("/actions", "not valid")
	}
	credential = sensitive.FromString(given)
	switch {
	case given == "" && k.generated != nil:
		credential, made = k.generated(), true
	case given == "" && k.credential != "":
		return credential, false, fault.New(fault.Invalid, "a %s stream needs a credential", k.name).WithHint("it is %s", k.credential).WithField("/credential", "missing")
	case given != "" && k.credential == "":
		return credential, false, fault.New(fault.Invalid, "a %s stream has no credential", k.name).WithField("/credential", "not used")
	}
	to, err := k.open(s.around, row.Settings, credential)
	if err != nil {
		return credential, false, err
	}
	return credential, made, to.close()
}

// List tells of all streams and how far they are behind.
func (s *Service) List(ctx context.Context) (api.Streams, error) {
	out := api.Streams{Streams: []api.Stream{}}
	err := s.door.Read(ctx, guard.Op{Action: policy.AuditManage, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}, Detail: map[string]string{"what": "streams"}}, func(guard.Permit) error {
		rows, err := s.db.Streams(ctx)
		if err != nil {
			return err
		}
		states, err := s.follow.States(ctx)
		for _, row := range rows {
			out.Streams = append(out.Streams, view(row, states))
		}
		return err
	})
	return out, err
}

func view(row store.Stream, states []follow.State) api.Stream {
	out := api.Stream{ID: row.ID, Name: row.Name, Kind: row.Kind, Settings: maps.Clone(row.Settings), Actions: row.Actions, Paused: row.Paused,
		CreatedAt: time.UnixMilli(row.CreatedAt).UTC()}
	for _, st := range states {
		if st.Name == followerName(row.ID) {
			out.Position, out.Lag, out.BehindSeconds, out.Problem = st.Position, st.Lag, st.Behind.Seconds(), st.Problem
		}
	}
	return out
}

// find reads a stream inside its change.
func find(ctx context.Context, q store.Queries, name string) (store.Stream, error) {
	row, err := q.StreamByName(ctx, name)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return row, fault.New(fault.NotFound, "there is no stream of this name").WithHint("see: keyturn stream list")
	}
	return row, err
}

// Pause holds a stream, or lets it go on from where it was.
func (s *Service) Pause(ctx context.Context, name string, paused bool) (api.Stream, error) {
	what := "stream resume"
	if paused {
		what = "stream pause"
	}
	var row store.Stream
	err := s.door.Do(ctx, op(ctx, what, name), func(tx *store.Tx, _ guard.Permit) (err error) {
		if row, err = find(ctx, tx.Queries, name); err != nil {
			return err
		}
		row.Paused = paused
		if err := tx.PutStream(ctx, &row); err != nil {
			return err
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedWatching})
	})
	if err != nil {
		return api.Stream{}, err
	}
	states, err := s.follow.States(ctx)
	return view(row, states), err
}

// Remove ends a stream; what it has sent stays where it is.
func (s *Service) Remove(ctx context.Context, name string) error {
	var row store.Stream
	err := s.door.Do(ctx, op(ctx, "stream remove", name), func(tx *store.Tx, _ guard.Permit) (err error) {
		if row, err = find(ctx, tx.Queries, name); err != nil {
			return err
		}
		if err := tx.RemoveInstanceSecret(ctx, secretName(row.ID)); err != nil {
			return err
		}
		if err := tx.RemoveStream(ctx, &row); err != nil {
			return err
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedWatching})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.running, row.ID)
	s.mu.Unlock()
	return s.follow.Forget(ctx, followerName(row.ID))
}

// Test opens the sink anew and shows that it takes what it is given.
func (s *Service) Test(ctx context.Context, name string) error {
	return s.door.Read(ctx, op(ctx, "stream test", name), func(guard.Permit) error {
		row, err := find(ctx, s.db.Queries, name)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, testWithin)
		defer cancel()
		to, err := s.open(ctx, row)
		if err != nil {
			return err
		}
		defer func() { _ = to.close() }()
		return to.test(ctx)
	})
}

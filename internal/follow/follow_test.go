package follow_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/postgres"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
	"github.com/keyturn/keyturn/internal/testpg"
)

func TestMain(m *testing.M) { os.Exit(testpg.Run(m)) }

var engines = map[string]storetest.Fresh{
	"sqlite": func(tb testing.TB) storetest.Place {
		folder := tb.TempDir()
		return func(ctx context.Context) (*store.Engine, error) { return sqlite.Open(ctx, folder) }
	},
	"postgres": func(tb testing.TB) storetest.Place {
		address := testpg.Database(tb)
		return func(ctx context.Context) (*store.Engine, error) { return postgres.Open(ctx, address) }
	},
}

// each runs a test on both engines.
func each(t *testing.T, run func(t *testing.T, place storetest.Place)) {
	for name, fresh := range engines {
		t.Run(name, func(t *testing.T) { run(t, fresh(t)) })
	}
}

// start runs a service until stop is called, or the test ends.
func start(t *testing.T, db *store.DB, followers ...follow.Follower) (s *follow.Service, stop func()) {
	t.Helper()
	s = follow.New(db)
	for _, f := range followers {
		must(t, s.Add(f))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return s, stop
}

// seen collects what a follower was handed.
type seen struct {
	mu      sync.Mutex
	indexes []int64
	texts   map[string]int
}

func (s *seen) handle(_ context.Context, batch []follow.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range batch {
		s.indexes = append(s.indexes, e.Index)
		if s.texts == nil {
			s.texts = map[string]int{}
		}
		s.texts[e.Request]++
	}
	return nil
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.indexes)
}

// ordered checks that every entry of [from, to) came, each once and in order.
func (s *seen) ordered(t *testing.T, from, to int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := from
	for _, i := range s.indexes {
		if i != want {
			t.Fatalf("handed entry %d where %d belongs", i, want)
		}
		want++
	}
	if want != to {
		t.Fatalf("handed entries to %d, want to %d", want, to)
	}
}

func record(t *testing.T, db *store.DB, action, request string) {
	t.Helper()
	e := storetest.Entry(action)
	e.Request = request
	must(t, db.Record(e))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

func eventually(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

const patience = 30 * time.Second

func state(t *testing.T, s *follow.Service, name string) follow.State {
	t.Helper()
	all, err := s.States(t.Context())
	must(t, err)
	for _, one := range all {
		if one.Name == name {
			return one
		}
	}
	return follow.State{}
}

func TestAFollowerIsHandedEveryEntryInOrderAndGoesOnWhereItWas(t *testing.T) {
	each(t, func(t *testing.T, place storetest.Place) {
		db := storetest.Found(t, place)
		record(t, db, "old", "before")
		var first, fromStart seen
		s, stop := start(t, db,
			follow.Follower{Name: "new", Handle: first.handle},
			follow.Follower{Name: "all", FromStart: true, Handle: fromStart.handle})
		eventually(t, "both work", patience, func() bool { return state(t, s, "new").Here && state(t, s, "all").Here })
		const n = 1500 // more than two batches
		var wg sync.WaitGroup
		for g := range 10 {
			wg.Go(func() {
				for i := range n / 10 {
					record(t, db, "entry", fmt.Sprint(g, i))
				}
			})
		}
		wg.Wait()
		eventually(t, "all is handled", patience, func() bool { return first.count() == n && fromStart.count() == n+1 })
		first.ordered(t, 1, n+1)
		fromStart.ordered(t, 0, n+1)
		if st := state(t, s, "all"); st.Lag != 0 || st.Behind != 0 || st.Position != n+1 || st.Problem != "" {
			t.Errorf("a follower that is done stands at %+v", st)
		}
		stop()
		record(t, db, "entry", "while stopped")

		var again seen
		start(t, db, follow.Follower{Name: "new", Handle: again.handle}, follow.Follower{Name: "all", FromStart: true, Handle: again.handle})
		eventually(t, "both have seen the one entry", patience, func() bool { return again.count() == 2 })
		if again.indexes[0] != n+1 || again.indexes[1] != n+1 {
			t.Errorf("after the start entries %v were handed, want only %d", again.indexes, n+1)
		}
		size, _, err := db.Log().Head(t.Context())
		must(t, err)
		if size != n+2 {
			t.Errorf("the log has %d entries, want %d: bookmarks must leave none", size, n+2)
		}
		storetest.Verify(t, db)
	})
}

func TestASlowFollowerSlowsNeitherWritersNorOthers(t *testing.T) {
	each(t, func(t *testing.T, place storetest.Place) {
		db := storetest.Found(t, place)
		var quick seen
		entered, leave := make(chan struct{}), make(chan struct{})
		var once sync.Once
		s, _ := start(t, db,
			follow.Follower{Name: "slow", Handle: func(ctx context.Context, _ []follow.Entry) error {
				once.Do(func() { close(entered) })
				select {
				case <-leave:
				case <-ctx.Done():
				}
				return ctx.Err()
			}},
			follow.Follower{Name: "quick", Handle: quick.handle})
		eventually(t, "both work", patience, func() bool { return state(t, s, "slow").Here && state(t, s, "quick").Here })
		record(t, db, "entry", "first")
		<-entered
		const n = 1000
		for i := range n { // each returns although the slow one holds its first
			record(t, db, "entry", fmt.Sprint(i))
		}
		eventually(t, "the quick one is done", patience, func() bool { return quick.count() == n+1 })
		st := state(t, s, "slow")
		if st.Lag != n+1 || st.Behind <= 0 {
			t.Errorf("the slow one stands at %+v, want a lag of %d entries and their age", st, n+1)
		}
		close(leave)
		eventually(t, "the slow one has caught up", patience, func() bool { return state(t, s, "slow").Lag == 0 })
	})
}

func TestAHandlerThatFailsIsTriedAgainAndHoldsNobodyElse(t *testing.T) {
	db := storetest.Found(t, engines["sqlite"](t))
	var good, late seen
	var refuse atomic.Bool
	refuse.Store(true)
	fails := 0
	s, _ := start(t, db,
		follow.Follower{Name: "bad", Handle: func(ctx context.Context, b []follow.Entry) error {
			if fails++; fails == 2 {
				panic("test-value")
			}
			if refuse.Load() {
				return fault.Wrap(fault.Unavailable, errors.New("test-value cause"), "the sink does not answer")
			}
			return late.handle(ctx, b)
		}},
		follow.Follower{Name: "good", Handle: good.handle})
	eventually(t, "both work", patience, func() bool { return state(t, s, "bad").Here && state(t, s, "good").Here })
	for i := range 20 {
		record(t, db, "entry", fmt.Sprint(i))
	}
	eventually(t, "the good one is done", patience, func() bool { return good.count() == 20 })
	eventually(t, "the bad one failed, panicked and failed", patience, func() bool { return state(t, s, "bad").Failures >= 3 })
	if st := state(t, s, "bad"); st.Problem != "the sink does not answer" || st.Lag != 20 {
		t.Errorf("the bad one stands at %+v", st)
	}
	refuse.Store(false)
	eventually(t, "the bad one is done", patience, func() bool { return late.count() == 20 })
	late.ordered(t, 0, 20)
	eventually(t, "its problem is gone", patience, func() bool { return state(t, s, "bad").Problem == "" })
}

func TestOnlyWantedEntriesAreHanded(t *testing.T) {
	db := storetest.Found(t, engines["sqlite"](t))
	var got seen
	s, _ := start(t, db, follow.Follower{Name: "some", FromStart: true, Handle: got.handle, Wants: func(a string) bool { return a == "canary.touched" }})
	for i := range 1000 {
		record(t, db, []string{"secret.read", "canary.touched"}[i/999], fmt.Sprint(i))
	}
	eventually(t, "all is passed", patience, func() bool { return state(t, s, "some").Position == 1000 })
	if len(got.indexes) != 1 || got.indexes[0] != 999 {
		t.Errorf("handed %v, want only 999", got.indexes)
	}
}

func TestMissingAndDamagedEntriesAreCountedAndPassed(t *testing.T) {
	place := engines["sqlite"](t)
	db := storetest.Found(t, place)
	for i := range 300 { // a complete tile and more: what is missing in the last one keeps a server from starting
		record(t, db, "entry", fmt.Sprint(i))
	}
	must(t, db.Close())
	e, err := place(t.Context())
	must(t, err)
	for _, text := range []string{
		"DELETE FROM audit_chunk WHERE first >= 20 AND first < 30",
		"UPDATE audit_chunk SET data = CAST(replace(CAST(data AS TEXT), 'allowed', 'ALLOWED') || '' AS BLOB) WHERE first = 40",
		"UPDATE audit_chunk SET data = X'00027B7B' WHERE first = 50",
	} {
		_, err = e.Writer.ExecContext(t.Context(), text)
		must(t, err)
	}
	must(t, e.Close())
	db = storetest.Open(t, place)
	var got seen
	s, _ := start(t, db, follow.Follower{Name: "all", FromStart: true, Handle: got.handle})
	eventually(t, "the end is reached", patience, func() bool { return state(t, s, "all").Position == 300 })
	if st := state(t, s, "all"); st.Gaps != 11 || got.count() != 289 {
		t.Errorf("%d entries handed, %d gaps", got.count(), st.Gaps)
	}
}

func TestABookmarkBehindTheEndOfTheLogIsPutRight(t *testing.T) {
	place := engines["sqlite"](t)
	db := storetest.Found(t, place)
	for i := range 10 {
		record(t, db, "entry", fmt.Sprint(i))
	}
	must(t, db.Close())
	e, err := place(t.Context())
	must(t, err)
	_, err = e.Writer.ExecContext(t.Context(), "INSERT INTO follower (name, position, lease_holder, lease_until, problem, updated_at) VALUES ('alarm', 9000000, 'x', 1, '', 1)")
	must(t, err)
	must(t, e.Close())
	db = storetest.Open(t, place)
	var got seen
	s, _ := start(t, db, follow.Follower{Name: "alarm", Handle: got.handle})
	eventually(t, "it is put back", patience, func() bool { return state(t, s, "alarm").Position == 10 })
	record(t, db, "entry", "alarm")
	eventually(t, "the next entry is handed", patience, func() bool { return got.count() == 1 })
	if state(t, s, "alarm").Gaps == 0 {
		t.Error("nobody is told that the bookmark was moved")
	}
}

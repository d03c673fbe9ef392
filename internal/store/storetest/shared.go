package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// RunShared runs the part of the contract that concerns several servers on one database.
func RunShared(t *testing.T, fresh Fresh) {
	t.Run("servers that start at the same time take turns", func(t *testing.T) {
		place := fresh(t)
		const servers = 6
		var wg sync.WaitGroup
		for range servers {
			wg.Go(func() {
				e, err := place(t.Context())
				if err != nil {
					t.Errorf("open the engine: %v", err)
					return
				}
				defer func() { _ = e.Close() }()
				db, err := store.Open(t.Context(), e, func(error) {})
				if err != nil {
					t.Errorf("open the store: %v", err)
					return
				}
				if err := db.Found(t.Context(), domain.NewID[string](), foundedAt); err != nil && !errors.Is(err, fault.Exists) {
					t.Errorf("found: %v", err)
				}
				if err := db.Record(Entry("start")); err != nil {
					t.Errorf("record: %v", err)
				}
				_ = db.Close()
			})
		}
		wg.Wait()
		verify(t, Open(t, place), servers)
	})

	t.Run("two servers write at once and lose nothing", func(t *testing.T) { together(t, fresh(t)) })

	t.Run("a change of one server is heard by the other within a second", func(t *testing.T) {
		place := fresh(t)
		one := Found(t, place)
		two := Open(t, place)
		var heard [2][]store.Feed
		var mu sync.Mutex
		for i, db := range []*store.DB{one, two} {
			db.Hear(func(f store.Feed) {
				mu.Lock()
				defer mu.Unlock()
				if !slices.ContainsFunc(heard[i], func(h store.Feed) bool { return h.Seq == f.Seq }) { // one's own come twice
					heard[i] = append(heard[i], f)
				}
			})
		}
		follow(t, one, 0)
		follow(t, two, 0)
		for i, db := range []*store.DB{one, two, one, two} {
			must(t, db.Write(t.Context(), Entry("revoke"), func(tx *store.Tx) error {
				return tx.Announce(t.Context(), store.Feed{Kind: store.FeedAccess, Revision: int64(i)})
			}))
			eventually(t, "both heard it", time.Second, func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(heard[0]) == i+1 && len(heard[1]) == i+1
			})
		}
	})

	t.Run("a server that slept for too long learns that it missed something", func(t *testing.T) {
		place := fresh(t)
		one := Found(t, place)
		two := Open(t, place)
		var kinds []store.FeedKind
		var head atomic.Int64
		two.Hear(func(f store.Feed) {
			if len(kinds) == 0 || kinds[len(kinds)-1] != f.Kind {
				kinds = append(kinds, f.Kind)
			}
			head.Store(f.Seq)
		})
		const each, times = 1000, 13
		for range times {
			must(t, one.Write(t.Context(), Entry("announce"), func(tx *store.Tx) error {
				for range each {
					if err := tx.Announce(t.Context(), store.Feed{Kind: store.FeedCommit}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		end := follow(t, two, 5)
		eventually(t, "the sleeper has caught up", patience, func() bool { return head.Load() == each*times })
		end()
		if !slices.Equal(kinds, []store.FeedKind{store.FeedLost, store.FeedCommit}) {
			t.Errorf("heard %v, want that something was lost and then the rest", kinds)
		}
	})

	t.Run("a server whose keys are out of date is fenced off while the other goes on", func(t *testing.T) {
		place := fresh(t)
		one := Found(t, place)
		two := Open(t, place)
		two.Fence(func(_ context.Context, _ store.Queries, epoch int64) error {
			if epoch > 1 {
				return fault.New(fault.Sealed, "the keys of this server are out of date")
			}
			return nil
		}, nil)
		must(t, two.Record(Entry("before")))
		edit(t, place, "UPDATE instance SET epoch = 2")
		ran := false
		Want(t, two.Write(t.Context(), Entry("after"), func(*store.Tx) error {
			ran = true
			return nil
		}), fault.Sealed)
		if ran {
			t.Error("the change ran under dead keys")
		}
		must(t, one.Write(t.Context(), Entry("after"), func(tx *store.Tx) error {
			if tx.Epoch() != 2 {
				t.Errorf("epoch %d, want 2", tx.Epoch())
			}
			return nil
		}))
		verify(t, one, 2)
	})

	t.Run("a database that is put back to an older state takes the server out of service", func(t *testing.T) {
		for name, restore := range map[string]string{
			"shorter": "UPDATE instance SET log_size = was.log_size, log_root = was.log_root FROM was",
			"forked":  "UPDATE instance SET log_root = was.log_root FROM was",
		} {
			t.Run(name, func(t *testing.T) {
				place := fresh(t)
				e, err := place(t.Context())
				must(t, err)
				fatal := make(chan error, 1)
				db, err := store.Open(t.Context(), e, func(err error) { fatal <- err })
				must(t, err)
				defer func() { _ = db.Close() }()
				must(t, db.Found(t.Context(), domain.NewID[string](), foundedAt))
				must(t, db.Record(Entry("kept")))
				edit(t, place, "CREATE TABLE was AS SELECT log_size, log_root FROM instance")
				must(t, db.Record(Entry("lost")))
				edit(t, place, restore)
				Want(t, db.Record(Entry("after")), fault.Internal)
				select {
				case <-fatal:
				case <-time.After(patience):
					t.Error("nobody was told")
				}
				Want(t, db.Ping(t.Context()), fault.Internal)
			})
		}
	})
}

// follow listens to other servers until the test ends or end is called.
func follow(t *testing.T, db *store.DB, seq int64) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		db.Follow(ctx, seq)
		close(done)
	}()
	end = func() {
		cancel()
		<-done
	}
	t.Cleanup(end)
	return end
}

// together lets two servers write to one environment and one log.
func together(t *testing.T, place Place) {
	one := Found(t, place)
	two := Open(t, place)
	w := Settle(t, one)
	const callers, rounds = 8, 15
	var wg sync.WaitGroup
	for s, db := range []*store.DB{one, two} {
		for c := range callers {
			wg.Go(func() {
				for r := range rounds {
					entry := Entry("together")
					entry.Request = fmt.Sprintf("%d.%d.%d", s, c, r)
					var err error
					if r%2 == 0 {
						err = db.Record(entry)
					} else {
						// A counter in a row: an update that overtakes another would lose one.
						err = db.Write(t.Context(), entry, func(tx *store.Tx) error {
							env, err := tx.Environment(t.Context(), w.Env.ID)
							if err != nil {
								return err
							}
							env.Revision++
							return tx.PutEnvironment(t.Context(), &env)
						})
					}
					if err != nil {
						t.Errorf("call %s: %v", entry.Request, err)
					}
				}
			})
		}
	}
	wg.Wait()
	env, err := two.Environment(t.Context(), w.Env.ID)
	must(t, err)
	if want := int64(2 * callers * (rounds / 2)); env.Revision != want {
		t.Errorf("%d updates are there, want %d", env.Revision, want)
	}
	verify(t, one, 1+2*callers*rounds)
	requests := map[string]bool{}
	for _, e := range Entries(t, two)[1:] {
		requests[e.Request] = true
	}
	if len(requests) != 2*callers*rounds {
		t.Errorf("%d different entries, want %d", len(requests), 2*callers*rounds)
	}
}

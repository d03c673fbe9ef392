package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// person makes a row that is easy to look for.
func person(w *World, name string) *store.Person {
	return &store.Person{ID: domain.NewID[domain.UserID](), Org: w.Org.ID, Email: domain.Email(name + "@example.test"), Name: domain.Label(name)}
}

// isThere tells whether the person was stored.
func isThere(t *testing.T, db *store.DB, p *store.Person) bool {
	t.Helper()
	_, err := db.Person(t.Context(), p.ID)
	if err != nil && !errors.Is(err, fault.NotFound) {
		t.Errorf("look for a person: %v", err)
	}
	return err == nil
}

// last gives the newest entry of the log.
func last(t *testing.T, db *store.DB) audit.Entry {
	t.Helper()
	size, _, err := db.Log().Head(t.Context())
	must(t, err)
	return between(t, db, size-1, size)[0]
}

// gate holds the writer inside a change until it is opened, so that what is submitted meanwhile forms one batch.
func gate(t *testing.T, db *store.DB) (open func()) {
	t.Helper()
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- db.Write(t.Context(), Entry("gate"), func(*store.Tx) error {
			close(inside)
			<-release
			return nil
		})
	}()
	<-inside
	return func() {
		close(release)
		must(t, <-done)
	}
}

// errRefused is what a change of these tests fails with.
var errRefused = fault.New(fault.Conflict, "changed meanwhile")

func writing(t *testing.T, fresh Fresh) {
	t.Run("many callers at once, and those who fail harm nobody", func(t *testing.T) { crowd(t, Found(t, fresh(t))) })

	db := Found(t, fresh(t))
	w := Settle(t, db)
	// Each way to fail is tried alone and in a batch with others.
	for _, alone := range []bool{true, false} {
		suffix := map[bool]string{true: ", alone", false: ", among others"}[alone]
		// during runs f, in a batch with neighbours unless alone, and checks that these stay.
		during := func(t *testing.T, f func()) {
			t.Helper()
			if alone {
				f()
				return
			}
			open := gate(t, db)
			var wg sync.WaitGroup
			wg.Go(f)
			var neighbours []*store.Person
			for i := range 6 {
				p := person(w, fmt.Sprintf("neighbour%d.%s", i, domain.NewID[string]()))
				neighbours = append(neighbours, p)
				wg.Go(func() {
					if err := db.Write(t.Context(), Entry("neighbour"), func(tx *store.Tx) error { return tx.PutPerson(t.Context(), p) }); err != nil {
						t.Errorf("a neighbour failed: %v", err)
					}
				})
			}
			open()
			wg.Wait()
			for _, p := range neighbours {
				if !isThere(t, db, p) {
					t.Error("what a neighbour wrote is lost")
				}
			}
		}
		// entryOf finds the record of an action.
		entryOf := func(t *testing.T, action string) audit.Entry {
			t.Helper()
			var found []audit.Entry
			for _, e := range Entries(t, db) {
				if e.Action == action {
					found = append(found, e)
				}
			}
			if len(found) != 1 {
				t.Fatalf("%d entries of %s, want 1", len(found), action)
			}
			return found[0]
		}

		t.Run("a change that fails is undone and recorded"+suffix, func(t *testing.T) {
			p := person(w, "fails"+domain.NewID[string]())
			action := "fails." + string(p.ID)
			during(t, func() {
				err := db.Write(t.Context(), Entry(action), func(tx *store.Tx) error {
					tx.After(func() { t.Error("what must follow a durable change ran") })
					need(t, tx.PutPerson(t.Context(), p))
					need(t, tx.Announce(t.Context(), store.Feed{Kind: store.FeedAccess}))
					return errRefused
				})
				if err != errRefused {
					t.Errorf("error %v, want the change's own", err)
				}
			})
			if isThere(t, db, p) {
				t.Error("the change was not undone")
			}
			if e := entryOf(t, action); e.Outcome != audit.Failed || e.Reason != "conflict" || len(e.Rows) != 0 {
				t.Errorf("recorded as %+v", e)
			}
		})

		t.Run("a change that is only tried is undone without an error"+suffix, func(t *testing.T) {
			p := person(w, "tried"+domain.NewID[string]())
			action := "tried." + string(p.ID)
			during(t, func() {
				must(t, db.Write(t.Context(), Entry(action), func(tx *store.Tx) error {
					tx.After(func() { t.Error("what must follow a durable change ran") })
					need(t, tx.PutPerson(t.Context(), p))
					return fmt.Errorf("dry run: %w", store.ErrUndo)
				}))
			})
			if isThere(t, db, p) {
				t.Error("the change was not undone")
			}
			if e := entryOf(t, action); e.Outcome != audit.Allowed || len(e.Rows) != 0 {
				t.Errorf("recorded as %+v", e)
			}
		})

		t.Run("a change that panics is undone and recorded"+suffix, func(t *testing.T) {
			p := person(w, "panics"+domain.NewID[string]())
			action := "panics." + string(p.ID)
			during(t, func() {
				err := db.Write(t.Context(), Entry(action), func(tx *store.Tx) error {
					need(t, tx.PutPerson(t.Context(), p))
					panic("test-value in a panic")
				})
				Want(t, err, fault.Internal)
			})
			if isThere(t, db, p) {
				t.Error("the change was not undone")
			}
			if e := entryOf(t, action); e.Outcome != audit.Failed || e.Reason != "internal" {
				t.Errorf("recorded as %+v", e)
			}
		})

		t.Run("a change whose statement fails is undone even if it hides the error"+suffix, func(t *testing.T) {
			taken, p := person(w, "taken"+domain.NewID[string]()), person(w, "hides"+domain.NewID[string]())
			put(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutPerson(ctx, taken) })
			action := "hides." + string(p.ID)
			for _, answer := range []error{nil, store.ErrUndo} {
				during(t, func() {
					err := db.Write(t.Context(), Entry(action), func(tx *store.Tx) error {
						need(t, tx.PutPerson(t.Context(), p))
						again := person(w, "x")
						again.Email = taken.Email
						Want(t, tx.PutPerson(t.Context(), again), fault.Exists)
						Want(t, tx.PutPerson(t.Context(), person(w, "y")), fault.Exists) // and so does all that follows
						return answer
					})
					Want(t, err, fault.Exists)
				})
				if isThere(t, db, p) {
					t.Error("the change was not undone")
				}
				if e := entryOf(t, action); e.Outcome != audit.Failed || e.Reason != "exists" {
					t.Errorf("recorded as %+v", e)
				}
				action += "again"
			}
		})

		t.Run("a caller who leaves before his change undoes it"+suffix, func(t *testing.T) {
			p := person(w, "left"+domain.NewID[string]())
			action := "left." + string(p.ID)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			during(t, func() {
				Want(t, db.Write(ctx, Entry(action), func(*store.Tx) error {
					t.Error("the change ran")
					return nil
				}), fault.Unavailable)
			})
			if e := entryOf(t, action); e.Outcome != audit.Failed || e.Reason != "unavailable" {
				t.Errorf("recorded as %+v", e)
			}
		})

		t.Run("a caller who leaves in the middle of his change undoes it"+suffix, func(t *testing.T) {
			p := person(w, "leaves"+domain.NewID[string]())
			action := "leaves." + string(p.ID)
			ctx, cancel := context.WithCancel(t.Context())
			during(t, func() {
				Want(t, db.Write(ctx, Entry(action), func(tx *store.Tx) error {
					need(t, tx.PutPerson(ctx, p))
					cancel()
					_, err := tx.Person(ctx, p.ID)
					return err
				}), fault.Unavailable)
			})
			if isThere(t, db, p) {
				t.Error("the change was not undone")
			}
			if e := entryOf(t, action); e.Outcome != audit.Failed {
				t.Errorf("recorded as %+v", e)
			}
		})

		t.Run("what must follow runs after the change is durable and before its caller goes on"+suffix, func(t *testing.T) {
			p := person(w, "follows"+domain.NewID[string]())
			var followed atomic.Bool
			during(t, func() {
				must(t, db.Write(t.Context(), Entry("follows"), func(tx *store.Tx) error {
					tx.After(func() { followed.Store(isThere(t, db, p)) })
					return tx.PutPerson(t.Context(), p)
				}))
				if !followed.Load() {
					t.Error("it did not run, or ran too early")
				}
			})
		})
	}

	t.Run("announcements of changes that were undone leave no gap", func(t *testing.T) {
		put(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.Announce(ctx, store.Feed{Kind: store.FeedAccess})
		})
		all, err := db.FeedSince(t.Context(), 0)
		must(t, err)
		head, err := db.FeedHead(t.Context())
		must(t, err)
		if len(all) != 1 || head != 1 || all[0].Seq != 1 {
			t.Errorf("%d changes are told, the last has number %d; want the first one", len(all), head)
		}
	})

	t.Run("a change cannot go on after its end", func(t *testing.T) {
		var kept *store.Tx
		must(t, db.Write(t.Context(), Entry("kept"), func(tx *store.Tx) error {
			kept = tx
			return nil
		}))
		Want(t, kept.PutPerson(t.Context(), person(w, "late")), fault.Internal)
		must(t, db.Record(Entry("still.works")))
	})

	t.Run("nothing is written without its record", func(t *testing.T) {
		Want(t, db.Record(nil), fault.Internal)
		Want(t, db.Write(t.Context(), nil, func(*store.Tx) error {
			t.Error("the change ran")
			return nil
		}), fault.Internal)
	})

	t.Run("keys that are out of date keep everything from being written", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		w := Settle(t, db)
		size := Verify(t, db)
		shut(t, db)
		db = Open(t, place)
		var epochs atomic.Int64
		var stale atomic.Bool
		stale.Store(true)
		db.Fence(func(_ context.Context, _ store.Queries, epoch int64) error {
			epochs.Store(epoch)
			if stale.Load() {
				return fault.New(fault.Sealed, "the keys of this server are out of date")
			}
			return nil
		}, nil)
		p := person(w, "fenced")
		write := func() error {
			return db.Write(t.Context(), Entry("fenced"), func(tx *store.Tx) error { return tx.PutPerson(t.Context(), p) })
		}
		Want(t, write(), fault.Sealed)
		Want(t, db.Record(Entry("fenced")), fault.Sealed)
		if isThere(t, db, p) || Verify(t, db) != size {
			t.Error("something was written")
		}
		stale.Store(false)

		// One that is behind and can catch up does so between two transactions, and its callers do not notice.
		behind, fetched := true, 0
		db.Fence(func(context.Context, store.Queries, int64) error {
			if behind {
				return fault.Wrap(fault.Unavailable, store.ErrBehind, "a key is missing")
			}
			return nil
		}, func(context.Context) error {
			fetched++
			behind = fetched < 2
			return map[bool]error{true: fault.New(fault.Sealed, "not yet"), false: nil}[behind]
		})
		Want(t, write(), fault.Unavailable)
		must(t, write())
		if fetched != 2 || !isThere(t, db, p) {
			t.Errorf("a key was fetched %d times", fetched)
		}
		must(t, write())
		if !isThere(t, db, p) || epochs.Load() != 1 {
			t.Errorf("after the keys were loaded again: there %t, epoch %d", isThere(t, db, p), epochs.Load())
		}
		verify(t, db, size+2)
	})

	if e := last(t, db); e.Action != "still.works" {
		t.Errorf("the last entry is of %s", e.Action)
	}
	Verify(t, db)
}

// crowd lets many goroutines write, fail, try and record at once.
func crowd(t *testing.T, db *store.DB) {
	w := Settle(t, db)
	const callers, rounds = 48, 12
	var wg sync.WaitGroup
	var mu sync.Mutex
	there, gone := []*store.Person{}, []*store.Person{}
	want := map[string]string{} // request to outcome
	var announced, heard atomic.Int64
	db.Hear(func(store.Feed) { heard.Add(1) })
	for c := range callers {
		wg.Go(func() {
			for r := range rounds {
				entry := Entry("crowd")
				entry.Request = fmt.Sprintf("%d.%d", c, r)
				p := person(w, fmt.Sprintf("crowd.%d.%d", c, r))
				outcome, list := audit.Allowed, &there
				var err error
				switch (c + r) % 6 {
				case 0, 1, 2:
					err = db.Record(entry)
					list = nil
				case 3:
					outcome, list = audit.Failed, &gone
					err = db.Write(t.Context(), entry, func(tx *store.Tx) error {
						if err := tx.PutPerson(t.Context(), p); err != nil {
							return err
						}
						return errRefused
					})
					if err == error(errRefused) {
						err = nil
					}
				case 4:
					list = &gone
					err = db.Write(t.Context(), entry, func(tx *store.Tx) error {
						if err := tx.PutPerson(t.Context(), p); err != nil {
							return err
						}
						return store.ErrUndo
					})
				default:
					err = db.Write(t.Context(), entry, func(tx *store.Tx) error {
						if err := tx.Announce(t.Context(), store.Feed{Kind: store.FeedAccess}); err != nil {
							return err
						}
						return tx.PutPerson(t.Context(), p)
					})
					announced.Add(1)
				}
				if err != nil {
					t.Errorf("call %s: %v", entry.Request, err)
				}
				mu.Lock()
				want[entry.Request] = outcome
				if list != nil {
					*list = append(*list, p)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, p := range there {
		if !isThere(t, db, p) {
			t.Errorf("%s was acknowledged and is lost", p.Name)
		}
	}
	for _, p := range gone {
		if isThere(t, db, p) {
			t.Errorf("%s was undone and is there", p.Name)
		}
	}
	verify(t, db, 1+callers*rounds)
	lastRound := map[string]int{}
	for _, e := range Entries(t, db)[1:] {
		if e.Outcome != want[e.Request] {
			t.Errorf("entry %s is %s, want %s", e.Request, e.Outcome, want[e.Request])
		}
		delete(want, e.Request)
		var c string
		var r int
		if _, err := fmt.Sscanf(e.Request, "%2s", &c); err != nil {
			t.Fatal(err)
		}
		var caller int
		if _, err := fmt.Sscanf(e.Request, "%d.%d", &caller, &r); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(caller)
		if r != lastRound[key] {
			t.Errorf("caller %d: entry of round %d comes where %d belongs", caller, r, lastRound[key])
		}
		lastRound[key]++
	}
	if len(want) != 0 {
		t.Errorf("%d entries are missing", len(want))
	}
	head, err := db.FeedHead(t.Context())
	must(t, err)
	if head != announced.Load() || heard.Load() != head {
		t.Errorf("%d changes were announced, %d are numbered, %d were heard", announced.Load(), head, heard.Load())
	}
}

package storetest

import (
	"errors"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/store"
)

func followers(t *testing.T, fresh Fresh) {
	t.Run("a bookmark is taken once, saved by its holder only, and leaves no entry", func(t *testing.T) {
		db := Found(t, fresh(t))
		must(t, db.Record(Entry("one")))
		derive := func(run func(*store.Derived) (bool, error)) bool {
			t.Helper()
			ok := false
			must(t, db.Derive(t.Context(), func(d *store.Derived) (err error) {
				ok, err = run(d)
				return err
			}))
			return ok
		}
		must(t, db.Derive(t.Context(), func(d *store.Derived) error { return d.BeginFollower(t.Context(), "f", 7) }))
		must(t, db.Derive(t.Context(), func(d *store.Derived) error { return d.BeginFollower(t.Context(), "f", 9) }))
		seen, err := db.Follower(t.Context(), "f")
		same(t, "bookmark", seen.Position, err, 7)
		take := func(who string) bool {
			return derive(func(d *store.Derived) (bool, error) { return d.TakeFollower(t.Context(), seen, who, 50) })
		}
		move := func(who string, to, until int64) bool {
			return derive(func(d *store.Derived) (bool, error) {
				return d.MoveFollower(t.Context(), store.Follower{Name: "f", LeaseHolder: who, LeaseUntil: until, Position: to, Problem: "p"})
			})
		}
		if !take("a") || take("b") {
			t.Error("a lease was not given, or given twice")
		}
		if move("b", 100, 60) || !move("a", 8, 60) {
			t.Error("a stranger moved the bookmark, or its holder could not")
		}
		if !move("a", 9, 0) || move("a", 10, 60) {
			t.Error("a lease could not be given back, or was used afterwards")
		}
		got, err := db.Follower(t.Context(), "f")
		same(t, "bookmark", got, err, store.Follower{Name: "f", Position: 9, Problem: "p", UpdatedAt: got.UpdatedAt})
		must(t, db.Derive(t.Context(), func(d *store.Derived) error { return d.RemoveFollower(t.Context(), "f") }))
		all, err := db.Followers(t.Context())
		same(t, "bookmarks", len(all), err, 0)
		verify(t, db, 1)
	})

	t.Run("changes with and without entries share a batch, and a failed one undoes only itself", func(t *testing.T) {
		db := Found(t, fresh(t))
		var grown []int64
		db.Grew(func(size int64) { grown = append(grown, size) })
		open := gate(t, db)
		var wg sync.WaitGroup
		refused := errors.New("refused")
		for i := range 5 {
			name := string(rune('a' + i))
			wg.Go(func() { must(t, db.Record(Entry("record"))) })
			wg.Go(func() {
				must(t, db.Derive(t.Context(), func(d *store.Derived) error { return d.BeginFollower(t.Context(), name, 0) }))
			})
			wg.Go(func() {
				err := db.Derive(t.Context(), func(d *store.Derived) error {
					need(t, d.BeginFollower(t.Context(), name+"-undone", 0))
					return refused
				})
				if !errors.Is(err, refused) {
					t.Errorf("error %v", err)
				}
			})
		}
		open()
		wg.Wait()
		all, err := db.Followers(t.Context())
		same(t, "bookmarks", len(all), err, 5)
		size := Verify(t, db)
		must(t, db.Derive(t.Context(), func(*store.Derived) error { return nil }))
		must(t, db.Derive(t.Context(), func(*store.Derived) error { return store.ErrUndo }))
		verify(t, db, size)
		if len(grown) == 0 || grown[len(grown)-1] != size {
			t.Errorf("listeners heard of sizes %v, want %d at the end", grown, size)
		}
	})
}

package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

func schema(t *testing.T, fresh Fresh) {
	t.Run("an empty database gets the schema and holds no instance", func(t *testing.T) {
		db := Open(t, fresh(t))
		_, err := db.Instance(t.Context())
		Want(t, err, fault.NotFound)
		Want(t, db.Record(Entry("too.early")), fault.NotFound)
		must(t, db.Ping(t.Context()))
	})

	t.Run("a world is founded once and found again", func(t *testing.T) {
		place := fresh(t)
		db := Open(t, place)
		id := domain.NewID[string]()
		must(t, db.Found(t.Context(), id, foundedAt))
		want := store.Instance{ID: id, CreatedAt: foundedAt, Epoch: 1, LogRoot: audit.EmptyTree().Root()}
		for range 2 {
			got, err := db.Instance(t.Context())
			must(t, err)
			if got != want {
				t.Errorf("instance %+v, want %+v", got, want)
			}
			Want(t, db.Found(t.Context(), domain.NewID[string](), foundedAt), fault.Exists)
			shut(t, db)
			db = Open(t, place)
		}
	})

	t.Run("of two that found at the same time one wins", func(t *testing.T) {
		db := Open(t, fresh(t))
		var errs [4]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = db.Found(t.Context(), domain.NewID[string](), foundedAt) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				Want(t, err, fault.Exists)
			}
		}
		if won != 1 {
			t.Errorf("%d founded the world, want 1", won)
		}
	})

	t.Run("what is written is there after the next start", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		w := Settle(t, db)
		shut(t, db)
		db = Open(t, place)
		got, err := db.Project(t.Context(), w.Project.ID)
		must(t, err)
		if got != w.Project {
			t.Errorf("project %+v, want %+v", got, w.Project)
		}
		must(t, db.Record(Entry("after.start")))
		verify(t, db, 2)
	})

	t.Run("peeking never writes and refuses what is not there", func(t *testing.T) {
		place := fresh(t)
		e, err := place(t.Context())
		must(t, err)
		_, err = store.Peek(t.Context(), e)
		Want(t, err, fault.NotFound)
		db, err := store.Open(t.Context(), e, func(error) {})
		must(t, err) // the engine goes on to be opened
		must(t, db.Found(t.Context(), domain.NewID[string](), foundedAt))
		shut(t, db)

		e, err = place(t.Context())
		must(t, err)
		db, err = store.Peek(t.Context(), e)
		must(t, err)
		defer shut(t, db)
		if _, err := db.Instance(t.Context()); err != nil {
			t.Errorf("the instance cannot be read: %v", err)
		}
		Want(t, db.Record(Entry("peek")), fault.Unsupported)
		Want(t, db.Write(t.Context(), Entry("peek"), func(*store.Tx) error { return nil }), fault.Unsupported)
	})

	t.Run("a migration that was changed after it ran keeps the server from starting", func(t *testing.T) {
		place := fresh(t)
		shut(t, Found(t, place))
		edit(t, place, "UPDATE schema_migration SET hash = 'another' WHERE number = 1")
		refuses(t, place, store.Open)
	})

	t.Run("a newer schema keeps the server from starting", func(t *testing.T) {
		place := fresh(t)
		shut(t, Found(t, place))
		edit(t, place, "INSERT INTO schema_migration (number, name, hash, at) VALUES (9999, '9999_later', 'x', 1)")
		refuses(t, place, store.Open)
		refuses(t, place, func(ctx context.Context, e *store.Engine, _ func(error)) (*store.DB, error) {
			return store.Peek(ctx, e)
		})
	})

	t.Run("a closed database answers nothing and records nothing", func(t *testing.T) {
		db := Found(t, fresh(t))
		must(t, db.Record(Entry("before")))
		shut(t, db)
		Want(t, db.Record(Entry("after")), fault.Unavailable)
		if _, err := db.Instance(t.Context()); err == nil || errors.Is(err, fault.NotFound) {
			t.Errorf("reading a closed database: %v", err)
		}
	})
}

// refuses checks that opening is fault.Unsupported and changes nothing.
func refuses(t *testing.T, place Place, open func(context.Context, *store.Engine, func(error)) (*store.DB, error)) {
	t.Helper()
	count := func(e *store.Engine) (n int64) {
		t.Helper()
		must(t, e.Readers.QueryRowContext(t.Context(), "SELECT count(*) + sum(number) FROM schema_migration").Scan(&n))
		return n
	}
	e, err := place(t.Context())
	must(t, err)
	defer func() { _ = e.Close() }()
	before := count(e)
	_, err = open(t.Context(), e, func(error) {})
	Want(t, err, fault.Unsupported)
	if after := count(e); after != before {
		t.Errorf("the refused start changed the schema's record from %d to %d", before, after)
	}
}

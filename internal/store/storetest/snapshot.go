package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// snapshots is the contract of reading a whole database as of one moment and of making one anew.
func snapshots(t *testing.T, fresh Fresh) {
	t.Run("every table is copied or left out for a reason", func(t *testing.T) {
		place := fresh(t)
		db := Found(t, place)
		s, err := db.Snapshot(t.Context())
		must(t, err)
		var copied []string
		for _, info := range s.Tables() {
			if slices.Contains(copied, info.Name) {
				t.Errorf("table %s is copied twice", info.Name)
			}
			copied = append(copied, info.Name)
		}
		must(t, s.Close())
		shut(t, db)
		there := tables(t, place)
		for _, name := range there {
			_, left := store.LeftOut()[name]
			if slices.Contains(copied, name) == left {
				t.Errorf("table %s: copied or left out, and not both", name)
			}
		}
		for _, name := range copied {
			if !slices.Contains(there, name) {
				t.Errorf("there is no table %s", name)
			}
		}
		for name, reason := range store.LeftOut() {
			if !slices.Contains(there, name) || reason == "" {
				t.Errorf("table %s is left out for no reason, or is not there", name)
			}
		}
	})

	t.Run("an empty database has no snapshot", func(t *testing.T) {
		_, err := Open(t, fresh(t)).Snapshot(t.Context())
		Want(t, err, fault.NotFound)
	})

	t.Run("a snapshot stands still while others write", func(t *testing.T) {
		db := Found(t, fresh(t))
		w := Settle(t, db)
		s, err := db.Snapshot(t.Context())
		must(t, err)
		defer func() { must(t, s.Close()) }()
		size, root, err := s.Log().Head(t.Context())
		must(t, err)
		must(t, db.Write(t.Context(), Entry("import"), func(tx *store.Tx) error { return tx.PutSecrets(t.Context(), nil, w.Secrets(50)) }))
		n, err := s.Count(t.Context(), "secret")
		must(t, err)
		again, rootAgain, err := s.Log().Head(t.Context())
		must(t, err)
		if n != 0 || again != size || rootAgain != root || s.Instance.LogSize != size {
			t.Errorf("%d secrets and %d entries, want 0 and %d", n, again, size)
		}
		must(t, s.Close())
		if s, err = db.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err = s.Count(t.Context(), "secret"); err != nil || n != 50 {
			t.Errorf("%d secrets (%v), want 50", n, err)
		}
	})

	t.Run("snapshots under load agree with themselves", func(t *testing.T) { underLoad(t, fresh) })

	t.Run("what was read fills another database", func(t *testing.T) { refill(t, fresh) })

	t.Run("names that come from outside reach no statement", func(t *testing.T) {
		f := fill(t, fresh(t), store.FillOptions{Schema: store.NewestSchema()})
		for _, c := range []struct {
			table   string
			columns []string
		}{
			{"sqlite_master", []string{"name"}},
			{"org; DROP TABLE org", []string{"id"}},
			{"feed", []string{"seq"}},
			{"org", []string{"id) SELECT 1 --"}},
			{"org", []string{"id", "id"}},
			{"org", nil},
		} {
			Want(t, f.Insert(t.Context(), c.table, c.columns, [][]any{{"x", "y"}}), fault.Invalid)
		}
	})

	t.Run("rows that the schema refuses keep the filling from ending", func(t *testing.T) {
		f := fill(t, fresh(t), store.FillOptions{Schema: store.NewestSchema()})
		Want(t, f.Insert(t.Context(), "project", []string{"id", "org_id", "slug", "name", "created_at", "deleted_at", "purged_at"},
			[][]any{{"p", "no such org", "s", "n", int64(1), int64(0), int64(0)}}), fault.Invalid)
		if err := f.Finish(t.Context(), 2, Entry("restore"), func(*store.Tx) error { return nil }); err == nil {
			t.Error("it ended")
		}
	})

	t.Run("a database without its instance row is not finished", func(t *testing.T) {
		place := fresh(t)
		f := fill(t, place, store.FillOptions{Schema: store.NewestSchema()})
		Want(t, f.Finish(t.Context(), 2, Entry("restore"), func(*store.Tx) error { return nil }), fault.NotFound)
	})

	t.Run("a schema of a newer program is refused", func(t *testing.T) {
		place := fresh(t)
		e, err := place(t.Context())
		must(t, err)
		defer func() { _ = e.Close() }()
		_, err = store.BeginFill(t.Context(), e, store.FillOptions{Schema: store.NewestSchema() + 1})
		Want(t, err, fault.Unsupported)
	})
}

// tables asks the engine itself.
func tables(t *testing.T, place Place) []string {
	t.Helper()
	e, err := place(t.Context())
	must(t, err)
	defer func() { _ = e.Close() }()
	text := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if e.Numbered {
		text = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
	}
	rows, err := e.Readers.QueryContext(t.Context(), text)
	must(t, err)
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		out = append(out, name)
	}
	must(t, rows.Err())
	return out
}

func fill(t *testing.T, place Place, o store.FillOptions) *store.Filling {
	t.Helper()
	e, err := place(t.Context())
	must(t, err)
	f, err := store.BeginFill(t.Context(), e, o)
	if err != nil {
		_ = e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Abort()
		_ = e.Close()
	})
	return f
}

// underLoad takes snapshots while secrets are added one by one: in each, log, commits and secrets must be of one moment.
func underLoad(t *testing.T, fresh Fresh) {
	db := Found(t, fresh(t))
	w := Settle(t, db)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			s := w.Secret(fmt.Sprintf("KEY_%06d", i))
			if err := db.Write(context.Background(), Entry("set"), func(tx *store.Tx) error { return tx.PutSecrets(context.Background(), nil, []*store.Secret{&s}) }); err != nil {
				t.Errorf("write: %v", err)
				return
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	for range 20 {
		s, err := db.Snapshot(t.Context())
		must(t, err)
		before := s.Instance.LogSize
		n, err := s.Count(t.Context(), "secret")
		must(t, err)
		walked, entries := int64(0), int64(0)
		must(t, s.Rows(t.Context(), "secret", func([]any) error { walked++; return nil }))
		for c, err := range s.Log().Chunks(t.Context(), 0, 1<<40) {
			must(t, err)
			entries += int64(c.Count)
		}
		must(t, s.Close())
		// One entry settled the world, and each secret came with one.
		if walked != n || entries != before || n != before-1 {
			t.Fatalf("%d secrets counted, %d walked, %d entries, %d in the head", n, walked, entries, before)
		}
	}
}

// refill copies a database into two others, one of which held something.
func refill(t *testing.T, fresh Fresh) {
	db := Found(t, fresh(t))
	w := Settle(t, db)
	rows := w.Secrets(300)
	rows[7].Value, rows[8].Comment, rows[9].Name = []byte{}, []byte{}, "ÄÖ" // an empty blob is not NULL
	must(t, db.Write(t.Context(), Entry("import"), func(tx *store.Tx) error { return tx.PutSecrets(t.Context(), nil, rows) }))
	for range 600 {
		must(t, db.Record(Entry("read"))) // more than two tiles
	}
	s, err := db.Snapshot(t.Context())
	must(t, err)
	defer func() { must(t, s.Close()) }()
	want := contents(t, s)

	for _, replace := range []bool{false, true} {
		place := fresh(t)
		if replace {
			other := Found(t, place)
			Settle(t, other)
			shut(t, other)
			e, err := place(t.Context())
			must(t, err)
			_, err = store.BeginFill(t.Context(), e, store.FillOptions{Schema: s.Schema})
			Want(t, err, fault.Exists)
			must(t, e.Close())
		}
		e, err := place(t.Context())
		must(t, err)
		f, err := store.BeginFill(t.Context(), e, store.FillOptions{Schema: s.Schema, Replace: replace})
		must(t, err)
		for _, info := range s.Tables() {
			var some [][]any
			must(t, s.Rows(t.Context(), info.Name, func(row []any) error {
				some = append(some, slices.Clone(row))
				return nil
			}))
			must(t, f.Insert(t.Context(), info.Name, info.Columns, some))
		}
		// A change that fails takes everything with it.
		broken := errors.New("broken")
		if !replace {
			if err := f.Finish(t.Context(), 7, Entry("restore"), func(*store.Tx) error { return broken }); !errors.Is(err, broken) {
				t.Errorf("error %v, want that of the change", err)
			}
			_, err := store.Peek(t.Context(), e)
			Want(t, err, fault.NotFound)
			must(t, e.Close())
			continue
		}
		must(t, f.Finish(t.Context(), 7, Entry("restore"), func(tx *store.Tx) error {
			return tx.PutOrg(t.Context(), &store.Org{ID: domain.NewID[domain.OrgID](), Slug: "more", Name: "More", CreatedAt: tx.Now()})
		}))
		again, err := store.Open(t.Context(), e, func(err error) { t.Errorf("the engine failed: %v", err) })
		must(t, err)
		i, err := again.Instance(t.Context())
		must(t, err)
		if i.ID != s.Instance.ID || i.Epoch != 7 || i.LogSize != s.Instance.LogSize+1 {
			t.Errorf("instance %+v", i)
		}
		verify(t, again, i.LogSize)
		must(t, again.Record(Entry("after")))
		filled, err := again.Snapshot(t.Context())
		must(t, err)
		got := contents(t, filled)
		for _, table := range []string{"instance", "org", "audit_chunk"} { // these went on
			delete(got, table)
			delete(want, table)
		}
		for table, rows := range want {
			if !slices.Equal(got[table], rows) {
				t.Errorf("table %s is not what it was", table)
			}
		}
		must(t, filled.Close())
		shut(t, again)
	}
}

// contents gives the rows of all tables in words, sorted.
func contents(t *testing.T, s *store.Snapshot) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, info := range s.Tables() {
		must(t, s.Rows(t.Context(), info.Name, func(row []any) error {
			out[info.Name] = append(out[info.Name], fmt.Sprintf("%#v", row))
			return nil
		}))
		slices.Sort(out[info.Name])
	}
	return out
}

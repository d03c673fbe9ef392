package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/storetest"
	"github.com/keyturn/keyturn/internal/testpg"
)

// patience bounds the wait for what must happen; it is far above what a loaded machine needs.
const patience = 2 * time.Minute

// load writes and reads without pause until stop, and remembers what was acknowledged.
type load struct {
	acknowledged sync.Map // domain.SecretID to true; audit request to true
	writes       atomic.Int64
	errors       atomic.Int64
	stop         context.CancelFunc
	wait         sync.WaitGroup
}

func start(t *testing.T, db *store.DB, w *storetest.World) *load {
	t.Helper()
	l := &load{}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	note := func(err error) bool {
		if err == nil {
			l.writes.Add(1)
			return true
		}
		l.errors.Add(1)
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("error %v of kind %s, want %s", err, fault.KindOf(err), fault.Unavailable)
		}
		return false
	}
	for c := range 6 {
		l.wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				entry := storetest.Entry("load")
				entry.Request = fmt.Sprintf("%d.%d", c, i)
				if i%2 == 0 {
					if note(db.Record(entry)) {
						l.acknowledged.Store(entry.Request, true)
					}
					continue
				}
				s := w.Secret("K" + domain.NewID[string]())
				if note(db.Write(context.Background(), entry, func(tx *store.Tx) error {
					return tx.PutSecrets(context.Background(), nil, []*store.Secret{&s})
				})) {
					l.acknowledged.Store(entry.Request, true)
					l.acknowledged.Store(s.ID, true)
				}
			}
		})
	}
	for range 2 {
		l.wait.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.Folders(context.Background(), w.Env.ID); err != nil && fault.KindOf(err) != fault.Unavailable {
					t.Errorf("reading: error %v of kind %s", err, fault.KindOf(err))
				}
			}
		})
	}
	t.Cleanup(func() {
		stop()
		l.wait.Wait()
	})
	return l
}

// until waits for a count to grow.
func until(t *testing.T, what string, count *atomic.Int64, by int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	goal := count.Load() + by
	for end := time.Now().Add(patience); count.Load() < goal; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// check ends the load and looks for everything that was acknowledged.
func (l *load) check(t *testing.T, db *store.DB, w *storetest.World) {
	t.Helper()
	l.stop()
	l.wait.Wait()
	rows, err := db.LiveSecrets(t.Context(), w.Env.ID)
	if err != nil {
		t.Fatal(err)
	}
	there := map[any]bool{}
	for _, s := range rows {
		there[s.ID] = true
	}
	storetest.Verify(t, db)
	for _, e := range storetest.Entries(t, db) {
		there[e.Request] = true
	}
	total := 0
	l.acknowledged.Range(func(key, _ any) bool {
		total++
		if !there[key] {
			t.Errorf("%v was acknowledged and is lost", key)
		}
		return true
	})
	if total == 0 {
		t.Error("nothing was acknowledged")
	}
}

func TestWritingGoesOnAfterTheDatabaseWasAwayAndNothingAcknowledgedIsLost(t *testing.T) {
	server := testpg.Private(t)
	for name, away := range map[string]func(testing.TB){"stopped": server.Stop, "killed": server.Kill} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Found(t, at(server.Database(t)))
			w := storetest.Settle(t, db)
			l := start(t, db, w)
			for range 2 {
				until(t, "writing", &l.writes, 50)
				away(t)
				until(t, "errors while the database is away", &l.errors, 50)
				server.Restart(t)
				until(t, "writing again", &l.writes, 50)
			}
			l.check(t, db, w)
		})
	}
}

// cut ends every connection of a database from outside, as a fail-over or a firewall does.
func cut(t *testing.T, server *testpg.Server, address string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	database := parse(t, address).Path[1:]
	if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database); err != nil {
		t.Fatal(err)
	}
	for end, left := time.Now().Add(patience), 1; left > 0; {
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", database).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are still there", left)
		}
	}
}

func TestAConnectionThatDiedWhileIdleIsReplacedWithoutAnError(t *testing.T) {
	server, address := testpg.Start(t), testpg.Database(t)
	db := storetest.Found(t, at(address))
	for range 3 {
		if err := db.Record(storetest.Entry("before")); err != nil {
			t.Fatal(err)
		}
		ask := func() { // on several connections of the readers at once
			var asking sync.WaitGroup
			for range 20 {
				asking.Go(func() {
					if _, err := db.FeedHead(t.Context()); err != nil {
						t.Errorf("a question failed: %v", err)
					}
				})
			}
			asking.Wait()
		}
		ask()
		cut(t, server, address)
		if err := db.Record(storetest.Entry("after")); err != nil {
			t.Errorf("the first record after the cut failed: %v", err)
		}
		ask()
	}
	storetest.Verify(t, db)
}

func TestAConnectionThatDiesInAChangeUndoesIt(t *testing.T) {
	server, address := testpg.Start(t), testpg.Database(t)
	db := storetest.Found(t, at(address))
	w := storetest.Settle(t, db)
	s := w.Secret("TORN")
	err := db.Write(t.Context(), storetest.Entry("torn"), func(tx *store.Tx) error {
		if err := tx.PutSecrets(t.Context(), nil, []*store.Secret{&s}); err != nil {
			return err
		}
		cut(t, server, address)
		return nil
	})
	storetest.Want(t, err, fault.Unavailable)
	if err := db.Record(storetest.Entry("next")); err != nil {
		t.Errorf("the next record failed: %v", err)
	}
	if _, err := db.Secret(t.Context(), s.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("the torn change: %v", err)
	}
	if got := storetest.Entries(t, db); len(got) != 2 || got[1].Action != "next" {
		t.Errorf("%d entries are in the log, want the world's and the next", len(got))
	}
	storetest.Verify(t, db)
}

// A caller who leaves must not close the connection on which the changes of others wait for their commit.
func TestACallerWhoLeavesDuringAStatementHarmsNobody(t *testing.T) {
	server, address := testpg.Start(t), testpg.Database(t)
	db := storetest.Found(t, at(address))
	w := storetest.Settle(t, db)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	admin, err := pgx.Connect(t.Context(), server.Admin())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(context.Background()) }()

	for name, statement := range map[string]func(context.Context, *store.Tx) error{
		"question": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Persons(ctx, w.Org.ID)
			return err
		},
		"change": func(ctx context.Context, tx *store.Tx) error {
			return tx.PutPerson(ctx, &store.Person{ID: domain.NewID[domain.UserID](), Org: w.Org.ID, Email: "kept@example.test"})
		},
	} {
		held, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := held.Exec(t.Context(), "LOCK TABLE person IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- db.Write(ctx, storetest.Entry("waits"), func(tx *store.Tx) error { return statement(ctx, tx) })
		}()
		waiting := func() (yes bool) {
			t.Helper()
			if err := admin.QueryRow(t.Context(), "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'",
				parse(t, address).Path[1:]).Scan(&yes); err != nil {
				t.Fatal(err)
			}
			return yes
		}
		for end := time.Now().Add(patience); !waiting(); {
			if time.Now().After(end) {
				t.Fatalf("the %s does not wait for the lock", name)
			}
		}
		cancel()
		for range 100 { // round trips, in each of which a torn one would be seen
			if !waiting() {
				t.Fatalf("the %s was torn: %v", name, <-done)
			}
		}
		if err := held.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the %s failed: %v", name, err)
			}
		case <-time.After(patience):
			t.Fatalf("the %s does not end", name)
		}
	}
	if got := storetest.Verify(t, db); got != 3 {
		t.Errorf("%d entries, want 3", got)
	}
}

package store_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

// open opens a database on SQLite whose failure for good is told on the channel.
func open(t *testing.T, change func(*store.Engine)) (*store.DB, <-chan error) {
	t.Helper()
	e, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	change(e)
	fatal := make(chan error, 1)
	db, err := store.Open(t.Context(), e, func(err error) { fatal <- err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Found(t.Context(), domain.NewID[string](), 1); err != nil {
		t.Fatal(err)
	}
	return db, fatal
}

// failAtCommit makes a change that only the COMMIT refuses.
func failAtCommit(t *testing.T, db *store.DB) error {
	t.Helper()
	return db.Write(t.Context(), storetest.Entry("fails.at.commit"), func(tx *store.Tx) error {
		if err := store.Exec(t.Context(), tx, "PRAGMA defer_foreign_keys = 1"); err != nil {
			return err
		}
		return tx.PutIdentity(t.Context(), &store.Identity{ID: domain.NewID[domain.IdentityID](), Org: "no such organisation"})
	})
}

func TestACommitThatSurelyStoredNothingHarmsOnlyItsBatch(t *testing.T) {
	db, fatal := open(t, func(*store.Engine) {})
	storetest.Want(t, failAtCommit(t, db), fault.Internal)
	if err := db.Record(storetest.Entry("next")); err != nil {
		t.Errorf("the next record failed: %v", err)
	}
	if got := storetest.Entries(t, db); len(got) != 1 || got[0].Action != "next" {
		t.Errorf("the log holds %d entries, want the next one alone", len(got))
	}
	storetest.Verify(t, db)
	select {
	case err := <-fatal:
		t.Errorf("the server left service: %v", err)
	default:
	}
}

// After a failed sync nothing may be written again: the system may have dropped the pages that it could not write.
func TestACommitOfUnknownOutcomeTakesTheServerOutOfService(t *testing.T) {
	db, fatal := open(t, func(e *store.Engine) { e.Undone = func(error) bool { return false } })
	storetest.Want(t, failAtCommit(t, db), fault.Unavailable)
	select {
	case err := <-fatal:
		if !strings.Contains(err.Error(), "leaves service") {
			t.Errorf("the server left service with the message %q", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	storetest.Want(t, db.Record(storetest.Entry("next")), fault.Unavailable)
	storetest.Want(t, db.Ping(t.Context()), fault.Unavailable)
	_, err := db.Instance(t.Context())
	storetest.Want(t, err, fault.Unavailable)
}

func TestAFullDatabaseRefusesAndGoesOnWhenThereIsRoom(t *testing.T) {
	db, fatal := open(t, func(*store.Engine) {})
	w := storetest.Settle(t, db)
	limit := func(pages string) {
		t.Helper()
		err := db.Write(t.Context(), storetest.Entry("limit"), func(tx *store.Tx) error {
			return store.Exec(t.Context(), tx, "PRAGMA max_page_count = "+pages)
		})
		if err != nil {
			t.Fatalf("set the limit: %v", err)
		}
	}
	limit("400")
	kept := 0
	for ; ; kept++ {
		s := w.Secret("K" + domain.NewID[string]())
		s.Value = make([]byte, 20_000)
		err := db.Write(t.Context(), storetest.Entry("fill"), func(tx *store.Tx) error {
			return tx.PutSecrets(t.Context(), nil, []*store.Secret{&s})
		})
		if err == nil {
			continue
		}
		storetest.Want(t, err, fault.Unavailable)
		if f := fault.As(err); f.Message != "the disk is full" || f.Hint == "" {
			t.Errorf("message %q, hint %q", f.Message, f.Hint)
		}
		break
	}
	if kept < 10 {
		t.Fatalf("only %d writes before the limit", kept)
	}
	// What is small may still fit, since a change that failed gave its pages back.
	limit("100000")
	rows, err := db.SecretsIn(t.Context(), w.Root.ID)
	if err != nil || len(rows) != kept {
		t.Errorf("%d secrets are there, want %d: %v", len(rows), kept, err)
	}
	s := w.Secret("AFTER")
	if err := db.Write(t.Context(), storetest.Entry("after"), func(tx *store.Tx) error {
		return tx.PutSecrets(t.Context(), nil, []*store.Secret{&s})
	}); err != nil {
		t.Errorf("writing does not go on: %v", err)
	}
	storetest.Verify(t, db)
	select {
	case err := <-fatal:
		t.Errorf("the server left service: %v", err)
	default:
	}
}

// A statement that the engine gives up in the middle would undo the changes of the others as well.
func TestACallerWhoLeavesDuringAStatementHarmsNobody(t *testing.T) {
	db, _ := open(t, func(*store.Engine) {})
	w := storetest.Settle(t, db)
	// When the caller leaves is up to the machine: too soon and nothing is begun, too late and nothing is proved. So it is tried
	// until it happened during the statement, each time later and with a longer statement.
	const tries = 50
	for i := range tries {
		ctx, cancel := context.WithCancel(t.Context())
		begun, during := false, false
		err := db.Write(ctx, storetest.Entry("long"), func(tx *store.Tx) error {
			s := w.Secret("KEPT" + domain.NewID[string]())
			if err := tx.PutSecrets(ctx, nil, []*store.Secret{&s}); err != nil {
				return err
			}
			begun = ctx.Err() == nil
			time.AfterFunc(time.Duration(i+1)*time.Millisecond, cancel)
			err := store.Exec(ctx, tx, "WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < 200000) UPDATE secret SET at = (SELECT max(i) FROM n)", int64(1))
			// A statement that was refused because the caller had left before is no proof of anything.
			during = err == nil && ctx.Err() != nil
			return err
		})
		cancel()
		if during && begun {
			if err != nil {
				t.Errorf("the change was torn: %v", err)
			}
			storetest.Verify(t, db)
			return
		}
		if err != nil && fault.KindOf(err) != fault.Unavailable {
			t.Fatal(err)
		}
	}
	t.Error("the caller never left during the statement")
}

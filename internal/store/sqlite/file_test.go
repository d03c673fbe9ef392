package sqlite_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

func TestASecondServerOnOneFolderIsRefused(t *testing.T) {
	folder := t.TempDir()
	db := storetest.Found(t, in(folder))
	for range 2 {
		_, err := sqlite.Open(t.Context(), folder)
		storetest.Want(t, err, fault.Conflict)
		if fault.As(err).Hint == "" {
			t.Error("the refusal does not tell what to do")
		}
	}
	if err := db.Record(storetest.Entry("undisturbed")); err != nil {
		t.Errorf("the first server was disturbed: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Verify(t, storetest.Open(t, in(folder)))
}

func TestAFolderThatIsNotThereIsUnavailable(t *testing.T) {
	_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "missing"))
	storetest.Want(t, err, fault.Unavailable)
}

func TestAFolderMayHaveAnyName(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a b%20?c#d&e=f;ä")
	if runtime.GOOS == "windows" {
		folder = filepath.Join(t.TempDir(), "a b%20#d&e=f;ä")
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if sqlite.Exists(folder) {
		t.Error("there is a database in an empty folder")
	}
	db := storetest.Found(t, in(folder))
	if err := db.Record(storetest.Entry("here")); err != nil {
		t.Fatal(err)
	}
	if !sqlite.Exists(folder) {
		t.Error("the database lies elsewhere")
	}
}

func TestTheFilesAreForTheirOwnerAlone(t *testing.T) {
	folder := t.TempDir()
	db := storetest.Found(t, in(folder))
	if err := db.Record(storetest.Entry("write")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		info, err := d.Info()
		if err == nil && runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", d.Name(), info.Mode())
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files: %v", files, err)
	}
}

func TestEveryConnectionIsSetUpForDurability(t *testing.T) {
	e, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	ask := func(writer bool, pragma string) (answer string) {
		t.Helper()
		db := e.Readers
		if writer {
			db = e.Writer
		}
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for _, writer := range []bool{true, false} {
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000", "trusted_schema": "0", "temp_store": "2",
			"query_only": map[bool]string{true: "0", false: "1"}[writer],
		} {
			if got := ask(writer, pragma); got != want {
				t.Errorf("%s is %s, want %s (writer: %t)", pragma, got, want, writer)
			}
		}
	}
	if got := ask(true, "secure_delete"); got != "1" {
		t.Errorf("the writer's secure_delete is %s: purged ciphertexts would stay in free pages", got)
	}
}

func TestAFreshDatabaseIsWholeInItsFileOnceSettled(t *testing.T) {
	folder := t.TempDir()
	e, err := sqlite.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), e, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Found(t.Context(), "instance", 1); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Settle(t.Context(), e, folder); err != nil {
		t.Fatal(err)
	}
	wal, err := os.Stat(filepath.Join(folder, sqlite.FileName+"-wal"))
	if err != nil || wal.Size() != 0 {
		t.Errorf("the WAL is not empty: %v, %v", wal, err)
	}
	// What a crash right now would leave behind is enough.
	other := t.TempDir()
	content, err := os.ReadFile(filepath.Join(folder, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, sqlite.FileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if i, err := storetest.Open(t, in(other)).Instance(t.Context()); err != nil || i.ID != "instance" {
		t.Errorf("instance %q: %v", i.ID, err)
	}
}

func TestAFileThatIsNoDatabaseIsDamagedNotMissing(t *testing.T) {
	folder := t.TempDir()
	garbage := make([]byte, 10_000)
	_, _ = rand.Read(garbage) // never fails
	if err := os.WriteFile(filepath.Join(folder, sqlite.FileName), garbage, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the refusal gives the lock back
		_, err := sqlite.Open(t.Context(), folder)
		storetest.Want(t, err, fault.Unavailable)
		if err == nil || !strings.Contains(fault.As(err).Message, "damaged") {
			t.Errorf("error %v, want that the file is damaged", err)
		}
	}
	after, err := os.ReadFile(filepath.Join(folder, sqlite.FileName))
	if err != nil || string(after) != string(garbage) {
		t.Errorf("the file was touched: %v", err)
	}
}

func TestAFileThatIsOverwrittenWhileTheServerRunsTakesItOutOfService(t *testing.T) {
	folder := t.TempDir()
	e, err := sqlite.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	fatal := make(chan error, 1)
	db, err := store.Open(t.Context(), e, func(err error) { fatal <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Found(t.Context(), domain.NewID[string](), 1); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Settle(t.Context(), e, folder); err != nil {
		t.Fatal(err)
	}
	w := storetest.Settle(t, db)
	// More than the page cache of a reader holds, and all of it out of the WAL.
	if err := db.Write(t.Context(), storetest.Entry("fill"), func(tx *store.Tx) error {
		return tx.PutSecrets(t.Context(), nil, w.Secrets(10_000))
	}); err != nil {
		t.Fatal(err)
	}
	var busy, pages, copied int
	if err := e.Readers.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(FULL)").Scan(&busy, &pages, &copied); err != nil || pages != copied {
		t.Fatalf("%d of %d pages were copied: %v", copied, pages, err)
	}
	file, err := os.OpenFile(filepath.Join(folder, sqlite.FileName), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	garbage := make([]byte, info.Size())
	_, _ = rand.Read(garbage) // never fails
	if _, err := file.WriteAt(garbage, 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.LiveSecrets(t.Context(), w.Env.ID)
	storetest.Want(t, err, fault.Unavailable)
	if err == nil || !strings.Contains(fault.As(err).Message, "damaged") {
		t.Errorf("error %v, want that the file is damaged", err)
	}
	select {
	case <-fatal:
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
	storetest.Want(t, db.Record(storetest.Entry("after")), fault.Unavailable)
	_, err = db.Secret(t.Context(), "any")
	storetest.Want(t, err, fault.Unavailable)
	if errors.Is(err, fault.NotFound) {
		t.Error("damaged looks like missing")
	}
}

func TestAQueryOfACallerWhoLeavesIsGivenUp(t *testing.T) {
	db := storetest.Found(t, fresh(t))
	w := storetest.Settle(t, db)
	if err := db.Write(t.Context(), storetest.Entry("fill"), func(tx *store.Tx) error {
		return tx.PutSecrets(t.Context(), nil, w.Secrets(10_000))
	}); err != nil {
		t.Fatal(err)
	}
	for _, leave := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), leave)
		_, err := db.LiveSecrets(ctx, w.Env.ID)
		cancel()
		storetest.Want(t, err, fault.Unavailable)
	}
	if rows, err := db.LiveSecrets(t.Context(), w.Env.ID); err != nil || len(rows) != 10_000 {
		t.Errorf("%d rows for the next caller: %v", len(rows), err)
	}
}

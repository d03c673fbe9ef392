package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
	"github.com/keyturn/keyturn/internal/store/sqlite"
	"github.com/keyturn/keyturn/internal/store/storetest"
)

// nobody is the user that a test of permissions turns into when root runs it.
const nobody = 65534

// asNobody runs f with the permissions of a user who is not root. On Linux they belong to the thread, which ends with f.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread must not serve another goroutine
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(nobody); err != nil {
				t.Errorf("set the user of the thread: %v", err)
				return
			}
		}
		f()
	})
	wg.Wait()
}

// give makes everything in the folder nobody's when root runs the test, and the folder itself read-only.
func give(t *testing.T, folder string) {
	t.Helper()
	if os.Geteuid() == 0 {
		names, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(names, folder) {
			if err := os.Chown(name, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
		for _, above := range []string{filepath.Dir(folder), filepath.Dir(filepath.Dir(folder))} { // both are the test's own
			if err := os.Chmod(above, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
}

func TestAReadOnlyFolderIsUnavailable(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(used, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Found(t, in(used)).Close(); err != nil {
		t.Fatal(err)
	}
	for name, folder := range map[string]string{"empty": empty, "with a database": used} {
		give(t, folder)
		asNobody(t, func() {
			_, err := sqlite.Open(t.Context(), folder)
			storetest.Want(t, err, fault.Unavailable)
			if err == nil || !strings.Contains(fault.As(err).Message, "the data folder cannot be written") {
				t.Errorf("a read-only folder, %s: error %v", name, err)
			}
		})
	}
}

func TestAReadOnlyFileIsUnavailable(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Found(t, in(folder)).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(folder, sqlite.FileName), 0o400); err != nil {
		t.Fatal(err)
	}
	give(t, folder)
	asNobody(t, func() {
		_, err := sqlite.Open(t.Context(), folder)
		storetest.Want(t, err, fault.Unavailable)
		if err == nil || !strings.Contains(fault.As(err).Message, "the database file cannot be written") {
			t.Errorf("a read-only file: error %v", err)
		}
	})
}

// mountSmall gives a folder on a disk of 3 MiB, or false when this user may not mount. The limit of pages that every user can
// set is tested in the package above.
func mountSmall(t *testing.T) (string, bool) {
	t.Helper()
	folder := t.TempDir()
	err := unix.Mount("none", folder, "tmpfs", 0, "size=3m")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return "", false
	}
	if err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return folder, true
}

// fill lets something else fill the disk to the last byte.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("fill the disk: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskIsUnavailableAndTheDatabaseGoesOnWhenThereIsRoom(t *testing.T) {
	folder, ok := mountSmall(t)
	if !ok {
		t.Log("this user may not mount a small disk")
		return
	}
	e, err := sqlite.Open(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), e, func(err error) { t.Errorf("the server left service: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Found(t.Context(), domain.NewID[string](), 1); err != nil {
		t.Fatal(err)
	}
	w := storetest.Settle(t, db)
	ballast := filepath.Join(folder, "ballast")

	kept := map[domain.SecretID]bool{}
	put := func(size int) error {
		s := w.Secret("K" + domain.NewID[string]())
		s.Value = make([]byte, size)
		err := db.Write(t.Context(), storetest.Entry("fill"), func(tx *store.Tx) error {
			return tx.PutSecrets(t.Context(), nil, []*store.Secret{&s})
		})
		if err == nil {
			kept[s.ID] = true
		}
		return err
	}
	for round := range 4 {
		fill(t, ballast)
		refused := 0
		for i := range 200 { // the WAL may hold room from before
			if err := put(1000 * (i%20 + 1)); err != nil {
				refused++
				storetest.Want(t, err, fault.Unavailable)
				if m := fault.As(err).Message; m != "the disk is full" {
					t.Errorf("round %d: message %q", round, m)
				}
			}
			if refused > 5 {
				break
			}
		}
		if refused == 0 {
			t.Fatalf("round %d: the disk never was full", round)
		}
		rows, err := db.LiveSecrets(t.Context(), w.Env.ID)
		if err != nil || len(rows) != len(kept) {
			t.Errorf("round %d: %d secrets can be read, want %d: %v", round, len(rows), len(kept), err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if err := put(5000); err != nil {
			t.Fatalf("round %d: writing does not go on: %v", round, err)
		}
	}
	for id := range kept {
		if _, err := db.Secret(t.Context(), id); err != nil {
			t.Errorf("an acknowledged secret is lost: %v", err)
		}
	}
	if got, want := storetest.Verify(t, db), int64(1+len(kept)); got != want {
		t.Errorf("%d entries, want %d", got, want)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := storetest.Open(t, in(folder))
	storetest.Verify(t, again)
	if rows, err := again.LiveSecrets(t.Context(), w.Env.ID); err != nil || len(rows) != len(kept) {
		t.Errorf("after the next start %d secrets are there, want %d: %v", len(rows), len(kept), err)
	}
}

func TestAStartOnAFullDiskIsUnavailable(t *testing.T) {
	folder, ok := mountSmall(t)
	if !ok {
		t.Log("this user may not mount a small disk")
		return
	}
	if err := storetest.Found(t, in(folder)).Close(); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(folder, "ballast")
	fill(t, ballast)
	// It goes as far as it can without writing: how far depends on what the files have room for.
	err := func() error {
		e, err := sqlite.Open(t.Context(), folder)
		if err != nil {
			return err
		}
		db, err := store.Open(t.Context(), e, func(err error) { t.Errorf("the server left service: %v", err) })
		if err != nil {
			return errors.Join(err, e.Close())
		}
		err = db.Record(storetest.Entry("start"))
		return errors.Join(err, db.Close())
	}()
	storetest.Want(t, err, fault.Unavailable)
	if m := fault.As(err).Message; m != "the disk is full" {
		t.Errorf("message %q", m)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Open(t, in(folder)).Record(storetest.Entry("room")); err != nil {
		t.Errorf("the start with room again: %v", err)
	}
}

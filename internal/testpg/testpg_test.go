package testpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// childVariable makes the test binary a process that starts a server and waits to be killed.
const childVariable = "KEYTURN_TESTPG_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	os.Exit(Run(m))
}

func child() int {
	s, err := launch(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.Folder())
	select {}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func show(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	var text string
	if err := conn.QueryRow(t.Context(), query).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(poll)
	}
}

func TestEachDatabaseIsFreshAndDroppedAtTheEndOfItsTest(t *testing.T) {
	t.Parallel()
	var first string
	t.Run("user", func(t *testing.T) {
		first = Database(t)
		execute(t, connect(t, first), "CREATE TABLE things (id int)")
		second := connect(t, Database(t))
		execute(t, second, "CREATE TABLE things (id int)")
	})
	u, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	admin := connect(t, Start(t).Admin())
	var left int
	err = admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", strings.TrimPrefix(u.Path, "/")).Scan(&left)
	if err != nil || left != 0 {
		t.Fatalf("the database is still there: %d, %v", left, err)
	}
}

func TestTheServerIsAsUnforgivingAsAUsers(t *testing.T) {
	t.Parallel()
	conn := connect(t, Database(t))
	for query, want := range map[string]string{
		"SHOW fsync":               "on",
		"SHOW synchronous_commit":  "on",
		"SHOW full_page_writes":    "on",
		"SHOW data_checksums":      "on",
		"SHOW password_encryption": "scram-sha-256",
		"SHOW listen_addresses":    "127.0.0.1",
		"SHOW server_encoding":     "UTF8",
		"SELECT usesuper::text FROM pg_user WHERE usename = current_user": "false",
		"SELECT ('b' > 'A' AND 'a' < 'B')::text":                          "true", // bytes would say that 'a' comes after 'B'
	} {
		if got := show(t, conn, query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestAWrongPasswordIsRefused(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(Database(t))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "test-value-wrong")
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a wrong password was accepted")
	}
}

func TestTheLogShowsStatementsWithTheirParameters(t *testing.T) {
	t.Parallel()
	s := Start(t)
	conn := connect(t, s.Database(t))
	var text string
	if err := conn.QueryRow(t.Context(), "SELECT $1::text", "test-value-canary-in-parameter").Scan(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Log(), s.Folder()) {
		t.Errorf("the log %s lies outside the folder %s", s.Log(), s.Folder())
	}
	eventually(t, "the parameter in the log", func() bool {
		b, err := os.ReadFile(s.Log())
		return err == nil && strings.Contains(string(b), "test-value-canary-in-parameter")
	})
	if _, err := os.Stat(filepath.Join(s.Folder(), "data", "pg_wal")); err != nil {
		t.Errorf("the write-ahead log is not under the folder: %v", err)
	}
}

func TestAKilledServerComesBackWithEveryCommit(t *testing.T) {
	t.Parallel()
	s := Private(t)
	dsn := s.Database(t)
	execute(t, connect(t, dsn), "CREATE TABLE things AS SELECT 'kept'::text AS word")
	s.Kill(t)
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		_ = conn.Close(t.Context())
		t.Fatal("a killed server answers")
	}
	s.Restart(t)
	if got := show(t, connect(t, dsn), "SELECT word FROM things"); got != "kept" {
		t.Fatalf("after recovery: %q", got)
	}
	log, err := os.ReadFile(s.Log())
	if err != nil || !strings.Contains(string(log), "automatic recovery in progress") {
		t.Fatalf("the kill was no crash: %v", err)
	}
}

func TestAStoppedServerStartsAgainOnTheSamePort(t *testing.T) {
	t.Parallel()
	s := Private(t, "synchronous_commit=off")
	dsn := s.Database(t)
	s.Stop(t)
	s.Stop(t) // twice is once
	s.Restart(t)
	s.Restart(t)
	if got := show(t, connect(t, dsn), "SHOW synchronous_commit"); got != "off" {
		t.Fatalf("the setting of its own is lost: %q", got)
	}
}

// Not parallel: it takes the shared server away from under the others.
func TestTheSharedServerIsBackAfterATestThatStoppedIt(t *testing.T) {
	dsn := Database(t)
	t.Run("crash", func(t *testing.T) { Start(t).Kill(t) })
	if got := show(t, connect(t, dsn), "SELECT 'back'"); got != "back" {
		t.Fatal(got)
	}
}

func TestAPrivateServerLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	var folder string
	t.Run("user", func(t *testing.T) { folder = Private(t).Folder() })
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is still there: %v", folder, err)
	}
}

// failure records what a test would have been failed with.
type failure struct {
	testing.TB
	text string
}

func (f *failure) Helper() {}

func (f *failure) Fatal(args ...any) {
	f.text = fmt.Sprint(args...)
	runtime.Goexit()
}

// Not parallel: it plays a binary whose TestMain does not call Run.
func TestStartRefusesABinaryThatWouldNotCleanUp(t *testing.T) {
	setCleanup(false)
	defer setCleanup(true)
	f := &failure{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Start(f)
	}()
	<-done
	if !strings.Contains(f.text, "os.Exit(testpg.Run(m))") {
		t.Fatalf("the message does not say what to add: %q", f.text)
	}
}

// Package keyturntest starts a real Keyturn server on a temporary database in one line, for tests of programs that use one.
package keyturntest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/server"
)

// Server is a running server.
type Server struct {
	URL string // http://127.0.0.1:PORT
	// PublicURL is what browsers open, http://localhost:PORT: passkeys are bound to its host name.
	PublicURL string
	Token     string // of the first admin; empty on a bare server
	Data      string // folder of its data
	Email     string // of the first admin
	Password  string
	stop      func()
}

// Option changes how a server is started.
type Option func(*server.Options)

// WithPostgres uses a PostgreSQL database instead of SQLite.
func WithPostgres(address string) Option {
	return func(o *server.Options) { o.Config.Database = address }
}

// WithData uses a folder that is there already.
func WithData(folder string) Option { return func(o *server.Options) { o.Config.Data = folder } }

// WithConfig changes the configuration.
func WithConfig(change func(*config.Config)) Option {
	return func(o *server.Options) { change(&o.Config) }
}

// testPassword is that of the first admin of every test server.
const testPassword = "a test-value for the first admin"

// Start starts a server with a first admin; it stops with the test.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s, inner := start(tb, options)
	s.Email, s.Password = "admin@example.test", testPassword
	first, err := inner.Access().SetUp(context.Background(), access.SetupInput{Email: s.Email, Password: sensitive.FromString(s.Password), Direct: true})
	if err != nil {
		tb.Fatalf("set up the test server: %v", err)
	}
	s.Token = string(first.Token.Reveal())
	return s
}

// Bare starts a server that nobody has set up yet.
func Bare(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	s, _ := start(tb, options)
	return s
}

// Stop stops the server before the test ends.
func (s *Server) Stop() { s.stop() }

func start(tb testing.TB, options []Option) (*Server, *server.Server) {
	tb.Helper()
	folder, err := os.MkdirTemp("", "keyturntest-") // not tb.TempDir: its name holds the test's, which may be long
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o := server.Options{Version: "test", LookupEnv: func(string) (string, bool) { return "", false },
		Config: config.Config{Mode: config.Development, Data: folder, CacheBytes: 16 << 20, OfflineMaxAge: time.Hour, LogLevel: "error", Dialects: []string{"infisical", "vault"}, PublicURL: "http://localhost:" + port,
			BackupTo: filepath.Join(folder, "backups"), ArchiveTo: filepath.Join(folder, "audit-archive")}} // none is made by itself
	for _, option := range options {
		option(&o)
	}
	inner, err := server.Open(context.Background(), o)
	if err != nil {
		_ = l.Close()
		tb.Fatalf("start the test server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- inner.Serve(ctx, l) }()
	stopped := false
	s := &Server{URL: "http://" + l.Addr().String(), PublicURL: o.Config.PublicURL, Data: o.Config.Data}
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("stop the test server: %v", err)
		}
	}
	tb.Cleanup(func() {
		s.stop()
		_ = os.RemoveAll(folder)
	})
	return s, inner
}

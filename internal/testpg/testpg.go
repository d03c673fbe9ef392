package testpg

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// common is the server that the tests of this binary share. It is package state on purpose: a test binary is a process,
// and starting a server for each test would cost seconds each.
var common struct {
	once   sync.Once
	server *Server
	err    error

	mu      sync.Mutex
	cleanup bool // guarded by mu; Run is active and will remove the server
}

// Run runs the tests of a package, then ends the shared server and removes its folder. It returns the exit code for
// os.Exit, and makes it a failure when the clean-up fails.
func Run(m interface{ Run() int }) int {
	setCleanup(true)
	defer setCleanup(false)

	// An interrupted run cleans up as well; a killed one is cleaned up by the kernel and by the next run's sweep.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	go func() {
		<-interrupted
		_ = removeCommon()
		os.Exit(130) // 128 + SIGINT, as shells count
	}()

	code := m.Run()
	if err := removeCommon(); err != nil {
		fmt.Fprintf(os.Stderr, "testpg: %v\n", err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

// Main wraps tests for runners that want to call Run themselves, such as testscript.Main(testpg.Main{M: m}, ...).
type Main struct{ M interface{ Run() int } }

// Run is [Run] of what Main wraps.
func (m Main) Run() int { return Run(m.M) }

func setCleanup(on bool) {
	common.mu.Lock()
	defer common.mu.Unlock()
	common.cleanup = on
}

func removeCommon() error {
	common.once.Do(func() { common.err = errors.New("the tests of this binary are over") })
	if common.server == nil {
		return nil
	}
	return common.server.remove()
}

// Start gives the server that all tests of this binary share, and starts it on the first call. The test fails when there
// is no PostgreSQL, when it does not start, or when the package's TestMain does not call [Run].
func Start(tb testing.TB) *Server {
	tb.Helper()
	common.mu.Lock()
	cleanup := common.cleanup
	common.mu.Unlock()
	if !cleanup {
		tb.Fatal("testpg: add to this package: func TestMain(m *testing.M) { os.Exit(testpg.Run(m)) }")
	}
	common.once.Do(func() {
		common.server, common.err = launch(nil)
		if common.server != nil {
			common.server.shared = true
		}
	})
	if common.err != nil {
		tb.Fatalf("testpg: %v", common.err)
	}
	return common.server
}

// Private starts a server for one test alone, for crash tests and for settings such as "synchronous_commit=off" (each in
// the form name=value). It ends with the test.
func Private(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := launch(settings)
	if err != nil {
		tb.Fatalf("testpg: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.remove(); err != nil {
			tb.Errorf("testpg: %v", err)
		}
	})
	return s
}

// Database gives the address (a postgres:// URL) of a fresh database on the shared server. See [Server.Database].
func Database(tb testing.TB) string {
	tb.Helper()
	return Start(tb).Database(tb)
}

// Database gives the address (a postgres:// URL) of a fresh, empty database whose owner is no superuser. It is dropped when
// the test ends, connections or not.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := s.admin(fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, owner)); err != nil {
		tb.Fatalf("testpg: make a database: %v", err)
	}
	tb.Cleanup(func() {
		if !s.running() {
			return // a private server that its test has stopped; the folder goes as a whole
		}
		if err := s.admin(fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name)); err != nil {
			tb.Errorf("testpg: drop a database: %v", err)
		}
	})
	return s.dsn(owner, name)
}

// Admin is the address of the server's maintenance database for its superuser.
func (s *Server) Admin() string { return s.dsn(superuser, "postgres") }

// Folder is the folder that holds everything the server writes: tables and write-ahead log under data, and the log file
// with every statement and its parameters. A search for plaintext walks all of it.
func (s *Server) Folder() string { return s.folder.path }

// Log is the path of the server's log file. It grows across restarts.
func (s *Server) Log() string { return s.folder.log() }

// Stop ends the server in good order: connections are cut, a checkpoint is written. A shared server is started again when
// the test ends, but other tests of the binary suffer meanwhile: use a [Private] one if they run in parallel.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.halt(tb, fastShutdown)
}

// Kill ends the server as kill -9 does: no checkpoint, no goodbye to clients. It returns when all of its processes are
// gone; [Server.Restart] then recovers. As with Stop, prefer a [Private] server.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.halt(tb, syscall.SIGKILL)
}

// Restart stops the server if it runs and starts it again on the same port, so that addresses stay valid. It returns when
// the server answers, crash recovery included.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	if err := errors.Join(s.end(fastShutdown), s.start()); err != nil {
		tb.Fatalf("testpg: restart: %v", err)
	}
}

func (s *Server) halt(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	if err := s.end(signal); err != nil {
		tb.Fatalf("testpg: %v", err)
	}
	if s.shared {
		tb.Cleanup(func() {
			if err := s.start(); err != nil {
				tb.Errorf("testpg: start the shared server again: %v", err)
			}
		})
	}
}

package testpg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "postgres"
	// owner owns the databases that tests get. It is no superuser, as in a careful installation.
	owner = "keyturn"

	// readyTimeout bounds the wait for the first answer, crash recovery included.
	readyTimeout = 2 * time.Minute
	// poll is the pause between two attempts to reach the server.
	poll = 20 * time.Millisecond
	// startAttempts bounds how often a start that lost the race for its port is tried with another one.
	startAttempts = 5
	// connectTimeout bounds one attempt to reach the server.
	connectTimeout = 10 * time.Second

	// firstPort and lastPort lie below the range from which systems take the local ports of outgoing connections (32768 up
	// on Linux, 49152 up elsewhere), so that the port is still free after a restart.
	firstPort, lastPort = 20000, 32000
)

// settings are passed on the command line of every start. Only what differs from PostgreSQL's own defaults stands here;
// fsync, synchronous_commit and full_page_writes stay on.
var settings = [...]string{
	"listen_addresses=127.0.0.1",
	"unix_socket_directories=", // loopback only; a socket path in a deep temporary folder may also be too long
	"password_encryption=scram-sha-256",
	"max_connections=200", // several servers under test, each with its own pools
	"max_wal_size=256MB",  // keeps the folder small
	"shared_buffers=64MB", // several test binaries run at once
	"log_statement=all",   // with their parameters, for the search for plaintext
	"log_parameter_max_length=-1",
	"log_parameter_max_length_on_error=-1",
	"log_connections=on",
	"log_line_prefix=%m [%p] %q%u@%d ",
}

// Server is a running PostgreSQL. Its methods may be called by several goroutines.
type Server struct {
	folder   workFolder
	in       installation
	as       account
	port     int
	password string
	extra    []string // settings of this server, after the common ones
	shared   bool     // other tests of this binary use it too

	mu      sync.Mutex
	process *process // guarded by mu; nil while stopped
}

// launch makes a cluster in a new folder and starts it.
func launch(extra []string) (*Server, error) {
	in, err := findInstallation(debianFolders, os.Getenv("PATH"))
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	sweep(os.TempDir(), time.Now())
	folder, err := makeFolder(os.TempDir(), as)
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, in: in, as: as, extra: extra, password: "test-value-" + rand.Text()}
	err = initdb(in, as, folder, s.password)
	for attempt := 1; err == nil; attempt++ {
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			break
		}
		// The log belongs to this attempt and its predecessors only, so the words mean what they say.
		if attempt < startAttempts && strings.Contains(tail(folder.log()), "Address already in use") {
			err = nil
		}
	}
	if err == nil {
		err = s.admin(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", owner, s.password))
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// freePort finds a loopback port that nobody listens on.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + mathrand.IntN(lastPort-firstPort)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// start runs the server and waits until it answers. It does nothing when the server runs.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && !s.process.ended() {
		return nil
	}
	log, err := os.OpenFile(s.folder.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()

	args := []string{"-D", s.folder.data(), "-p", strconv.Itoa(s.port)}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	for _, setting := range s.extra {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(s.in.program("postgres"), args...)
	prepare(cmd, s.as, s.folder)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := spawn(cmd)
	if err != nil {
		return err
	}
	if err := s.await(p); err != nil {
		return errors.Join(err, p.end(immediateShutdown))
	}
	s.process = p
	return nil
}

// await polls until the server answers a query.
func (s *Server) await(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for {
		err := s.admin("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("postgresql ended while starting; its log ends with:\n%s", tail(s.folder.log()))
		case <-ctx.Done():
			return fmt.Errorf("postgresql does not answer after %s (%w); its log ends with:\n%s", readyTimeout, err, tail(s.folder.log()))
		case <-time.After(poll):
		}
	}
}

// end ends the server with a signal; it does nothing when the server does not run.
func (s *Server) end(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	err := s.process.end(signal)
	if err == nil {
		s.process = nil
	}
	return err
}

// remove ends the server without ceremony and removes all that it wrote.
func (s *Server) remove() error {
	return errors.Join(s.end(immediateShutdown), s.folder.remove())
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process != nil && !s.process.ended()
}

// dsn is the address of a database for one of the two roles.
func (s *Server) dsn(role, database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}).String()
}

// admin runs one statement as superuser, outside any test database.
func (s *Server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn(superuser, "postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

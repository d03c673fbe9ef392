package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	// postgresCPU is that of the load: it idles while rows are moved, and Keyturn
	// and what does them by hand keep one for themselves, as with SQLite.
	postgresCPU = loadCPU
	// postgresReady bounds the wait for the first answer.
	postgresReady = time.Minute
	// debianPostgres is where Debian puts one folder of programs per version.
	debianPostgres = "/usr/lib/postgresql/*/bin"
	postgresRole   = "keyturn"
)

// postgresServer is a PostgreSQL of the benchmark's own, with its defaults:
// fsync is on.
type postgresServer struct {
	dir  string
	port string
	cmd  *exec.Cmd
	done chan error
}

// startPostgres makes a cluster in a folder of its own and starts it.
func startPostgres(ctx context.Context) (*postgresServer, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	as, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	// Not in the benchmark's folder, which is closed to other accounts.
	dir, err := os.MkdirTemp("", "keyturn-bench-postgres-*")
	if err != nil {
		return nil, err
	}
	p := &postgresServer{dir: dir, done: make(chan error, 1)}
	if as != nil {
		err = os.Chown(dir, int(as.Uid), int(as.Gid))
	}
	if err == nil {
		err = p.start(ctx, bin, as)
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *postgresServer) start(ctx context.Context, bin string, as *syscall.Credential) error {
	host, err := freeAddress()
	if err != nil {
		return err
	}
	p.port = host[len("127.0.0.1:"):]
	data := filepath.Join(p.dir, "data")
	dress := func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Dir = p.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	initdb := dress(exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", postgresRole, "-A", "trust", "--no-sync", "-E", "UTF8"))
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %.300s", err, bytes.TrimSpace(out))
	}
	p.cmd = dress(pinned(context.WithoutCancel(ctx), postgresCPU, filepath.Join(bin, "postgres"), "-D", data, "-p", p.port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="))
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	go func() { p.done <- p.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, postgresReady)
	defer cancel()
	for {
		err := postgresDo(ctx, p.address(), "SELECT 1")
		if err == nil {
			return nil
		}
		if pause(ctx, 10*pollEvery) != nil {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

func (p *postgresServer) address() string {
	return "postgres://" + postgresRole + "@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
}

// stop ends the server and removes its folder.
func (p *postgresServer) stop() error {
	var err error
	if p.cmd != nil {
		// Fast shutdown: PostgreSQL manual, "Shutting Down the Server".
		if err = p.cmd.Process.Signal(syscall.SIGINT); err == nil {
			select {
			case <-p.done:
			case <-time.After(stopWithin):
				err = p.cmd.Process.Kill()
				<-p.done
			}
		}
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// postgresPrograms finds the folder with postgres and initdb, the newest first.
func postgresPrograms() (string, error) {
	folders, err := filepath.Glob(debianPostgres)
	if err != nil {
		return "", err
	}
	version := func(folder string) int {
		n, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		if err != nil {
			return 0
		}
		return n
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	for _, folder := range append(folders, filepath.SplitList(os.Getenv("PATH"))...) {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("initdb is neither in the search path nor in " + debianPostgres)
}

// postgresAccount is who the server runs as: PostgreSQL refuses root, which
// lends it to the account of the distribution's package; nil for ourselves.
func postgresAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

// databaseAt is the address of another database of the same server.
func databaseAt(admin, name string) (string, error) {
	u, err := url.Parse(admin)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("the address of PostgreSQL is no URL: want postgres://user:password@host:5432/database")
	}
	u.Path = "/" + name
	return u.String(), nil
}

func random32() uint32 { return rand.Uint32() }

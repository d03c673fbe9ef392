package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver that Keyturn uses

	"github.com/keyturn/keyturn/bench/measure"
)

// schema has the shape of a versioned store in the fewest tables: a head per
// secret, its history, the environment with its revision, the folder, the
// commits, the feed that other servers follow, and the audit log with its head.
// put below runs the statements that one commit of Keyturn is made of.
const schema = `
CREATE TABLE secrets (
	id BLOB PRIMARY KEY, org_id BLOB NOT NULL, project_id BLOB NOT NULL, env_id BLOB NOT NULL,
	folder_id BLOB NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, updated_at INTEGER NOT NULL,
	UNIQUE (folder_id, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE versions (
	secret_id BLOB NOT NULL, version INTEGER NOT NULL, org_id BLOB NOT NULL, project_id BLOB NOT NULL,
	revision INTEGER NOT NULL, sealed BLOB NOT NULL, digest BLOB NOT NULL, created_at INTEGER NOT NULL,
	PRIMARY KEY (secret_id, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE environments (id BLOB PRIMARY KEY, org_id BLOB NOT NULL, project_id BLOB NOT NULL, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE folders (id BLOB PRIMARY KEY, env_id BLOB NOT NULL, path TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE commits (
	id BLOB PRIMARY KEY, org_id BLOB NOT NULL, project_id BLOB NOT NULL, env_id BLOB NOT NULL, revision INTEGER NOT NULL,
	author_id BLOB NOT NULL, at INTEGER NOT NULL, message TEXT NOT NULL, cause TEXT NOT NULL, UNIQUE (env_id, revision)
) STRICT, WITHOUT ROWID;
CREATE TABLE feed (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, env_id BLOB NOT NULL, revision INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE instance (one INTEGER PRIMARY KEY, log_size INTEGER NOT NULL, log_root BLOB NOT NULL, feed_seq INTEGER NOT NULL) STRICT;
CREATE TABLE audit (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, leaf BLOB NOT NULL) STRICT;
`

const (
	insertSecret  = `INSERT INTO secrets VALUES (?,?,?,?,?,?,?,?)`
	insertVersion = `INSERT INTO versions VALUES (?,?,?,?,?,?,?,?)`
	updateHead    = `UPDATE secrets SET version = ?, updated_at = ? WHERE id = ?`
	updateEnv     = `UPDATE environments SET revision = revision + 1 WHERE id = ? RETURNING revision`
	updateFolder  = `UPDATE folders SET version = version + 1 WHERE id = ?`
	insertCommit  = `INSERT INTO commits VALUES (?,?,?,?,?,?,?,'','person')`
	insertFeed    = `INSERT INTO feed (kind, env_id, revision, at) VALUES ('commit',?,?,?)`
	updateOne     = `UPDATE instance SET log_size = log_size + 1, log_root = ?, feed_seq = feed_seq + 1 WHERE one = 1`
	insertAudit   = `INSERT INTO audit (entry, leaf) VALUES (?,?)`

	sealedSize = measure.ValueSize + 12 + 16 + 24 // nonce, tag, envelope header
	auditSize  = 250
	heads      = 1000 // names that the writers write in turn
)

// store is one SQLite database through one connection: SQLite has one writer
// at a time, and waiting for a mutex beats its busy handler, which sleeps.
type store struct {
	db              *sql.DB
	org, project    []byte
	env, folder     []byte
	ids             [][]byte
	sealed, entry   []byte
	digest          []byte
	insertS, insert *sql.Stmt
	update, log     *sql.Stmt
	env1, folder1   *sql.Stmt
	commit, feed    *sql.Stmt
	one             *sql.Stmt
}

func openStore(ctx context.Context, dir string) (*store, error) {
	dsn := url.URL{Scheme: "file", Opaque: filepath.Join(dir, "floor.db")}
	dsn.RawQuery = url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "cache_size(-16384)",
	}, "_txlock": {"immediate"}}.Encode()
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &store{
		db: db, org: id(), project: id(), env: id(), folder: id(),
		sealed: random(sealedSize), entry: []byte(strings.Repeat("e", auditSize)), digest: random(32),
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("schema: %w", err), db.Close())
	}
	for query, arg := range map[string]any{
		`INSERT INTO environments VALUES (?, x'00', x'00', 0)`: s.env, `INSERT INTO folders VALUES (?, x'00', '/', 0)`: s.folder,
		`INSERT INTO instance VALUES (1, 0, ?, 0)`: s.digest,
	} {
		if _, err := db.ExecContext(ctx, query, arg); err != nil {
			return nil, errors.Join(fmt.Errorf("first rows: %w", err), db.Close())
		}
	}
	for query, stmt := range map[string]**sql.Stmt{
		updateEnv: &s.env1, updateFolder: &s.folder1, insertCommit: &s.commit, insertFeed: &s.feed, updateOne: &s.one,
		insertSecret: &s.insertS, insertVersion: &s.insert, updateHead: &s.update, insertAudit: &s.log,
	} {
		if *stmt, err = db.PrepareContext(ctx, query); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return s, nil
}

// create inserts n secrets with their first version and one audit entry in one
// transaction.
func (s *store) create(ctx context.Context, n int) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	now := time.Now().UnixMicro()
	insertS, insert := tx.StmtContext(ctx, s.insertS), tx.StmtContext(ctx, s.insert)
	for i := range n {
		sid := id()
		if _, err := insertS.ExecContext(ctx, sid, s.org, s.project, s.env, s.folder, measure.Name(i), 1, now); err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, sid, 1, s.org, s.project, 1, s.sealed, s.digest, now); err != nil {
			return err
		}
		s.ids = append(s.ids, sid)
	}
	if _, err := tx.StmtContext(ctx, s.log).ExecContext(ctx, s.entry, s.digest); err != nil {
		return err
	}
	return tx.Commit()
}

// put writes one new version as a commit does: revision, history row, head,
// folder, commit, feed, audit row and head of the log, one transaction.
func (s *store) put(ctx context.Context, secret []byte, version int) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	now := time.Now().UnixMicro()
	if _, err := tx.StmtContext(ctx, s.insert).ExecContext(ctx, secret, version, s.org, s.project, version, s.sealed, s.digest, now); err != nil {
		return err
	}
	if _, err := tx.StmtContext(ctx, s.update).ExecContext(ctx, version, now, secret); err != nil {
		return err
	}
	var revision int64
	if err := tx.StmtContext(ctx, s.env1).QueryRowContext(ctx, s.env).Scan(&revision); err != nil {
		return err
	}
	for stmt, args := range map[*sql.Stmt][]any{
		s.folder1: {s.folder}, s.commit: {id(), s.org, s.project, s.env, revision, s.org, now},
		s.feed: {s.env, revision, now}, s.one: {s.digest}, s.log: {s.entry, s.digest},
	} {
		if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// write measures durable writes by -writers goroutines, each write in a
// transaction of its own.
func write(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floor write", flag.ContinueOnError)
	dir := flags.String("dir", "", "empty folder for the database")
	writers := flags.Int("writers", 1, "concurrent writers")
	warmUp := flags.Duration("warmup", 500*time.Millisecond, "writes before the measured span")
	span := flags.Duration("for", 3*time.Second, "measured span")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := openStore(ctx, *dir)
	if err != nil {
		return err
	}
	defer s.db.Close()
	if err := s.create(ctx, heads); err != nil {
		return err
	}
	started := time.Now()
	from := started.Add(*warmUp)
	to := from.Add(*span)
	before := ownCPU()
	took := make([][]time.Duration, *writers)
	errs := make([]error, *writers)
	var wg sync.WaitGroup
	for w := range *writers {
		wg.Go(func() {
			// Writer w owns the heads w, w+writers, ...: no version is written twice.
			version := 2
			for i := w; ; i += *writers {
				if i >= len(s.ids) {
					i, version = w, version+1
				}
				start := time.Now()
				if !start.Before(to) {
					return
				}
				if errs[w] = s.put(ctx, s.ids[i], version); errs[w] != nil {
					return
				}
				if end := time.Now(); !start.Before(from) && !end.After(to) {
					took[w] = append(took[w], end.Sub(start))
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	r := measure.Summarise(slices.Concat(took...), *span, 0)
	// CPU over warm-up and span, cut to the span's share.
	share := span.Seconds() / time.Since(started).Seconds()
	r.ServerCPU = (ownCPU() - before).Seconds() * share
	fmt.Println(r)
	return nil
}

// bulk measures one insert of -rows secrets in one transaction.
func bulk(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("floor bulk", flag.ContinueOnError)
	dir := flags.String("dir", "", "empty folder for the database")
	rows := flags.Int("rows", 10_000, "rows to insert")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := openStore(ctx, *dir)
	if err != nil {
		return err
	}
	defer s.db.Close()
	before := ownCPU()
	start := time.Now()
	if err := s.create(ctx, *rows); err != nil {
		return err
	}
	span := time.Since(start)
	r := measure.Summarise([]time.Duration{span}, span, 0)
	r.ServerCPU = (ownCPU() - before).Seconds()
	fmt.Println(r)
	return nil
}

// id is 16 bytes that grow with time, as UUIDv7 does (RFC 9562 section 5.7),
// so that inserts append to the index as the real ones do.
func id() []byte {
	b := random(16)
	binary.BigEndian.PutUint64(b, uint64(time.Now().UnixNano()))
	return b
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func ownCPU() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

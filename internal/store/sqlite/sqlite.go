// Package sqlite opens the embedded engine: WAL, synchronous FULL, one writer, readers in parallel, one server at a time.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	driver "modernc.org/sqlite"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// FileName is the database inside the data folder.
const FileName = "keyturn.db"

// readers is how many queries may run at once: the cost of each is memory for its page cache.
const readers = 4

// Result codes of SQLite (https://sqlite.org/rescode.html); the low byte of an extended code is its primary one.
const (
	codePerm       = 3
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeInterrupt  = 9
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCannotOpen = 14
	codeConstraint = 19
	codeNotADB     = 26

	codeIOShmSize       = codeIO | 19<<8 // the index of the WAL could not grow: in practice a full disk
	codeConstraintKey   = codeConstraint | 6<<8
	codeConstraintName  = codeConstraint | 8<<8
	codeConstraintRowID = codeConstraint | 10<<8
)

// Exists tells whether the folder holds a database.
func Exists(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, FileName))
	return err == nil && info.Size() > 0
}

// Open opens or makes the database in the folder and takes the folder's lock, so that a second server is refused.
func Open(ctx context.Context, folder string) (*store.Engine, error) {
	lock, err := takeLock(filepath.Join(folder, "keyturn.lock"))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, FileName)
	// SQLite would make it readable for all; its WAL inherits the mode.
	if f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		_ = lock.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "the database file cannot be written")
	} else if err := f.Close(); err != nil {
		_ = lock.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "the database file cannot be written")
	}
	e, err := open(ctx, file)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	closePools := e.Close
	e.Close = func() error { return errors.Join(closePools(), lock.Close()) }
	e.Abandon = lock.Close
	return e, nil
}

func open(ctx context.Context, file string) (*store.Engine, error) {
	// The busy timeout comes first: the switch to WAL itself may have to wait.
	pragmas := "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
		"&_pragma=trusted_schema(0)&_pragma=temp_store(MEMORY)"
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + pragmas
	w, err := sql.Open("sqlite", dsn+"&_pragma=wal_autocheckpoint(4000)&_pragma=secure_delete(1)")
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(2) // the writer keeps one for itself; the other settles the file
	r, err := sql.Open("sqlite", dsn+"&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	bytes := &raw{}
	e := &store.Engine{
		Name: "sqlite", Readers: r, Writer: w, Begin: "BEGIN IMMEDIATE",
		Scrub:    func(ctx context.Context, needles [][]byte) error { return scrub(ctx, w, file, bytes, needles) },
		Schema:   func(s string) string { return s },
		Classify: Classify, Undone: undone,
		Close: func() error { return errors.Join(r.Close(), w.Close(), bytes.close()) },
	}
	if err := w.PingContext(ctx); err != nil {
		f, _ := Classify(err)
		_ = e.Close()
		return nil, f
	}
	return e, nil
}

// Settle makes a fresh database durable together with its name in the folder: the WAL is copied into the file and the
// folder is synced. Only then may the root key be shown (a lost unlink of the first journal would hide the WAL).
func Settle(ctx context.Context, e *store.Engine, folder string) error {
	if _, err := e.Writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		f, _ := Classify(err)
		return f
	}
	return syncFolder(folder)
}

// Classify tells busy, full, damaged, broken and missing apart: an I/O error is never "not found".
func Classify(err error) (*fault.Error, bool) {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f, false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "the request was given up"), false
	}
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return fault.Wrap(fault.Unavailable, err, "the database does not answer"), false
	}
	switch e.Code() {
	case codeIOShmSize:
		return full(err), false
	case codeConstraintKey, codeConstraintName, codeConstraintRowID:
		return fault.Wrap(fault.Exists, err, "the name is taken"), false
	}
	switch e.Code() & 0xff {
	case codeBusy, codeLocked:
		return fault.Wrap(fault.Unavailable, err, "the database is busy").WithHint("try again in a moment"), false
	case codeFull:
		return full(err), false
	case codeInterrupt:
		return fault.Wrap(fault.Unavailable, err, "the request was given up"), false
	case codeReadOnly, codeCannotOpen, codePerm:
		return fault.Wrap(fault.Unavailable, err, "the data folder cannot be written").
			WithHint("check owner, mode and mount of the folder and of what is in it"), false
	case codeIO:
		return fault.Wrap(fault.Unavailable, err, "the disk of the database fails; the server leaves service").
			WithHint("check the disk, then start the server again"), true
	case codeCorrupt, codeNotADB:
		return fault.Wrap(fault.Unavailable, err, "the database file is damaged; the server leaves service").
			WithHint("restore a backup"), true
	}
	return fault.Wrap(fault.Internal, err, "the database refused a statement"), false
}

func full(err error) *fault.Error {
	return fault.Wrap(fault.Unavailable, err, "the disk is full").WithHint("make room on the disk of the data folder; nothing was lost")
}

// undone tells of a failed COMMIT that it stored nothing: it could not begin to write, or the write stopped before its last
// frame was whole (https://sqlite.org/walformat.html). An I/O error may come from the sync after that.
func undone(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case codeBusy, codeLocked, codeFull, codeConstraint, codeReadOnly:
		return true
	}
	return e.Code() == codeIOShmSize
}

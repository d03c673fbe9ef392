package store

import (
	"context"
	"database/sql"
	"embed"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Engine is what differs between SQLite and PostgreSQL. The subpackages make one; nothing else looks inside.
type Engine struct {
	Name string
	// Readers is a pool for queries, Writer a pool of one connection for the write transactions.
	Readers, Writer *sql.DB
	// Numbered is true when parameters are written $1, $2.
	Numbered bool
	// Begin starts a write transaction, Lock (may be empty) is appended to the first query of it.
	Begin, Lock string
	// Schema adapts the text of a migration.
	Schema func(string) string
	// Classify turns a driver's error into a fault; fatal means that the engine must not be used any more.
	Classify func(err error) (f *fault.Error, fatal bool)
	// Undone tells of the error of a COMMIT that it surely stored nothing. Where it is false the outcome is unknown.
	Undone func(err error) bool
	// Lost tells of the error of a query that its connection had died; nil when connections do not die.
	Lost func(err error) bool
	// Shared is true when other servers may write to the same database.
	Shared bool
	// Scrub makes sure that what was deleted or replaced is gone from the files as well; needles are byte strings that must
	// not be found in them afterwards. It may take as long as copying the database.
	Scrub func(ctx context.Context, needles [][]byte) error
	// Close gives up locks and pools.
	Close func() error
	// Abandon gives up locks and leaves the files exactly as they are, for a start that is refused: closing would settle
	// what a killed server left. The process is about to end.
	Abandon func() error
}

// Queries are the questions that can be asked inside a transaction and outside.
type Queries struct{ q querier }

type querier interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	classify(err error) error
}

// maxLost bounds how often a question is asked again because its connection had died: each pool may be full of dead ones.
const maxLost = 16

// DB is an open database.
type DB struct {
	Queries
	engine *Engine
	texts  sync.Map // query as written to query as the engine wants it
	stmts  sync.Map // text to *sql.Stmt of the reader pool

	// peeked is the number of the last migration when the database was opened for questions only.
	peeked int64

	writer  *writer
	failed  atomic.Pointer[fault.Error] // set once, when the engine must not be used any more
	onFatal func(error)
	// listeners hear of changes; set before the first write.
	listeners []func(Feed)
	// grew are told that this server's entries are in the log.
	grew   atomic.Pointer[[]func(int64)]
	frozen frozen
}

// Open brings the schema up to date and starts the writer. onFatal is called once, by a goroutine of its own, when the
// engine has failed for good. When Open fails, the engine is still the caller's to close. A newer schema, or one that was
// made by a changed program, is fault.Unsupported and is not touched.
func Open(ctx context.Context, e *Engine, onFatal func(error)) (*DB, error) {
	db := &DB{engine: e, onFatal: onFatal}
	db.Queries = Queries{db}
	db.Hear(db.frozen.hear)
	db.writer = newWriter(db)
	if err := db.migrate(ctx); err != nil {
		return nil, err
	}
	return db, nil
}

// Peek opens for questions only: nothing is migrated or written. A database without a schema gives fault.NotFound, one of a
// newer program fault.Unsupported. When Peek fails, the engine is still the caller's, who may go on to Open.
func Peek(ctx context.Context, e *Engine) (*DB, error) {
	db := &DB{engine: e, onFatal: func(error) {}}
	db.Queries = Queries{db}
	n, err := db.schemaVersion(ctx)
	if err != nil {
		return nil, err
	}
	known, err := migrations()
	if err != nil {
		return nil, err
	}
	switch newest := known[len(known)-1].number; {
	case n == 0:
		return nil, fault.New(fault.NotFound, "the database is empty")
	case n > newest:
		return nil, newerSchema(n, newest)
	}
	db.peeked = n
	return db, nil
}

// Scrub makes sure that what was deleted or replaced is gone from the files of the database as well.
func (db *DB) Scrub(ctx context.Context, needles ...[]byte) error {
	return db.classify(db.engine.Scrub(ctx, needles))
}

// Submitted counts what was given to the writer since the start. Work in the background looks at it to see whether it is alone.
func (db *DB) Submitted() int64 { return db.writer.submitted.Load() }

// Name tells the engine: "sqlite" or "postgres".
func (db *DB) Name() string { return db.engine.Name }

// Shared tells whether other servers may use the same database.
func (db *DB) Shared() bool { return db.engine.Shared }

// Close waits for the writer and closes the engine.
func (db *DB) Close() error {
	if db.writer != nil {
		db.writer.stop()
	}
	return db.engine.Close()
}

// Peeked gives the number of the last migration of a database that [Peek] opened, 0 of any other.
func (db *DB) Peeked() int64 { return db.peeked }

// Ping asks the database for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	if f := db.failed.Load(); f != nil {
		return f
	}
	return db.classify(db.engine.Readers.PingContext(ctx))
}

func (db *DB) text(query string) string {
	if !db.engine.Numbered {
		return query
	}
	if t, ok := db.texts.Load(query); ok {
		return t.(string)
	}
	t := numbered(query)
	db.texts.Store(query, t)
	return t
}

// numbered turns ? into $1, $2, ... Our queries hold no string literals with a question mark.
func numbered(query string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

func (db *DB) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if f := db.failed.Load(); f != nil {
		return nil, f
	}
	if db.engine.Numbered { // pgx keeps prepared statements by itself
		text := db.text(query)
		for tries := 0; ; tries++ {
			rows, err := db.engine.Readers.QueryContext(ctx, text, args...)
			if err == nil || tries == maxLost || db.engine.Lost == nil || !db.engine.Lost(err) {
				return rows, db.classify(err)
			}
		}
	}
	stmt, ok := db.stmts.Load(query)
	if !ok {
		fresh, err := db.engine.Readers.PrepareContext(ctx, query)
		if err != nil {
			return nil, db.classify(err)
		}
		if stmt, ok = db.stmts.LoadOrStore(query, fresh); ok {
			_ = fresh.Close() // another caller was faster
		}
	}
	rows, err := stmt.(*sql.Stmt).QueryContext(ctx, args...)
	return rows, db.classify(err)
}

// classify makes a fault of a driver's error, and takes the database out of service when it must not go on.
func (db *DB) classify(err error) error {
	if err == nil {
		return nil
	}
	f, fatal := db.engine.Classify(err)
	if fatal {
		db.fail(f)
	}
	return f
}

func (db *DB) fail(f *fault.Error) {
	if db.failed.CompareAndSwap(nil, f) {
		go db.onFatal(f)
	}
}

// Record appends one entry to the log and waits until it is durable. An entry without a time gets one, and one
// that is too long for a single record is stored in parts that share an id.
func (db *DB) Record(entry *audit.Entry) error {
	return db.writer.submit(&job{entry: entry})
}

// Write runs a change and appends its entry in the same transaction. When run fails, its changes are undone, the entry is
// appended with outcome "failed", and the error of run is returned. When the transaction itself fails, nothing is stored
// and no entry either. A context that ends before run does makes it fail with fault.Unavailable; after that the change is
// made, whether or not somebody still waits for it.
func (db *DB) Write(ctx context.Context, entry *audit.Entry, run func(*Tx) error) error {
	return db.writer.submit(&job{ctx: ctx, run: run, entry: entry})
}

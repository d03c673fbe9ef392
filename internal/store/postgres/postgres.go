// Package postgres opens PostgreSQL 15 or newer, for several servers on the same data.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// readers is how many queries may run at once.
	readers       = 8
	oldestVersion = 150000 // server_version_num
	// connectTimeout bounds one attempt to connect where the address names no other bound: the writer waits for it.
	connectTimeout = 10 * time.Second

	// A server that is frozen in the middle of a transaction (a paused machine, SIGSTOP) holds the instance row, and with it all
	// other servers. PostgreSQL ends such a session by itself. Between two statements of ours lie milliseconds.
	idleTimeout, idleTimeoutMS = "idle_in_transaction_session_timeout", "10000"
)

var words = regexp.MustCompile(`\b(BLOB|INTEGER|TEXT)\b|\) STRICT\b|\bX'[0-9A-F]*'`)

// schema adapts the text of a migration. Text compares by bytes, as it does on SQLite, whatever language the database has.
func schema(text string) string {
	switch {
	case strings.Contains(text, "CREATE TABLE key_turn "): // the tables before it were made when keys did not turn
		text += unsampled(sealedTables[:6]...)
	case strings.Contains(text, "CREATE TABLE instance_secret "):
		text += unsampled("instance_secret")
	case strings.Contains(text, "CREATE TABLE change_part "):
		text += unsampled("change_part")
	case strings.Contains(text, "CREATE TABLE transit_version "):
		text += unsampled("transit_version")
	}
	return words.ReplaceAllStringFunc(text, func(w string) string {
		switch w {
		case "BLOB":
			return "BYTEA"
		case "INTEGER":
			return "BIGINT"
		case "TEXT":
			return `TEXT COLLATE "C"`
		case ") STRICT":
			return ")"
		}
		return `'\x` + strings.Trim(w, "X'") + `'::bytea`
	})
}

// Open connects. The address is a URL or a list of key=value pairs, as libpq takes them; it may hold a password, so it is
// never shown. A wrong address is fault.Invalid, a server that cannot be reached or refuses the user is fault.Unavailable,
// one that is too old or does not sync is fault.Unsupported.
func Open(ctx context.Context, address string) (*store.Engine, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil || strings.Contains(address, "://") && !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		// Another scheme would be read as one setting of a strange name, and sent to the server. The error quotes the address.
		return nil, fault.New(fault.Invalid, "the PostgreSQL address is not valid").WithHint("want postgres://user:password@host:5432/database")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "keyturn"
	}
	if config.RuntimeParams[idleTimeout] == "" {
		config.RuntimeParams[idleTimeout] = idleTimeoutMS
	}
	r, w := stdlib.OpenDB(*config), stdlib.OpenDB(*config)
	w.SetMaxOpenConns(1)
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	e := &store.Engine{
		Name: "postgres", Readers: r, Writer: w, Numbered: true, Shared: true,
		// The instance row is locked first, so that transactions run one after the other: read committed is then serial.
		Begin: "BEGIN ISOLATION LEVEL READ COMMITTED", Lock: " FOR UPDATE",
		Schema: schema, Classify: Classify, Undone: undone, Lost: connectionLost,
		Scrub: func(ctx context.Context, _ [][]byte) error { return scrub(ctx, r) },
		Close: func() error { return errors.Join(r.Close(), w.Close()) },
	}
	e.Abandon = e.Close
	if err := check(ctx, r); err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

// sealedColumns hold envelopes and wrapped keys.
var sealedColumns = map[string][]string{
	"key_slot": {"wrapped", "proof"}, "key_generation": {"wrapped"}, "idempotency": {"answer"}, "personal": {"value"},
	"secret_history": {"value", "comment"}, "secret": {"value", "comment"}, "instance_secret": {"value"}, "change_part": {"value"},
	"transit_version": {"value"},
}

// unsampled keeps the contents of sealed columns out of the planner's statistics (pg_statistic), where ANALYZE would put copies
// that outlive the rows: they are random bytes, of which no statistic is of any use.
func unsampled(tables ...string) string {
	var b strings.Builder
	for _, table := range tables {
		for _, column := range sealedColumns[table] {
			b.WriteString("ALTER TABLE " + table + " ALTER COLUMN " + column + " SET STATISTICS 0;\n")
		}
	}
	return b.String()
}

// sealedTables hold envelopes and wrapped keys.
var sealedTables = [...]string{"key_slot", "key_generation", "idempotency", "personal", "secret_history", "secret", "instance_secret", "change_part", "transit_version"}

// scrub writes the tables that held something destroyed anew: PostgreSQL leaves replaced rows in their pages until others need
// the room, and only a full vacuum gives them back as files of their own, which are removed. Each table is locked while it is
// copied. The server's own write-ahead log is out of reach: its files are used again when their turn comes.
func scrub(ctx context.Context, db *sql.DB) error {
	if err := awaitReaders(ctx, db); err != nil {
		return err
	}
	for _, table := range sealedTables {
		if _, err := db.ExecContext(ctx, "VACUUM (FULL) "+table); err != nil {
			return err
		}
	}
	return nil
}

const (
	// readersWithin bounds how long scrub waits for transactions that may still look at replaced rows.
	readersWithin = 10 * time.Second
	// readersEvery is how often it looks.
	readersEvery = 50 * time.Millisecond
)

// awaitReaders waits until no transaction is left that began before now: for its sake a vacuum would keep replaced rows, and
// copy them. Sessions of other users are seen where this one may see them (pg_read_all_stats).
func awaitReaders(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, readersWithin)
	defer cancel()
	var now string
	if err := db.QueryRowContext(ctx, "SELECT pg_current_xact_id()::xid::text").Scan(&now); err != nil {
		return err
	}
	for {
		var older int
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
			AND (age(backend_xmin) >= age($1::text::xid) OR age(backend_xid) > age($1::text::xid))`, now).Scan(&older)
		if err == nil && older == 0 {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "an open transaction on the database still sees what was destroyed").
				WithHint("end it, if it is a forgotten one: see pg_stat_activity; the turn goes on by itself")
		case <-time.After(readersEvery):
		}
	}
}

// check refuses a server that is too old or that acknowledges before it has synced.
func check(ctx context.Context, db *sql.DB) error {
	var version int
	var synchronous, fsync string
	err := db.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int, current_setting('synchronous_commit'), current_setting('fsync')").
		Scan(&version, &synchronous, &fsync)
	switch {
	case err != nil:
		f, _ := Classify(err)
		return f
	case version < oldestVersion:
		return fault.New(fault.Unsupported, "PostgreSQL is too old: want 15 or newer")
	case synchronous == "off" || fsync == "off":
		return fault.New(fault.Unsupported, "PostgreSQL acknowledges before it has synced").
			WithHint("set synchronous_commit and fsync to on: a secret that was acknowledged must not be lost")
	}
	return nil
}

// Classify turns errors of the driver into faults. The text of the server's error is kept for the log only, and only its
// code: messages may quote values.
func Classify(err error) (*fault.Error, bool) {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f, false
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			return fault.New(fault.Unavailable, "the request was given up"), false
		}
		if _, isNet := errors.AsType[net.Error](err); isNet || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
			errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, sql.ErrConnDone) || isConnect(err) {
			return fault.New(fault.Unavailable, "the database cannot be reached").WithHint("try again in a moment"), false // the error names host and user
		}
		// Only its type: the driver quotes arguments that it cannot encode.
		return fault.Wrap(fault.Unavailable, fmt.Errorf("%T", err), "the database does not answer"), false
	}
	cause := errors.New("SQLSTATE " + pg.Code + " " + pg.ConstraintName)
	switch {
	case pg.Code == "23505":
		return fault.Wrap(fault.Exists, cause, "the name is taken"), false
	case pg.Code == "25P03": // this server slept in the middle of a transaction
		return fault.Wrap(fault.Unavailable, cause, "the database ended the transaction").WithHint("try again in a moment"), false
	case pg.Code == "25006":
		return fault.Wrap(fault.Unavailable, cause, "the database can only be read").WithHint("is this address one of a standby server?"), false
	case pg.Code == "53100":
		return fault.Wrap(fault.Unavailable, cause, "the disk of the database is full"), false
	case strings.HasPrefix(pg.Code, "28"):
		return fault.Wrap(fault.Unavailable, cause, "the database refuses the user or password"), false
	case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "57"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "40"):
		return fault.Wrap(fault.Unavailable, cause, "the database is not available").WithHint("try again in a moment"), false
	case strings.HasPrefix(pg.Code, "58"), strings.HasPrefix(pg.Code, "XX"):
		return fault.Wrap(fault.Unavailable, cause, "the database reports a broken disk or damaged data"), false
	}
	return fault.Wrap(fault.Internal, cause, "the database refused a statement"), false
}

// undone tells of a failed COMMIT that it stored nothing: the server said so itself. It has no severity above ERROR then, and
// keeps the connection.
func undone(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.SeverityUnlocalized == "ERROR"
}

// connectionLost tells that the connection died before the server answered; a new one may do better.
func connectionLost(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57P01" || pg.Code == "57P02" // the server ends this session, or all of them after a crash
	}
	if isConnect(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

func isConnect(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

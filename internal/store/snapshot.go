package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"maps"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// A snapshot is everything that a database holds at one moment, as raw rows: what a backup keeps.

// copied lists the tables of a snapshot so that a row comes after what it refers to. Every table of the schema is here or in
// [leftOut]; a test compares both with the schema.
var copied = []string{
	"instance", "key_slot", "key_generation", "key_turn", "instance_secret",
	"org", "project", "environment", "person", "identity", "client_secret", "token", "role", "user_group", "group_member", "role_grant",
	"halt",
	"passkey",
	"org_setting", "invite", "second_factor", "recovery_code", "leaver_task",
	"sso_connection", "sso_link", "scim_user", "scim_group",
	"commits", "env_approval", "change_set", "change_part", "change_review", "change_link", "access_request",
	"breakglass", "breakglass_share", "breakglass_opening", "breakglass_entry", "breakglass_task",
	"folder", "folder_history", "secret", "secret_history", "secret_ref", "personal",
	"mount", "document_version",
	"audit_segment", "audit_tile", "audit_chunk",
	"follower", "stream", "canary",
	"project_tag",
	"login_method", "wrapped", "signing_overlap", "auth_mount", "auth_role",
	"transit_key", "transit_version",
	"token_role", "cubbyhole",
	"consumer", "alert_channel", "alert_rule", "alert_known",
}

// leftOut says of every other table why a snapshot does without.
var leftOut = map[string]string{
	"schema_migration": "the schema's number stands in the snapshot, and migrations make the tables anew",
	"audit_index":      "computed from audit_chunk, for searches only",
	"feed":             "tells running servers what changed; nobody listens to a copy",
	"idempotency":      "answers for requests to the instance that was copied, which the copy has not applied",
	"sso_once":         "answers and codes that are good for minutes, at the instance that was copied",
	"alert_event":      "what happened to the instance that was copied was told there",
	"alert_delivery":   "a copy must not send the messages of another instance",
	"backup":           "a copy must neither count nor delete the backups of another instance",

	"passkey_challenge": "each is good for one ceremony of a few minutes, with the instance that was copied",
}

// ordered are the tables whose rows must come in an order of their own.
var ordered = map[string]string{"audit_segment": "first", "audit_tile": "idx", "audit_chunk": "first", "key_slot": "id", "key_generation": "id"}

// partly says of tables which rows a snapshot holds. Tiles are computed from the entries, so that a wrong one cannot be brought
// in; of those that are archived only the tiles of leaf hashes are left.
var partly = map[string]string{"audit_tile": " WHERE level = 0 AND idx * 256 < (SELECT coalesce(max(first + count), 0) FROM audit_segment)"}

// TableInfo is a table of a snapshot.
type TableInfo struct {
	Name    string
	Columns []string // in the order of the values of a row
}

// Snapshot is the database as it was at one moment, whatever is written meanwhile. It holds one connection of the reader pool
// until it is closed, and belongs to one goroutine.
type Snapshot struct {
	Queries
	Instance Instance
	Schema   int64 // number of the last migration

	db     *DB
	conn   *sql.Conn
	tables []TableInfo
}

// Snapshot takes one, also of a database of an older schema that was only peeked into. A database without an instance is
// fault.NotFound. Close it.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	if f := db.failed.Load(); f != nil {
		return nil, f
	}
	conn, err := db.engine.Readers.Conn(ctx)
	if err != nil {
		return nil, db.classify(err)
	}
	s := &Snapshot{db: db, conn: conn}
	s.Queries = Queries{s}
	if err := s.begin(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// patient lets one transaction of PostgreSQL wait for whoever reads or writes the other end of a stream: the engine ends sessions
// that sleep in a transaction for longer than a frozen server may hold the others.
const patient = "SET LOCAL idle_in_transaction_session_timeout = '1h'"

func (s *Snapshot) begin(ctx context.Context) error {
	text := "BEGIN" // deferred: the first question below fixes the moment
	if s.db.engine.Shared {
		text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	if _, err := s.conn.ExecContext(ctx, text); err != nil {
		return s.db.classify(err)
	}
	if s.db.engine.Shared {
		if _, err := s.conn.ExecContext(ctx, patient); err != nil {
			return s.db.classify(err)
		}
	}
	var err error
	if s.Instance, err = s.Queries.Instance(ctx); err != nil {
		return err
	}
	if err := s.conn.QueryRowContext(ctx, "SELECT max(number) FROM schema_migration").Scan(&s.Schema); err != nil {
		return s.db.classify(err)
	}
	var there []string
	if there, err = tableNames(ctx, s, s.db.engine); err != nil {
		return err
	}
	for _, name := range copied {
		if !slices.Contains(there, name) && s.Schema < NewestSchema() {
			continue // made by a later migration
		}
		if name == "audit_tile" && !slices.Contains(there, "audit_segment") {
			continue // nothing is archived
		}
		columns, err := columnsOf(ctx, s, name)
		if err != nil {
			return err
		}
		s.tables = append(s.tables, TableInfo{name, columns})
	}
	return nil
}

// tableNames lists the tables of the schema as it is.
func tableNames(ctx context.Context, q querier, e *Engine) ([]string, error) {
	text := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if e.Numbered {
		text = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
	}
	rows, err := q.query(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, q.classify(err)
		}
		out = append(out, name)
	}
	return out, q.classify(rows.Err())
}

// columnsOf asks the engine itself, so that a column which no struct of ours knows is not lost.
func columnsOf(ctx context.Context, q querier, table string) ([]string, error) {
	rows, err := q.query(ctx, "SELECT * FROM "+table+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	return columns, q.classify(err)
}

// Tables lists what a copy must hold, so that a row comes after what it refers to.
func (s *Snapshot) Tables() []TableInfo { return s.tables }

// Count gives the number of rows of a table.
func (s *Snapshot) Count(ctx context.Context, table string) (int64, error) {
	if !slices.Contains(copied, table) {
		return 0, fault.New(fault.Internal, "a snapshot holds no table %s", table)
	}
	rows, err := s.query(ctx, "SELECT count(*) FROM "+table+partly[table])
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var n int64
	if rows.Next() {
		err = rows.Scan(&n)
	}
	if err == nil {
		err = rows.Err()
	}
	return n, s.classify(err)
}

// Rows visits the rows of a table. A value is nil, int64, string or []byte; the slice of values is used again for the next
// row, what is in it is not.
func (s *Snapshot) Rows(ctx context.Context, table string, yield func([]any) error) error {
	i := slices.IndexFunc(s.tables, func(t TableInfo) bool { return t.Name == table })
	if i < 0 {
		return fault.New(fault.Internal, "a snapshot holds no table %s", table)
	}
	columns := s.tables[i].Columns
	text := "SELECT " + strings.Join(columns, ", ") + " FROM " + table + partly[table]
	if order, ok := ordered[table]; ok {
		text += " ORDER BY " + order
	}
	rows, err := s.query(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return unread(s, rows, s.classify(err))
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok && b == nil { // an empty blob on SQLite; the drivers would store it as NULL
				values[i] = []byte{}
			}
		}
		if err := yield(values); err != nil {
			return err
		}
	}
	return s.classify(rows.Err())
}

// Commits counts the commits of each environment.
func (s *Snapshot) Commits(ctx context.Context, yield func(env string, commits int64) error) error {
	rows, err := s.query(ctx, "SELECT env_id, count(*) FROM commits GROUP BY env_id ORDER BY env_id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var env string
		var n int64
		if err := rows.Scan(&env, &n); err != nil {
			return s.classify(err)
		}
		if err := yield(env, n); err != nil {
			return err
		}
	}
	return s.classify(rows.Err())
}

// Log gives the stored log of that moment.
func (s *Snapshot) Log() audit.Source { return logSource{s} }

// Close ends the snapshot and gives its connection back.
func (s *Snapshot) Close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		// The pool must not hand out a connection that may be in the middle of a transaction.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = conn.Close()
	return nil
}

func (s *Snapshot) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if s.conn == nil {
		return nil, fault.New(fault.Internal, "the snapshot is closed")
	}
	rows, err := s.conn.QueryContext(ctx, s.db.text(text), args...)
	return rows, s.classify(err)
}

func (s *Snapshot) classify(err error) error { return s.db.classify(err) }

// LeftOut gives the tables that no snapshot holds, each with the reason.
func LeftOut() map[string]string { return maps.Clone(leftOut) }

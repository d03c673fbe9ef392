package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// Migrations are embedded, numbered and forward only. Each runs in one transaction together with its row in the table
// schema_migration, which holds the hash of the file: a file that was changed after it ran keeps the server from starting.

const createMigrationTable = "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, at INTEGER NOT NULL) STRICT"

type migration struct {
	number int64
	name   string
	text   string
	hash   string
}

func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []migration
	for _, name := range names {
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		base := strings.TrimSuffix(strings.TrimPrefix(name, "migrations/"), ".sql")
		number, err := strconv.ParseInt(base[:4], 10, 64)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{number, base, string(text), hex.EncodeToString(sum[:])})
	}
	return out, nil
}

// schemaVersion tells the number of the last migration that ran, 0 for an empty database.
func (db *DB) schemaVersion(ctx context.Context) (int64, error) {
	there := "SELECT count(*) FROM sqlite_master WHERE name = 'schema_migration'"
	if db.engine.Numbered {
		there = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'schema_migration' AND table_schema = current_schema()"
	}
	var n int64
	if err := db.engine.Readers.QueryRowContext(ctx, there).Scan(&n); err != nil || n == 0 {
		return 0, db.classify(err)
	}
	err := db.engine.Readers.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM schema_migration").Scan(&n)
	return n, db.classify(err)
}

func newerSchema(has, knows int64) error {
	return fault.New(fault.Unsupported, "the database has schema %d, this program knows %d", has, knows).
		WithHint("start the newer program again; nothing was changed")
}

func (db *DB) migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	conn, err := db.engine.Writer.Conn(ctx)
	if err != nil {
		return db.classify(err)
	}
	defer conn.Close()
	exec := func(text string, args ...any) error {
		_, err := conn.ExecContext(ctx, db.text(db.engine.Schema(text)), args...)
		return db.classify(err)
	}
	if db.engine.Shared { // servers that start together take turns; the lock is the session's and ends with it
		if err := exec("SELECT pg_advisory_lock(7461930158)"); err != nil {
			return err
		}
		defer func() { // also when the caller has left: the connection goes back to its pool
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(7461930158)")
		}()
	}
	if err := exec(createMigrationTable); err != nil {
		return err
	}
	done := map[int64]string{}
	rows, err := conn.QueryContext(ctx, "SELECT number, hash FROM schema_migration")
	if err != nil {
		return db.classify(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var hash string
		if err := rows.Scan(&n, &hash); err != nil {
			return db.classify(err)
		}
		done[n] = hash
	}
	if err := rows.Err(); err != nil {
		return db.classify(err)
	}
	for n := range done {
		if n > all[len(all)-1].number {
			return newerSchema(n, all[len(all)-1].number)
		}
	}
	for _, m := range all {
		if hash, ok := done[m.number]; ok {
			if hash != m.hash {
				return fault.New(fault.Unsupported, "migration %s ran with another text than this program holds", m.name).
					WithHint("this database was made by a changed program; nothing was touched")
			}
			continue
		}
		if err := exec(db.engine.Begin); err != nil {
			return err
		}
		err := exec(m.text)
		if err == nil {
			err = exec("INSERT INTO schema_migration (number, name, hash, at) VALUES (?, ?, ?, ?)", m.number, m.name, m.hash, time.Now().UnixMilli())
		}
		if err == nil {
			err = exec("COMMIT")
		}
		if err != nil {
			_ = exec("ROLLBACK")
			return err
		}
	}
	return nil
}

// NewestSchema is the number of the last migration that this program knows.
func NewestSchema() int64 {
	all, err := migrations()
	if err != nil || len(all) == 0 {
		return 0 // the files are part of the program
	}
	return all[len(all)-1].number
}

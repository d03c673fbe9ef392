package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// Filling makes a database anew out of the rows of a snapshot: schema, rows and the first entry of the new life are one
// transaction. Until [Filling.Finish] commits it, the database is what it was before, whatever kills the process.
type Filling struct {
	w       *writer
	all     []migration
	schema  int64
	columns map[string][]string // of the tables in this schema, as far as asked
	tree    *audit.Tree
	texts   map[string]string // INSERT by table and number of rows
	// left are the rows of tables that no snapshot holds which the log knows of: they must be said to be gone.
	left map[audit.RowKey]bool
	// archived counts the entries of which only hashes come.
	archived int64
}

// FillOptions say what a filling begins with.
type FillOptions struct {
	Schema  int64 // number of the snapshot's last migration
	Replace bool  // throw away the instance that is there; without it, that is fault.Exists
}

const (
	// fillRows bounds the rows of one INSERT. More make it no faster on SQLite, and save round trips on PostgreSQL.
	fillRows = 128
	// fillParameters bounds the parameters of one INSERT, below the 32,766 of SQLite and the 65,535 of PostgreSQL.
	fillParameters = 8192
	// fillCache is the page cache of SQLite while it is filled, in KiB: indexes over random bytes touch all their pages
	// again and again, and a small cache would write each many times.
	fillCache = 64 << 10
)

var madeTable = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// BeginFill opens the transaction and makes empty tables of the snapshot's schema. No server may be open on the database: on
// SQLite its lock sees to that, on PostgreSQL a server that is open leaves service at its next write. A snapshot or database
// of a newer program is fault.Unsupported. The engine stays the caller's; to use what was filled, [Open] it.
func BeginFill(ctx context.Context, e *Engine, o FillOptions) (*Filling, error) {
	db := &DB{engine: e, onFatal: func(error) {}}
	db.Queries = Queries{db}
	db.writer = newWriter(db)
	all, err := migrations()
	if err != nil {
		return nil, err
	}
	newest := all[len(all)-1].number
	if o.Schema < 1 || o.Schema > newest {
		return nil, fault.New(fault.Unsupported, "the snapshot has schema %d, this program knows %d", o.Schema, newest).
			WithHint("use the program that made it, or a newer one")
	}
	f := &Filling{w: db.writer, all: all, columns: map[string][]string{}, tree: audit.EmptyTree(), texts: map[string]string{},
		left: map[audit.RowKey]bool{}}
	if err := f.begin(ctx, o); err != nil {
		f.Abort()
		return nil, err
	}
	return f, nil
}

func (f *Filling) begin(ctx context.Context, o FillOptions) error {
	e := f.w.db.engine
	before, err := f.w.db.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if newest := f.all[len(f.all)-1].number; before > newest {
		return newerSchema(before, newest)
	}
	if f.w.conn, err = e.Writer.Conn(ctx); err != nil {
		return f.w.db.classify(err)
	}
	f.w.stmts = map[string]*sql.Stmt{}
	if !e.Shared {
		if _, err := f.w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA cache_size = -%d", fillCache)); err != nil {
			return f.w.db.classify(err)
		}
	}
	if err := f.exec(ctx, e.Begin); err != nil {
		return err
	}
	if e.Shared { // the lock under which servers migrate, so that none starts in the middle
		if err := f.exec(ctx, "SELECT pg_advisory_xact_lock(7461930158)"); err != nil {
			return err
		}
		if err := f.exec(ctx, patient); err != nil {
			return err
		}
	}
	if before > 0 && !o.Replace {
		if _, err := readInstance(ctx, f.w, ""); err == nil {
			return fault.New(fault.Exists, "the database already holds an instance")
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	if err := f.clear(ctx); err != nil {
		return err
	}
	return f.migrate(ctx, o.Schema)
}

// exec runs statements that nothing is asked of, outside of the cache of prepared ones.
func (f *Filling) exec(ctx context.Context, text string, args ...any) error {
	_, err := f.w.conn.ExecContext(ctx, f.w.db.text(text), args...)
	return f.w.db.classify(err)
}

// clear drops the tables that any migration of ours ever made, the referring ones first, and no others.
func (f *Filling) clear(ctx context.Context) error {
	names := []string{"schema_migration"}
	for _, m := range f.all {
		for _, made := range madeTable.FindAllStringSubmatch(m.text, -1) {
			names = append(names, made[1])
		}
	}
	for _, name := range slices.Backward(names) {
		if err := f.exec(ctx, "DROP TABLE IF EXISTS "+name); err != nil {
			return err
		}
	}
	return f.exec(ctx, f.w.db.engine.Schema(createMigrationTable))
}

// migrate goes on to a schema, inside the one transaction.
func (f *Filling) migrate(ctx context.Context, to int64) error {
	for _, m := range f.all {
		if m.number <= f.schema || m.number > to {
			continue
		}
		if err := f.exec(ctx, f.w.db.engine.Schema(m.text)); err != nil {
			return err
		}
		if err := f.exec(ctx, "INSERT INTO schema_migration (number, name, hash, at) VALUES (?, ?, ?, ?)",
			m.number, m.name, m.hash, time.Now().UnixMilli()); err != nil {
			return err
		}
		f.schema = m.number
	}
	return nil
}

// Insert stores rows as they are; each has a value for each column: nil, int64, string or []byte. A table that no snapshot
// holds, or a column that the schema does not have, is fault.Invalid: the names come from outside. So is a row that the
// schema refuses.
func (f *Filling) Insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	if err := f.known(ctx, table, columns); err != nil {
		return err
	}
	switch table {
	case "audit_chunk":
		return f.log(ctx, columns, rows)
	case "audit_tile":
		return f.tiles(ctx, columns, rows)
	case "audit_segment":
		if err := f.segments(columns, rows); err != nil {
			return err
		}
	}
	return f.insert(ctx, table, columns, rows)
}

func (f *Filling) insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	most := max(1, min(fillRows, fillParameters/len(columns)))
	args := make([]any, 0, most*len(columns))
	for len(rows) > 0 {
		n := most
		for n > len(rows) { // few different statement texts, so that the cache holds them
			n = (n + 1) / 2
		}
		args = args[:0]
		for _, row := range rows[:n] {
			if len(row) != len(columns) {
				return fault.New(fault.Invalid, "a row of %s has %d values for %d columns", table, len(row), len(columns))
			}
			args = append(args, row...)
		}
		if _, err := f.w.exec(ctx, f.text(table, columns, n), args...); err != nil {
			if k := fault.KindOf(err); k == fault.Exists || k == fault.Internal {
				return fault.Wrap(fault.Invalid, err, "the database refuses rows of %s", table)
			}
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (f *Filling) text(table string, columns []string, n int) string {
	key := fmt.Sprintf("%s %d %s", table, n, strings.Join(columns, " "))
	if text, ok := f.texts[key]; ok {
		return text
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
	text := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES " + strings.TrimSuffix(strings.Repeat(one+", ", n), ", ")
	f.texts[key] = text
	return text
}

// known refuses names that are not those of the schema: they become part of a statement.
func (f *Filling) known(ctx context.Context, table string, columns []string) error {
	if !slices.Contains(copied, table) {
		return fault.New(fault.Invalid, "a snapshot holds no table of that name")
	}
	there, ok := f.columns[table]
	if !ok {
		var err error
		if there, err = columnsOf(ctx, f.w, table); err != nil {
			return fault.Wrap(fault.Invalid, err, "schema %d has no table %s", f.schema, table)
		}
		f.columns[table] = there
	}
	for i, c := range columns {
		if !slices.Contains(there, c) || slices.Contains(columns[:i], c) {
			return fault.New(fault.Invalid, "table %s of schema %d has no column of that name, or it comes twice", table, f.schema)
		}
	}
	if len(columns) == 0 {
		return fault.New(fault.Invalid, "table %s comes without columns", table)
	}
	return nil
}

// segments remembers how much of the log is archived, and what it wrote there.
func (f *Filling) segments(columns []string, rows [][]any) error {
	for _, row := range rows {
		s, err := ArchiveSegmentFrom(columns, row)
		if err != nil {
			return err
		}
		if s.First != f.archived || s.Count < 1 {
			return fault.New(fault.Invalid, "what is archived of the audit log has a gap at entry %d", f.archived)
		}
		f.archived += s.Count
		if err := audit.ParseCarry(s.Carry, func(r audit.Row) error { f.noteRow(r); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// tiles takes the leaf hashes of archived entries and computes the tiles of all levels anew.
func (f *Filling) tiles(ctx context.Context, columns []string, rows [][]any) error {
	for _, row := range rows {
		hashes, err := ArchivedLeaves(columns, row, f.tree.Size(), f.archived)
		if err != nil {
			return err
		}
		done, err := f.tree.AddLeaves(hashes)
		if err != nil {
			return err
		}
		for _, tile := range done {
			if err := f.putTile(ctx, tile); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Filling) putTile(ctx context.Context, tile audit.Tile) error {
	_, err := f.w.exec(ctx, "INSERT INTO audit_tile (level, idx, hashes) VALUES (?, ?, ?)", int64(tile.Level), tile.Index, tile.Hashes)
	return err
}

// log appends chunks and computes the tiles that they complete.
func (f *Filling) log(ctx context.Context, columns []string, rows [][]any) error {
	for _, row := range rows {
		c, err := ChunkOf(columns, row)
		if err != nil {
			return err
		}
		if err := c.Check(); err != nil {
			return err
		}
		if c.First != f.tree.Size() {
			return fault.New(fault.Invalid, "the audit log has a gap at entry %d", f.tree.Size())
		}
		entries := make([][]byte, 0, c.Count)
		for _, e := range c.Entries() {
			entries = append(entries, e)
			if err := f.note(e); err != nil {
				return err
			}
		}
		for _, tile := range f.tree.AddAt(entries, c.FromMS, c.ToMS).Tiles {
			if err := f.putTile(ctx, tile); err != nil {
				return err
			}
		}
	}
	return f.insert(ctx, "audit_chunk", columns, rows)
}

// backupMark stands in every canonical entry that writes rows of the table backup, and in few others.
var backupMark = []byte(`"t":"backup"`)

// note remembers the rows of left out tables that an entry of the log writes.
func (f *Filling) note(entry []byte) error {
	if !bytes.Contains(entry, backupMark) {
		return nil
	}
	e, err := audit.ParseEntry(entry)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "an entry of the audit log cannot be read")
	}
	for _, r := range e.Rows {
		f.noteRow(r)
	}
	return nil
}

func (f *Filling) noteRow(r audit.Row) {
	if r.T != backups.name {
		return
	}
	if key := (audit.RowKey{T: r.T, K: r.K}); r.D == [32]byte{} {
		delete(f.left, key)
	} else {
		f.left[key] = true
	}
}

// forget records that the rows that were left out are gone.
func (f *Filling) forget(tx *Tx) {
	keys := slices.SortedFunc(maps.Keys(f.left), func(a, b audit.RowKey) int { return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.K, b.K)) })
	for _, k := range keys {
		tx.rows = append(tx.rows, audit.Row{T: k.T, K: k.K})
	}
}

// ChunkOf reads a raw row of the table audit_chunk. The chunk is not checked.
func ChunkOf(columns []string, row []any) (audit.Chunk, error) {
	var c audit.Chunk
	var count int64
	number := map[string]*int64{"first": &c.First, "count": &count, "from_ms": &c.FromMS, "to_ms": &c.ToMS}
	found := 0
	for i, name := range columns {
		if i >= len(row) {
			break
		}
		var ok bool
		if to := number[name]; to != nil {
			*to, ok = row[i].(int64)
		} else if name == "data" {
			c.Data, ok = row[i].([]byte)
		}
		if ok {
			found++
		}
	}
	c.Count = int(count)
	if found != len(number)+1 || int64(c.Count) != count {
		return c, fault.New(fault.Invalid, "a row of the audit log lacks a column, or has another type in it")
	}
	return c, nil
}

// Finish brings the schema up to date, gives the instance its new epoch, runs what the new life begins with, records it as
// its first entry, and commits. A log that does not give the root of its instance row is fault.Internal. After any error
// nothing is stored.
func (f *Filling) Finish(ctx context.Context, epoch int64, entry *audit.Entry, begin func(*Tx) error) error {
	err := f.finish(ctx, epoch, entry, begin)
	if err != nil {
		f.Abort()
		return err
	}
	f.w.drop()
	return nil
}

func (f *Filling) finish(ctx context.Context, epoch int64, entry *audit.Entry, begin func(*Tx) error) error {
	if err := f.migrate(ctx, f.all[len(f.all)-1].number); err != nil {
		return err
	}
	w := f.w
	var err error
	if w.inst, err = readInstance(ctx, w, ""); err != nil {
		return err
	}
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	if _, err := w.exec(ctx, "UPDATE instance SET epoch = ? WHERE one = 1", epoch); err != nil {
		return err
	}
	w.inst.Epoch = epoch
	now := time.Now().UnixMilli()
	if entry.At <= 0 {
		entry.At = now
	}
	j := &job{ctx: ctx, entry: entry, run: func(tx *Tx) error {
		f.forget(tx)
		return begin(tx)
	}}
	if err := w.change(ctx, j, now, false); err != nil {
		return err
	}
	if j.err != nil {
		return j.err
	}
	if _, err := w.appendLog(ctx, []*job{j}); err != nil {
		return err
	}
	return w.finish(ctx)
}

// Abort takes everything back. After [Filling.Finish] it does nothing.
func (f *Filling) Abort() {
	if f.w.conn != nil {
		_, _ = f.w.conn.ExecContext(context.Background(), "ROLLBACK")
		f.w.drop()
	}
}

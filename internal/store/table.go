package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// table maps a struct to a table by its `db:"column[,key][,volatile]"` tags. Every write of a row goes through put,
// which records the digest of the row in the audit entry of its transaction, so that a row that was changed behind the
// server's back can be told from one that the server wrote. Volatile columns are left out of the digest: counters,
// ciphertexts (their associated data binds them) and what a key rotation changes. Late columns came with a later migration:
// their zero value is left out of the digest, so that rows written before keep theirs.
type table[T any] struct {
	name string
	cols []column
	keys []int
	// logKeys are keys and the columns tagged logkey: together they name a state of the row in the log.
	logKeys []int
	// logged is false for rows that decide nothing: history copies, references, feed.
	logged bool
	// fixed rows are never written again: history.
	fixed bool

	selectSQL string
}

type column struct {
	name     string
	field    int
	volatile bool
	late     bool
	json     bool
}

// maxRows bounds the rows of one statement: more make it no faster, and a prepared statement stays in memory. It keeps well
// below SQLite's limit of 32,766 bound parameters.
const maxRows = 64

func newTable[T any](name string, logged bool) *table[T] {
	t := &table[T]{name: name, logged: logged}
	typ := reflect.TypeFor[T]()
	for i := range typ.NumField() {
		tag, ok := typ.Field(i).Tag.Lookup("db")
		if !ok {
			continue
		}
		parts := strings.Split(tag, ",")
		c := column{name: parts[0], field: i}
		for _, option := range parts[1:] {
			switch option {
			case "key":
				t.keys = append(t.keys, len(t.cols))
				t.logKeys = append(t.logKeys, len(t.cols))
			case "logkey":
				t.logKeys = append(t.logKeys, len(t.cols))
			case "volatile":
				c.volatile = true
			case "late":
				c.late = true
			case "json":
				c.json = true
			}
		}
		t.cols = append(t.cols, c)
	}
	names := make([]string, len(t.cols))
	for i, c := range t.cols {
		names[i] = c.name
	}
	t.selectSQL = "SELECT " + strings.Join(names, ", ") + " FROM " + name + " "
	return t
}

// newHistory maps the replaced states of a table: the log's key tells them apart, and they are inserted once.
func newHistory[T any](name string) *table[T] {
	t := newTable[T](name, false)
	t.keys, t.fixed = t.logKeys, true
	return t
}

// values gives the columns of a row in the form that both drivers take.
func (t *table[T]) values(row *T, out []any) ([]any, error) {
	v := reflect.ValueOf(row).Elem()
	for _, c := range t.cols {
		f := v.Field(c.field)
		switch {
		case c.json:
			b, err := json.Marshal(f.Interface())
			if err != nil {
				return nil, fmt.Errorf("encode %s.%s: %w", t.name, c.name, err)
			}
			out = append(out, string(b))
		case f.Kind() == reflect.String:
			out = append(out, f.String())
		case f.Kind() == reflect.Bool:
			n := int64(0)
			if f.Bool() {
				n = 1
			}
			out = append(out, n)
		case f.CanInt():
			out = append(out, f.Int())
		case f.CanUint():
			out = append(out, int64(f.Uint()))
		case f.Kind() == reflect.Slice:
			if f.IsNil() {
				out = append(out, nil)
			} else {
				out = append(out, f.Bytes())
			}
		default:
			val, err := f.Interface().(driver.Valuer).Value()
			if err != nil {
				return nil, err
			}
			out = append(out, val)
		}
	}
	return out, nil
}

// scan reads one row.
func (t *table[T]) scan(rows *sql.Rows) (T, error) {
	var row T
	v := reflect.ValueOf(&row).Elem()
	dest := make([]any, len(t.cols))
	var texts []struct {
		field int
		text  *string
	}
	for i, c := range t.cols {
		if c.json {
			s := new(string)
			dest[i] = s
			texts = append(texts, struct {
				field int
				text  *string
			}{c.field, s})
			continue
		}
		dest[i] = v.Field(c.field).Addr().Interface()
		if to, ok := dest[i].(*[]byte); ok {
			dest[i] = blob{to}
		}
	}
	if err := rows.Scan(dest...); err != nil {
		return row, fault.Wrap(fault.Internal, err, "a row of %s is damaged", t.name)
	}
	for _, x := range texts {
		if err := json.Unmarshal([]byte(*x.text), v.Field(x.field).Addr().Interface()); err != nil {
			return row, fault.Wrap(fault.Internal, err, "a row of %s is damaged", t.name)
		}
	}
	return row, nil
}

// blob reads bytes and tells those that are empty from NULL. The driver of SQLite gives nil for both, in a []byte and bare.
type blob struct{ to *[]byte }

// Scan implements [sql.Scanner].
func (b blob) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		*b.to = nil
	case []byte:
		*b.to = append([]byte{}, src...) // the driver's memory is good until the next row
	default:
		return fmt.Errorf("%T where bytes belong", src)
	}
	return nil
}

// digest hashes name, type and length of each column with its value, so that no two rows share one.
func (t *table[T]) digest(values []any) [32]byte {
	h := sha256.New()
	var buf []byte
	add := func(tag byte, b []byte) {
		buf = append(buf, tag)
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(b)))
		buf = append(buf, b...)
	}
	add('t', []byte(t.name))
	for i, c := range t.cols {
		if c.volatile || c.late && empty(values[i]) {
			continue
		}
		add('c', []byte(c.name))
		switch v := values[i].(type) {
		case string:
			add('s', []byte(v))
		case int64:
			add('i', strconv.AppendInt(nil, v, 10))
		case []byte:
			if len(v) == 0 { // the engines do not tell an empty blob from none
				add('n', nil)
				continue
			}
			add('b', v)
		default:
			add('n', nil)
		}
	}
	h.Write(buf)
	return [32]byte(h.Sum(nil))
}

// empty tells of a column whether it is as a migration leaves it.
func empty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == "" || v == "null"
	case int64:
		return v == 0
	case []byte:
		return len(v) == 0
	}
	return value == nil
}

func (t *table[T]) key(values []any) string {
	var b strings.Builder
	for i, k := range t.logKeys {
		if i > 0 {
			b.WriteByte('/')
		}
		fmt.Fprint(&b, values[k])
	}
	return b.String()
}

// put inserts rows or replaces them by their key, in few statements. When a key comes twice, the last row counts.
func (t *table[T]) put(ctx context.Context, tx *Tx, rows ...*T) error {
	rows = t.unique(rows)
	for len(rows) > 0 {
		// Few different statement texts, so that the statement cache holds them.
		n := 1 << (bits.Len(uint(min(len(rows), maxRows))) - 1)
		args := make([]any, 0, n*len(t.cols))
		for _, row := range rows[:n] {
			start := len(args)
			var err error
			if args, err = t.values(row, args); err != nil {
				return err
			}
			if t.logged {
				vals := args[start:]
				tx.rows = append(tx.rows, audit.Row{T: t.name, K: t.key(vals), D: t.digest(vals)})
			}
		}
		if _, err := tx.exec(ctx, t.putSQL(n), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// unique drops rows that a later one of the same key replaces: PostgreSQL refuses to touch a row twice in one statement.
func (t *table[T]) unique(rows []*T) []*T {
	if len(rows) < 2 || t.fixed {
		return rows
	}
	at := make(map[string]int, len(rows))
	out := make([]*T, 0, len(rows))
	var b strings.Builder
	for _, row := range rows {
		b.Reset()
		v := reflect.ValueOf(row).Elem()
		for _, k := range t.keys {
			fmt.Fprintf(&b, "%v\x00", v.Field(t.cols[k].field))
		}
		if i, ok := at[b.String()]; ok {
			out[i] = row
			continue
		}
		at[b.String()] = len(out)
		out = append(out, row)
	}
	return out
}

func (t *table[T]) putSQL(n int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + t.name + " (")
	for i, c := range t.cols {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.name)
	}
	b.WriteString(") VALUES ")
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(t.cols)), ", ") + ")"
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(one)
	}
	if t.fixed {
		return b.String()
	}
	b.WriteString(" ON CONFLICT (")
	for i, k := range t.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.cols[k].name)
	}
	b.WriteString(") DO UPDATE SET ")
	first := true
	for i, c := range t.cols {
		if slices.Contains(t.keys, i) {
			continue
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		b.WriteString(c.name + " = excluded." + c.name)
	}
	return b.String()
}

// list gives all rows for which the condition (text after FROM) holds.
func (t *table[T]) list(ctx context.Context, q querier, where string, args ...any) ([]T, error) {
	rows, err := q.query(ctx, t.selectSQL+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		row, err := t.scan(rows)
		if err != nil {
			return nil, unread(q, rows, err)
		}
		out = append(out, row)
	}
	return out, q.classify(rows.Err())
}

// unread tells why a row could not be read: the engine gave up in the middle, or the row holds what no program of ours wrote.
func unread(q querier, rows *sql.Rows, err error) error {
	if cause := rows.Err(); cause != nil {
		return q.classify(cause)
	}
	return err
}

// each visits rows without holding them all.
func (t *table[T]) each(ctx context.Context, q querier, where string, visit func(*T) error, args ...any) error {
	rows, err := q.query(ctx, t.selectSQL+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := t.scan(rows)
		if err != nil {
			return err
		}
		if err := visit(&row); err != nil {
			return err
		}
	}
	return q.classify(rows.Err())
}

// one gives the only row, or fault.NotFound. An I/O error is never "not found".
func (t *table[T]) one(ctx context.Context, q querier, where string, args ...any) (T, error) {
	all, err := t.list(ctx, q, where, args...)
	switch {
	case err != nil:
		return *new(T), err
	case len(all) == 0:
		return *new(T), fault.New(fault.NotFound, "no such %s", strings.ReplaceAll(t.name, "_", " "))
	}
	return all[0], nil
}

// remove deletes rows and records that they are gone.
func (t *table[T]) remove(ctx context.Context, tx *Tx, row *T) error {
	values, err := t.values(row, nil)
	if err != nil {
		return err
	}
	var conds []string
	var args []any
	for _, k := range t.keys {
		conds = append(conds, t.cols[k].name+" = ?")
		args = append(args, values[k])
	}
	if t.logged {
		tx.rows = append(tx.rows, audit.Row{T: t.name, K: t.key(values)})
	}
	_, err = tx.exec(ctx, "DELETE FROM "+t.name+" WHERE "+strings.Join(conds, " AND "), args...)
	return err
}

// digests gives key and digest of every row as it stands, for the deep verification.
func (t *table[T]) digests(ctx context.Context, q querier, yield func(table, key string, digest [32]byte) error) error {
	return t.digestsAs(ctx, q, t.name, yield)
}

// digestsAs does the same for a table of replaced states, which the log knows by the name of the current ones.
func (t *table[T]) digestsAs(ctx context.Context, q querier, name string, yield func(table, key string, digest [32]byte) error) error {
	as := *t
	as.name = name
	rows, err := q.query(ctx, t.selectSQL)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := t.scan(rows)
		if err != nil {
			return unread(q, rows, err)
		}
		values, err := t.values(&row, nil)
		if err != nil {
			return err
		}
		if err := yield(name, t.key(values), as.digest(values)); err != nil {
			return err
		}
	}
	return q.classify(rows.Err())
}

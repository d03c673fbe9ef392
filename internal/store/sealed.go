package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// The tables that hold envelopes of values, in the order in which they are moved to a new key. Current states come before
// replaced ones: a commit that runs meanwhile takes a state from the first to the second, never back.
const (
	SealedSecrets  = "secret"
	SealedHistory  = "secret_history"
	SealedPersonal = "personal"
	SealedAnswers  = "idempotency"
	SealedInstance = "instance_secret"
	SealedChanges  = "change_part"
)

// sealedShape says how the columns of a table are called that hold envelopes and what binds them.
type sealedShape struct {
	revision, project, version, attrs, value, comment string
	place                                             string // of a current state: environment, folder and name
}

// columns are what a [Sealed] is read from.
func (s sealedShape) columns() string {
	return strings.Join([]string{"id", s.revision, s.project, s.version, s.attrs, s.value, s.comment, cmp.Or(s.place, nowhere)}, ", ")
}

// nowhere is the place of what no cache looks for.
const nowhere = "'', '', ''"

var sealedShapes = map[string]sealedShape{
	SealedSecrets:  {"revision", "project_id", "version", "attrs", "value", "comment", "env_id, folder_id, name"},
	SealedHistory:  {"revision", "project_id", "version", "attrs", "value", "comment", ""},
	SealedPersonal: {"0", "project_id", "version", "''", "value", "NULL", ""},
	SealedAnswers:  {"0", "''", "0", "''", "answer", "NULL", ""},
	SealedInstance: {"0", "''", "0", "''", "value", "NULL", ""},
	SealedChanges:  {"0", "project_id", "part", "''", "value", "NULL", ""},
	SealedTransit:  {"0", "project_id", "version", "''", "value", "NULL", ""},
}

// Sealed is a row with its envelopes and what they are bound to.
type Sealed struct {
	ID         string
	Revision   int64 // of a state of a secret, else 0
	Project    domain.ProjectID
	Version    int64
	CommentRev int64 // of states of secrets that have a comment
	Value      []byte
	Comment    []byte // nil where there is none

	// Where a current state of a secret is found; empty of everything else.
	Env    domain.EnvID
	Folder domain.FolderID
	Name   domain.SecretName
}

// keyOf picks the key id out of an envelope. It is the expression of the indexes.
func keyOf(column string) string { return "substr(" + column + ", 3, 16)" }

// Walk remembers where a series of slices over one table is. The zero Walk is at the beginning.
//
// PostgreSQL leaves the index entries of replaced rows until they are vacuumed, so each slice that asks the index of key ids
// would pass over all that the slices before it have moved. There a walk goes by primary key instead, once over the table, and
// the index is asked at its end only. SQLite has no such entries, and its index is the fastest way.
type Walk struct {
	id       string
	revision int64
	over     bool
}

// walked gives the next rows by primary key and moves the walk on; at the end of the table it gives none, and is over.
func (q Queries) walked(ctx context.Context, table string, shape sealedShape, key [16]byte, without []string, w *Walk, limit int64) ([]Sealed, error) {
	under := func(column string) string { return "substring(" + column + ", 3, 16) = ?" } // not substr, which would be the index
	text := "SELECT " + shape.columns() + " FROM " + table + " WHERE (" + under(shape.value)
	args := []any{key[:]}
	if shape.comment != "NULL" {
		text += " OR " + under(shape.comment)
		args = append(args, key[:])
	}
	order := "id"
	if shape.revision == "revision" {
		order = "id, revision"
		text += ") AND (id, revision) > (?, ?)"
		args = append(args, w.id, w.revision)
	} else {
		text += ") AND id > ?"
		args = append(args, w.id)
	}
	skip, skipped := notIn(without)
	rows, err := q.sealed(ctx, text+skip+" ORDER BY "+order+" LIMIT ?", append(append(args, skipped...), limit))
	if n := len(rows); n > 0 {
		w.id, w.revision = rows[n-1].ID, rows[n-1].Revision
	}
	w.over = err == nil && int64(len(rows)) < limit
	return rows, err
}

func notIn(ids []string) (text string, args []any) {
	if len(ids) == 0 {
		return "", nil
	}
	for _, id := range ids {
		args = append(args, id)
	}
	return " AND id NOT IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ") + ")", args
}

// SealedUnder gives up to limit rows of a table that have an envelope under the key, those named in without left out. None
// means that there are none.
func (tx *Tx) SealedUnder(ctx context.Context, table string, key [16]byte, without []string, w *Walk, limit int64) ([]Sealed, error) {
	shape, ok := sealedShapes[table]
	if !ok {
		return nil, fault.New(fault.Internal, "the table %s holds no envelopes", table)
	}
	if tx.w.db.engine.Numbered && !w.over {
		if rows, err := tx.walked(ctx, table, shape, key, without, w, limit); err != nil || len(rows) > 0 {
			return rows, err
		}
	}
	var out []Sealed
	for _, column := range []string{shape.value, shape.comment} {
		if column == "NULL" || int64(len(out)) >= limit {
			continue
		}
		text := "SELECT " + shape.columns() + " FROM " + table + " WHERE " + column + " IS NOT NULL AND " + keyOf(column) + " = ?"
		args := []any{key[:]}
		skip, skipped := notIn(without)
		text, args = text+skip, append(args, skipped...)
		if column == shape.comment { // the first query has those whose value is stale as well
			text += " AND (" + shape.value + " IS NULL OR " + keyOf(shape.value) + " <> ?)"
			args = append(args, key[:])
		}
		args = append(args, limit-int64(len(out)))
		rows, err := tx.sealed(ctx, text+" LIMIT ?", args)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

func (q Queries) sealed(ctx context.Context, text string, args []any) ([]Sealed, error) {
	rows, err := q.q.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Sealed
	for rows.Next() {
		var s Sealed
		var project, attrs, env, folder, name string
		if err := rows.Scan(&s.ID, &s.Revision, &project, &s.Version, &attrs, &s.Value, &s.Comment, &env, &folder, &name); err != nil {
			return nil, q.q.classify(err)
		}
		s.Project, s.Env, s.Folder, s.Name = domain.ProjectID(project), domain.EnvID(env), domain.FolderID(folder), domain.SecretName(name)
		if s.Comment != nil && attrs != "" {
			var a domain.Attributes
			if err := json.Unmarshal([]byte(attrs), &a); err != nil {
				return nil, fault.Wrap(fault.Internal, err, "the attributes of %s are damaged", s.ID)
			}
			s.CommentRev = a.CommentRev
		}
		out = append(out, s)
	}
	return out, q.q.classify(rows.Err())
}

// PutSealed replaces the envelopes of rows that [Queries.SealedUnder] gave in this same transaction.
func (tx *Tx) PutSealed(ctx context.Context, table string, rows []Sealed) error {
	shape, ok := sealedShapes[table]
	if !ok {
		return fault.New(fault.Internal, "the table %s holds no envelopes", table)
	}
	set := []string{shape.value}
	if shape.comment != "NULL" {
		set = append(set, shape.comment)
	}
	columns := func(s *Sealed) []any { return []any{s.Value, s.Comment}[:len(set)] }
	return updateByID(ctx, tx, table, shape.revision != "0", set, rows, func(s *Sealed) (string, int64, []any) { return s.ID, s.Revision, columns(s) })
}

// updateByID sets blobs of rows by id, and by revision where the table has states. SQLite is asked row by row, since a
// statement costs it nothing; PostgreSQL is sent arrays, since a round trip is what costs there.
func updateByID[T any](ctx context.Context, tx *Tx, table string, states bool, set []string, rows []T, of func(*T) (id string, revision int64, blobs []any)) error {
	if len(rows) == 0 {
		return nil
	}
	if tx.w.db.engine.Numbered {
		ids, revisions, blobs := make([]string, len(rows)), make([]int64, len(rows)), make([][][]byte, len(set))
		for i := range rows {
			var values []any
			ids[i], revisions[i], values = of(&rows[i])
			for j, v := range values {
				b, _ := v.([]byte)
				blobs[j] = append(blobs[j], b)
			}
		}
		args, names, types, sets := []any{ids}, "id", "?::text[]", ""
		match := table + ".id = u.id"
		if states {
			args, names, types = append(args, revisions), names+", revision", types+", ?::bigint[]"
			match += " AND " + table + ".revision = u.revision"
		}
		for j, column := range set {
			args, names, types = append(args, blobs[j]), names+", "+column, types+", ?::bytea[]"
			sets += ", " + column + " = u." + column
		}
		_, err := tx.exec(ctx, "UPDATE "+table+" SET "+strings.TrimPrefix(sets, ", ")+" FROM unnest("+types+") AS u("+names+") WHERE "+match, args...)
		return err
	}
	text := "UPDATE " + table + " SET " + strings.Join(set, " = ?, ") + " = ? WHERE id = ?"
	if states {
		text += " AND revision = ?"
	}
	for i := range rows {
		id, revision, args := of(&rows[i])
		args = append(args, id)
		if states {
			args = append(args, revision)
		}
		if _, err := tx.exec(ctx, text, args...); err != nil {
			return err
		}
	}
	return nil
}

// Digested is a state whose value has a digest.
type Digested struct {
	Sealed
	Digest []byte
}

// DigestedUnder gives up to limit states of a table (SealedSecrets or SealedHistory) whose digest lies in [from, to), those
// named in without left out.
func (q Queries) DigestedUnder(ctx context.Context, table string, from, to []byte, without []string, limit int64) ([]Sealed, error) {
	text := "SELECT id, revision, project_id, version, '', value, NULL, " + nowhere + " FROM " + table + " WHERE digest >= ? AND digest < ?"
	skip, skipped := notIn(without)
	return q.sealed(ctx, text+skip+" LIMIT ?", append(append([]any{from, to}, skipped...), limit))
}

// PutDigests replaces the digests of states that [Queries.DigestedUnder] gave in this same transaction.
func (tx *Tx) PutDigests(ctx context.Context, table string, rows []Digested) error {
	return updateByID(ctx, tx, table, true, []string{"digest"}, rows, func(s *Digested) (string, int64, []any) { return s.ID, s.Revision, []any{s.Digest} })
}

// ForgetRequests drops hashes of requests in [from, to): their key goes, and the answers have a sealed copy.
func (tx *Tx) ForgetRequests(ctx context.Context, from, to []byte) error {
	_, err := tx.exec(ctx, "UPDATE idempotency SET request = ? WHERE request >= ? AND request < ?", []byte{}, from, to)
	return err
}

// SealedCount is how many envelopes of one column lie under one key, or how many digests under one generation.
type SealedCount struct {
	Where string // "secret.value"
	Key   []byte // the 16 bytes of a key id, the 4 of a generation for digests; what else is there is not an envelope of ours
	Count int64
}

// sealedColumn is one column of one table.
type sealedColumn struct{ table, column string }

func (c sealedColumn) String() string { return c.table + "." + c.column }

// The columns that hold envelopes, and those that hold digests.
var (
	envelopeColumns = []sealedColumn{{"secret", "value"}, {"secret", "comment"}, {"secret_history", "value"}, {"secret_history", "comment"},
		{"personal", "value"}, {"idempotency", "answer"}, {"instance_secret", "value"}, {"change_part", "value"}, {"transit_version", "value"}, {"key_generation", "wrapped"}}
	digestColumns = []sealedColumn{{"secret", "digest"}, {"secret_history", "digest"}, {"idempotency", "request"}}
)

// generationSize is the length of what stands in front of a digest: the generation of its key.
const generationSize = 4

// censusSQL counts every envelope and every digest by what it lies under, in one question.
var censusSQL = func() string {
	part := func(c sealedColumn, key, where string) string {
		return "SELECT '" + c.String() + "' AS place, " + key + " AS under, count(*) AS n FROM " + c.table + " WHERE " + where + " GROUP BY 2"
	}
	var parts []string
	for _, c := range envelopeColumns {
		parts = append(parts, part(c, keyOf(c.column), c.column+" IS NOT NULL"))
	}
	for _, c := range digestColumns {
		parts = append(parts, part(c, "substr("+c.column+", 1, 4)", "length("+c.column+") > 0"))
	}
	return strings.Join(parts, " UNION ALL ") + " ORDER BY 1, 2"
}()

// CountUnder counts what lies under one key (16 bytes), or under one generation of the index key (4 bytes). Unlike the census it
// looks at nothing else, so where nothing is left it costs nothing.
func (q Queries) CountUnder(ctx context.Context, key []byte) (int64, error) {
	columns, condition, args := envelopeColumns, func(c string) string { return c + " IS NOT NULL AND " + keyOf(c) + " = ?" }, []any{key}
	if len(key) == generationSize {
		columns, condition = digestColumns, func(c string) string { return c + " >= ? AND " + c + " < ?" }
		args = append(args, binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(key)+1))
	}
	var parts []string
	var all []any
	for _, c := range columns {
		parts = append(parts, "(SELECT count(*) FROM "+c.table+" WHERE "+condition(c.column)+")")
		all = append(all, args...)
	}
	rows, err := q.q.query(ctx, "SELECT "+strings.Join(parts, " + "), all...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var n int64
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, q.q.classify(err)
		}
	}
	return n, q.q.classify(rows.Err())
}

// SealedCounts is the census: every envelope and digest that the database holds, counted by key.
func (q Queries) SealedCounts(ctx context.Context) ([]SealedCount, error) {
	rows, err := q.q.query(ctx, censusSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []SealedCount
	for rows.Next() {
		var c SealedCount
		if err := rows.Scan(&c.Where, &c.Key, &c.Count); err != nil {
			return nil, q.q.classify(err)
		}
		out = append(out, c)
	}
	return out, q.q.classify(rows.Err())
}

package store

import (
	"context"
	"fmt"
	"iter"

	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/fault"
)

// ArchiveSegment is a stretch of the log whose entries lie in an archive.
type ArchiveSegment struct {
	First      int64  `db:"first,key"`
	Count      int64  `db:"count"`
	FromMS     int64  `db:"from_ms"`
	ToMS       int64  `db:"to_ms"`
	Place      string `db:"place"`
	Name       string `db:"name"`
	Sealed     bool   `db:"sealed"`
	Bytes      int64  `db:"bytes"`
	Digest     []byte `db:"digest"`
	Carry      []byte `db:"carry"`
	ArchivedAt int64  `db:"archived_at"`
}

var archiveSegments = newTable[ArchiveSegment]("audit_segment", true)

// ArchivedEntries tells how many entries from the beginning of the log on are archived.
func (q Queries) ArchivedEntries(ctx context.Context) (int64, error) { return archived(ctx, q.q) }

func archived(ctx context.Context, q querier) (int64, error) {
	rows, err := q.query(ctx, "SELECT coalesce(max(first + count), 0) FROM audit_segment")
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
	return n, q.classify(err)
}

// ArchiveSegments lists up to limit segments from a first index on, oldest first, without what they carry.
func (q Queries) ArchiveSegments(ctx context.Context, from, limit int64) ([]ArchiveSegment, error) {
	rows, err := q.q.query(ctx, "SELECT first, count, from_ms, to_ms, place, name, sealed, bytes, digest, archived_at FROM audit_segment WHERE first >= ? ORDER BY first LIMIT ?", from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []ArchiveSegment
	for rows.Next() {
		var s ArchiveSegment
		if err := rows.Scan(&s.First, &s.Count, &s.FromMS, &s.ToMS, &s.Place, &s.Name, &s.Sealed, &s.Bytes, &s.Digest, &s.ArchivedAt); err != nil {
			return nil, q.q.classify(err)
		}
		out = append(out, s)
	}
	return out, q.q.classify(rows.Err())
}

// ArchiveSegmentOf finds the segment that holds an entry.
func (q Queries) ArchiveSegmentOf(ctx context.Context, index int64) (ArchiveSegment, error) {
	return archiveSegments.one(ctx, q.q, "WHERE first <= ? AND first + count > ?", index, index)
}

// MoveToArchive drops the entries of a segment and keeps its row. The segment must follow what is archived already and consist of
// whole chunks, all of them there; otherwise nothing is done and it is fault.Conflict. The tiles stay.
func (tx *Tx) MoveToArchive(ctx context.Context, row *ArchiveSegment) error {
	before, err := tx.ArchivedEntries(ctx)
	if err != nil {
		return err
	}
	if before != row.First {
		return fault.New(fault.Conflict, "entries to %d are archived already", before-1).WithHint("another server archives the log too: look again")
	}
	end := row.First + row.Count
	rows, err := tx.query(ctx, "SELECT coalesce(sum(count), 0), coalesce(min(first), -1), coalesce(max(first + count), -1) FROM audit_chunk WHERE first >= ? AND first < ?", row.First, end)
	if err != nil {
		return err
	}
	var count, first, last int64
	if rows.Next() {
		err = rows.Scan(&count, &first, &last)
	}
	if err == nil {
		err = rows.Err()
	}
	_ = rows.Close()
	if err != nil {
		return tx.classify(err)
	}
	if count != row.Count || first != row.First || last != end {
		return fault.New(fault.Conflict, "the entries %d to %d are not there as whole chunks", row.First, end-1).WithHint("run: keyturn audit verify")
	}
	if _, err := tx.exec(ctx, "DELETE FROM audit_chunk WHERE first >= ? AND first < ?", row.First, end); err != nil {
		return err
	}
	return archiveSegments.put(ctx, tx, row)
}

// Archived implements [audit.ArchivedSource].
func (s logSource) Archived(ctx context.Context) (int64, error) { return archived(ctx, s.q) }

// Segments implements [audit.ArchivedSource].
func (s logSource) Segments(ctx context.Context) iter.Seq2[audit.Segment, error] {
	return func(yield func(audit.Segment, error) bool) {
		below := int64(1) << 62
		for {
			rows, err := archiveSegments.list(ctx, s.q, "WHERE first < ? ORDER BY first DESC LIMIT 1", below)
			if err != nil {
				yield(audit.Segment{}, err)
				return
			}
			if len(rows) == 0 {
				return
			}
			row := &rows[0]
			values, err := archiveSegments.values(row, nil)
			if err != nil {
				yield(audit.Segment{}, fmt.Errorf("read segment: %w", err))
				return
			}
			out := audit.Segment{First: row.First, Count: row.Count, Carry: row.Carry,
				Row: audit.Row{T: archiveSegments.name, K: archiveSegments.key(values), D: archiveSegments.digest(values)}}
			if !yield(out, nil) {
				return
			}
			below = row.First
		}
	}
}

// ArchiveSegmentFrom reads a raw row of a snapshot, as [KeySlotOf] does.
func ArchiveSegmentFrom(columns []string, values []any) (ArchiveSegment, error) {
	return archiveSegments.parse(columns, values)
}

// GoneToArchive is the answer to a question for an entry that is archived.
func (s *ArchiveSegment) GoneToArchive() *fault.Error {
	return fault.New(fault.Expired, "entries %d to %d are archived in %s at %s", s.First, s.First+s.Count-1, s.Name, s.Place).
		WithHint("their hashes stand; check and read the archive with: keyturn audit verify --archive FOLDER")
}

// ArchivedLeaves reads a raw row of the tiles in a snapshot: it must be the next one of leaf hashes, and gives those of archived
// entries.
func ArchivedLeaves(columns []string, row []any, size, archived int64) ([]byte, error) {
	var level, index int64 = -1, -1
	var hashes []byte
	for i, name := range columns {
		if i >= len(row) {
			break
		}
		switch v := row[i].(type) {
		case int64:
			if name == "level" {
				level = v
			} else if name == "idx" {
				index = v
			}
		case []byte:
			hashes = v
		}
	}
	const entries, bytes = 256, 256 * 32
	if level != 0 || len(hashes) != bytes || size%entries != 0 || index != size/entries || size >= archived {
		return nil, fault.New(fault.Invalid, "the hashes of archived entries have a gap at entry %d", size)
	}
	return hashes[:32*min(entries, archived-size)], nil
}

package backup

import (
	"encoding/binary"

	"github.com/keyturn/keyturn/internal/fault"
)

// cell is one value of a row as it stands in a frame; b belongs to the frame.
type cell struct {
	kind byte
	n    int64
	b    []byte
}

// The kinds of values. Their numbers are part of the format.
const (
	cellNull    = 0
	cellInteger = 1 // zigzag varint
	cellText    = 2 // length as varint, bytes
	cellBlob    = 3 // likewise
)

// maxRow bounds one row: the longest is a chunk of the audit log, 1 MiB and one entry; an envelope has at most 1 MiB.
const maxRow = 4 << 20

// appendRow appends the values of a row: each its kind, then what the kind needs.
func appendRow(to []byte, values []any) ([]byte, error) {
	start := len(to)
	for i, v := range values {
		switch v := v.(type) {
		case nil:
			to = append(to, cellNull)
		case int64:
			to = binary.AppendVarint(append(to, cellInteger), v)
		case string:
			to = binary.AppendUvarint(append(to, cellText), uint64(len(v)))
			to = append(to, v...)
		case []byte:
			to = binary.AppendUvarint(append(to, cellBlob), uint64(len(v)))
			to = append(to, v...)
		default:
			return nil, fault.New(fault.Internal, "column %d of a row has a type that no backup holds", i)
		}
	}
	if len(to)-start > maxRow {
		return nil, fault.New(fault.Internal, "a row is longer than %d bytes", maxRow)
	}
	return to, nil
}

// parseRow fills cells from the front of b and gives the rest. Only what appendRow writes is read: a number in more bytes than
// it needs is refused.
func parseRow(b []byte, cells []cell) (rest []byte, err error) {
	for i := range cells {
		if len(b) == 0 {
			return nil, malformed("a row ends early")
		}
		kind := b[0]
		b = b[1:]
		c := cell{kind: kind}
		switch kind {
		case cellNull:
		case cellInteger:
			n, used := binary.Varint(b)
			if used <= 0 || used > 1 && b[used-1] == 0 {
				return nil, malformed("a number in a row is not well formed")
			}
			c.n, b = n, b[used:]
		case cellText, cellBlob:
			n, used := binary.Uvarint(b)
			if used <= 0 || used > 1 && b[used-1] == 0 || n > uint64(len(b)-used) {
				return nil, malformed("a length in a row is not well formed")
			}
			b = b[used:]
			c.b, b = b[:n:n], b[n:]
		default:
			return nil, malformed("a row holds a value of unknown kind %d", kind)
		}
		cells[i] = c
	}
	return b, nil
}

// value gives the cell as the store takes it. Blobs go on sharing the frame.
func (c cell) value() any {
	switch c.kind {
	case cellInteger:
		return c.n
	case cellText:
		return string(c.b)
	case cellBlob:
		return c.b // never nil: that would be NULL
	}
	return nil
}

// cellOf is the way back, for rows that come from a database.
func cellOf(v any) cell {
	switch v := v.(type) {
	case int64:
		return cell{kind: cellInteger, n: v}
	case string:
		return cell{kind: cellText, b: []byte(v)}
	case []byte:
		return cell{kind: cellBlob, b: v}
	}
	return cell{}
}

func values(cells []cell) []any {
	out := make([]any, len(cells))
	for i, c := range cells {
		out[i] = c.value()
	}
	return out
}

// malformed is a backup that opens and whose signature may even be good, but that no program of ours wrote.
func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the backup is not well formed: "+format, args...)
}

package runner

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// Snapshot is one fetch: what [Cache] keeps.
type Snapshot struct {
	Vars      []Var
	Revision  string        // of the environment, for display and comparison
	FetchedMS int64         // Unix time in milliseconds
	MaxAge    time.Duration // set by the server; whole milliseconds count, 0 means that it must not be kept
	Source    string        // where it came from, for display
}

// minVarBytes is what the smallest variable takes in encoded form: two lengths and a flag. It bounds the count.
const minVarBytes = 9

var errSnapshot = errors.New("snapshot is malformed")

// appendSnapshot encodes s: integers are big-endian, texts carry a 4-byte length.
//
//	fetched (8, ms) | max age (8, ms) | revision | source | count (4) | count times: name | public (1) | value
func appendSnapshot(b []byte, s Snapshot) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(s.FetchedMS))
	b = binary.BigEndian.AppendUint64(b, uint64(s.MaxAge.Milliseconds()))
	b = appendText(b, s.Revision)
	b = appendText(b, s.Source)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Vars)))
	for _, v := range s.Vars {
		b = appendText(b, v.Name)
		flag := byte(0)
		if v.Public {
			flag = 1
		}
		b = append(b, flag)
		b = appendText(b, v.Value.Reveal())
	}
	return b
}

// parseSnapshot decodes what appendSnapshot made and nothing else. The values are copies.
func parseSnapshot(b []byte) (Snapshot, error) {
	r := reader{rest: b}
	fetched, maxAge := r.uint64(), r.uint64()
	s := Snapshot{FetchedMS: int64(fetched), Revision: string(r.text()), Source: string(r.text())}
	count := r.uint32()
	if r.bad || fetched > math.MaxInt64 || maxAge > uint64(math.MaxInt64/time.Millisecond) || uint64(count) > uint64(len(r.rest)/minVarBytes) {
		return Snapshot{}, errSnapshot
	}
	s.MaxAge = time.Duration(maxAge) * time.Millisecond
	s.Vars = make([]Var, 0, count)
	for range count {
		name, flag := string(r.text()), r.byte()
		value := append([]byte(nil), r.text()...)
		if r.bad || flag > 1 {
			return Snapshot{}, errSnapshot
		}
		s.Vars = append(s.Vars, Var{Name: name, Value: sensitive.New(value), Public: flag == 1})
	}
	if len(r.rest) > 0 {
		return Snapshot{}, errSnapshot
	}
	return s, nil
}

// reader takes fields from the front of rest; after the first that is not there it is bad and gives zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return make([]byte, min(n, 8)) // enough for every fixed field
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) text() []byte {
	n := r.uint32()
	if r.bad || uint64(n) > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

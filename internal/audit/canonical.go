package audit

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// AppendCanonical appends the RFC 8785 form of e to dst. Invalid UTF-8 becomes U+FFFD, a text over its bound is shortened
// and ends in "...", an integer out of range is moved to the nearest that JSON keeps exact. It never fails: a record with
// an odd client name is better than no record.
//
// The order of the fields below is the sorted order of their keys. It is written by hand because it stands on the path of
// every read.
func (e *Entry) AppendCanonical(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, `"action":`, e.Action)
	if e.Actor != (Actor{}) {
		dst = appendActor(appendName(dst, `"actor":`), &e.Actor)
	}
	dst = appendText(dst, `"address":`, e.Address)
	dst = appendText(dst, `"agent":`, e.Agent)
	dst = appendInteger(dst, `"at":`, e.At, maxInteger)
	if len(e.Detail) > 0 {
		dst = appendDetail(appendName(dst, `"detail":`), e.Detail)
	}
	dst = appendText(dst, `"dialect":`, e.Dialect)
	dst = appendText(dst, `"env":`, e.Env)
	dst = appendText(dst, `"id":`, e.ID)
	if len(e.Keys) > 0 {
		dst = appendKeys(appendName(dst, `"keys":`), e.Keys)
	}
	dst = appendText(dst, `"org":`, e.Org)
	dst = appendText(dst, `"outcome":`, e.Outcome)
	dst = appendInteger(dst, `"part":`, int64(e.Part), maxParts)
	dst = appendInteger(dst, `"parts":`, int64(e.Parts), maxParts)
	if e.Path != "" {
		dst = appendString(appendName(dst, `"path":`), e.Path, maxPath)
	}
	dst = appendText(dst, `"project":`, e.Project)
	dst = appendText(dst, `"reason":`, e.Reason)
	dst = appendText(dst, `"request":`, e.Request)
	dst = appendInteger(dst, `"revision":`, e.Revision, maxInteger)
	if len(e.Rows) > 0 {
		dst = appendRows(appendName(dst, `"rows":`), e.Rows)
	}
	return append(dst, '}')
}

// appendName appends a quoted key with its colon, and a comma unless it is the first of its object.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(dst, name...)
}

func appendText(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	return appendString(appendName(dst, name), s, maxText)
}

func appendInteger(dst []byte, name string, n, most int64) []byte {
	if n <= 0 {
		return dst
	}
	return strconv.AppendInt(appendName(dst, name), min(n, most), 10)
}

func appendActor(dst []byte, a *Actor) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, `"id":`, a.ID)
	dst = appendText(dst, `"kind":`, a.Kind)
	dst = appendText(dst, `"name":`, a.Name)
	dst = appendText(dst, `"token":`, a.Token)
	return append(dst, '}')
}

func appendKeys(dst []byte, keys []string) []byte {
	for i, k := range keys {
		dst = appendString(append(dst, separator(i)), k, maxPath)
	}
	return append(dst, ']')
}

func appendRows(dst []byte, rows []Row) []byte {
	for i := range rows {
		dst = appendRow(append(dst, separator(i)), &rows[i])
	}
	return append(dst, ']')
}

func appendRow(dst []byte, r *Row) []byte {
	dst = append(dst, '{')
	if r.D != ([32]byte{}) {
		dst = append(dst, `"d":"`...)
		dst = append(hex.AppendEncode(dst, r.D[:]), '"')
	}
	dst = appendText(dst, `"k":`, r.K)
	dst = appendText(dst, `"t":`, r.T)
	return append(dst, '}')
}

// separator is what stands before the i-th element of an array.
func separator(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

// pair is one fact of Detail with its key as it will be written.
type pair struct{ key, value string }

// appendDetail writes at most maxDetails pairs; when there are more, the last of them tells how many were left out.
func appendDetail(dst []byte, detail map[string]string) []byte {
	var room [maxDetails]pair
	pairs := room[:0]
	for k, v := range detail {
		pairs = append(pairs, pair{k, v})
	}
	// Two keys may become one when they are cleaned. Which of them stays must not hang on the order of the map.
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	for i := range pairs {
		pairs[i].key = clean(pairs[i].key, maxText)
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return compareUTF16(a.key, b.key) })
	pairs = slices.CompactFunc(pairs, func(a, b pair) bool { return a.key == b.key })
	if len(pairs) > maxDetails {
		left := len(pairs) - (maxDetails - 1)
		pairs = slices.DeleteFunc(pairs[:maxDetails-1], func(p pair) bool { return p.key == cut })
		pairs = append(pairs, pair{cut, strconv.Itoa(left) + " left out"})
		slices.SortFunc(pairs, func(a, b pair) int { return compareUTF16(a.key, b.key) })
	}
	dst = append(dst, '{')
	for i, p := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, p.key, maxText)
		dst = appendString(append(dst, ':'), p.value, maxText)
	}
	return append(dst, '}')
}

package audit

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

// ParseEntry reads the canonical form of one entry. What it accepts serialises to the same bytes again; anything else is
// [fault.Invalid] with the offset of the first difference: unknown, repeated or unsorted keys, white space, other escapes,
// texts over their bounds. It checks the form, not the sense: an entry without an action is well formed.
//
// The texts of the result share one copy of b.
func ParseEntry(b []byte) (Entry, error) {
	if len(b) > MaxEntryBytes {
		return Entry{}, fault.New(fault.Invalid, "audit entry has %d bytes, more than %d", len(b), MaxEntryBytes)
	}
	p := parser{s: string(b)}
	var e Entry
	p.object(func(name string) { p.field(&e, name) })
	if p.bad || p.i != len(p.s) {
		return Entry{}, notCanonical(p.i)
	}
	var room [1024]byte // ordinary entries fit, so that the comparison allocates nothing
	again := e.AppendCanonical(room[:0])
	if !bytes.Equal(again, b) {
		i := 0
		for i < len(b) && i < len(again) && b[i] == again[i] {
			i++
		}
		return Entry{}, notCanonical(i)
	}
	return e, nil
}

func notCanonical(offset int) error {
	return fault.New(fault.Invalid, "audit entry is not in canonical form at byte %d", offset)
}

// parser walks over one entry. It may be generous, since the comparison at the end is strict; it must only stay inside
// its input and allocate no more than a multiple of it.
type parser struct {
	s   string
	i   int
	bad bool
}

func (p *parser) field(e *Entry, name string) {
	switch name {
	case "action":
		e.Action = p.text()
	case "actor":
		p.object(func(name string) { p.actor(&e.Actor, name) })
	case "address":
		e.Address = p.text()
	case "agent":
		e.Agent = p.text()
	case "at":
		e.At = p.integer(maxInteger)
	case "detail":
		e.Detail = make(map[string]string)
		p.object(func(name string) { e.Detail[name] = p.text() })
	case "dialect":
		e.Dialect = p.text()
	case "env":
		e.Env = p.text()
	case "id":
		e.ID = p.text()
	case "keys":
		p.array(func() { e.Keys = append(e.Keys, p.text()) })
	case "org":
		e.Org = p.text()
	case "outcome":
		e.Outcome = p.text()
	case "part":
		e.Part = int(p.integer(maxParts))
	case "parts":
		e.Parts = int(p.integer(maxParts))
	case "path":
		e.Path = p.text()
	case "project":
		e.Project = p.text()
	case "reason":
		e.Reason = p.text()
	case "request":
		e.Request = p.text()
	case "revision":
		e.Revision = p.integer(maxInteger)
	case "rows":
		p.array(func() {
			var r Row
			p.object(func(name string) { p.row(&r, name) })
			e.Rows = append(e.Rows, r)
		})
	default:
		p.bad = true
	}
}

func (p *parser) actor(a *Actor, name string) {
	switch name {
	case "id":
		a.ID = p.text()
	case "kind":
		a.Kind = p.text()
	case "name":
		a.Name = p.text()
	case "token":
		a.Token = p.text()
	default:
		p.bad = true
	}
}

func (p *parser) row(r *Row, name string) {
	switch name {
	case "d":
		s := p.text()
		if p.bad || len(s) != hex.EncodedLen(len(r.D)) {
			p.bad = true
			return
		}
		for i := range r.D {
			high, low := hexDigit(s[2*i]), hexDigit(s[2*i+1])
			if high > 15 || low > 15 {
				p.bad = true
				return
			}
			r.D[i] = high<<4 | low
		}
	case "k":
		r.K = p.text()
	case "t":
		r.T = p.text()
	default:
		p.bad = true
	}
}

// hexDigit gives the value of a lower-case digit, or something above 15.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xFF
}

// object reads {"name":value,...}; value must read what follows the colon.
func (p *parser) object(value func(name string)) {
	p.expect('{')
	if p.accept('}') {
		return
	}
	for !p.bad {
		name := p.text()
		p.expect(':')
		if p.bad {
			return
		}
		value(name)
		if p.accept('}') {
			return
		}
		p.expect(',')
	}
}

func (p *parser) array(element func()) {
	p.expect('[')
	for !p.bad {
		element()
		if p.accept(']') {
			return
		}
		p.expect(',')
	}
}

func (p *parser) accept(c byte) bool {
	if p.bad || p.i >= len(p.s) || p.s[p.i] != c {
		return false
	}
	p.i++
	return true
}

func (p *parser) expect(c byte) {
	if !p.accept(c) {
		p.bad = true
	}
}

func (p *parser) integer(most int64) int64 {
	var n int64
	start := p.i
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		n = n*10 + int64(p.s[p.i]-'0')
		if n > most {
			p.bad = true
			return 0
		}
		p.i++
	}
	if p.i == start {
		p.bad = true
	}
	return n
}

// text reads a string. Without escapes, which is the usual case, it is a piece of the input.
func (p *parser) text() string {
	p.expect('"')
	if p.bad {
		return ""
	}
	end := strings.IndexByte(p.s[p.i:], '"')
	if end < 0 {
		p.bad = true
		return ""
	}
	if s := p.s[p.i : p.i+end]; strings.IndexByte(s, '\\') < 0 {
		p.i += end + 1
		return s
	}
	return p.escaped()
}

func (p *parser) escaped() string {
	var out []byte
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		switch c {
		case '"':
			return string(out)
		case '\\':
			out = p.escape(out)
		default:
			out = append(out, c)
		}
		if p.bad {
			return ""
		}
	}
	p.bad = true
	return ""
}

func (p *parser) escape(out []byte) []byte {
	if p.i >= len(p.s) {
		p.bad = true
		return out
	}
	c := p.s[p.i]
	p.i++
	switch c {
	case '"', '\\':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 't':
		return append(out, '\t')
	case 'n':
		return append(out, '\n')
	case 'f':
		return append(out, '\f')
	case 'r':
		return append(out, '\r')
	case 'u':
		if len(p.s)-p.i >= 4 {
			var r rune
			for _, d := range []byte(p.s[p.i : p.i+4]) {
				v := hexDigit(d)
				p.bad = p.bad || v > 15
				r = r<<4 | rune(v)
			}
			p.i += 4
			return utf8.AppendRune(out, r)
		}
	}
	p.bad = true
	return out
}

package format

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON (RFC 8259) is one flat object of strings, numbers (which keep their text), booleans and null (the empty value), or a
// list of objects with "key" or "name" and "value", as other secrets managers export it. Names that occur twice, nesting,
// invalid UTF-8 and anything after the value are refused.
func decodeJSON(c *collector, text []byte) {
	r := &jsonReader{c: c, lines: lines{text: text}}
	// Names that occur twice are let through here, because the collector knows both lines.
	r.d = jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true))
	err := r.document()
	if err == nil {
		return
	}
	at := int(r.d.InputOffset())
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = max(at, int(syntax.ByteOffset))
	}
	// The decoder's own words may quote the text, which may be a secret.
	c.problem(r.lines.at(at), "is not valid JSON")
}

type jsonReader struct {
	c     *collector
	d     *jsontext.Decoder
	lines lines
}

// line is where the last token ended; no token but a nested value spans lines.
func (r *jsonReader) line() int { return r.lines.at(int(r.d.InputOffset())) }

// document reads the whole text. Its error is one of syntax; what else is wrong goes to the collector.
func (r *jsonReader) document() error {
	var err error
	switch r.d.PeekKind() {
	case '{':
		err = r.object()
	case '[':
		err = r.list()
	default:
		if _, err = r.d.ReadValue(); err == nil {
			r.c.problem(1, "the file must hold one object or a list of objects")
		}
	}
	if err != nil || r.c.done() {
		return err
	}
	switch _, err = r.d.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		r.c.problem(r.line(), "there is more after the end of the value")
	}
	return err
}

// object reads {"NAME": scalar, ...}.
func (r *jsonReader) object() error {
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	for r.d.PeekKind() != '}' {
		token, err := r.d.ReadToken()
		if err != nil {
			return err
		}
		name, line := token.String(), r.line()
		value, nested, err := r.scalar()
		switch {
		case err != nil:
			return err
		case nested:
			r.c.problem(line, "%s is an object or a list; only a flat object can be read", pointer(name))
		default:
			r.c.pair(name, value, line, "")
		}
		if r.c.done() {
			return nil
		}
	}
	_, err := r.d.ReadToken()
	return err
}

// list reads [{"key": "NAME", "value": scalar, ...}, ...].
func (r *jsonReader) list() error {
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.d.PeekKind() != ']'; i++ {
		if r.c.done() {
			return nil
		}
		if r.d.PeekKind() != '{' {
			if _, err := r.d.ReadValue(); err != nil {
				return err
			}
			r.c.problem(r.line(), "%s is no object", pointer(strconv.Itoa(i)))
			continue
		}
		if err := r.item(i); err != nil {
			return err
		}
	}
	_, err := r.d.ReadToken()
	return err
}

// item reads one object of a list. Members other than key, name and value are other programs' business.
func (r *jsonReader) item(i int) error {
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	at := r.line()
	found := map[string][]byte{}
	sound := true
	for r.d.PeekKind() != '}' {
		token, err := r.d.ReadToken()
		if err != nil {
			return err
		}
		member, line := token.String(), r.line()
		if member != "key" && member != "name" && member != "value" {
			if err := r.d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		isString := r.d.PeekKind() == '"'
		value, nested, err := r.scalar()
		if err != nil {
			return err
		}
		_, twice := found[member]
		switch {
		case twice:
			r.c.problem(line, "%s occurs twice", pointer(strconv.Itoa(i), member))
			sound = false
		case nested || member != "value" && !isString:
			r.c.problem(line, "%s has the wrong type", pointer(strconv.Itoa(i), member))
			sound = false
		}
		found[member] = value
	}
	if _, err := r.d.ReadToken(); err != nil {
		return err
	}
	key, hasKey := found["key"]
	name, hasName := found["name"]
	value, hasValue := found["value"]
	switch {
	case !sound:
	case hasKey == hasName || !hasValue:
		r.c.problem(at, `%s must have "value" and one of "key" and "name"`, pointer(strconv.Itoa(i)))
	default:
		r.c.pair(string(key)+string(name), value, at, "")
	}
	return nil
}

// scalar reads a value and gives its text, or skips it and says that it is nested.
func (r *jsonReader) scalar() (value []byte, nested bool, err error) {
	switch r.d.PeekKind() {
	case '{', '[':
		return nil, true, r.d.SkipValue()
	}
	token, err := r.d.ReadToken()
	if err != nil || token.Kind() == 'n' {
		return []byte{}, false, err
	}
	return []byte(token.String()), false, nil
}

// pointer shows where something is in the manner of RFC 6901, with each part bounded.
func pointer(parts ...string) string {
	path := ""
	for _, part := range parts {
		if _, err := strconv.Atoi(part); err != nil {
			part = label(part)
		}
		path += "/" + part
	}
	return path
}

func encodeJSON(w *bytes.Buffer, pairs []Pair, _ Options) {
	w.WriteByte('{')
	for i, p := range pairs {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString("\n  ")
		quoted(w, []byte(p.Name))
		w.WriteString(": ")
		quoted(w, p.Value)
	}
	if len(pairs) > 0 {
		w.WriteByte('\n')
	}
	w.WriteString("}\n")
}

package format

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Properties are read as java.util.Properties.load(Reader) does: # and ! comments, lines that go on after an odd number of
// backslashes, =, : or blanks between name and value, \t \n \r \f and \uXXXX. The text is UTF-8; written are ASCII
// characters only, so that load(InputStream), which takes Latin-1, reads the same.
func decodeProperties(c *collector, text []byte) {
	at := lines{text: text}
	for offset := 0; offset < len(text) && !c.done(); {
		row, start, next := logicalLine(text, offset)
		offset = next
		if len(row) == 0 {
			continue
		}
		// Java also ends lines at a lone carriage return; editors do not count those, so neither does the line number.
		line := at.at(start)
		name, rest := propertyName(row)
		key, ok := unescapeProperty(name)
		value, sound := unescapeProperty(rest)
		if !ok || !sound {
			c.problem(line, "holds a malformed \\u escape")
			continue
		}
		c.pair(string(key), value, line, "")
	}
}

// logicalLine gives the next line without leading blanks, with continued lines joined, empty for comments and blank lines;
// where it starts, and where the next begins.
func logicalLine(text []byte, offset int) (row []byte, start, next int) {
	for i := offset; ; {
		for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\f') {
			i++
		}
		if len(row) == 0 {
			start = i
		}
		end := bytes.IndexAny(text[i:], "\r\n")
		if end < 0 {
			end = len(text)
		} else {
			end += i
		}
		part := text[i:end]
		next = min(end+1, len(text))
		if end+1 < len(text) && text[end] == '\r' && text[end+1] == '\n' {
			next++
		}
		if len(row) == 0 && len(part) > 0 && (part[0] == '#' || part[0] == '!') {
			return nil, start, next
		}
		backslashes := len(part) - len(bytes.TrimRight(part, `\`))
		if backslashes%2 == 0 {
			return append(row, part...), start, next
		}
		row = append(row, part[:len(part)-1]...)
		if i = next; i == len(text) {
			return row, start, next
		}
	}
}

// propertyName splits a logical line at the first separator that is not escaped.
func propertyName(row []byte) (name, value []byte) {
	i := 0
	for i < len(row) && bytes.IndexByte([]byte("=: \t\f"), row[i]) < 0 {
		if row[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(row))
	name, value = row[:i], bytes.TrimLeft(row[i:], " \t\f")
	if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
		value = bytes.TrimLeft(value[1:], " \t\f")
	}
	return name, value
}

// unescapeProperty resolves escapes. It fails for \u without four hex digits and for half a surrogate pair.
func unescapeProperty(s []byte) ([]byte, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i++; i == len(s) {
			break // Java drops a backslash at the very end
		}
		switch s[i] {
		case 't':
			out = append(out, '\t')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 'f':
			out = append(out, '\f')
		case 'u':
			r, ok := hexRune(s[i+1:])
			if !ok {
				return nil, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				if !bytes.HasPrefix(s[i+1:], []byte(`\u`)) {
					return nil, false
				}
				low, ok := hexRune(s[i+3:])
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return nil, false
				}
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, s[i])
		}
	}
	return out, true
}

func hexRune(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[:4]), 16, 16)
	return rune(n), err == nil
}

func encodeProperties(w *bytes.Buffer, pairs []Pair, _ Options) {
	for _, p := range pairs {
		escapeProperty(w, []byte(p.Name), true)
		w.WriteByte('=')
		escapeProperty(w, p.Value, false)
		w.WriteByte('\n')
	}
}

// escapeProperty writes a name or a value; in a value only the first blank needs a backslash.
func escapeProperty(w *bytes.Buffer, s []byte, name bool) {
	const hex = "0123456789ABCDEF"
	unit := func(u uint16) {
		w.Write([]byte{'\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15]})
	}
	for i, r := range string(s) {
		switch {
		case r == ' ' && (name || i == 0):
			w.WriteString(`\ `)
		case r == '\t':
			w.WriteString(`\t`)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\r':
			w.WriteString(`\r`)
		case r == '\f':
			w.WriteString(`\f`)
		case r == '\\' || r == '=' || r == ':' || r == '#' || r == '!':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r < ' ' || r > '~':
			for _, u := range utf16.Encode([]rune{r}) {
				unit(u)
			}
		default:
			w.WriteRune(r)
		}
	}
}

package format

import (
	"bytes"
	"strings"
)

// CSV is RFC 4180 with the header "name,value" or "key,value" and perhaps ",comment". The standard library's reader is not
// used, since it turns CRLF inside quotes into LF and would change a value.
func decodeCSV(c *collector, text []byte) {
	line := 1
	columns := 0
	for len(text) > 0 && !c.done() {
		if row, rest := cutLine(text); len(row) == 0 {
			text, line = rest, line+1
			continue
		}
		record, used, wrong := csvRecord(text)
		switch {
		case wrong != "":
			c.problem(line, "%s", wrong)
			if columns == 0 {
				return
			}
		case columns == 0:
			if columns = csvColumns(record); columns == 0 {
				c.problem(line, "the first line must be name,value or name,value,comment")
				return
			}
		case len(record) != columns:
			c.problem(line, "this line has %d fields, the first has %d", len(record), columns)
		case columns == 3:
			c.pair(string(record[0]), record[1], line, string(record[2]))
		default:
			c.pair(string(record[0]), record[1], line, "")
		}
		line += bytes.Count(text[:used], []byte{'\n'})
		text = text[used:]
	}
	if columns == 0 {
		c.problem(1, "the first line must be name,value or name,value,comment")
	}
}

// csvColumns gives the number of columns that a header announces, 0 when it is no header.
func csvColumns(header [][]byte) int {
	titles := make([]string, len(header))
	for i, title := range header {
		titles[i] = strings.ToLower(strings.TrimSpace(string(title)))
	}
	switch strings.Join(titles, ",") {
	case "name,value", "key,value":
		return 2
	case "name,value,comment", "key,value,comment":
		return 3
	}
	return 0
}

// csvMaxFields bounds a record: three columns are the most that is read, a few more make a good error.
const csvMaxFields = 16

// csvRecord reads one record and tells how much of text it used, with its line end. After a problem, used is up to the end
// of the line on which it was found.
func csvRecord(text []byte) (record [][]byte, used int, wrong string) {
	for {
		var field []byte
		if used < len(text) && text[used] == '"' {
			body, length := csvQuoted(text[used+1:])
			if length < 0 {
				return nil, len(text), "the quote that opens here is never closed"
			}
			field, used = body, used+1+length
		} else {
			length := bytes.IndexAny(text[used:], ",\n")
			if length < 0 {
				length = len(text) - used
			}
			field = bytes.Clone(text[used : used+length])
			if used += length; used == len(text) || text[used] == '\n' {
				field = bytes.TrimSuffix(field, []byte{'\r'})
			}
			if bytes.ContainsAny(field, "\"\r") {
				_, rest := cutLine(text[used:])
				return nil, len(text) - len(rest), "a field with a quote or a carriage return must be quoted"
			}
		}
		record = append(record, field)
		rest := text[used:]
		switch {
		case len(record) > csvMaxFields:
			_, rest = cutLine(rest)
			return nil, len(text) - len(rest), "this line has too many fields"
		case len(rest) == 0:
			return record, used, ""
		case rest[0] == ',':
			used++
		case rest[0] == '\n':
			return record, used + 1, ""
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return record, used + 2, ""
		default:
			_, rest = cutLine(rest)
			return nil, len(text) - len(rest), "there is text after the closing quote"
		}
	}
}

// csvQuoted reads up to the closing quote and tells where text goes on after it, or -1.
func csvQuoted(text []byte) ([]byte, int) {
	field := []byte{}
	for i := 0; i < len(text); i++ {
		if text[i] == '"' {
			if i+1 == len(text) || text[i+1] != '"' {
				return field, i + 1
			}
			i++
		}
		field = append(field, text[i])
	}
	return nil, -1
}

func encodeCSV(w *bytes.Buffer, pairs []Pair, _ Options) {
	comments := false
	for _, p := range pairs {
		comments = comments || p.Comment != ""
	}
	w.WriteString("name,value")
	if comments {
		w.WriteString(",comment")
	}
	w.WriteByte('\n')
	for _, p := range pairs {
		csvField(w, p.Name)
		w.WriteByte(',')
		csvField(w, string(p.Value))
		if comments {
			w.WriteByte(',')
			csvField(w, p.Comment)
		}
		w.WriteByte('\n')
	}
}

// csvField quotes where RFC 4180 asks for it, and where blanks at the ends would tempt readers to trim.
func csvField(w *bytes.Buffer, s string) {
	if !strings.ContainsAny(s, ",\"\r\n") && strings.TrimSpace(s) == s {
		w.WriteString(s)
		return
	}
	w.WriteString(`"` + strings.ReplaceAll(s, `"`, `""`) + `"`)
}

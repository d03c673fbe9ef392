package format

import (
	"bytes"
	"strings"
)

// Dotenv has no standard. Read here: lines of [export ]NAME=value, # comments, '...' and `...` taken literally, "..." with
// the escapes \n \r \t \" \\ \$ (another backslash stays), quoted values over several lines, kept exactly. Unquoted values
// lose blanks at both ends and end at a # that follows a blank. ${VAR} is literal text everywhere.
func decodeDotenv(c *collector, text []byte) {
	line := 1
	above := 0 // bytes of comment lines directly above; kept as text, so that a file of comments alone costs little
	for at := 0; at < len(text) && !c.done(); {
		row, rest := cutLine(text[at:])
		next := len(text) - len(rest)
		trimmed := bytes.TrimLeft(row, " \t")
		switch {
		case len(trimmed) == 0:
			at, above, line = next, 0, line+1
			continue
		case trimmed[0] == '#':
			at, above, line = next, above+next-at, line+1
			continue
		}
		comment := text[at-above : at]
		above = 0
		name, valueAt, ok := assignment(row)
		if !ok {
			c.problem(line, "there is no = in this line")
			at, line = next, line+1
			continue
		}
		value, used, wrong := dotenvValue(text[at+valueAt:])
		if wrong != "" {
			c.problem(line, "%s", wrong)
		} else {
			c.pair(name, value, line, dotenvComment(comment))
		}
		end := at + valueAt + used
		line += bytes.Count(text[at:end], []byte{'\n'})
		at = end
	}
}

// dotenvComment takes the marks off comment lines, with one blank after each.
func dotenvComment(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	var rows []string
	for len(text) > 0 {
		var row []byte
		row, text = cutLine(text)
		rows = append(rows, strings.TrimPrefix(string(bytes.TrimLeft(row, " \t")[1:]), " "))
	}
	return strings.Join(rows, "\n")
}

// cutLine gives the first line without its end (LF or CRLF) and what follows.
func cutLine(text []byte) (row, rest []byte) {
	row, rest, _ = bytes.Cut(text, []byte{'\n'})
	return bytes.TrimSuffix(row, []byte{'\r'}), rest
}

// assignment splits "[export ]NAME = value" and gives the name and where the value begins in row.
func assignment(row []byte) (name string, valueAt int, ok bool) {
	at := bytes.IndexByte(row, '=')
	if at < 0 {
		return "", 0, false
	}
	left := bytes.Trim(row[:at], " \t")
	if after, found := bytes.CutPrefix(left, []byte("export")); found && len(after) > 0 && (after[0] == ' ' || after[0] == '\t') {
		left = bytes.TrimLeft(after, " \t")
	}
	return string(left), at + 1, true
}

// dotenvValue reads the value at the start of text and tells how much of text it used, up to and with the line's end.
func dotenvValue(text []byte) (value []byte, used int, wrong string) {
	row, rest := cutLine(text)
	used = len(text) - len(rest)
	start := len(row) - len(bytes.TrimLeft(row, " \t"))
	if start == len(row) {
		return nil, used, ""
	}
	quote := row[start]
	if quote != '"' && quote != '\'' && quote != '`' {
		if at := commentAt(row); at >= 0 {
			row = row[:at]
		}
		return bytes.Clone(bytes.Trim(row, " \t")), used, ""
	}
	body := text[start+1:]
	end := -1
	if quote != '"' {
		if end = bytes.IndexByte(body, quote); end >= 0 {
			value = bytes.Clone(body[:end])
		}
	} else {
		value, end = unescapeDotenv(body)
	}
	if end < 0 {
		return nil, used, "the quote that opens here is never closed"
	}
	tail, rest := cutLine(body[end+1:])
	used = len(text) - len(rest)
	if tail = bytes.TrimLeft(tail, " \t"); len(tail) > 0 && tail[0] != '#' {
		return nil, used, "there is text after the closing quote"
	}
	return value, used, ""
}

// commentAt finds the first # that follows a blank, or -1.
func commentAt(row []byte) int {
	for i := 1; i < len(row); i++ {
		if row[i] == '#' && (row[i-1] == ' ' || row[i-1] == '\t') {
			return i
		}
	}
	return -1
}

// unescapeDotenv reads up to the closing double quote, whose place it gives, or -1.
func unescapeDotenv(body []byte) ([]byte, int) {
	var value []byte
	for i := 0; i < len(body); i++ {
		b := body[i]
		if b == '"' {
			return value, i
		}
		if b == '\\' && i+1 < len(body) {
			if at := strings.IndexByte(`nrt"\$`, body[i+1]); at >= 0 {
				value = append(value, "\n\r\t\"\\$"[at])
				i++
				continue
			}
		}
		value = append(value, b)
	}
	return nil, -1
}

// encodeDotenv prefers what most readers agree on: bare, then single quotes, then double quotes with escapes.
func encodeDotenv(w *bytes.Buffer, pairs []Pair, _ Options) {
	escapes := strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`, `"`, `\"`, `\`, `\\`, `$`, `\$`)
	for _, p := range pairs {
		if p.Comment != "" {
			for row := range strings.SplitSeq(p.Comment, "\n") {
				if row != "" {
					row = " " + row
				}
				w.WriteString("#" + row + "\n")
			}
		}
		w.WriteString(p.Name + "=")
		switch {
		case bare(p.Value):
			w.Write(p.Value)
		case bytes.ContainsAny(p.Value, "'\n\r"):
			w.WriteString(`"` + escapes.Replace(string(p.Value)) + `"`)
		default:
			w.WriteString("'" + string(p.Value) + "'")
		}
		w.WriteByte('\n')
	}
}

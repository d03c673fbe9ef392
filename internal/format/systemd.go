package format

import (
	"bytes"
	"strings"
)

// Systemd environment files are read as systemd.exec(5) describes EnvironmentFile=: comments begin with # or ;, a value is
// a run of '...' and "..." parts or unquoted text to the end of the line. Double quotes know \" \\ \` \$ and the continued
// line, single quotes nothing, unquoted text takes the character after a backslash as it is. Where systemd skips a line
// without =, or takes an unclosed quote to the end of the file, this refuses: an import must not lose a line in silence.
func decodeSystemd(c *collector, text []byte) {
	line := 1
	for len(text) > 0 && !c.done() {
		// A lone carriage return ends a line too: what follows it in a comment is an assignment.
		end := bytes.IndexAny(text, "\r\n")
		if end < 0 {
			end = len(text)
		}
		row := bytes.Trim(text[:end], " \t")
		at := bytes.IndexByte(text[:end], '=')
		comment := len(row) > 0 && (row[0] == '#' || row[0] == ';')
		if at < 0 && len(row) > 0 && !comment {
			c.problem(line, "there is no = in this line")
		}
		if at < 0 || comment {
			if end < len(text) && text[end] == '\n' {
				line++
			}
			text = text[min(end+1, len(text)):]
			continue
		}
		value, used, wrong := systemdText(text[at+1:])
		if wrong != "" {
			c.problem(line, "%s", wrong)
		} else {
			c.pair(string(bytes.Trim(text[:at], " \t")), value, line, "")
		}
		line += bytes.Count(text[:at+1+used], []byte{'\n'})
		text = text[at+1+used:]
	}
}

// systemdText reads a value and tells how much of text it used, with the line's end.
func systemdText(text []byte) (value []byte, used int, wrong string) {
	for i := 0; i < len(text); {
		switch text[i] {
		case ' ', '\t': // blanks outside quotes are dropped
			i++
		case '\n', '\r': // a carriage return ends a line as well
			return value, i + 1, ""
		case '\'':
			end := bytes.IndexByte(text[i+1:], '\'')
			if end < 0 {
				_, rest := cutLine(text)
				return nil, len(text) - len(rest), "the quote that opens here is never closed"
			}
			value = append(value, text[i+1:i+1+end]...)
			i += end + 2
		case '"':
			body, length := systemdDouble(text[i+1:])
			if length < 0 {
				_, rest := cutLine(text)
				return nil, len(text) - len(rest), "the quote that opens here is never closed"
			}
			value = append(value, body...)
			i += 1 + length
		default:
			body, length := systemdBare(text[i:])
			return append(value, body...), i + length, ""
		}
	}
	return value, len(text), ""
}

// systemdDouble reads up to the closing double quote and tells where text goes on after it, or -1.
func systemdDouble(text []byte) ([]byte, int) {
	var value []byte
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"':
			return value, i + 1
		case b == '\\' && i+1 < len(text) && text[i+1] == '\n':
			i++
		case b == '\\' && i+1 < len(text) && strings.IndexByte("\"\\`$", text[i+1]) >= 0:
			i++
			value = append(value, text[i])
		default:
			value = append(value, b)
		}
	}
	return nil, -1
}

// systemdBare reads unquoted text to the end of the line, without the blanks before that end unless they are escaped.
func systemdBare(text []byte) ([]byte, int) {
	var value []byte
	keep := 0 // how much of value is no trailing blank
	for i := 0; i < len(text); i++ {
		switch b := text[i]; b {
		case '\n', '\r':
			return value[:keep], i + 1
		case '\\':
			if i++; i < len(text) && text[i] != '\n' && text[i] != '\r' {
				value = append(value, text[i])
			}
			keep = len(value)
		case ' ', '\t':
			value = append(value, b)
		default:
			value = append(value, b)
			keep = len(value)
		}
	}
	return value[:keep], len(text)
}

// systemdValue says why systemd would not take a value: it wants Unicode scalar values without noncharacters and U+FEFF.
func systemdValue(p Pair) string {
	if wrong := plainText(p); wrong != "" {
		return wrong
	}
	for _, r := range string(p.Value) {
		if r == 0xFEFF || 0xFDD0 <= r && r <= 0xFDEF || r&0xFFFE == 0xFFFE {
			return "the value holds a noncharacter or a byte order mark"
		}
	}
	return ""
}

func encodeSystemd(w *bytes.Buffer, pairs []Pair, _ Options) {
	escapes := strings.NewReplacer(`"`, `\"`, `\`, `\\`, "`", "\\`", `$`, `\$`)
	for _, p := range pairs {
		w.WriteString(p.Name + "=")
		if bare(p.Value) {
			w.Write(p.Value)
		} else {
			w.WriteString(`"` + escapes.Replace(string(p.Value)) + `"`)
		}
		w.WriteByte('\n')
	}
}

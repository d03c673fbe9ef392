package format

import (
	"bytes"
	"strings"
)

// Shell is a file to be sourced by a POSIX shell: export NAME='...' lines. Read are assignments of literal words, with all
// three ways of quoting (POSIX.1-2017, XCU 2.2). Whatever a shell would expand or run is refused, since its value is not in
// the file.
func decodeShell(c *collector, text []byte) {
	line := 1
	for len(text) > 0 && !c.done() {
		row, rest := cutLine(text)
		trimmed := bytes.TrimLeft(row, " \t")
		if len(trimmed) == 0 || trimmed[0] == '#' {
			text, line = rest, line+1
			continue
		}
		name, valueAt, ok := assignment(row)
		if !ok || name == "" || row[valueAt-2] == ' ' || row[valueAt-2] == '\t' {
			c.problem(line, "this is not NAME=value")
			text, line = rest, line+1
			continue
		}
		value, used, wrong := shellWord(text[valueAt:])
		if wrong != "" {
			c.problem(line, "%s", wrong)
		} else {
			c.pair(name, value, line, "")
		}
		line += bytes.Count(text[:valueAt+used], []byte{'\n'})
		text = text[valueAt+used:]
	}
}

// shellSpecial are the bytes that mean something to a shell outside quotes: expansion, globbing, and ends of commands.
const shellSpecial = "$`;&|<>()*?[{~"

// shellWord reads the word at the start of text and tells how much of text it used, with the line's end.
func shellWord(text []byte) (value []byte, used int, wrong string) {
	lineEnd := func(from int) int {
		_, rest := cutLine(text[from:])
		return len(text) - len(rest)
	}
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '\n':
			return value, i + 1, ""
		case b == '\r' && i+1 < len(text) && text[i+1] == '\n':
			return value, i + 2, ""
		case b == ' ' || b == '\t':
			if tail, _ := cutLine(text[i:]); !blankOrComment(tail) {
				return nil, lineEnd(i), "there is another word after the value; put quotes around the whole value"
			}
			return value, lineEnd(i), ""
		case b == '\'':
			end := bytes.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return nil, lineEnd(0), "the quote that opens here is never closed"
			}
			value = append(value, text[i+1:i+1+end]...)
			i += 1 + end
		case b == '"':
			body, length, wrong := shellDouble(text[i+1:])
			if wrong != "" {
				return nil, lineEnd(i + length), wrong
			}
			value = append(value, body...)
			i += length
		case b == '\\':
			if i++; i == len(text) {
				return nil, i, "the file ends with a backslash"
			}
			if text[i] != '\n' { // a line that goes on
				value = append(value, text[i])
			}
		case strings.IndexByte(shellSpecial, b) >= 0:
			return nil, lineEnd(i), "a shell would expand or run this; put single quotes around the value"
		default:
			value = append(value, b)
		}
	}
	return value, len(text), ""
}

// shellDouble reads up to the closing double quote and tells how long that is, the quote included.
func shellDouble(text []byte) (value []byte, length int, wrong string) {
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"':
			return value, i + 1, ""
		case b == '$' || b == '`':
			return nil, i, "a shell would expand this; put single quotes around the value"
		case b == '\\' && i+1 < len(text) && strings.IndexByte("$`\"\\\n", text[i+1]) >= 0:
			if i++; text[i] != '\n' {
				value = append(value, text[i])
			}
		default:
			value = append(value, b)
		}
	}
	return nil, 0, "the quote that opens here is never closed"
}

func blankOrComment(row []byte) bool {
	row = bytes.TrimLeft(row, " \t")
	return len(row) == 0 || row[0] == '#'
}

func encodeShell(w *bytes.Buffer, pairs []Pair, _ Options) {
	for _, p := range pairs {
		w.WriteString("export " + p.Name + "='" + strings.ReplaceAll(string(p.Value), "'", `'\''`) + "'\n")
	}
}

package format

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// envName says whether a name can be an environment variable everywhere: [A-Za-z_][A-Za-z0-9_]* (POSIX.1-2017, 8.1).
func envName(name string) string {
	if len(name) > MaxName || !identifier(name, "") {
		return "the name must match [A-Za-z_][A-Za-z0-9_]*"
	}
	return ""
}

// looseEnvName is what files of environment variables are found to hold: dots and dashes too.
func looseEnvName(name string) string {
	if len(name) > MaxName || !identifier(name, ".-") {
		return "the name must match [A-Za-z_][A-Za-z0-9_.-]*"
	}
	return ""
}

func identifier(name, also string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || bytes.IndexByte([]byte(also), c) >= 0):
		default:
			return false
		}
	}
	return name != ""
}

// anyName is for formats whose names are strings. Control characters are refused since names are printed everywhere.
func anyName(name string) string {
	switch {
	case name == "":
		return "the name is empty"
	case len(name) > MaxName:
		return fmt.Sprintf("the name is longer than %d bytes", MaxName)
	case !utf8.ValidString(name):
		return "the name is not valid UTF-8"
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return "the name holds a control character"
		}
	}
	return ""
}

// anyBytes is for formats that carry every value.
func anyBytes(Pair) string { return "" }

// anyText is for formats with escapes for every character.
func anyText(p Pair) string {
	if !utf8.Valid(p.Value) {
		return "the value is not valid UTF-8"
	}
	return ""
}

// plainText is for formats that write characters as they are: tab, line feed and carriage return are the only controls.
func plainText(p Pair) string {
	if wrong := anyText(p); wrong != "" {
		return wrong
	}
	for _, b := range p.Value {
		if (b < ' ' && b != '\t' && b != '\n' && b != '\r') || b == 0x7F {
			return "the value holds a control character"
		}
	}
	return ""
}

// bare tells whether a value needs no quotes in any file of environment variables: letters, digits and signs that no shell,
// dotenv reader or service manager gives a meaning.
func bare(value []byte) bool {
	for _, b := range value {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		case bytes.IndexByte([]byte("_-./:@%+,="), b) >= 0:
		default:
			return false
		}
	}
	return true
}

// quoted writes s as a string that means the same in JSON (RFC 8259), YAML 1.2 and TOML 1.0: their double-quoted strings
// share these escapes. All that YAML calls not printable is escaped, though JSON would not ask for it.
func quoted(w *bytes.Buffer, s []byte) {
	const hex = "0123456789abcdef"
	w.WriteByte('"')
	for _, r := range string(s) {
		switch {
		case r == '"' || r == '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\r':
			w.WriteString(`\r`)
		case r == '\t':
			w.WriteString(`\t`)
		case r < ' ', 0x7F <= r && r <= 0x9F, r == 0x2028, r == 0x2029, r == 0xFEFF, r == 0xFFFE, r == 0xFFFF:
			w.Write([]byte{'\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15]})
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
}

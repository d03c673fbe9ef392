package format

import (
	"bytes"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

// Decode reads every pair of a file in the order of the file. The filename only serves the error text; empty and "-" stand
// for standard input. It fails with [fault.Invalid] that has one field per bad line, "file:line", up to [MaxProblems], and
// then returns no pair at all. Names that occur twice are an error that names both lines.
//
// A UTF-8 byte order mark is dropped. Values are the exact bytes that the format says; ${VAR} and the like stay as written.
func Decode(f Format, filename string, content []byte) ([]Pair, error) {
	enc, ok := codecOf(f)
	if !ok {
		return nil, unknownFormat()
	}
	if filename == "" || filename == "-" {
		filename = "standard input"
	}
	if len(content) > MaxFile {
		return nil, fault.New(fault.Invalid, "%s is larger than %d bytes", filename, MaxFile).
			WithHint("split the file")
	}
	if bytes.HasPrefix(content, []byte{0xFF, 0xFE}) || bytes.HasPrefix(content, []byte{0xFE, 0xFF}) {
		return nil, fault.New(fault.Invalid, "%s is UTF-16, not UTF-8", filename).WithHint("save it as UTF-8")
	}
	text := bytes.TrimPrefix(content, []byte(byteOrderMark))
	c := &collector{file: filename, format: f, nameIn: enc.nameIn, seen: map[string]int{}}
	checkText(c, text)
	// A parser is not shown text that is no text: what it would say of such lines only repeats the problem.
	if len(c.problems) == 0 {
		enc.decode(c, text)
	}
	if err := c.fault(); err != nil {
		return nil, err
	}
	return c.pairs, nil
}

// byteOrderMark is what some editors put before UTF-8 text.
const byteOrderMark = "\ufeff"

// checkText reports every line that is not UTF-8 or holds a NUL. All formats here are text; values that are not go through
// base64 (Kubernetes).
func checkText(c *collector, text []byte) {
	if utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 {
		return
	}
	line := 0
	for row := range bytes.Lines(text) {
		line++
		switch {
		case !utf8.Valid(row):
			c.problem(line, "is not valid UTF-8")
		case bytes.IndexByte(row, 0) >= 0:
			c.problem(line, "holds a NUL byte")
		}
		if c.done() {
			return
		}
	}
}

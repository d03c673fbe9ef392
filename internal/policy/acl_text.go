package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/fault"
)

// The text of an ACL policy is HCL or JSON. Of HCL a policy needs little: members with labels, objects, lists, texts, numbers
// and comments. One reader takes both, since JSON differs in its separators alone, and knows the line of every part.

// Bounds of a text. Policies that people write stay far below.
const (
	maxACLText  = 256 << 10 // bytes
	maxACLDepth = 8         // objects and lists in each other: a policy needs four
	maxACLParts = 20_000    // values in all
)

// aclKind is the kind of a value.
type aclKind byte

const (
	aclText aclKind = iota
	aclNumber
	aclBool
	aclList
	aclObject
)

// aclValue is one value with the line on which it begins.
type aclValue struct {
	line    int
	kind    aclKind
	text    string // of texts, numbers and booleans
	list    []aclValue
	members []aclMember
}

// aclMember is KEY "LABEL"... VALUE.
type aclMember struct {
	line   int
	key    string
	labels []string
	value  aclValue
}

// aclReader reads a text from its beginning.
type aclReader struct {
	text  string
	at    int
	line  int
	depth int
	parts int
}

// aclWrong says in which line a policy is not one.
func aclWrong(line int, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "failed to parse policy: line %d: %s", line, fmt.Sprintf(format, args...))
}

// readACL reads a whole text: the members of HCL, or one JSON object.
func readACL(text string) ([]aclMember, error) {
	if len(text) > maxACLText {
		return nil, fault.New(fault.Invalid, "failed to parse policy: the text is too long: at most %d bytes", maxACLText)
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.Invalid, "failed to parse policy: the text is not UTF-8")
	}
	r := &aclReader{text: text, line: 1}
	if err := r.skip(); err != nil {
		return nil, err
	}
	if r.peek() == '{' {
		v, err := r.value()
		if err == nil {
			err = r.skip()
		}
		if err == nil && r.at < len(r.text) {
			err = aclWrong(r.line, "something follows the end of the object")
		}
		return v.members, err
	}
	return r.members(0)
}

func (r *aclReader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// skip goes past blanks and comments.
func (r *aclReader) skip() error {
	for r.at < len(r.text) {
		rest := r.text[r.at:]
		switch {
		case rest[0] == '\n':
			r.line++
			r.at++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			r.at++
		case rest[0] == '#' || strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				r.at += end
			} else {
				r.at = len(r.text)
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return aclWrong(r.line, "a comment has no end")
			}
			r.line += strings.Count(rest[:end], "\n")
			r.at += end + len("*/")
		default:
			return nil
		}
	}
	return nil
}

// members reads up to the closing character, or to the end of the text for 0.
func (r *aclReader) members(closing byte) ([]aclMember, error) {
	var out []aclMember
	for {
		if err := r.skip(); err != nil {
			return nil, err
		}
		c := r.peek()
		switch {
		case r.at >= len(r.text):
			if closing == 0 {
				return out, nil
			}
			return nil, aclWrong(r.line, "the text ends where '%c' belongs", closing)
		case c == closing && closing != 0: // a NUL in the text ends nothing
			r.at++
			return out, nil
		}
		m, err := r.member()
		if err != nil {
			return nil, err
		}
		out = append(out, m)
		if err := r.skip(); err != nil {
			return nil, err
		}
		if r.peek() == ',' {
			r.at++
		}
	}
}

func (r *aclReader) member() (aclMember, error) {
	m := aclMember{line: r.line}
	var err error
	if m.key, err = r.key(); err != nil {
		return m, err
	}
	for {
		if err := r.skip(); err != nil {
			return m, err
		}
		switch r.peek() {
		case '"':
			label, err := r.quoted()
			if err != nil {
				return m, err
			}
			m.labels = append(m.labels, label)
			continue
		case '=', ':':
			if len(m.labels) > 0 {
				return m, aclWrong(r.line, "a block has no '=' after its name")
			}
			r.at++
			if err := r.skip(); err != nil {
				return m, err
			}
		case '{':
		default:
			return m, aclWrong(r.line, "want '=', or a block in braces")
		}
		m.value, err = r.value()
		if err == nil && len(m.labels) > 0 && m.value.kind != aclObject {
			err = aclWrong(m.line, "want a block in braces")
		}
		return m, err
	}
}

// key reads a bare word or a text.
func (r *aclReader) key() (string, error) {
	if r.peek() == '"' {
		return r.quoted()
	}
	word := r.word()
	if word == "" {
		return "", aclWrong(r.line, "want a name such as path or capabilities")
	}
	return word, nil
}

func (r *aclReader) word() string {
	start := r.at
	for r.at < len(r.text) {
		c := r.text[r.at]
		if c != '_' && c != '-' && c != '.' && c != '+' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		r.at++
	}
	return r.text[start:r.at]
}

func (r *aclReader) value() (aclValue, error) {
	v := aclValue{line: r.line}
	if r.parts++; r.parts > maxACLParts {
		return v, aclWrong(r.line, "too many parts: at most %d", maxACLParts)
	}
	var err error
	switch c := r.peek(); {
	case c == '"':
		v.text, err = r.quoted()
	case c == '{' || c == '[':
		if r.depth++; r.depth > maxACLDepth {
			return v, aclWrong(r.line, "blocks lie too deep in each other: at most %d", maxACLDepth)
		}
		r.at++
		if c == '{' {
			v.kind = aclObject
			v.members, err = r.members('}')
		} else {
			v.kind = aclList
			v.list, err = r.items()
		}
		r.depth--
	default:
		v.text = r.word()
		switch _, numeral := strconv.ParseFloat(v.text, 64); {
		case v.text == "true" || v.text == "false":
			v.kind = aclBool
		case v.text != "" && numeral == nil:
			v.kind = aclNumber
		default:
			err = aclWrong(r.line, "want a text in quotes, a number, a list or a block")
		}
	}
	return v, err
}

func (r *aclReader) items() ([]aclValue, error) {
	var out []aclValue
	for {
		if err := r.skip(); err != nil {
			return nil, err
		}
		if r.peek() == ']' {
			r.at++
			return out, nil
		}
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if err := r.skip(); err != nil {
			return nil, err
		}
		switch r.peek() {
		case ',':
			r.at++
		case ']':
		default:
			return nil, aclWrong(r.line, "want ',' or ']'")
		}
	}
}

// quoted reads a text in quotes. It lies in one line.
func (r *aclReader) quoted() (string, error) {
	start := r.at
	for r.at++; r.at < len(r.text); r.at++ {
		switch r.text[r.at] {
		case '\n':
			return "", aclWrong(r.line, "a text has no end")
		case '\\':
			r.at++
		case '"':
			r.at++
			whole := strings.ReplaceAll(r.text[start:r.at], `\/`, "/") // JSON may escape a slash
			out, err := strconv.Unquote(whole)
			if err != nil {
				return "", aclWrong(r.line, "a text holds an escape that is not known")
			}
			return out, nil
		}
	}
	return "", aclWrong(r.line, "a text has no end")
}

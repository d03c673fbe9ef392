package channel

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// plain makes one line of text that shows what it holds: control characters, also those that turn the direction of writing,
// become spaces, and at most limit runes are left.
func plain(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		if n++; n > limit {
			break
		}
		b.WriteRune(r)
	}
	if n > limit {
		short := []rune(b.String())
		return string(short[:max(0, limit-1)]) + "…"
	}
	return b.String()
}

// headline is the one line that says it all.
func (m Message) headline(limit int) string {
	head := strings.ToUpper(string(m.Severity)) + ": " + m.Title
	if m.Count > 1 {
		head += fmt.Sprintf(" (%d times)", m.Count)
	}
	if m.Test {
		head = "TEST: " + m.Title
	}
	return plain(head, limit)
}

// Bounds of the facts in one message: below the limits of every place (Slack 10 fields of a section, Discord 25 fields of 1024).
const (
	maxFacts     = 20
	maxFactName  = 64
	maxFactValue = 512
)

// lines gives the facts with when and where, each as plain text of bounded length.
func (m Message) lines() []Fact {
	var out []Fact
	add := func(name, value string) {
		if value != "" && len(out) < maxFacts {
			out = append(out, Fact{plain(name, maxFactName), plain(value, maxFactValue)})
		}
	}
	for _, f := range m.Facts {
		if len(out) == maxFacts-4 {
			break
		}
		add(f.Name, f.Value)
	}
	if m.Count > 1 && m.LastAt.After(m.At) {
		add("first", m.At.UTC().Format(time.RFC3339))
		add("last", m.LastAt.UTC().Format(time.RFC3339))
	} else {
		add("at", m.At.UTC().Format(time.RFC3339))
	}
	add("rule", m.Rule)
	add("instance", m.Instance)
	return out
}

// body is the message as lines of plain text.
func (m Message) body() string {
	var b strings.Builder
	for _, f := range m.lines() {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

// escaped puts a backslash before each rune of set.
func escaped(s, set string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(set, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// colour gives the colour of a severity as 0xRRGGBB.
func (m Message) colour() int {
	switch m.Severity {
	case Critical:
		return 0xC62828
	case Warning:
		return 0xEF6C00
	}
	return 0x1565C0
}

// within cuts text to so many bytes at a border of runes.
func within(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

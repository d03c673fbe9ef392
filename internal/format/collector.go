package format

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/keyturn/keyturn/internal/fault"
)

// collector gathers the pairs and the problems of one file while a decoder walks it.
type collector struct {
	file     string
	format   Format
	nameIn   func(string) string
	pairs    []Pair
	seen     map[string]int // name → line
	problems []problem
	cut      bool // more was wrong or more was there than is listed
}

// problem is one thing wrong at a line; line 0 stands for the whole file.
type problem struct {
	line int
	text string
}

// problem records what is wrong at a line. The text must not hold a value.
func (c *collector) problem(line int, format string, args ...any) {
	if len(c.problems) >= MaxProblems {
		c.cut = true
		return
	}
	c.problems = append(c.problems, problem{line, fmt.Sprintf(format, args...)})
}

// done tells the decoder that nothing more can change the outcome, so that hostile files cost little.
func (c *collector) done() bool { return c.cut || len(c.problems) >= MaxProblems }

// pair records one pair. The value must not share memory with the text.
func (c *collector) pair(name string, value []byte, line int, comment string) {
	if wrong := c.nameIn(name); wrong != "" {
		c.problem(line, "%s", wrong)
		return
	}
	if first, twice := c.seen[name]; twice {
		c.problem(line, "%s is already set at line %d", label(name), first)
		return
	}
	if len(value) > MaxValue {
		c.problem(line, "the value of %s is larger than %d bytes", label(name), MaxValue)
		return
	}
	if len(c.pairs) >= MaxPairs {
		c.problem(line, "more than %d pairs in one file", MaxPairs)
		c.cut = true
		return
	}
	if value == nil {
		value = []byte{}
	}
	c.seen[name] = line
	c.pairs = append(c.pairs, Pair{Name: name, Value: value, Line: line, Comment: comment})
}

// fault makes one error of all problems, or nil.
func (c *collector) fault() error {
	if len(c.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(c.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	count := strconv.Itoa(len(c.problems))
	switch {
	case c.cut:
		count = "at least " + count + " problems"
	case len(c.problems) == 1:
		count += " problem"
	default:
		count += " problems"
	}
	err := fault.New(fault.Invalid, "couldn't read %s as %s: %s, nothing was taken from it", c.file, c.format, count)
	for _, p := range c.problems {
		where := c.file
		if p.line > 0 {
			where += ":" + strconv.Itoa(p.line)
		}
		err.Fields = append(err.Fields, fault.Field{Where: where, Problem: p.text})
	}
	return err
}

// label shows a name in an error: quoted when it is unusual, and never long.
func label(name string) string {
	const most = 64 // enough for every real name; a longer one is not worth a screen
	if len(name) > most {
		return strconv.QuoteToASCII(name[:most]) + "..."
	}
	if looseEnvName(name) == "" {
		return name
	}
	return strconv.QuoteToASCII(name)
}

// tooManyMarks reports text from which a parser would build too large a tree.
func (c *collector) tooManyMarks(text []byte, marks ...string) bool {
	count := 0
	for _, mark := range marks {
		count += bytes.Count(text, []byte(mark))
	}
	if count > MaxMarks {
		c.problem(0, "has more than %d lines and items, more than a flat file of secrets needs; split it", MaxMarks)
	}
	return count > MaxMarks
}

// lines tells line numbers for offsets that never go back, in one pass over the text.
type lines struct {
	text   []byte
	offset int
	before int
}

// at gives the line of an offset, from 1.
func (l *lines) at(offset int) int {
	if offset = min(offset, len(l.text)); offset > l.offset {
		l.before += bytes.Count(l.text[l.offset:offset], []byte{'\n'})
		l.offset = offset
	}
	return l.before + 1
}

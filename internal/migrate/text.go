package migrate

import (
	"net/url"
	"strconv"
	"strings"
)

// maxWord bounds a name of the source in a note.
const maxWord = 100

// word shows a name of the source: on one line, short, and without what would move a cursor.
func word(s string) string {
	q := strconv.Quote(s)
	q = q[1 : len(q)-1]
	if len(q) > maxWord {
		q = q[:maxWord] + "..."
	}
	return q
}

// escapePath escapes each segment of a path.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// selected tells whether a place is wanted, or may have something wanted below it.
func selected(only []string, place string) bool {
	if len(only) == 0 {
		return true
	}
	for _, o := range only {
		o = strings.Trim(o, "/")
		if o == place || strings.HasPrefix(place, o+"/") || strings.HasPrefix(o, place+"/") {
			return true
		}
	}
	return false
}

// wanted tells whether a place itself is wanted.
func wanted(only []string, place string) bool {
	if len(only) == 0 {
		return true
	}
	for _, o := range only {
		o = strings.Trim(o, "/")
		if o == place || strings.HasPrefix(place, o+"/") {
			return true
		}
	}
	return false
}

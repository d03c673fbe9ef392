package policy

import (
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
)

// fits tells whether a text fits a pattern in which '*' stands for any characters and '?' for one. It takes time proportional
// to the product of both lengths at most: after a '*' the leftmost fit is as good as any.
func fits(pattern, text string) bool {
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p, t = p+1, t+1
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func fitsAny[S ~string](patterns []string, text S) bool {
	for _, p := range patterns {
		if p == "*" || fits(p, string(text)) {
			return true
		}
	}
	return false
}

// globCovers tells that every text which fits b fits a. It says no when in doubt: what b leaves open only a '*' of a takes in.
func globCovers(a, b string) bool {
	if a == b || a != "" && strings.Trim(a, "*") == "" {
		return true
	}
	// Rows are positions in a, columns in b; reach[i] tells whether a[:i] has taken in what was read of b.
	reach := make([]bool, len(a)+1)
	next := make([]bool, len(a)+1)
	reach[0] = true
	spread := func(r []bool) {
		for i := range len(a) {
			if r[i] && a[i] == '*' {
				r[i+1] = true
			}
		}
	}
	spread(reach)
	for j := range len(b) {
		clear(next)
		for i := range len(a) {
			switch {
			case !reach[i]:
			case a[i] == '*':
				next[i] = true
			case b[j] != '*' && (a[i] == '?' || a[i] == b[j]):
				next[i+1] = true
			}
		}
		spread(next)
		reach, next = next, reach
	}
	return reach[len(a)]
}

// globsMeet tells whether some text fits both.
func globsMeet(a, b string) bool {
	// meet[j] tells whether a[i:] and b[j:] have a text in common, filled from the end.
	meet := make([]bool, len(b)+1)
	last := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a) && j == len(b):
				meet[j] = true
			case i < len(a) && a[i] == '*':
				meet[j] = last[j] || j < len(b) && meet[j+1]
			case j < len(b) && b[j] == '*':
				meet[j] = meet[j+1] || i < len(a) && last[j]
			default:
				meet[j] = i < len(a) && j < len(b) && (a[i] == b[j] || a[i] == '?' || b[j] == '?') && last[j+1]
			}
		}
		meet, last = last, meet
	}
	return last[0]
}

// anyCovers tells that whatever fits one of inner fits one of outer; an absent list takes in everything.
func anyCovers(outer, inner []string) bool {
	if len(outer) == 0 {
		return true
	}
	if len(inner) == 0 {
		return false
	}
	for _, b := range inner {
		covered := false
		for _, a := range outer {
			covered = covered || globCovers(a, b)
		}
		if !covered {
			return false
		}
	}
	return true
}

// anyMeet tells whether some text fits one of each; an absent list takes in everything.
func anyMeet(as, bs []string) bool {
	if len(as) == 0 || len(bs) == 0 {
		return true
	}
	for _, a := range as {
		for _, b := range bs {
			if globsMeet(a, b) {
				return true
			}
		}
	}
	return false
}

// wide tells whether a pattern of folders covers every folder.
func wide(p domain.Pattern) bool { return p == "" || p == "/" || p == "/**" }

// segments gives the parts of a pattern. The last may be [domain.Alone].
func segments(p domain.Pattern) []string {
	if wide(p) {
		return nil
	}
	return strings.Split(strings.TrimPrefix(string(p), "/"), "/")
}

// pathCovers tells that every folder which b covers is covered by a. It says no when in doubt.
func pathCovers(a, b domain.Pattern) bool {
	as, bs := segments(a), segments(b)
	known := map[[2]int]bool{}
	var covers func(i, j int) bool
	covers = func(i, j int) (out bool) {
		if i == len(as) {
			return true // a pattern covers what lies below it
		}
		at := [2]int{i, j}
		if was, ok := known[at]; ok {
			return was
		}
		defer func() { known[at] = out }()
		ends := j < len(bs) && bs[j] == domain.Alone // b covers nothing below this place
		switch {
		case as[i] == domain.Alone:
			return ends
		case as[i] == "**":
			return covers(i+1, j) || j < len(bs) && !ends && covers(i, j+1)
		case j == len(bs) || ends || bs[j] == "**":
			return false
		}
		return (as[i] == "*" || as[i] == bs[j]) && covers(i+1, j+1)
	}
	return covers(0, 0)
}

// pathsMeet tells whether some folder is covered by both.
func pathsMeet(a, b domain.Pattern) bool {
	as, bs := segments(a), segments(b)
	known := map[[2]int]bool{}
	var meet func(i, j int) bool
	meet = func(i, j int) (out bool) {
		if i == len(as) || j == len(bs) {
			return true
		}
		at := [2]int{i, j}
		if was, ok := known[at]; ok {
			return was
		}
		defer func() { known[at] = out }()
		switch {
		case as[i] == domain.Alone && bs[j] == domain.Alone:
			return true
		case as[i] == domain.Alone:
			return bs[j] == "**" && meet(i, j+1)
		case bs[j] == domain.Alone:
			return as[i] == "**" && meet(i+1, j)
		case as[i] == "**":
			return meet(i+1, j) || meet(i, j+1)
		case bs[j] == "**":
			return meet(i, j+1) || meet(i+1, j)
		case as[i] == "*" || bs[j] == "*" || as[i] == bs[j]:
			return meet(i+1, j+1)
		}
		return false
	}
	return meet(0, 0)
}

func patternsCover(outer, inner []domain.Pattern) bool {
	if len(outer) == 0 {
		return true
	}
	if len(inner) == 0 {
		inner = []domain.Pattern{"/"}
	}
	for _, b := range inner {
		covered := false
		for _, a := range outer {
			covered = covered || pathCovers(a, b)
		}
		if !covered {
			return false
		}
	}
	return true
}

func patternsMeet(as, bs []domain.Pattern) bool {
	if len(as) == 0 || len(bs) == 0 {
		return true
	}
	for _, a := range as {
		for _, b := range bs {
			if pathsMeet(a, b) {
				return true
			}
		}
	}
	return false
}

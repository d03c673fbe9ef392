package login

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	json "github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

// Pattern is what a claim must look like. "*" stands for any run of characters without "/" and ":", "**" for any run at all;
// everything else stands for itself, letter by letter. So "acme/*" is every repository of acme and not "acme/a/b", and
// "repo:acme/shop:*" is not "repo:acme/shop:environment:prod:x". An asterisk itself cannot be asked for.
type Pattern string

const maxPattern = 512 // bytes; longer than any claim that is worth binding

func (p Pattern) check() error {
	if p == "" || len(p) > maxPattern || !utf8.ValidString(string(p)) || strings.Contains(string(p), "***") {
		return fault.New(fault.Invalid, "a pattern is not valid: 1 to %d bytes, with * and ** for what may vary", maxPattern)
	}
	return nil
}

// open tells whether the pattern says nothing of how a text begins, which binds nothing that an outsider could not choose.
func (p Pattern) open() bool { return strings.HasPrefix(string(p), "*") }

// Matches tells whether a text fits. It takes time in proportion to the product of the lengths at most.
func (p Pattern) Matches(text string) bool {
	if len(text) > maxPattern*4 {
		return false
	}
	// reach[i] tells whether the pattern so far fits text[:i].
	reach := make([]bool, len(text)+1)
	reach[0] = true
	for i := 0; i < len(p); i++ {
		if p[i] != '*' {
			for j := len(text); j > 0; j-- {
				reach[j] = reach[j-1] && text[j-1] == p[i]
			}
			reach[0] = false
			continue
		}
		any := i+1 < len(p) && p[i+1] == '*'
		if any {
			i++
		}
		for j := 1; j <= len(text); j++ {
			reach[j] = reach[j] || reach[j-1] && (any || text[j-1] != '/' && text[j-1] != ':')
		}
	}
	return reach[len(text)]
}

func matchesAny(patterns []Pattern, text string) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Matches(text) })
}

// Bound says of claims what they must look like: each that is named must be there and match one of its patterns. A name that
// begins with "/" is a JSON pointer into nested claims (RFC 6901), such as "/kubernetes.io/namespace". A claim that is a list
// matches when one of its items does.
type Bound map[string][]Pattern

const (
	maxBound    = 32
	maxPatterns = 64
)

func (b Bound) check(field string) error {
	if len(b) > maxBound {
		return fault.New(fault.Invalid, "more than %d claims are bound", maxBound).WithField(field, "too many")
	}
	for name, patterns := range b {
		if name == "" || len(name) > 256 || len(patterns) == 0 || len(patterns) > maxPatterns {
			return fault.New(fault.Invalid, "a bound claim is not valid: want a name and 1 to %d patterns", maxPatterns).WithField(field, "not valid")
		}
		if err := checkPatterns(field, patterns); err != nil {
			return err
		}
	}
	return nil
}

func checkPatterns(field string, patterns []Pattern) error {
	if len(patterns) > maxPatterns {
		return fault.New(fault.Invalid, "more than %d patterns", maxPatterns).WithField(field, "too many")
	}
	for _, p := range patterns {
		if err := p.check(); err != nil {
			return fault.As(err).WithField(field, "not a pattern")
		}
	}
	return nil
}

// MarshalJSON implements json.Marshaler, in one order, so that equal settings are equal texts.
func (b Bound) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string][]Pattern(b), json.Deterministic(true))
}

// match tells which bound claim does not fit, and gives those that do.
func (b Bound) match(c claims) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		found := false
		for _, text := range c.texts(name) {
			if matchesAny(b[name], text) {
				note(out, name, text)
				found = true
				break
			}
		}
		if !found {
			return nil, rejected("the claim %s is missing or is not one that the method allows", printable(name))
		}
	}
	return out, nil
}

// Bounds of what is kept of a proof.
const (
	maxAttributes = 48
	maxAttribute  = 256 // bytes of one
)

// note keeps an attribute, cut to what a log entry can hold.
func note(to map[string]string, name, value string) {
	if value == "" || len(to) >= maxAttributes {
		return
	}
	if len(value) > maxAttribute {
		value = strings.ToValidUTF8(value[:maxAttribute], "")
	}
	to[name] = value
}

// printable shows a name of the settings in a message.
func printable(name string) string { return fmt.Sprintf("%q", name) }

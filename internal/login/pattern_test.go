package login

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternsMatch(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		pattern Pattern
		text    string
		want    bool
	}{
		{"acme/*", "acme/shop", true}, {"acme/*", "acme/", true}, {"acme/*", "acme/a/b", false}, {"acme/*", "acme", false},
		{"acme/**", "acme/a/b", true}, {"refs/heads/*", "refs/heads/a/b", false}, {"refs/**", "refs/heads/a/b", true},
		{"repo:acme/shop:*", "repo:acme/shop:environment:prod", false}, {"repo:acme/shop:**", "repo:acme/shop:environment:prod", true},
		{"*-prod", "eu-prod", true}, {"*-prod", "eu-prod-2", false}, {"a", "A", false}, {"a.c", "abc", false}, {"a", "a\n", false}, {"*", "", true},
	} {
		if got := x.pattern.Matches(x.text); got != x.want {
			t.Errorf("%q on %q: %v", x.pattern, x.text, got)
		}
	}
}

// A pattern is compared with the regular expression that says the same.
func TestPatternsMatchAsTheirRegularExpressionDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab/:*.")), 1, 12, -1).Draw(t, "pattern")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab/:.")), 0, 14, -1).Draw(t, "text")
		if strings.Contains(pattern, "***") {
			return
		}
		expression := strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/:]*`).Replace(regexp.QuoteMeta(pattern))
		if want := regexp.MustCompile(`\A(?s:` + expression + `)\z`).MatchString(text); Pattern(pattern).Matches(text) != want {
			t.Fatalf("%q on %q: want %v", pattern, text, want)
		}
	})
}

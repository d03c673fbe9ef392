package domain_test

import (
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"pgregory.net/rapid"
)

// folders draws paths over so few names that they meet often.
var folders = rapid.Custom(func(t *rapid.T) domain.Path {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "A"}), 0, 5).Draw(t, "segments")
	return domain.Path("/" + strings.Join(segments, "/"))
})

var patterns = rapid.Custom(func(t *rapid.T) domain.Pattern {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "*", "**"}), 0, 6).Draw(t, "segments")
	if rapid.Bool().Draw(t, "alone") {
		segments = append(segments, domain.Alone)
	}
	pattern, err := domain.ParsePattern(strings.Join(segments, "/"))
	if err != nil {
		t.Fatal(err)
	}
	return pattern
})

func deep(n int, segment string) string { return strings.Repeat("/"+segment, n) }

func TestAPathHasOneForm(t *testing.T) {
	long := strings.Repeat("a", 100)
	for in, want := range map[string]domain.Path{
		"": "/", "/": "/", "///": "/", "a": "/a", "/a": "/a", "a/": "/a", "//a//": "/a", "/a/b/": "/a/b", "A/b_c/d-1": "/A/b_c/d-1",
		deep(16, "a"): domain.Path(deep(16, "a")), long: domain.Path("/" + long),
	} {
		if got, err := domain.ParsePath(in); err != nil || got != want {
			t.Errorf("ParsePath(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	bad := append([]string{
		".", "..", "/..", "/../a", "/a/../b", "/a/./b", "/a//b", "a/..", "/a.b", "/*", "/**", "/a/*", " ", "/ ", "/a /b", "/a/ b", "\\", "/a\\..\\b",
		"/\u2024\u2024/a", "/%2e%2e/a", "/\u2215", deep(17, "a"), long + "a", strings.Repeat("a/", 1<<19) + "b", strings.Repeat("/", 1<<20) + ".",
	}, hostile...)
	for _, s := range bad {
		got, err := domain.ParsePath(s)
		if got != "" {
			t.Errorf("ParsePath(%.80q) = %q", s, got)
		}
		refused(t, s, err)
	}
}

func TestAPatternHasOneForm(t *testing.T) {
	for in, want := range map[string]domain.Pattern{
		"": "/", "/": "/", "**": "/", "/**/": "/", "*": "/*", "a": "/a", "/a/": "/a", "a/*/b": "/a/*/b", "/a/**": "/a/**", "**/b": "/**/b",
		".": "/.", "/./": "/.", "a/.": "/a/.", "/*/.": "/*/.", "/**/b/./": "/**/b/.", "/**/.": "/", "/a/**/**/.": "/a", deep(16, "a") + "/.": domain.Pattern(deep(16, "a") + "/."),
		deep(16, "*"): domain.Pattern(deep(16, "*")),
	} {
		if got, err := domain.ParsePattern(in); err != nil || got != want {
			t.Errorf("ParsePattern(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	bad := append([]string{"..", "/../a", "/a//b", "/./a", "./.", "/a/./b", "a.", "/a//.", deep(17, "a") + "/.", "a*", "*a", "***", "/a/**b", "[ab]", "?", "!a", "{a,b}", " *", "* ", deep(17, "*"), deep(17, "**"),
		strings.Repeat("*/", 1<<19) + "*"}, hostile...)
	for _, s := range bad {
		got, err := domain.ParsePattern(s)
		if got != "" {
			t.Errorf("ParsePattern(%.80q) = %q", s, got)
		}
		refused(t, s, err)
	}
}

func TestAPatternCoversWhatItsExamplesSay(t *testing.T) {
	for _, c := range []struct {
		pattern domain.Pattern
		path    domain.Path
		want    bool
	}{
		{"/", "/", true}, {"/", "/a/b", true},
		{"/a", "/a", true}, {"/a", "/a/b/c", true}, {"/a", "/", false}, {"/a", "/ab", false}, {"/a", "/A", false}, {"/a/b", "/a", false},
		{"/*", "/", false}, {"/*", "/a", true}, {"/*", "/a/b", true}, {"/*/b", "/a/b", true}, {"/*/b", "/b", false}, {"/*/b", "/a/c/b", false},
		{"/**/b", "/b", true}, {"/**/b", "/a/c/b/d", true}, {"/**/b", "/a/c", false}, {"/a/**", "/a", true}, {"/a/**", "/b", false},
		{"/a/**/b/*", "/a/x/b", false}, {"/a/**/b/*", "/a/b/b/c", true}, {"/**/a/b", "/a/a/b", true}, {"/**/*", "/", false},
		{"/.", "/", true}, {"/.", "/a", false}, {"/a/.", "/a", true}, {"/a/.", "/a/b", false}, {"/a/.", "/", false}, {"/*/.", "/a", true}, {"/*/.", "/a/b", false},
		{"/**/b/.", "/b/c/b", true}, {"/**/b/.", "/b/c", false}, {"/**/a/b/.", "/a/b/a/b", true}, {"/*/b/.", "/a/b", true}, {"/**/*/.", "/", false},
	} {
		if got := c.pattern.Match(c.path); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

// covers is the meaning of a pattern said as plainly as possible: it fits the whole of the path or of a folder above it.
func covers(pattern, segments []string) bool {
	if last := len(pattern) - 1; last >= 0 && pattern[last] == domain.Alone {
		return fits(pattern[:last], segments)
	}
	for n := range len(segments) + 1 {
		if fits(pattern, segments[:n]) {
			return true
		}
	}
	return false
}

func fits(pattern, segments []string) bool {
	switch {
	case len(pattern) == 0:
		return len(segments) == 0
	case pattern[0] == "**":
		return fits(pattern[1:], segments) || len(segments) > 0 && fits(pattern, segments[1:])
	case len(segments) == 0:
		return false
	}
	return (pattern[0] == "*" || pattern[0] == segments[0]) && fits(pattern[1:], segments[1:])
}

func TestMatchAgreesWithThePlainMeaning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, path := patterns.Draw(t, "pattern"), folders.Draw(t, "path")
		want := covers(domain.Path(pattern).Segments(), path.Segments())
		if got := pattern.Match(path); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, path, got, want)
		}
	})
}

// Backtracking over every "**" takes 300 million steps for one match of the first kind: this would not end.
func TestNoPatternMakesMatchingSlow(t *testing.T) {
	path := domain.Path(deep(16, "a"))
	attacks := []string{deep(15, "**") + "/b", strings.Repeat("/**/a", 7) + "/**/b", strings.Repeat("/**/*", 7) + "/**/b"}
	for _, s := range attacks {
		pattern, err := domain.ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			if pattern.Match(path) {
				t.Fatalf("%q matches %q", pattern, path)
			}
		}
		if n := testing.AllocsPerRun(10, func() { pattern.Match(path) }); n > 0 {
			t.Errorf("%q allocates %v times", pattern, n)
		}
	}
}

func TestPathsAreATree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := folders.Draw(t, "p"), folders.Draw(t, "q")
		if again, err := domain.ParsePath(string(p)); err != nil || again != p {
			t.Fatalf("ParsePath(%q) = %q, %v", p, again, err)
		}
		if p != domain.Root {
			if joined, err := p.Parent().Join(p.Base()); err != nil || joined != p {
				t.Fatalf("parent and base of %q join to %q, %v", p, joined, err)
			}
		} else if p.Parent() != domain.Root || p.Base() != "" || p.Segments() != nil {
			t.Fatalf("the root has parent %q, base %q, segments %q", p.Parent(), p.Base(), p.Segments())
		}
		ps, qs := p.Segments(), q.Segments()
		want := len(ps) <= len(qs)
		for i := range ps {
			want = want && ps[i] == qs[i]
		}
		if p.Contains(q) != want {
			t.Fatalf("%q contains %q: %v", p, q, !want)
		}
		if want != domain.Pattern(p).Match(q) {
			t.Fatalf("the plain pattern %q and the folder disagree on %q", p, q)
		}
	})
}

func TestRebaseMovesWhatLiesBelowAndNothingElse(t *testing.T) {
	for _, c := range []struct{ p, from, to, want domain.Path }{
		{"/a", "/a", "/x", "/x"}, {"/a/b", "/a", "/x", "/x/b"}, {"/a/b", "/a", "/", "/b"}, {"/a", "/a", "/", "/"},
		{"/a", "/", "/x", "/x/a"}, {"/", "/", "/x", "/x"}, {"/ab", "/a", "/x", "/ab"}, {"/b", "/a", "/x", "/b"}, {"/", "/a", "/x", "/"},
	} {
		if got := c.p.Rebase(c.from, c.to); got != c.want {
			t.Errorf("%q from %q to %q gives %q, want %q", c.p, c.from, c.to, got, c.want)
		}
	}
}

func TestRebaseCanBeUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, from, to := folders.Draw(t, "p"), folders.Draw(t, "from"), folders.Draw(t, "to")
		moved := p.Rebase(from, to)
		if !from.Contains(p) {
			if moved != p {
				t.Fatalf("%q does not lie in %q but moved to %q", p, from, moved)
			}
			return
		}
		if !to.Contains(moved) || moved.Rebase(to, from) != p {
			t.Fatalf("%q from %q to %q gives %q and back %q", p, from, to, moved, moved.Rebase(to, from))
		}
	})
}

func TestJoinTakesOneSegment(t *testing.T) {
	for _, name := range append([]string{"", "/", "b/c", "/b", "b/", "..", ".", "*"}, hostile...) {
		got, err := domain.Path("/a").Join(name)
		if got != "" {
			t.Errorf("joining %q gives %q", name, got)
		}
		refused(t, name, err)
	}
	if _, err := domain.Path(deep(16, "a")).Join("a"); err == nil {
		t.Error("a seventeenth folder is accepted")
	}
}

func TestSplitKeyIsTheOppositeOfKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, base := folders.Draw(t, "folder"), folders.Draw(t, "base")
		name := domain.SecretName(rapid.StringMatching(`[A-Za-z0-9_-][A-Za-z0-9_.-]{0,10}`).Draw(t, "name"))
		if folder, got, err := domain.SplitKey(base, p.Key(name)); err != nil || folder != p || got != name {
			t.Fatalf("SplitKey(%q) = %q, %q, %v", p.Key(name), folder, got, err)
		}
		if folder, got, err := domain.SplitKey(base, string(name)); err != nil || folder != base || got != name {
			t.Fatalf("the bare name %q from %q is %q, %q, %v", name, base, folder, got, err)
		}
	})
}

func TestAKeyThatHoldsNoNameIsRefused(t *testing.T) {
	for _, key := range append([]string{"", "/", "a/", "/a/", "..", "../K", "/../K", "/a/..", "/a/.", "a/../K", "/a//b/K", "/a b/K", "/*/K", deep(17, "a") + "/K"}, hostile...) {
		_, name, err := domain.SplitKey("/base", key)
		if name != "" {
			t.Errorf("SplitKey(%q) gives the name %q", key, name)
		}
		refused(t, key, err)
	}
}

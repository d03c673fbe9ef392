package domain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// seeds adds to the corpus what the tables hold hostile, beside what is peculiar to the target.
func seeds(f *testing.F, more ...string) {
	f.Helper()
	for _, s := range append(more, hostile...) {
		f.Add(s)
	}
}

// fuzzCanonical holds the law of every Parse function: what is accepted has one form, and that form parses to itself.
func fuzzCanonical[T ~string](f *testing.F, parse func(string) (T, error), law func(t *testing.T, v T)) {
	f.Helper()
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parse(s)
		if err != nil {
			if v != "" || !errors.Is(err, fault.Invalid) {
				t.Fatalf("%q gives %q with %v", s, v, err)
			}
			return
		}
		if again, err := parse(string(v)); again != v || err != nil {
			t.Fatalf("%q gives %q, and that %q, %v", s, v, again, err)
		}
		law(t, v)
	})
}

// ascii fails when v holds anything but plain printable characters.
func ascii(t *testing.T, v string) {
	t.Helper()
	if strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		t.Fatalf("%q was accepted", v)
	}
}

func FuzzParsePath(f *testing.F) {
	seeds(f, "", "/", "a/b", "/a/b/", "//a", "/a//b", "/../a", deep(16, "a"), deep(17, "a"))
	fuzzCanonical(f, domain.ParsePath, func(t *testing.T, p domain.Path) {
		ascii(t, string(p))
		if p[0] != '/' || p != domain.Root && strings.HasSuffix(string(p), "/") || strings.ContainsAny(string(p), ".*\\ ") || len(p.Segments()) > domain.MaxDepth {
			t.Fatalf("%q was accepted", p)
		}
		if "/"+strings.Join(p.Segments(), "/") != string(p) || !domain.Root.Contains(p) || !p.Parent().Contains(p) {
			t.Fatalf("%q does not hang in the tree", p)
		}
		if folder, name, err := domain.SplitKey("/base", p.Key("KEY")); folder != p || name != "KEY" || err != nil {
			t.Fatalf("SplitKey(%q) = %q, %q, %v", p.Key("KEY"), folder, name, err)
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	seeds(f, "", "/", "*", "**", "/**/", "/a/*/b", "/a/**", "a*", "***", deep(16, "**"), deep(17, "*"), ".", "/a/.", "/**/.", "/./a")
	fuzzCanonical(f, domain.ParsePattern, func(t *testing.T, p domain.Pattern) {
		ascii(t, string(p))
		plain := domain.Path(strings.ReplaceAll(string(p), "*", "x")) // '*' and '**' both stand for one folder among others
		folder, alone := strings.CutSuffix(string(plain), "/.")
		plain = domain.Path(max(folder, "/"))
		if !p.Match(plain) || p.Match(domain.Path(strings.TrimSuffix(string(plain), "/")+"/y")) == alone && !strings.Contains(string(p), "**") {
			t.Fatalf("%q does not cover %q", p, plain)
		}
		if p.Match("/") != covers(domain.Path(p).Segments(), nil) {
			t.Fatalf("%q is wrong about the root", p)
		}
	})
}

func FuzzParseCadence(f *testing.F) {
	seeds(f, "", "never", "90d", "12W", "6m", "100y", "3650y", "90d or on compromise", "on staff change OR 1y", "1 d", "+1d", "01d", "90d or never", "on comprom\u0130se")
	fuzzCanonical(f, domain.ParseCadence, func(t *testing.T, c domain.Cadence) {
		ascii(t, string(c))
		every := c.Every()
		if every < 0 || every%day != 0 || strings.ContainsAny(string(c), "0123456789") != (every > 0) {
			t.Fatalf("%q comes every %v", c, every)
		}
	})
}

func FuzzReferences(f *testing.F) {
	seeds(f, "", "${A}", "$${A}", "$$${A}", "${a.b.C}", "${@a.b.c.D}", "${A ${B}", "${ $${", "${a..B}", "${a./b.C}", "x${A}$${B}${C}y", "${}", "${")
	f.Fuzz(func(t *testing.T, value string) {
		checkParts(t, value)
		checkRewriting(t, value, domain.Reference{Project: "web", Env: "dev", Folder: "/a/b", Name: "KEY"})
		checkRewriting(t, value, domain.Reference{Name: "K"})
	})
}

// spellScopes is the opposite of ParseScopes.
func spellScopes(scopes []domain.ScopeText) string {
	var b strings.Builder
	for _, s := range scopes {
		verbs := make([]string, len(s.Verbs))
		for i, v := range s.Verbs {
			verbs[i] = string(v)
		}
		b.WriteString(s.Env + ":" + string(s.Path) + ":" + strings.Join(verbs, ",") + ";")
	}
	return b.String()
}

func FuzzParseScopes(f *testing.F) {
	seeds(f, "", "prod:/backend:read,list", "*:/:*", "a:/:read; b:/*/**/c:write", "a:/:read;b", "a:/..:read", "a:/:Read", ";;", "a::read,,list")
	f.Fuzz(func(t *testing.T, s string) {
		scopes, err := domain.ParseScopes(s)
		if err != nil {
			if scopes != nil || !errors.Is(err, fault.Invalid) {
				t.Fatalf("%q gives %v with %v", s, scopes, err)
			}
			return
		}
		if len(scopes) == 0 {
			t.Fatalf("%q gives no scope and no error", s)
		}
		for _, scope := range scopes {
			if len(scope.Verbs) == 0 || scope.Env == "" || scope.Path == "" {
				t.Fatalf("%q gives a scope with nothing in %+v", s, scope)
			}
		}
		again, err := domain.ParseScopes(spellScopes(scopes))
		if diff := cmp.Diff(scopes, again); diff != "" || err != nil {
			t.Fatalf("%q, spelled again: %v (-want +got):\n%s", s, err, diff)
		}
	})
}

func FuzzCheckToken(f *testing.F) {
	seeds(f, "", fixed, fixed[:52], fixed+"0", "kts_"+fixed[4:], "Bearer "+fixed, strings.Repeat("0", 53), "ktk_"+strings.Repeat("z", 49))
	f.Fuzz(func(t *testing.T, s string) {
		kind, err := domain.CheckToken(s)
		if err != nil {
			if kind != "" || !errors.Is(err, fault.Unauthenticated) {
				t.Fatalf("%q gives %q with %v", s, kind, err)
			}
			return
		}
		if !strings.HasPrefix(s, string(kind)) || len(s) != 53 || strings.Trim(s[4:], digits) != "" {
			t.Fatalf("%q was accepted as %q", s, kind)
		}
		if _, err := domain.CheckToken(s[:52] + string(digits[(strings.IndexByte(digits, s[52])+1)%62])); err == nil {
			t.Fatalf("%q is a token and so is one with another checksum", s)
		}
	})
}

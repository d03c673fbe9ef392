package domain_test

import (
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"pgregory.net/rapid"
)

// text adapts a Parse function to strings, so that one table serves all of them.
func text[T ~string](parse func(string) (T, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		v, err := parse(s)
		return string(v), err
	}
}

func TestNamesHaveOneSpelling(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		noun  string
		parse func(string) (string, error)
		good  []string
		bad   []string // beside those that are hostile to every name
	}{
		{
			"slug", text(domain.ParseSlug),
			[]string{"a", "0", "prod", "prod-2", "a--b", long(64)},
			[]string{"", "-", "-a", "a-", "Prod", "PROD", "a_b", "a.b", "a/b", "..", ".", "*", "@a", "a:b", long(65), long(1 << 20),
				"0198c0de-0000-7000-8000-000000000000"},
		},
		{
			"secret name", text(domain.ParseSecretName),
			[]string{"A", "a", "DATABASE_URL", "database_url", "tls.crt", "...", ".env", "-x", "_", "0", long(255)},
			[]string{"", ".", "..", "a/b", "/a", "a/", "../a", "a:b", "*", "@a", "${A}", long(256), long(1 << 20)},
		},
		{
			"tag", text(domain.ParseTag),
			[]string{"a", "team:backend", "pci_dss", "v1.2", "-", "..", long(64)},
			[]string{"", "Team", "a/b", "a@b", "*", long(65), long(1 << 20)},
		},
		{
			"role", text(domain.ParseRole),
			[]string{"admin", "developer", "viewer", "none"},
			[]string{"", "Admin", "ADMIN", "admin ", "admin\x00", "\u0430dmin", "owner", "root", "*", "admin,viewer", "system"},
		},
	} {
		t.Run(c.noun, func(t *testing.T) {
			for _, s := range c.good {
				if got, err := c.parse(s); err != nil || got != s {
					t.Errorf("%q gives %q, %v", s, got, err)
				}
			}
			for _, s := range append(c.bad, hostile...) {
				got, err := c.parse(s)
				if got != "" {
					t.Errorf("%.80q is accepted", s)
				}
				refused(t, s, err)
			}
		})
	}
}

func TestALabelIsWhatPeopleCanReadAndTellApart(t *testing.T) {
	for _, s := range []string{
		"a", "Backend team", "Zürich", "日本語", "👩‍💻 platform", "می\u200cخواهم", "a/b", "..", "<b>", strings.Repeat("é", 200),
	} {
		if got, err := domain.ParseLabel(s); err != nil || string(got) != s {
			t.Errorf("%q gives %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", " ", " a", "a ", "a\u00a0", "\u2003a", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x1b[2Jb", "a\x7fb", "a\u0085b", "a\u2028b", "a\u2029b",
		"a\xffb", "\xed\xa0\x80", "\xc0\x80", strings.Repeat("é", 201), strings.Repeat("a", 1<<20),
		"admin\u202etxet", "a\u202ab", "a\u2066b\u2069", "\u200b", "ad\u200bmin", "ad\u2060min", "\ufeffadmin",
	} {
		got, err := domain.ParseLabel(s)
		if got != "" {
			t.Errorf("%.80q is accepted", s)
		}
		refused(t, s, err)
	}
}

func TestAnEmailHasOneFormAndNoLookAlike(t *testing.T) {
	for in, want := range map[string]string{
		"a@b":                             "a@b",
		" Ann@Example.ORG\n":              "ann@example.org",
		"o'neill+test@mail.example.org":   "o'neill+test@mail.example.org",
		"a_b-c.d@x-y.example":             "a_b-c.d@x-y.example",
		strings.Repeat("a", 252) + "@b":   strings.Repeat("a", 252) + "@b",
		"\u00a0ann@example.org\u3000":     "ann@example.org",
		"ANN@EXAMPLE.ORG":                 "ann@example.org",
		"admin@xn--exmple-cua.example.io": "admin@xn--exmple-cua.example.io",
	} {
		if got, err := domain.ParseEmail(in); err != nil || string(got) != want {
			t.Errorf("%q gives %q, %v, want %q", in, got, err, want)
		}
	}
	for _, s := range []string{
		"", "@", "a", "a@", "@b", "a@b@c", "a@.b", "a@b.", "a@b..c", "a b@c", "a@b c", "a\n@b", "a\x00@b", "a@b\x00", "a@b,c@d", "a@b>\r\nBcc: c@d",
		"<a@b>", "\"a\"@b", "a@[127.0.0.1]", "a/b@c", "a@b_c", strings.Repeat("a", 253) + "@b", strings.Repeat("a@", 1<<19),
		// The lower case of these is ASCII, or looks like it: taken after folding, they would open another's account.
		"mi\u212ae@example.org", "m\u0130ke@example.org", "mike@\u212aeyturn.example", "\u0430nn@example.org", "ann@ex\u0430mple.org",
		"ann\uff20example.org", "ann@example\u3002org", "a\u00adnn@example.org", "ann@example.org\xff",
	} {
		got, err := domain.ParseEmail(s)
		if got != "" {
			t.Errorf("%.80q is accepted as %q", s, got)
		}
		refused(t, s, err)
	}
}

func TestSlugifyGivesASlugOrNothing(t *testing.T) {
	for in, want := range map[string]domain.Slug{
		"Backend Team": "backend-team", "  a  ": "a", "Zürich": "z-rich", "--": "", "": "", "日本": "", "a/../b": "a-b", "A_b.C": "a-b-c",
		"\x00": "", "a\xffb": "a-b", strings.Repeat("ab ", 40): domain.Slug(strings.TrimSuffix(strings.Repeat("ab-", 40)[:64], "-")),
		"0198C0DE-0000-7000-8000-000000000000": "",
	} {
		if got := domain.Slugify(in); got != want {
			t.Errorf("Slugify(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWhatSlugifyGivesParses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := domain.Slugify(rapid.String().Draw(t, "name"))
		if got == "" {
			return
		}
		if again, err := domain.ParseSlug(string(got)); err != nil || again != got {
			t.Fatalf("%q is no slug: %v", got, err)
		}
		if again := domain.Slugify(string(got)); again != got {
			t.Fatalf("Slugify(%q) = %q", got, again)
		}
	})
}

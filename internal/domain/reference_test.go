package domain_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyturn/keyturn/internal/domain"
	"pgregory.net/rapid"
)

// references draws what a value can point to: names that hold a '.' cannot be spelled.
var references = rapid.Custom(func(t *rapid.T) domain.Reference {
	r := domain.Reference{Name: domain.SecretName(rapid.StringMatching(`[A-Za-z0-9_-]{1,8}`).Draw(t, "name"))}
	if rapid.Bool().Draw(t, "local") {
		return r
	}
	slug := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?`)
	r.Env, r.Folder = domain.Slug(slug.Draw(t, "env")), folders.Draw(t, "folder")
	if rapid.Bool().Draw(t, "foreign") {
		r.Project = domain.Slug(slug.Draw(t, "project"))
	}
	return r
})

// values draws text in which references, escapes and broken braces meet.
var values = rapid.Custom(func(t *rapid.T) string {
	reference := rapid.Map(references, func(r domain.Reference) string { return "${" + r.String() + "}" })
	piece := rapid.OneOf(reference, rapid.SampledFrom([]string{"$", "{", "}", "${", "$${", "$$", ".", "@", "a", "é", "\x00", "\xff", "\n", "${a.b/c.D}", "${A:-b}"}),
		rapid.StringN(0, 4, -1))
	return strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
})

func TestReferencesAreFoundAsWritten(t *testing.T) {
	local := func(name domain.SecretName) *domain.Reference { return &domain.Reference{Name: name} }
	for value, want := range map[string][]domain.Part{
		"":                  {{}},
		"plain $ {text}":    {{Text: "plain $ {text}"}},
		"${A}":              {{Ref: local("A")}},
		"x${A}y${b-2}":      {{Text: "x"}, {Ref: local("A")}, {Text: "y"}, {Ref: local("b-2")}},
		"${A}${A}":          {{Ref: local("A")}, {Ref: local("A")}},
		"${dev.KEY}":        {{Ref: &domain.Reference{Env: "dev", Folder: "/", Name: "KEY"}}},
		"${dev.a.B_c.KEY}":  {{Ref: &domain.Reference{Env: "dev", Folder: "/a/B_c", Name: "KEY"}}},
		"${@web.dev.KEY}":   {{Ref: &domain.Reference{Project: "web", Env: "dev", Folder: "/", Name: "KEY"}}},
		"${@web.dev.a.KEY}": {{Ref: &domain.Reference{Project: "web", Env: "dev", Folder: "/a", Name: "KEY"}}},
		"a$${A}b":           {{Text: "a${A}b"}},
		"$$${A}":            {{Text: "$${A}"}},
		"$${${A}":           {{Text: "${"}, {Ref: local("A")}},
		"${A}$${B}":         {{Ref: local("A")}, {Text: "${B}"}},
		"${A ${B}":          {{Text: "${A "}, {Ref: local("B")}},
		"${$${A}":           {{Text: "${${A}"}},
		"${ $${ no end":     {{Text: "${ ${ no end"}},
		"$${":               {{Text: "${"}},
		"${":                {{Text: "${"}},
		"${}":               {{Text: "${}"}},
	} {
		got := domain.ParseReferences(value)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", value, diff)
		}
	}
}

func TestBracesThatHoldNoReferenceAreText(t *testing.T) {
	for _, inside := range append([]string{
		"", " ", "A ", " A", ".", "..", "...", ".A", "A.", "a..A", "a.b..A", "a.", "A.B", "Prod.A", "a/b", "/A", "a./b.A", "a.b/c.A", "a./.A", "a.*.A",
		"@", "@A", "@a.B", "@a..B", "@A.b.C", "@.b.C", "@a.b.", "@@a.b.C", "a.@b.C", "A:-default", "A-$B", "{A}", "A\x00", "\u0410", "a.\u0410", "a.A\xff",
		strings.Repeat("A", 256), strings.Repeat("a", 65) + ".A", "a" + strings.Repeat(".b", 17) + ".C", strings.Repeat(".", 1<<16),
		"0198c0de-0000-7000-8000-000000000000.A",
	}, slices.DeleteFunc(slices.Clone(hostile), func(s string) bool { return strings.Contains(s, "${") })...) {
		value := "x${" + inside + "}y"
		if got := domain.References(value); got != nil {
			t.Errorf("%.80q holds the reference %v", value, got)
		}
		if got := domain.ParseReferences(value); len(got) != 1 || got[0].Text != value {
			t.Errorf("%.80q is split into %v", value, got)
		}
	}
}

func TestAReferenceParsesBackFromItsSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := references.Draw(t, "reference")
		if got := domain.References("${" + r.String() + "}"); len(got) != 1 || got[0] != r {
			t.Fatalf("%q parses to %+v, want %+v", r.String(), got, r)
		}
		if r.Local() != (r.Env == "") {
			t.Fatalf("%+v is local: %v", r, r.Local())
		}
	})
}

// checkParts holds the laws of splitting: the parts say all that the value says, and each reference in its one spelling.
func checkParts(t rapid.TB, value string) {
	t.Helper()
	parts := domain.ParseReferences(value)
	var spelled, joined strings.Builder
	var refs []domain.Reference
	seen := map[domain.Reference]bool{}
	for i, p := range parts {
		switch {
		case p.Ref == nil && p.Text == "" && len(parts) > 1:
			t.Fatalf("%q has an empty part", value)
		case p.Ref == nil && i > 0 && parts[i-1].Ref == nil:
			t.Fatalf("%q has text beside text", value)
		case p.Ref != nil && p.Text != "":
			t.Fatalf("%q has a part that is both", value)
		case p.Ref == nil:
			spelled.WriteString(p.Text)
			joined.WriteString(p.Text)
			continue
		}
		spelled.WriteString("${" + p.Ref.String() + "}")
		joined.WriteString("\x01")
		if !seen[*p.Ref] {
			seen[*p.Ref] = true
			refs = append(refs, *p.Ref)
		}
	}
	if want := strings.ReplaceAll(value, "$${", "${"); spelled.String() != want {
		t.Fatalf("%q joins to %q, want %q", value, spelled.String(), want)
	}
	if got := domain.References(value); !slices.Equal(got, refs) {
		t.Fatalf("%q lists %v, but its parts hold %v", value, got, refs)
	}
	if len(refs) == 0 && (len(parts) != 1 || joined.Len() != spelled.Len()) {
		t.Fatalf("%q holds no reference but %d parts", value, len(parts))
	}
}

func TestThePartsSayAllThatTheValueSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkParts(t, values.Draw(t, "value")) })
}

// checkRewriting holds the laws of rewriting for one new reference.
func checkRewriting(t rapid.TB, value string, to domain.Reference) {
	t.Helper()
	if got := domain.RewriteReferences(value, func(r domain.Reference) (domain.Reference, bool) { return r, true }); got != value {
		t.Fatalf("%q becomes %q when each reference is replaced by itself", value, got)
	}
	if got := domain.RewriteReferences(value, func(domain.Reference) (domain.Reference, bool) { return to, false }); got != value {
		t.Fatalf("%q becomes %q when nothing changes", value, got)
	}
	old := domain.ParseReferences(value)
	for _, target := range append(domain.References(value), to) {
		changed := domain.RewriteReferences(value, func(r domain.Reference) (domain.Reference, bool) { return to, r == target })
		want := slices.Clone(old)
		for i, p := range want {
			if p.Ref != nil && *p.Ref == target {
				want[i] = domain.Part{Ref: &to}
			}
		}
		if diff := cmp.Diff(want, domain.ParseReferences(changed)); diff != "" {
			t.Fatalf("%q with %q for %q becomes %q (-want +got):\n%s", value, to.String(), target.String(), changed, diff)
		}
	}
}

func TestRewritingChangesWhatItIsAskedToAndNoOtherByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkRewriting(t, values.Draw(t, "value"), references.Draw(t, "to")) })
}

func TestRewritingKeepsEscapes(t *testing.T) {
	got := domain.RewriteReferences("$${A} ${A} $$${A} ${A ${dev.A}", func(r domain.Reference) (domain.Reference, bool) {
		return domain.Reference{Env: "prod", Folder: "/x", Name: "B"}, r == domain.Reference{Name: "A"}
	})
	if want := "$${A} ${prod.x.B} $$${A} ${A ${dev.A}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReferencesAreListedOnceInOrder(t *testing.T) {
	got := domain.References("${B} ${A} $${C} ${B} ${dev.B} ${A}")
	want := []domain.Reference{{Name: "B"}, {Name: "A"}, {Env: "dev", Folder: "/", Name: "B"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Values of the full size that a scanner which looks ahead from each brace takes quadratic time and gigabytes for.
func TestNoValueMakesScanningExpensive(t *testing.T) {
	half := domain.MaxValue / 2
	var distinct strings.Builder
	for i := 0; distinct.Len() < domain.MaxValue-8; i++ {
		fmt.Fprintf(&distinct, "${%x}", i)
	}
	for name, value := range map[string]string{
		"open braces":        strings.Repeat("${", half),
		"escapes":            strings.Repeat("$${", domain.MaxValue/3),
		"one end":            strings.Repeat("${", half-1) + "}",
		"dots before an end": strings.Repeat("${", half/2) + strings.Repeat(".", half) + "}",
		"empty braces":       strings.Repeat("${}", domain.MaxValue/3),
		"distinct":           distinct.String(),
	} {
		checkParts(t, value)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		domain.ParseReferences(value)
		domain.References(value)
		domain.RewriteReferences(value, func(r domain.Reference) (domain.Reference, bool) { return r, true })
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1024*domain.MaxValue {
			t.Errorf("%s: allocates %d bytes", name, n)
		}
	}
}

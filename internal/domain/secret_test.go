package domain_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keyturn/keyturn/internal/domain"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

func TestACadenceHasOneForm(t *testing.T) {
	for _, c := range []struct {
		in    string
		want  domain.Cadence
		every time.Duration
	}{
		{"", "", 0}, {"  ", "", 0}, {"never", "never", 0}, {" NEVER\n", "never", 0},
		{"1d", "1d", day}, {"90d", "90d", 90 * day}, {"90D", "90d", 90 * day}, {"12w", "12w", 84 * day}, {"6m", "6m", 180 * day}, {"1y", "1y", 365 * day},
		{"3650d", "3650d", 3650 * day}, {"100y", "100y", 36500 * day}, {"1216m", "1216m", 36480 * day},
		{"on compromise", "on compromise", 0}, {"On  Staff\tChange", "on staff change", 0}, {"on tenant change", "on tenant change", 0},
		{"90d or on compromise", "90d or on compromise", 90 * day}, {"on compromise OR 1y or 2w", "on compromise or 1y or 2w", 14 * day},
	} {
		got, err := domain.ParseCadence(c.in)
		if got != c.want || err != nil {
			t.Errorf("ParseCadence(%q) = %q, %v, want %q", c.in, got, err, c.want)
		}
		if every := got.Every(); every != c.every {
			t.Errorf("%q comes every %v, want %v", got, every, c.every)
		}
	}
}

func TestACadenceThatIsNotUnderstoodIsRefused(t *testing.T) {
	for _, s := range append([]string{
		"0d", "-1d", "+1d", "01d", "1", "d", "1 d", "1h", "1s", "1dd", "1d1d", "1.5d", "1e2d", "0x1d", "1_0d", "3651d", "101y", "1217m", "293y", "3650y", "3650m",
		"99999999999999999999d", "9223372036854775807d", "\u0661d", "1\u217e", "daily", "on", "on fire", "on compromised", "oncompromise", "or", "or 90d", "90d or",
		"90d or or 1y", "90d or never", "90d, 1y", "90d and 1y", "90dor1y", "90d\x00", "9\x000d", "90d or \x00", strings.Repeat("90d or ", 1<<12),
	}, hostile...) {
		got, err := domain.ParseCadence(s)
		if got != "" {
			t.Errorf("ParseCadence(%.80q) = %q", s, got)
		}
		refused(t, s, err)
	}
}

func TestACadenceKnowsItsEvents(t *testing.T) {
	c := domain.Cadence("90d or on staff change")
	if !c.On("staff change") || c.On("compromise") || c.On("staff") || c.On("") || domain.Never.On("compromise") || domain.Cadence("").On("") {
		t.Error("an event is missed or made up")
	}
}

func TestAValueIsDueAtTheEarlierOfCadenceAndExpiry(t *testing.T) {
	const made = 1_700_000_000_000
	const after90 = made + 90*86_400_000
	for _, c := range []struct {
		name  string
		attrs domain.Attributes
		want  int64
	}{
		{"nothing is known", domain.Attributes{}, 0},
		{"only an expiry", domain.Attributes{ExpiresAt: made}, made},
		{"only a cadence", domain.Attributes{Cadence: "90d", RotatedAt: made}, after90},
		{"the value was never set", domain.Attributes{Cadence: "90d"}, 0},
		{"the cadence comes first", domain.Attributes{Cadence: "90d", RotatedAt: made, ExpiresAt: after90 + 1}, after90},
		{"the expiry comes first", domain.Attributes{Cadence: "90d", RotatedAt: made, ExpiresAt: after90 - 1}, after90 - 1},
		{"an event counts for nothing", domain.Attributes{Cadence: "on compromise", RotatedAt: made}, 0},
		{"the shortest period counts", domain.Attributes{Cadence: "1y or on compromise or 90d", RotatedAt: made}, after90},
		{"never, but it expires", domain.Attributes{Cadence: "never", RotatedAt: made, ExpiresAt: made + 1}, made + 1},
		{"a century", domain.Attributes{Cadence: "100y", RotatedAt: made}, made + 36_500*86_400_000},
	} {
		if got := c.attrs.Due(); got != c.want {
			t.Errorf("%s: due at %d, want %d", c.name, got, c.want)
		}
	}
}

func TestEveryCadenceThatIsAcceptedFallsDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := fmt.Sprintf("%d%s", rapid.IntRange(0, 5000).Draw(t, "n"), rapid.SampledFrom([]string{"d", "w", "m", "y", "D"}).Draw(t, "unit"))
		c, err := domain.ParseCadence(s)
		if err != nil {
			return
		}
		a := domain.Attributes{Cadence: c, RotatedAt: 1}
		if every := c.Every(); every < day || a.Due() != 1+every.Milliseconds() {
			t.Fatalf("%q comes every %v and is due at %d", c, every, a.Due())
		}
	})
}

func TestCheckPutsAttributesIntoTheirOneForm(t *testing.T) {
	a := domain.Attributes{Owner: "  Backend team ", Tags: []domain.Tag{"b", "a", "b"}, Meta: map[string]string{"ticket": "line one\nline two", "empty": ""}, Cadence: " 90D  OR on Compromise"}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	want := domain.Attributes{Owner: "Backend team", Tags: []domain.Tag{"a", "b"}, Meta: map[string]string{"ticket": "line one\nline two", "empty": ""}, Cadence: "90d or on compromise"}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func many(n int) (tags []domain.Tag, meta map[string]string) {
	meta = map[string]string{}
	for i := range n {
		tags = append(tags, domain.Tag(fmt.Sprintf("t%d", i)))
		meta[fmt.Sprintf("k%d", i)] = "v"
	}
	return tags, meta
}

func TestAttributesOutOfBoundsAreRefused(t *testing.T) {
	tags, meta := many(32)
	full := domain.Attributes{Tags: tags, Meta: meta}
	if err := full.Check(); err != nil {
		t.Errorf("32 of each: %v", err)
	}
	edge := domain.Attributes{Meta: map[string]string{strings.Repeat("k", 64): strings.Repeat("v", 1024)}}
	if err := edge.Check(); err != nil {
		t.Errorf("metadata of the greatest size: %v", err)
	}
	tags, meta = many(33)
	for name, a := range map[string]domain.Attributes{
		"owner with a line break":   {Owner: "a\nb"},
		"owner with an override":    {Owner: "a\u202eb"},
		"owner too long":            {Owner: strings.Repeat("a", 201)},
		"tag in another case":       {Tags: []domain.Tag{"ok", "Prod"}},
		"empty tag":                 {Tags: []domain.Tag{""}},
		"too many tags":             {Tags: tags},
		"too many entries":          {Meta: meta},
		"empty key":                 {Meta: map[string]string{"": "v"}},
		"long key":                  {Meta: map[string]string{strings.Repeat("k", 65): "v"}},
		"long entry":                {Meta: map[string]string{"k": strings.Repeat("v", 1025)}},
		"key with NUL":              {Meta: map[string]string{"k\x00": "v"}},
		"key that is not UTF-8":     {Meta: map[string]string{"\xff": "v"}},
		"entry that is not UTF-8":   {Meta: map[string]string{"k": "\xff"}},
		"a rune cut between both":   {Meta: map[string]string{"k\xc3": "\xa9v"}},
		"unknown cadence":           {Cadence: "sometimes"},
		"cadence beyond a lifetime": {Cadence: "300y"},
	} {
		if err := a.Check(); err == nil {
			t.Errorf("%s is accepted", name)
		} else {
			refused(t, "", err)
		}
	}
}

func TestAttributesAreEqualWhenEveryFieldIs(t *testing.T) {
	base := func() domain.Attributes {
		return domain.Attributes{Owner: "o", Tags: []domain.Tag{"a", "b"}, Meta: map[string]string{"k": "v"}, Public: true, Cadence: "90d", ExpiresAt: 1, RotatedAt: 2,
			Generated: true, Required: true, Literal: true, CommentRev: 3}
	}
	if !base().Equal(base()) {
		t.Error("the same attributes differ")
	}
	if !(domain.Attributes{}).Equal(domain.Attributes{Tags: []domain.Tag{}, Meta: map[string]string{}}) {
		t.Error("no tags and an empty list of tags differ")
	}
	for name, change := range map[string]func(*domain.Attributes){
		"owner":     func(a *domain.Attributes) { a.Owner = "x" },
		"tag":       func(a *domain.Attributes) { a.Tags[1] = "c" },
		"less tags": func(a *domain.Attributes) { a.Tags = a.Tags[:1] },
		"meta":      func(a *domain.Attributes) { a.Meta["k"] = "w" },
		"meta key":  func(a *domain.Attributes) { a.Meta = map[string]string{"l": "v"} },
		"public":    func(a *domain.Attributes) { a.Public = false },
		"cadence":   func(a *domain.Attributes) { a.Cadence = "never" },
		"expiry":    func(a *domain.Attributes) { a.ExpiresAt++ },
		"rotated":   func(a *domain.Attributes) { a.RotatedAt++ },
		"generated": func(a *domain.Attributes) { a.Generated = false },
		"required":  func(a *domain.Attributes) { a.Required = false },
		"literal":   func(a *domain.Attributes) { a.Literal = false },
		"comment":   func(a *domain.Attributes) { a.CommentRev++ },
	} {
		a := base()
		change(&a)
		if a.Equal(base()) || base().Equal(a) {
			t.Errorf("another %s makes no difference", name)
		}
	}
}

func TestAPlaceholderIsToldFromASecret(t *testing.T) {
	for value, want := range map[string]string{
		"": "empty", " \t\r\n": "empty",
		"infraudit123": "placeholder", "changeme": "placeholder", "ChangeMe\n": "placeholder", " CHANGE_ME ": "placeholder", "password": "placeholder",
		"<your token here>": "placeholder", "<>": "placeholder", "your-stripe-key": "placeholder", "YOUR_API_KEY_HERE": "placeholder", "xxxx": "placeholder",
		"todo": "placeholder", "postgres": "placeholder", "null": "placeholder", "123456": "placeholder",
		"xxxxxxxx": "one character repeated", "********": "one character repeated", "0000000000000000": "one character repeated",
		"\x00\x00\x00\x00\x00\x00\x00\x00": "one character repeated",

		"infraudit1234": "", "changeme-not": "", "<": "", ">": "", "< ": "", "<root><key/></root>": "", "xxxxxxxy": "", "7": "", "\xff\xfe\xfd": "",
		"your-" + strings.Repeat("k", 40): "", "test-value-of-a-real-length": "", "postgres://u@h/db": "", "日本": "",
	} {
		if got := domain.Placeholder([]byte(value)); got != want {
			t.Errorf("Placeholder(%q) = %q, want %q", value, got, want)
		}
	}
}

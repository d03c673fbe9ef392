package infisical

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

func callWith(query string) *call {
	return &call{http: httptest.NewRequest("GET", "/", nil), query: url.Values{"metadataFilter": {query}, "tagSlugs": {query}}, body: map[string]jsontext.Value{}}
}

func TestFiltersOnMetadata(t *testing.T) {
	for text, want := range map[string][]secrets.MetaFilter{
		"":                  nil,
		"key=a":             {{Key: "a"}},
		"value=b":           {{Value: "b"}},
		"key=a,value=b=c":   {{Key: "a", Value: "b=c"}},
		"key=a|key=b,value": {{Key: "a"}, {Key: "b"}},
	} {
		c, o := callWith(text), secrets.LookOptions{}
		c.query.Del("tagSlugs")
		if err := c.filters(&o); err != nil || !slices.Equal(o.Meta, want) {
			t.Errorf("%q: %v %v", text, o.Meta, err)
		}
	}
	for _, text := range []string{"a", "key=a|", "name=b", strings.Repeat("key=a|", 10) + "key=a"} {
		c := callWith(text)
		c.query.Del("tagSlugs")
		if err := c.filters(&secrets.LookOptions{}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzFilters(f *testing.F) {
	for _, seed := range []string{"", "key=a,value=b|key=c", "a,b", "=,=|=", "key=\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := secrets.LookOptions{}
		if err := callWith(text).filters(&o); err == nil && (len(o.Meta) > maxFilters || len(o.Tags) > len(text)) {
			t.Errorf("%d filters, %d tags", len(o.Meta), len(o.Tags))
		} else if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
	})
}

func FuzzRegistrations(f *testing.F) {
	for _, seed := range []string{"", "[]", `[{"event":"secret:create","conditions":{"secretPath":"/a/**"}}]`, `[{"event":"x"}]`, `{}`, `[null]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := jsontext.Value(text)
		if !v.IsValid() {
			return
		}
		c := callWith("")
		c.body["register"] = v
		list, err := c.registrations()
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		h := secrets.Happening{Doing: secrets.DidCreate, Path: "/a/b"}
		for i := range list {
			list[i].wants("secret:create", &h)
		}
	})
}

func TestNamesOfAnswersInIfNoneMatch(t *testing.T) {
	for sent, want := range map[string]bool{`"abc"`: true, `W/"abc"`: true, `"x", "abc"`: true, `*`: true, `abc`: false, `"abcd"`: false, `w/"abc"`: false, ``: false, `,`: false} {
		if matches(sent, "abc") != want {
			t.Errorf("%q", sent)
		}
	}
}

func TestBirthsAreReadFromIDs(t *testing.T) {
	if got := bornAt("0198c0de-0000-7000-8000-000000000000", 1); got != 0x0198c0de0000 {
		t.Error(got)
	}
	for _, other := range []string{"", "nothing", "9b2e5a0e-5f5c-4c0e-9d0c-0a1b2c3d4e5f"} {
		if bornAt(other, 7) != 7 {
			t.Error(other)
		}
	}
}

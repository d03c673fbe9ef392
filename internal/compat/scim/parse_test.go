package scim

import (
	"bytes"
	"net/http/httptest"
	"testing"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestAFilterIsUnderstoodOrRefused(t *testing.T) {
	for text, want := range map[string][]term{
		"":                                      nil,
		`userName eq "a"`:                       {{"username", "a"}},
		`USERNAME EQ "a\"b" AND active eq True`: {{"username", `a"b`}, {"active", true}},
		`emails[type eq "work"].value eq "a"`:   {{"emails.value", "a"}},
		`members[value eq "a b"]`:               {{"members.value", "a b"}},
		`urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "x"`: {{"displayname", "x"}},
	} {
		got, err := parseFilter(text)
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %v, %v", text, got, err)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v", text, got)
			}
		}
	}
	for _, text := range []string{"x", "x eq", `x eq "`, `x ne "a"`, `x eq "a" or y eq "b"`, `x eq "a" and`, `x eq "a"and y eq "b"`, `a[b eq "c"`, "][", "a]b[c eq true", `a[b eq "c"]`, `a[b eq "c"].d`, `eq "a"`, `x eq a`, `x  "a"`} {
		if _, err := parseFilter(text); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s is taken: %v", text, err)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, text := range []string{`userName eq "a"`, `emails[type eq "work"].value eq "a" and active eq true`, `members[value eq "\u0000"]`, `a[`, `a eq "\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, users := range []bool{false, true} {
			found, err := filterOf(text, users)
			if err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", text, err)
			}
			if err == nil && text != "" && found == (access.DirectoryFilter{}) && len(bytes.TrimSpace([]byte(text))) > 0 {
				t.Errorf("%q asks for all", text)
			}
		}
	})
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte(`{"Operations":[{"op":"Add","path":"members","value":[{"value":"a"}]},{"op":"remove","path":"members[value eq \"a\"]"}]}`))
	f.Add([]byte(`{"Operations":[{"op":"replace","value":{"active":"False","name.givenName":"x","emails[type eq \"work\"].value":"y"}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("PATCH", "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", mediaType)
		ops, err := readPatch(r)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		var u access.DirectoryUser
		var g access.DirectoryGroup
		for _, op := range ops {
			for _, err := range []error{op.onUser(&u), op.onGroup(&g)} {
				if err != nil && fault.KindOf(err) != fault.Invalid {
					t.Errorf("%q: %v", body, err)
				}
			}
		}
	})
}

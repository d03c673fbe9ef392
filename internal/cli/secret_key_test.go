package cli

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestAKeyIsABareNameInTheFolderOrAFullName(t *testing.T) {
	for _, c := range []struct{ base, in, want string }{
		{"/", "A", "/A"},
		{"", "A", "/A"},
		{"/backend", "A", "/backend/A"},
		{"backend/", "A", "/backend/A"},
		{"/backend", "/A", "/A"},
		{"/backend", "/frontend/A", "/frontend/A"},
		{"/backend", "frontend/A", "/frontend/A"},
		{"/", "/a/b/c.d-e_f", "/a/b/c.d-e_f"},
	} {
		got, err := parseSecretKey(c.base, c.in)
		if err != nil || got.String() != c.want {
			t.Errorf("%q in %q: %v, %v; want %s", c.in, c.base, got, err, c.want)
		}
	}
}

func TestAWrongKeyIsRefusedWithoutBeingRepeated(t *testing.T) {
	for _, in := range []string{"", "/", "/backend/", "a b", "A=test-value", "..", "/../A", "/a/../b", strings.Repeat("x", 256), "A\n", "/bad folder/A"} {
		_, err := parseSecretKey("/", in)
		f := fault.As(err)
		if err == nil || f.Kind != fault.Invalid || f.Hint == "" {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if len(in) > 3 && strings.Contains(f.Message+f.Hint, in) && in != "/backend/" {
			t.Errorf("%q is repeated: %s", in, f.Message)
		}
	}
}

func TestAKeyReadsBackWhatItShows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringMatching(`(/[a-z]{1,5}){0,4}/[A-Z_.]{1,8}`).Draw(t, "key")
		k, err := parseSecretKey("/elsewhere", in)
		if err != nil {
			if name := in[strings.LastIndexByte(in, '/')+1:]; name == "." || name == ".." {
				return
			}
			t.Fatal(err)
		}
		again, err := parseSecretKey("/", k.String())
		if err != nil || again != k || k.String() != in {
			t.Fatalf("%q became %v, then %v (%v)", in, k, again, err)
		}
	})
}

func TestASecretNamedTwiceIsRefused(t *testing.T) {
	_, err := parseSecretKeys("/backend", []string{"A", "B", "/backend/A"})
	if err == nil || !strings.Contains(err.Error(), "/backend/A is named twice") {
		t.Fatal(err)
	}
	all, err := parseSecretKeys("/backend", []string{"A", "/A"})
	if err != nil || len(all) != 2 || all[1].path != domain.Root {
		t.Fatal(all, err)
	}
	_, err = parseSecretKeys("/", []string{"A", "b c"})
	if f := fault.As(err); len(f.Fields) != 1 || f.Fields[0].Where != "argument 2" {
		t.Fatal(err)
	}
}

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

func TestValuesAreTakenByteForByteFromEverySource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a=b")
	fromFile := []byte(" test-value\x00\xff\r\n\n")
	if err := os.WriteFile(file, fromFile, 0o600); err != nil {
		t.Fatal(err)
	}
	s := sources{files: []string{"FILE=" + file}, generate: []string{"RANDOM", "/x/SHORT=8"}, stdin: "PIPED"}
	all, err := s.assignments("/backend", []string{"A= test-value =b\n", "EMPTY=", "BARE"}, strings.NewReader("piped test-value\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		key      string
		value    []byte
		generate int
	}{
		{"/backend/A", []byte(" test-value =b\n"), 0},
		{"/backend/EMPTY", []byte{}, 0},
		{"/backend/BARE", nil, 0},
		{"/backend/FILE", fromFile, 0},
		{"/backend/RANDOM", nil, 32},
		{"/x/SHORT", nil, 8},
		{"/backend/PIPED", []byte("piped test-value\n"), 0},
	}
	if len(all) != len(want) {
		t.Fatalf("%d assignments, want %d", len(all), len(want))
	}
	for i, w := range want {
		got := all[i]
		if got.key.String() != w.key || !bytes.Equal(got.value, w.value) || (got.value == nil) != (w.value == nil) || got.generate != w.generate {
			t.Errorf("%d: %s %q %d, want %s %q %d", i, got.key, got.value, got.generate, w.key, w.value, w.generate)
		}
		c := got.change()
		if (c.Value == nil) != (w.value == nil) {
			t.Errorf("%s: the change has a value where none was given, or the other way round", w.key)
			continue
		}
		if c.Value != nil {
			back, err := api.Value{Value: *c.Value, Encoding: c.Encoding}.Bytes()
			if err != nil || !bytes.Equal(back, w.value) {
				t.Errorf("%s travels as %q, %v", w.key, back, err)
			}
		}
	}
}

func TestEmptyStandardInputIsAnEmptyValueAndNotNone(t *testing.T) {
	s := sources{stdin: "A"}
	all, err := s.assignments("/", nil, strings.NewReader(""))
	if err != nil || all[0].value == nil || all[0].change().Value == nil {
		t.Fatal(all, err)
	}
}

func TestWrongAssignmentsAreRefusedWithoutTheirValues(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, domain.MaxValue+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s     sources
		args  []string
		stdin string
		want  string
	}{
		"a name that is none":       {args: []string{"a b=test-value"}, want: "not a secret name"},
		"a value without a name":    {args: []string{"=test-value"}, want: "not a secret name"},
		"one name twice":            {args: []string{"A=test-value", "/A=test-value"}, want: "/A is set twice"},
		"one name from two sources": {args: []string{"A=test-value"}, s: sources{stdin: "A"}, want: "/A is set twice"},
		"a file flag without file":  {s: sources{files: []string{"A="}}, want: "--file wants NAME=FILE"},
		"a file that is not there":  {s: sources{files: []string{"A=" + large + "x"}}, want: "cannot be read"},
		"a folder as file":          {s: sources{files: []string{"A=" + filepath.Dir(large)}}, want: "read the value from"},
		"a file that is too large":  {s: sources{files: []string{"A=" + large}}, want: "too large"},
		"too much piped in":         {s: sources{stdin: "A"}, stdin: strings.Repeat("test-value", domain.MaxValue), want: "too large"},
		"a length of none":          {s: sources{generate: []string{"A=0"}}, want: "1 to 512"},
		"a length out of range":     {s: sources{generate: []string{"A=513"}}, want: "1 to 512"},
		"a length that is none":     {s: sources{generate: []string{"A=test-value"}}, want: "1 to 512"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.s.assignments("/", c.args, strings.NewReader(c.stdin))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			f := fault.As(err)
			for _, field := range f.Fields {
				f.Message += field.Where + field.Problem
			}
			if strings.Contains(f.Message+f.Hint, "test-value") {
				t.Errorf("the message repeats the value: %s", f.Message)
			}
		})
	}
}

func FuzzAssignmentsNeverLoseOrInventBytes(f *testing.F) {
	for _, s := range []string{"A=test-value", "/b/C==", "=", "", "A", "a b=c", "A=\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		var s sources
		all, err := s.assignments("/base", []string{arg}, strings.NewReader(""))
		if err != nil {
			return
		}
		name, value, given := strings.Cut(arg, "=")
		if string(all[0].value) != value || (all[0].value != nil) != given || !strings.HasSuffix(name, string(all[0].key.name)) {
			t.Fatalf("%q became %s = %q", arg, all[0].key, all[0].value)
		}
	})
}

func TestOnlyASingleLineWithItsEndIsNoted(t *testing.T) {
	for in, want := range map[string]bool{"test-value\n": true, "test-value": false, "\n": false, "": false, "a\nb\n": false, "a\nb": false} {
		if endsLikeALine([]byte(in)) != want {
			t.Errorf("%q: want %v", in, want)
		}
	}
}

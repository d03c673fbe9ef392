package format

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/keyturn/keyturn/internal/fault"
	"pgregory.net/rapid"
)

// all lists the formats that tests walk.
func all() []Format {
	var formats []Format
	for _, name := range Names() {
		formats = append(formats, Format(name))
	}
	return formats
}

// golden is a set of pairs with everything that a format may stumble over and still carry.
func golden(f Format) []Pair {
	pairs := []Pair{
		{Name: "PLAIN", Value: []byte("test-value_1.2/3:4@5%6+7,8=")},
		{Name: "EMPTY"},
		{Name: "BLANKS", Value: []byte("  test-value  ")},
		{Name: "QUOTES", Value: []byte("it's a \"test-value\" `x`")},
		{Name: "SPECIAL", Value: []byte(`test-value$HOME ${X} $(id) \n \\ # ! ; & * ~ = :`)},
		{Name: "YES", Value: []byte("yes")},
		{Name: "NUMBER", Value: []byte("0123")},
		{Name: "UNICODE", Value: []byte("test-value é 😀")},
	}
	if f == Dotenv || f == CSV {
		pairs[0].Comment = "for the, \"tests\"\n\nsecond part"
	}
	if f != Docker {
		pairs = append(pairs, Pair{Name: "LINES", Value: []byte("test-value\n\ttwo's \"q\" \\\r\n$three\n")})
	}
	if f == Kubernetes {
		pairs = append(pairs, Pair{Name: "no", Value: []byte{0, 0xFF, '\n'}}, Pair{Name: "123", Value: []byte("1")}, Pair{Name: ".a-b.c", Value: []byte("2")})
	}
	if anyNameFormat(f) {
		pairs = append(pairs, Pair{Name: "no", Value: []byte("1")}, Pair{Name: "a.b c: #é\"\\=,'", Value: []byte("2")}, Pair{Name: "- x", Value: []byte("3")})
	}
	return pairs
}

func anyNameFormat(f Format) bool {
	return f == JSON || f == YAML || f == TOML || f == CSV || f == Properties
}

func TestEncodedFilesStayAsTheyAre(t *testing.T) {
	for _, f := range all() {
		t.Run(string(f), func(t *testing.T) {
			got, err := Encode(f, golden(f), Options{Namespace: "team"})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", string(f)+".golden")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
			if !strings.HasSuffix(string(got), "\n") {
				t.Error("the file does not end with a newline")
			}
		})
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

func TestNoPairsCanBeWrittenAndRead(t *testing.T) {
	for _, f := range all() {
		out, err := Encode(f, nil, Options{})
		if err != nil || !strings.HasSuffix(string(out), "\n") {
			t.Errorf("%s: %q %v", f, out, err)
		}
	}
}

func TestEncodeRefusesWhatTheFormatCannotCarry(t *testing.T) {
	const v = "test-value"
	tests := []struct {
		f    Format
		pair Pair
		hint string
	}{
		{Dotenv, Pair{Name: "A.B", Value: []byte(v)}, "json"},
		{Dotenv, Pair{Name: "A", Value: []byte(v + "\x01")}, "json"},
		{Dotenv, Pair{Name: "A", Value: []byte(v + "\xff")}, "kubernetes"},
		{Dotenv, Pair{Name: "A", Value: []byte(v), Comment: "x\x00"}, "json"},
		{Shell, Pair{Name: "A-B", Value: []byte(v)}, "json"},
		{Shell, Pair{Name: "A;id", Value: []byte(v)}, "json"},
		{Shell, Pair{Name: "A", Value: []byte(v + "\x00")}, "json"},
		{Docker, Pair{Name: "A", Value: []byte(v + "\nB=2")}, "json"},
		{Docker, Pair{Name: "A", Value: []byte(v + "\r")}, "json"},
		{Docker, Pair{Name: "A", Value: []byte(v + strings.Repeat("x", MaxValue-len(v)))}, "json"},
		{Systemd, Pair{Name: "A", Value: []byte(v + "\ufeff")}, "json"},
		{Systemd, Pair{Name: "1A", Value: []byte(v)}, "json"},
		{CSV, Pair{Name: "A", Value: []byte(v + "\x1b")}, "json"},
		{JSON, Pair{Name: "A", Value: []byte(v + "\xff")}, "kubernetes"},
		{JSON, Pair{Name: "A B", Value: []byte(v + "\xff")}, "leave"},
		{YAML, Pair{Name: "", Value: []byte(v)}, "leave"},
		{TOML, Pair{Name: "A\n", Value: []byte(v)}, "leave"},
		{Properties, Pair{Name: "A", Value: []byte(v + "\xff")}, "kubernetes"},
		{Kubernetes, Pair{Name: "A B", Value: []byte(v)}, "json"},
		{Kubernetes, Pair{Name: "..a", Value: []byte(v)}, "json"},
		{JSON, Pair{Name: "A", Value: []byte(v + strings.Repeat("x", MaxValue))}, "leave"},
	}
	for _, test := range tests {
		out, err := Encode(test.f, []Pair{{Name: "FIRST"}, test.pair}, Options{})
		if !errors.Is(err, fault.Invalid) || out != nil {
			t.Errorf("%s %.20q: %v", test.f, test.pair.Name, err)
			continue
		}
		e := fault.As(err)
		if strings.Contains(fmt.Sprint(e, e.Hint, e.Fields), v) {
			t.Errorf("%s: the error shows the value", test.f)
		}
		if !strings.Contains(e.Message, label(test.pair.Name)) || !strings.HasPrefix(e.Hint, test.hint) {
			t.Errorf("%s: %q, hint %q, want the name and %s", test.f, e.Message, e.Hint, test.hint)
		}
	}
	for _, f := range all() {
		if _, err := Encode(f, []Pair{{Name: "A"}, {Name: "A"}}, Options{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s writes a name twice: %v", f, err)
		}
	}
}

func TestKubernetesOptionsAreChecked(t *testing.T) {
	for _, opt := range []Options{{Name: "A"}, {Name: "a\nkind: Pod"}, {Name: "-a"}, {Name: "a..b"}, {Namespace: "a.b"}, {Namespace: strings.Repeat("a", 64)}} {
		if _, err := Encode(Kubernetes, nil, opt); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v is taken", opt)
		}
	}
	var pairs []Pair
	for i := range 17 {
		pairs = append(pairs, Pair{Name: fmt.Sprintf("A%d", i), Value: make([]byte, MaxValue)})
	}
	if _, err := Encode(Kubernetes, pairs, Options{}); !errors.Is(err, fault.Invalid) {
		t.Error("a Secret larger than the API server takes is written")
	}
	if _, err := Encode(Kubernetes, pairs[:16], Options{Name: "a.b-1", Namespace: "x"}); err != nil {
		t.Error(err)
	}
}

// nasty draws values out of what the formats give a meaning, so that random values meet the corners.
func nasty(t *rapid.T, label string) []byte {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{"'", "\"", "`", "\\", "\\n", "\n", "\r\n", "\r", "\t", " ", "#", " #", "$", "${A}", "$(id)", "=", ":", ",", ";", "!", "&", "*", "-", "---", "~", "|", ">", "%", "@", "[", "{", "<<", "null", "true", "0x1", "1e3", "\\u0041", "é", "😀", "\u2028", "\ufeff", "\u0085", "\ufffe", "\U0001ffff", "export ", "A=", "'''", `"""`}),
		rapid.StringMatching(`[a-zA-Z0-9]{1,4}`),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3), func(b []byte) string { return string(b) }),
	)
	return []byte(strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, label), ""))
}

// mustCarry says, apart from the code under test, which pairs a format has no excuse to refuse.
func mustCarry(f Format, p Pair) bool {
	text := utf8.Valid(p.Value)
	plain := text
	for _, r := range string(p.Value) {
		if r < ' ' && !strings.ContainsRune("\t\n\r", r) || r == 0x7F || r == 0xFEFF || r&0xFFFE == 0xFFFE || 0xFDD0 <= r && r <= 0xFDEF {
			plain = false
		}
	}
	switch f {
	case Kubernetes:
		return true
	case JSON, YAML, TOML, Properties:
		return text
	case Docker:
		return plain && !strings.ContainsAny(string(p.Value), "\r\n")
	}
	return plain
}

func TestWhatIsWrittenReadsBackOrIsRefused(t *testing.T) {
	for _, f := range all() {
		t.Run(string(f), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				name := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,8}`)
				if anyNameFormat(f) {
					name = rapid.OneOf(name, rapid.Map(rapid.Custom(func(t *rapid.T) []byte { return nasty(t, "name") }), func(b []byte) string { return string(b) }))
				}
				names := rapid.SliceOfNDistinct(name, 0, 4, rapid.ID).Draw(t, "names")
				var pairs []Pair
				must := true
				for _, n := range names {
					p := Pair{Name: n, Value: nasty(t, "value")}
					must = must && mustCarry(f, p) && anyName(n) == ""
					pairs = append(pairs, p)
				}
				out, err := Encode(f, pairs, Options{})
				if err != nil {
					if must || !errors.Is(err, fault.Invalid) {
						t.Fatalf("%s refuses %v: %v", f, pairs, err)
					}
					return
				}
				got, err := Decode(f, "", out)
				if err != nil || len(got) != len(pairs) {
					t.Fatalf("%q reads back as %v, %v", out, got, err)
				}
				for i, p := range pairs {
					if got[i].Name != p.Name || string(got[i].Value) != string(p.Value) {
						t.Fatalf("%v became %v", p, got[i])
					}
				}
			})
		})
	}
}

func TestCommentsReadBackOrAreRefused(t *testing.T) {
	for _, f := range []Format{Dotenv, CSV} {
		rapid.Check(t, func(t *rapid.T) {
			want := []Pair{{Name: "A", Comment: string(nasty(t, "a"))}, {Name: "B", Comment: string(nasty(t, "b"))}}
			out, err := Encode(f, want, Options{})
			if errors.Is(err, fault.Invalid) {
				return
			}
			got, err := Decode(f, "", out)
			if err != nil || len(got) != 2 || got[0].Comment != want[0].Comment || got[1].Comment != want[1].Comment {
				t.Fatalf("%q: %v %v", out, got, err)
			}
		})
	}
	for _, comment := range []string{"one", "one\n\n two ", " # x", "A=1"} {
		if _, err := Encode(Dotenv, []Pair{{Name: "A", Comment: comment}}, Options{}); err != nil {
			t.Errorf("%q: %v", comment, err)
		}
	}
}

// The shell is the judge of shell files.
func TestARealShellReadsWhatIsWritten(t *testing.T) {
	pairs := golden(Shell)
	pairs = append(pairs,
		Pair{Name: "INJECTION", Value: []byte("'; echo pwned; '\n$(echo pwned)`echo pwned`\\'")},
		Pair{Name: "ENDS", Value: []byte("test-value\n\n")},
		Pair{Name: "CARRIAGE", Value: []byte("a\rb\r\nc\r")},
		Pair{Name: "BANG", Value: []byte("!! !$ \\")},
	)
	out, err := Encode(Shell, pairs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "secrets.sh")
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		// printf in a child shows that the variable was exported, too.
		got, err := exec.Command("bash", "-c", `. "$1"; bash -c 'printf %s "$'"$2"'"'`, "bash", file, p.Name).CombinedOutput()
		if err != nil || string(got) != string(p.Value) {
			t.Errorf("%s: bash reads %q, want %q (%v)", p.Name, got, p.Value, err)
		}
	}
}

// The reader agrees with a real shell on the files of other programs as well.
func TestTheShellReaderAgreesWithARealShell(t *testing.T) {
	words := []string{`a`, `'a b'`, `"a b"`, `"a\$b"`, `"a\\b"`, `"a\b"`, `a\ b`, `a\'b`, `'a'"b"c`, `a#b`, `""`, ``, `"a\` + "\n" + `b"`, `a\` + "\n" + `b`, "'a\nb'", `"it's"`, `a=b`, `a!b`, `a%b^c`, `"a!b"`, `]x`, `a}b`}
	for _, word := range words {
		file := filepath.Join(t.TempDir(), "a.sh")
		text := "A=" + word + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := exec.Command("bash", "-c", `set -a; . "$1"; printf %s "$A"`, "bash", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %s %v", text, want, err)
		}
		if got := read(t, Shell, text); got[0] != fmt.Sprintf("A=%q", want) {
			t.Errorf("%q: bash reads %q, we read %s", text, want, got[0])
		}
	}
}

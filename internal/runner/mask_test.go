package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/sensitive"
)

func values(list ...string) []sensitive.Value {
	var out []sensitive.Value
	for _, s := range list {
		out = append(out, sensitive.FromString(s))
	}
	return out
}

// maskAll passes pieces through a masker.
func maskAll(t rapid.TB, hide []sensitive.Value, pieces ...string) string {
	t.Helper()
	var out bytes.Buffer
	m := Mask(&out, hide)
	for _, p := range pieces {
		if n, err := io.WriteString(m, p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// maskNaively marks every byte of every occurrence, then replaces each run of overlapping occurrences.
func maskNaively(hide []sensitive.Value, s string) string {
	ends := make([]int, len(s)) // the furthest end of what begins here
	for _, p := range forms(hide) {
		for i := range len(s) {
			if strings.HasPrefix(s[i:], string(p)) {
				ends[i] = max(ends[i], i+len(p))
			}
		}
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		if ends[i] == 0 {
			out.WriteByte(s[i])
			i++
			continue
		}
		end := ends[i]
		for i++; i < end; i++ {
			end = max(end, ends[i])
		}
		out.WriteString(masked)
	}
	return out.String()
}

// cutUp draws a cutting of s into pieces, some of them empty.
func cutUp(t *rapid.T, s string) []string {
	var pieces []string
	for s != "" {
		n := rapid.IntRange(1, min(len(s), 12)).Draw(t, "cut")
		pieces, s = append(pieces, s[:n]), s[n:]
		if rapid.Bool().Draw(t, "empty") {
			pieces = append(pieces, "")
		}
	}
	return pieces
}

// maskTimeless is maskAll in a bubble in which no time passes between the writes, so that silence lets nothing out.
func maskTimeless(t *testing.T, hide []sensitive.Value, pieces []string) (got string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { got = maskAll(t, hide, pieces...) })
	return got
}

func TestMaskEqualsTheNaiveReplacementHoweverTheStreamIsCut(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[abc%]{1,9}|[ab]{4}(\n[abc]{8,12}){1,3}\n?|[a-c "/<é]{4,20}`), 0, 6).
			Draw(t, "secrets")
		hide := values(secrets...)
		var stream strings.Builder
		for range rapid.IntRange(0, 12).Draw(t, "parts") {
			part := rapid.StringMatching(`[abc\n ]{0,9}`).Draw(t, "noise")
			if len(secrets) > 0 && rapid.Bool().Draw(t, "planted") {
				s := rapid.SampledFrom(secrets).Draw(t, "secret")
				part = rapid.SampledFrom([]string{
					s, s[:len(s)/2], s + s[len(s)/2:], base64.StdEncoding.EncodeToString([]byte(part + s + part)),
					hex.EncodeToString([]byte(s)), url.QueryEscape(s), fmt.Sprintf("%q", s),
				}).Draw(t, "form")
			}
			stream.WriteString(part)
		}
		pieces := cutUp(t, stream.String())
		got, want := maskTimeless(outer, hide, pieces), maskNaively(hide, stream.String())
		if got != want {
			t.Fatalf("got  %q\nwant %q\ncut  %q", got, want, pieces)
		}
		for _, s := range secrets {
			if len(s) >= minMasked && strings.Contains(got, s) {
				t.Fatalf("%q is in %q", s, got)
			}
		}
	})
}

func TestOneValueIsReplacedLikeStringsReplace(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		const secret = "test-value-wxyz" // does not overlap itself
		parts := rapid.SliceOf(rapid.SampledFrom([]string{secret, "test-", "value", "wxyz", "-", "\n", secret[:14]})).Draw(t, "parts")
		whole := strings.Join(parts, "")
		if got, want := maskTimeless(outer, values(secret), parts), strings.ReplaceAll(whole, secret, masked); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestMaskFindsEncodedForms(t *testing.T) {
	const secret = "tëst-value &<\"/+\\ 9?>~ÿ\t€𝄞"
	quote := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "k", secret)
	for name, shown := range map[string]string{
		"raw":           secret,
		"base64":        base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 raw":    base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"base64 url":    base64.URLEncoding.EncodeToString([]byte(secret)),
		"hex":           hex.EncodeToString([]byte(secret)),
		"HEX":           fmt.Sprintf("%X", secret),
		"query":         url.QueryEscape(secret),
		"path":          url.PathEscape(secret),
		"query lower":   "t%c3%abst-value+%26%3c%22%2f%2b%5c+9%3f%3e~%c3%bf%09%e2%82%ac%f0%9d%84%9e",
		"javascript":    "t%C3%ABst-value%20%26%3C%22%2F%2B%5C%209%3F%3E~%C3%BF%09%E2%82%AC%F0%9D%84%9E",
		"json":          quote(secret),
		"json ascii":    `t\u00ebst-value &<\"/+\\ 9?>~\u00ff\t\u20ac\ud834\udd1e`,
		"json php":      `t\u00ebst-value &<\"\/+\\ 9?>~\u00ff\t\u20ac\ud834\udd1e`,
		"go quoted":     fmt.Sprintf("%q", secret),
		"go ascii":      fmt.Sprintf("%+q", secret),
		"go text log":   logged.String(),
		"json in json":  quote(map[string]string{"k": secret}),
		"basic header":  "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret)),
		"basic header2": "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+secret+"x")),
		"basic header3": "Basic " + base64.StdEncoding.EncodeToString([]byte("root:"+secret+"yz")),
	} {
		got := maskAll(t, values(secret), "<"+shown+">")
		if !strings.Contains(got, masked) || len(got) > len("<>Basic xxxxxxxxxx")+len(masked)+logged.Len()-len(secret) ||
			strings.Contains(got, "value") || strings.Contains(got, "9d849e") {
			t.Errorf("%s: %q shows as %q", name, shown, got)
		}
	}
}

func TestMaskRules(t *testing.T) {
	pem := "-----BEGIN TEST-----\nMIItest-value-1\nMIItest-value-2\nabc\n-----END TEST-----\n"
	for _, c := range []struct {
		name   string
		hide   []string
		stream string
		want   string
	}{
		{"short values stay", []string{"abc", ""}, "abc abcd", "abc abcd"},
		{"four bytes are enough", []string{"abcd"}, "abcd", "[masked]"},
		{"neighbours stay apart", []string{"abcd"}, "abcdabcd", "[masked][masked]"},
		{"the longest wins", []string{"abcd", "abcdefgh"}, "abcdefgh abcdef", "[masked] [masked]ef"},
		{"a longer one that began earlier wins", []string{"cdef", "abcdefgh"}, "abcdefgh abcdefg", "[masked] ab[masked]g"},
		{"no rest of an overlapping one stays", []string{"ab xx", "xxsecret-tail"}, "ab xxsecret-tail!", "[masked]!"},
		{"a value that overlaps itself", []string{"aaaa"}, "aaaaaa", "[masked]"},
		{"lines of a value", []string{pem}, "x\nMIItest-value-2\nabc\n", "x\n[masked]\nabc\n"},
		{"all of a value with lines", []string{pem}, "x" + pem + "y", "x[masked]y"},
		{"without its last line break", []string{"test\n"}, "test.", "[masked]."},
		{"CRLF", []string{"long-line-1\r\nlong-line-2\r\n"}, "long-line-1\nlong-line-2", "[masked]\n[masked]"},
		{"no values", nil, "as it is", "as it is"},
		{"binary", []string{"\x00\xff\xfe\x01"}, "a\x00\xff\xfe\x01b\xff", "a[masked]b\xff"},
	} {
		for _, pieces := range [][]string{{c.stream}, strings.Split(c.stream, "")} {
			if c.name == "binary" {
				pieces = []string{c.stream[:2], c.stream[2:]}
			}
			if got := maskTimeless(t, values(c.hide...), pieces); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
	}
}

func TestOnlyAPossibleBeginningIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := Mask(&out, values("test-value", "nothing"))
		step := func(write string, pause time.Duration, want string) {
			t.Helper()
			_, _ = io.WriteString(m, write)
			time.Sleep(pause)
			synctest.Wait()
			if got := out.String(); got != want {
				t.Fatalf("after %q: got %q, want %q", write, got, want)
			}
			out.Reset()
		}
		step("Continue? ", 0, "Continue? ")
		step("a line that ends with te", 0, "a line that ends with ")
		step("n\n", 0, "ten\n")
		step("Password: test", 0, "Password: ")
		step("", time.Hour, "") // most of a secret may be there: silence does not let it out
		step("-valu", time.Hour, "")
		step("e", 0, "[masked]")
		step("ask te", silence-1, "ask ")
		step("", 2*silence, "te")
		step("st-value.", 0, "[masked].") // at most three bytes of it were let out
		for i, b := range strings.Split("test-value", "") {
			want := map[int]string{0: "t", 1: "e", 2: "s", 9: "[masked]"}[i]
			step(b, time.Hour, want) // even byte by byte
		}
		step("no", 0, "")
		if err := m.Close(); err != nil || out.String() != "no" {
			t.Fatal(err, out.String())
		}
	})
}

type failing struct{ err error }

func (f failing) Write(p []byte) (int, error) { return len(p) / 2, f.err }

func TestMaskReportsWriteErrors(t *testing.T) {
	broken := errors.New("broken")
	for given, want := range map[error]error{broken: broken, nil: io.ErrShortWrite} {
		m := Mask(failing{given}, values("test-value"))
		for range 2 {
			if _, err := io.WriteString(m, "text that goes out\n"); !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
		}
		if err := m.Close(); !errors.Is(err, want) {
			t.Fatal(err)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("abcd", "bcda", "xabcdabcdax", uint64(1))
	f.Add("aaaa", "aaaaaaaab", "aaaaaaaaaaaaab", uint64(7))
	f.Add("line-one-1\nline-two-2", "", "line-one-1\nline-two-line-two-2", uint64(3))
	f.Fuzz(func(t *testing.T, a, b, stream string, seed uint64) {
		hide := values(a, b)
		rng := rand.New(rand.NewPCG(seed, 0))
		var pieces []string
		for rest := stream; rest != ""; {
			n := 1 + rng.IntN(len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got := maskAll(t, hide, stream)
		if want := maskNaively(hide, stream); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		if cut := maskTimeless(t, hide, pieces); cut != got {
			t.Fatalf("cut: got %q, want %q", cut, got)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var hide []sensitive.Value
	for i := range 50 {
		secret := make([]byte, 24+i%16)
		for j := range secret {
			secret[j] = byte(rng.Uint32())
		}
		hide = append(hide, sensitive.FromString(base64.RawStdEncoding.EncodeToString(secret)))
	}
	var logs, noise bytes.Buffer
	for i := 0; logs.Len() < 1<<20; i++ {
		fmt.Fprintf(&logs, "2026-01-02T03:04:05.%06dZ INFO request method=GET path=/api/v1/items/%d status=200 took=1.%dms\n", i, i*7, i)
	}
	for noise.Len() < 1<<20 {
		noise.WriteString(base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(rng.Uint64(), rng.Uint64()))))
	}
	// The worst: text that keeps nearly matching.
	almost := bytes.Repeat(hide[0].Reveal()[:hide[0].Len()-1], 1<<15)
	for _, c := range []struct {
		name string
		text []byte
	}{{"logs", logs.Bytes()}, {"base64", noise.Bytes()}, {"almost", almost}} {
		b.Run(c.name, func(b *testing.B) {
			m := Mask(io.Discard, hide)
			b.SetBytes(int64(len(c.text)))
			for b.Loop() {
				for piece := range slices.Chunk(c.text, copyBuffer) {
					_, _ = m.Write(piece)
				}
			}
		})
	}
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			Mask(io.Discard, hide)
		}
	})
}

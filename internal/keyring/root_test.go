package keyring_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/keyring"
)

// rootTestValue is the text of a root key that is 32 readable bytes: "keyturn test-value: no real key!".
var rootTestValue = hex.EncodeToString([]byte("keyturn test-value: no real key!"))

func TestRootKeyIsReadWithOneLineEndAndInEitherCase(t *testing.T) {
	want := must(keyring.ParseRoot([]byte(rootTestValue)))(t)
	for _, text := range []string{rootTestValue + "\n", rootTestValue + "\r\n", strings.ToUpper(rootTestValue)} {
		got := must(keyring.ParseRoot([]byte(text)))(t)
		if !got.Hex().Equal(want.Hex()) || got.Fingerprint() != want.Fingerprint() {
			t.Fatal("the same key was read differently")
		}
	}
	if string(want.Hex().Reveal()) != rootTestValue {
		t.Fatal("Hex does not give back what was parsed")
	}
}

func TestBadRootKeyIsRefusedByNameAndNeverShown(t *testing.T) {
	swap := func(at int, with string) string { return rootTestValue[:at] + with + rootTestValue[at+1:] }
	for name, tt := range map[string]struct{ text, want string }{
		"empty":               {"", "is empty"},
		"only a newline":      {"\n", "is empty"},
		"only CRLF":           {"\r\n", "is empty"},
		"one short":           {rootTestValue[:63], "too short: it has 63 characters"},
		"one long":            {rootTestValue + "a", "too long: it has 65 characters"},
		"twice":               {rootTestValue + rootTestValue, "too long: it has 128"},
		"two newlines":        {rootTestValue + "\n\n", "too long: it has 65"},
		"lone CR":             {rootTestValue + "\r", "too long: it has 65"},
		"leading space":       {" " + rootTestValue, "too long: it has 65"},
		"trailing space":      {rootTestValue + " ", "too long: it has 65"},
		"quoted":              {`"` + rootTestValue + `"`, "too long: it has 66"},
		"0x in front":         {"0x" + rootTestValue[2:], "not hex"},
		"g first":             {swap(0, "g"), "not hex"},
		"g last":              {swap(63, "g"), "not hex"},
		"NUL inside":          {swap(30, "\x00"), "not hex"},
		"newline inside":      {swap(30, "\n"), "not hex"},
		"two-byte letter":     {swap(30, "é"), "not hex"},
		"invalid UTF-8":       {swap(30, "\xff"), "not hex"},
		"byte order mark":     {"\ufeff" + rootTestValue, "too long: it has 65"},
		"all zeros":           {strings.Repeat("0", 64), "is all zeros"},
		"one byte repeated":   {strings.Repeat("a7", 32), "is one byte repeated"},
		"one letter repeated": {strings.Repeat("F", 64), "is one byte repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := keyring.ParseRoot([]byte(tt.text))
			wantKind(t, err, fault.Invalid)
			wantText(t, err, tt.want)
			wantSilent(t, err, tt.text)
			if root.Fingerprint() != "" || !root.Hex().Empty() {
				t.Fatal("a refused text made a root key")
			}
		})
	}
}

// wantSilent fails if any six characters of text stand in what err can show.
func wantSilent(t testing.TB, err error, text string) {
	t.Helper()
	f := fault.As(err)
	all := strings.ToLower(fmt.Sprintf("%v %+v %s %s %v", err, f, f.Message, f.Hint, f.Fields))
	text = strings.ToLower(text)
	for i := 0; i+6 <= len(text); i++ {
		if strings.Contains(all, text[i:i+6]) {
			t.Fatalf("the error shows a piece of the rejected text, from character %d on", i)
		}
	}
}

func TestFingerprintHasItsShapeAndTellsRootKeysApart(t *testing.T) {
	shape := regexp.MustCompile(`^[0-9a-f]{4}(-[0-9a-f]{4}){3}$`)
	seen := map[string]bool{}
	for range 100 {
		root := keyring.NewRoot()
		f := root.Fingerprint()
		if !shape.MatchString(f) {
			t.Fatalf("fingerprint %q has another shape", f)
		}
		if seen[f] {
			t.Fatal("two root keys have one fingerprint")
		}
		seen[f] = true
		if bytes.Contains(root.Hex().Reveal(), []byte(strings.ReplaceAll(f, "-", ""))) {
			t.Fatal("the fingerprint is a piece of the key")
		}
	}
}

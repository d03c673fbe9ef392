package weak

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var from = flag.String("from", "", "passwords.json from which common.bin is written")

func TestTheListIsSorted(t *testing.T) {
	if *from != "" {
		write(t, *from)
	}
	if len(common)%hashSize != 0 || len(common)/hashSize < 40_000 {
		t.Fatalf("%d bytes", len(common))
	}
	for i := hashSize; i < len(common); i += hashSize {
		if bytes.Compare(common[i-hashSize:i], common[i:i+hashSize]) >= 0 {
			t.Fatalf("entry %d is not above the one before", i/hashSize)
		}
	}
}

func write(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	if err := json.Unmarshal(b, &words); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, w := range words {
		if w = fold(w); len(w) >= minWord {
			p := prefix(w)
			all = append(all, p[:])
		}
	}
	slices.SortFunc(all, bytes.Compare)
	common = bytes.Join(slices.CompactFunc(all, bytes.Equal), nil)
	if err := os.WriteFile("common.bin", common, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAGuesserTriesFirstIsMadeOfFewPieces(t *testing.T) {
	for password, want := range map[string]bool{
		// weak: common ones, and common ones in disguise
		"passwordpassword": false, "Password1234!": false, "P@$$w0rd2024!": false, "ｐａｓｓｗｏｒｄ１２３４": false, "qwertyuiop12": false, "1qaz2wsx3edc": false,
		"abcdefghijkl": false, "aaaaaaaaaaaa": false, "123456789012": false, "dragonmonkey1": false, "iloveyou19900412": false, "PASSWORDPASSWORDPASSWORD": false,
		"zxcvbnm,./zxcvbnm": false, "abcdabcdabcdabcd": false, "31121999monkey": false, "qwertzuiopasdf": false, "letmeinletmein!": false, "!@#$%^&*()_+": false,
		// of the context
		"ann.example2026": false, "annexampleannexample": false, "keyturnkeyturn1": false, "4nn3x4mpl3-2026": false, "Initech-2026!": false,
		// good ones
		"correct horse battery staple": true, "a long test-value": true, "xK9#mQ2$vL5p": true, "tigers eat 7 blue pens": true, "прочный пароль здесь": true, "ein Haus am See, 3 Boote": true,
	} {
		if n := Pieces(password, "Ann Example", "ann.example@example.test", "Initech", "keyturn"); n >= MinPieces != want {
			t.Errorf("%s has %d pieces", password, n)
		}
	}
}

func TestDisguisesMakeNoPasswordBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]string{"password", "dragon", "monkey", "football", "sunshine"}).Draw(t, "word")
		var b strings.Builder
		for _, r := range base {
			choices := map[rune][]rune{'a': []rune("aA@4ａ"), 'o': []rune("oO0"), 's': []rune("sS$5"), 'e': []rune("eE3"), 'l': []rune("lL1!"), 'i': []rune("iI1!"), 't': []rune("tT7")}[r]
			if choices == nil {
				choices = []rune{r, r - 32}
			}
			b.WriteRune(rapid.SampledFrom(choices).Draw(t, "rune"))
		}
		if n := Pieces(b.String()); n != 1 {
			t.Fatalf("%s has %d pieces", b.String(), n)
		}
	})
}

func FuzzPieces(f *testing.F) {
	f.Add("password1234", "Ann")
	f.Add("\xff\xfe", "")
	f.Fuzz(func(t *testing.T, password, word string) {
		n := Pieces(password, word)
		if n < 0 || n > maxRunes || password != "" && n == 0 && len([]rune(plain(password))) > 0 {
			t.Errorf("%q: %d", password, n)
		}
	})
}

func BenchmarkPieces(b *testing.B) {
	for b.Loop() {
		Pieces(strings.Repeat("correct horse battery staple ", 5), "Ann Example")
	}
}

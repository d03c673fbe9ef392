package shamir_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey/shamir"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func refused(t *testing.T, what, text, say string) {
	t.Helper()
	_, err := shamir.ParseShare(sensitive.FromString(text))
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("%s: %v", what, err)
		return
	}
	if said := fault.As(err).Message + "; " + fault.As(err).Hint; !strings.Contains(said, say) {
		t.Errorf("%s: %s, want %s", what, said, say)
	}
}

func TestAShareReadsAsPeopleTypeIt(t *testing.T) {
	texts, _ := set(t, 2, 3, home)
	text := texts[1]
	if !regexp.MustCompile(`^kt-share(-[0-9a-hjkmnp-tv-z]{8}){16}$`).MatchString(text) {
		t.Fatal("another form")
	}
	body := strings.TrimPrefix(text, "kt-share-")
	for _, typed := range []string{
		strings.ToUpper(text), body, strings.ReplaceAll(body, "-", ""), strings.ReplaceAll(body, "-", " \r\n"), " " + text + "\n",
		strings.NewReplacer("0", "o", "1", "l").Replace(body), strings.NewReplacer("0", "O", "1", "I").Replace(body),
		"KT-Share-" + body,
	} {
		s, err := shamir.ParseShare(sensitive.FromString(typed))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(s.Text().Reveal()) != text || s.Index() != 2 {
			t.Error("it reads as another share")
		}
		if k, n := s.Threshold(); k != 2 || n != 3 {
			t.Error(k, n)
		}
	}
}

// Every wrong character and every two that changed places are told with the place.
func TestATypingMistakeIsToldWithItsPlace(t *testing.T) {
	texts, _ := set(t, 2, 2, home)
	words := strings.Split(strings.TrimPrefix(texts[0], "kt-share-"), "-")
	for g := range words {
		with := func(word string) string {
			changed := append([]string{}, words...)
			changed[g] = word
			return strings.Join(changed, "-")
		}
		place := fmt.Sprintf("group %d of 16", g+1)
		for i := range words[g] {
			for _, c := range "0123456789abcdefghjkmnpqrstvwxyzu!é" {
				if rune(words[g][i]) != c && c < 0x80 {
					refused(t, "substitution", with(words[g][:i]+string(c)+words[g][i+1:]), place)
				}
			}
			for j := range i {
				b := []byte(words[g])
				if b[i], b[j] = b[j], b[i]; string(b) != words[g] {
					refused(t, "transposition", with(string(b)), place)
				}
			}
		}
		short := fmt.Sprintf("group %d has 7 characters", g+1)
		refused(t, "a character less", with(words[g][1:]), short)
		if g > 0 {
			swapped := append([]string{}, words...)
			swapped[g], swapped[g-1] = swapped[g-1], swapped[g]
			refused(t, "groups that changed places", strings.Join(swapped, "-"), fmt.Sprintf("group %d of 16", g))
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	texts, kept := set(t, 2, 2, home)
	for bit := range 8 * shamir.Size {
		flipped := shamir.Flip(read(t, texts[0]), bit) // with its groups well formed again
		s, err := shamir.ParseShare(sensitive.FromString(flipped))
		if err == nil {
			_, err = collector(t, kept).Add(s, start)
		}
		if err == nil {
			t.Errorf("bit %d is of no importance", bit)
		}
	}
}

func TestTextsThatAreNoShare(t *testing.T) {
	texts, _ := set(t, 2, 2, home)
	for what, text := range map[string]string{
		"nothing": "", "the prefix": "kt-share-", "the half": texts[0][:70], "two": texts[0] + texts[1], "long": strings.Repeat("a", 1000),
		"a key": strings.Repeat("0", 64), "not UTF-8": strings.Repeat("\xff", 128), "zeros": strings.Repeat("0", 128),
		"mixed halves": texts[0][:80] + texts[1][80:],
	} {
		_, err := shamir.ParseShare(sensitive.FromString(text))
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	texts, _ := set(f, 2, 3, home)
	for _, text := range texts {
		f.Add(text)
	}
	f.Add("kt-share-0")
	canonical := strings.NewReplacer("-", "", " ", "", "\t", "", "\r", "", "\n", "", "o", "0", "i", "1", "l", "1")
	f.Fuzz(func(t *testing.T, typed string) {
		s, err := shamir.ParseShare(sensitive.FromString(typed))
		if err != nil {
			if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.Unsupported) {
				t.Fatal(err)
			}
			return
		}
		again := strings.TrimPrefix(string(s.Text().Reveal()), "kt-share-")
		was := strings.TrimPrefix(strings.TrimSpace(strings.ToLower(typed)), "kt-share-")
		if canonical.Replace(again) != canonical.Replace(was) {
			t.Fatal("it reads as another share")
		}
	})
}

func FuzzVerifiers(f *testing.F) {
	_, kept := set(f, 2, 3, home)
	f.Add(kept)
	f.Fuzz(func(t *testing.T, kept []byte) {
		if c, err := shamir.NewCollector(kept, home); err == nil {
			if _, err := c.Root(start); !errors.Is(err, fault.Sealed) {
				t.Fatal(err)
			}
		}
	})
}

package domain_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

var kinds = []domain.TokenKind{domain.SessionToken, domain.AccessToken, domain.APIToken, domain.ClientSecret, domain.SetupToken}

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// fixed is a token that no server ever made: all its random bits are zero.
const fixed = "ktk_0000000000000000000000000000000000000000000" + "0s4GPf"

func notAToken(t *testing.T, s string) {
	t.Helper()
	kind, err := domain.CheckToken(s)
	if kind != "" || !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("%.80q gives %q, %v", s, kind, err)
		return
	}
	if s != "" && strings.Contains(err.Error()+fault.As(err).Hint, s) {
		t.Errorf("%.80q: the message repeats what was shown", s)
	}
}

func TestANewTokenTellsItsKindAndIsNeverMadeTwice(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range kinds {
		for range 200 {
			token := string(domain.NewToken(kind).Reveal())
			if got, err := domain.CheckToken(token); got != kind || err != nil {
				t.Fatalf("a new token of kind %s is checked as %q, %v", kind, got, err)
			}
			if len(token) != 53 || !strings.HasPrefix(token, string(kind)) || strings.Trim(token[4:], digits) != "" {
				t.Fatalf("a new token of kind %s has %d characters or others than base62", kind, len(token))
			}
			if seen[token] {
				t.Fatal("a token was made twice")
			}
			seen[token] = true
		}
	}
}

func TestATokenOfAnUnknownKindIsRefused(t *testing.T) {
	for _, kind := range []domain.TokenKind{"ktx_", "kts-", "KTS_", "hvs_", "ghp_", "\x00\x00\x00\x00"} {
		notAToken(t, string(domain.NewToken(kind).Reveal()))
	}
}

// CRC-32 finds every burst of up to 32 bits, so one wrong character and two swapped neighbours are always found.
func TestEveryTypingErrorInATokenIsFound(t *testing.T) {
	for _, kind := range kinds {
		token := domain.NewToken(kind).Reveal()
		for i := range token {
			for _, c := range []byte(digits + "_- \x00\n\xff.") {
				if c == token[i] {
					continue
				}
				wrong := []byte(string(token))
				wrong[i] = c
				notAToken(t, string(wrong))
			}
			if i > 0 && i < 47 && token[i] != token[i-1] {
				wrong := []byte(string(token))
				wrong[i], wrong[i-1] = wrong[i-1], wrong[i]
				notAToken(t, string(wrong))
			}
		}
		for _, other := range kinds {
			if other != kind {
				notAToken(t, string(other)+string(token[4:]))
			}
		}
	}
}

func TestWhatSurroundsATokenIsNotForgiven(t *testing.T) {
	if kind, err := domain.CheckToken(fixed); kind != domain.APIToken || err != nil {
		t.Fatalf("the fixed token is checked as %q, %v", kind, err)
	}
	for _, s := range []string{
		"", "ktk_", fixed[4:], fixed[:52], fixed + "0", fixed + "\n", " " + fixed, fixed + "\x00", "Bearer " + fixed, fixed + fixed,
		strings.ToUpper(fixed), strings.ToLower(fixed), strings.Replace(fixed, "0", "\u0660", 1), strings.Replace(fixed, "ktk", "\u212atk", 1),
		"ktk_" + strings.Repeat("0", 44) + "2xs3T9", "ktk_" + strings.Repeat("0", 42) + "4fG8xm", // of another length, with the right checksum
		strings.Replace(fixed, "k_0", "k_00", 1), strings.Replace(fixed, "k_0", "k_", 1), strings.Repeat("0", 53), strings.Repeat("\x00", 53), strings.Repeat("k", 1<<20),
	} {
		notAToken(t, s)
	}
}

// The stored form is pinned: another one would log everybody out.
func TestTheStoredHashOfATokenDoesNotChange(t *testing.T) {
	sum := domain.TokenHash(fixed)
	if got := hex.EncodeToString(sum[:]); got != "d698de2d2c1df1ada9d9e775410094b37e0a14a63101bbe88b170d8349ba9240" {
		t.Errorf("the hash is %s", got)
	}
	if domain.TokenHash(fixed+"0") == sum || domain.TokenHash("") == sum {
		t.Error("two tokens share a hash")
	}
}

func TestATokenIsFoundInEachOfItsForms(t *testing.T) {
	token := domain.NewToken(domain.AccessToken)
	bare := string(token.Reveal())
	dressed := string(domain.DressToken(token, []byte(`{"exp":1}`)).Reveal())
	if n := len(dressed[strings.LastIndexByte(dressed, '.')+1:]); n%4 == 1 {
		t.Errorf("%d characters are no base64", n)
	}
	for form, shown := range map[string]string{"bare": bare, "JWT": dressed, "service token": "st.1." + bare, "service token with key": "st.1." + bare + ".key"} {
		if got := domain.BareToken(shown); got != bare {
			t.Errorf("%s: another token was found", form)
		}
	}
	for _, other := range []string{"", ".", "a.b", "a.b.c", "a.b.sig", "a.b.sig" + bare[:20], "st.1.sig" + bare, "a.b.c.d.e", bare + "." + bare, strings.Repeat(".", 9)} {
		if got := domain.BareToken(other); got != other {
			t.Errorf("%q became something else", other)
		}
	}
}

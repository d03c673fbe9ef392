package access

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestPathsOfPlacesCannotBeMistakenForLogins(t *testing.T) {
	t.Parallel()
	for path, good := range map[string]bool{"approle": true, "team/approle": true, "a.b_c-d": true, "": false, "/a": false, "a/": false, "a//b": false, "login": false, "a/login/b": false,
		"a b": false, "a\x00": false, "..": false, "a/../b": false, strings.Repeat("a", 129): false, "ä": false} {
		if err := checkAuthPath(path); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func FuzzCheckAuthPath(f *testing.F) {
	f.Add("team/approle")
	f.Fuzz(func(t *testing.T, path string) {
		if checkAuthPath(path) == nil && (slices.Contains(strings.Split(path, "/"), "login") || strings.ContainsAny(path, " %?#\x00") || strings.Contains(path, "//")) {
			t.Errorf("%q is taken", path)
		}
	})
}

func TestPlacesOverlapOnlyAtSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{{"a", "a", true}, {"a", "a/b", true}, {"a/b", "a", true}, {"a", "ab", false}, {"a/b", "a/c", false}} {
		if got := overlaps(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestNetworksOfASecretLieInsideThoseOfItsRole(t *testing.T) {
	t.Parallel()
	outer := []string{"10.0.0.0/8", "2001:db8::/32"}
	for text, good := range map[string]bool{"10.1.0.0/16": true, "10.0.0.0/8": true, "10.1.2.3": true, "2001:db8:1::/48": true, "11.0.0.0/8": false, "0.0.0.0/0": false, "10.0.0.0/7": false, "::/0": false, "x": false} {
		if _, err := inside("/cidr_list", []string{text}, outer); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(0, 32).Draw(t, "bits")
		address := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")
		text := ""
		for i, b := range address {
			text += map[bool]string{true: "", false: "."}[i == 0] + strconv.Itoa(int(b))
		}
		text += "/" + strconv.Itoa(bits)
		got, err := inside("/cidr_list", []string{text}, []string{"10.0.0.0/8"})
		if want := bits >= 8 && address[0] == 10; (err == nil) != want {
			t.Fatalf("%s: %v %v", text, got, err)
		}
	})
}

func TestChosenSecretsMustBeHardToGuess(t *testing.T) {
	t.Parallel()
	ours := string(domain.NewToken(domain.ClientSecret).Reveal())
	for text, good := range map[string]bool{"7d2f4c1e-52a9-4d7b-9f0c-b3f6a1d8e045": true, "short": false, strings.Repeat("a", 40): false, "passwordpasswordpasswordpassword1": false,
		"abcdefghijklmnopqrstuvwxyz0123456789": false, ours: false, strings.Repeat("x7Q", 400): false} {
		in := SecretIDInput{Chosen: sensitive.FromString(text)}
		if err := in.check(); (err == nil) != good || err != nil && strings.Contains(fault.As(err).Message, text) {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	a, b := domain.NewID[domain.IdentityID](), domain.NewID[domain.IdentityID]()
	chosen, made := sensitive.FromString("7d2f4c1e-52a9-4d7b-9f0c-b3f6a1d8e045"), sensitive.FromString(ours)
	if secretHash(a, chosen) == secretHash(b, chosen) {
		t.Error("a chosen secret is found at another machine")
	}
	if secretHash(a, made) != domain.TokenHash(ours) {
		t.Error("one of ours is not found by its hash")
	}
}

package domain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// refused fails unless err is a plain "the request is wrong" that does not repeat what was rejected.
func refused(t *testing.T, input string, err error) {
	t.Helper()
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("%q: error %v, want an invalid input", input, err)
		return
	}
	// Shorter ones stand by chance in the example that a message gives.
	if len(input) > 8 && strings.Contains(err.Error(), input) {
		t.Errorf("%q: the message repeats the rejected value: %v", input, err)
	}
}

// hostile is what no name, path or id may hold, whatever else it allows. Each is "prod" or "a" with something added.
var hostile = []string{
	"prod ", " prod", "prod\t", "prod\n", "prod\r\n", "prod\x00", "\x00", "pr\x00od", "prod\u00a0", "prod\u200b", "\ufeffprod",
	"pr\u043ed", "\uff50\uff52\uff4f\uff44", "\u212aey", "prod\u0301", "pro\u202ed", "prod\x7f", "prod\xff", "\xc0\xae\xc0\xae",
	"a\\b", "a%2fb", "a%00", "a;b", "a'b", "a\"b", "a$b", "a`b", "a,b", "a?b", "a#b", "a&b", "a=b", "a|b", "a<b", "a(b",
}

func TestANewIDParsesSortsAndIsNeverUsedAgain(t *testing.T) {
	last := domain.SecretID("")
	for range 1000 {
		id := domain.NewID[domain.SecretID]()
		if got, err := domain.ParseID[domain.SecretID](string(id)); err != nil || got != id {
			t.Fatalf("ParseID(%q) = %q, %v", id, got, err)
		}
		if id <= last {
			t.Fatalf("%s came after %s and does not sort behind it", id, last)
		}
		if id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Fatalf("%s is not a UUIDv7 of RFC 9562", id)
		}
		last = id
	}
}

func TestOnlyTheCanonicalSpellingIsAnID(t *testing.T) {
	const good = "0198c0de-0000-7000-8000-00000000abcd"
	if !domain.IsID(good) {
		t.Fatal("the canonical form is refused")
	}
	bad := append([]string{
		"", strings.ToUpper(good), "{" + good + "}", "urn:uuid:" + good, strings.ReplaceAll(good, "-", ""), good + " ", " " + good,
		good + "\x00", good[:35], good + "0", strings.Replace(good, "a", "\u0430", 1), strings.Replace(good, "a", "g", 1),
		strings.Replace(good, "-", "\u2010", 1), "..", "../" + good, strings.Repeat("0", 1<<20),
	}, hostile...)
	for _, s := range bad {
		id, err := domain.ParseID[domain.ProjectID](s)
		if id != "" || domain.IsID(s) {
			t.Errorf("%.80q is taken for an id", s)
		}
		refused(t, s, err)
	}
}

package rootkey_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/rootkey"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const salt = "c2FsdHNhbHRzYWx0c2FsdA"

// goldenPassphrase is what the reference implementation of Argon2 prints for
//
//	printf 'correct horse battery staple' | argon2 saltsaltsaltsalt -id -t 1 -k 65536 -p 4 -l 32 -r
const goldenPassphrase = "bf163a64755f5405bb67812f9a9f815ff0c581f1dd8dbbcc4a755584e95dd422"

func TestAPassphraseMakesTheSameRootKeyAgain(t *testing.T) {
	const composed, decomposed = "fünf Wörter über Nacht", "fu\u0308nf Wo\u0308rter u\u0308ber Nacht"
	root, kept, err := rootkey.NewPassphrase(t.Context(), sensitive.FromString(composed))
	if err != nil || root.Len() != rootkey.Size {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^\$argon2id\$v=19\$m=262144,t=3,p=4\$[A-Za-z0-9+/]{22}$`).Match(kept) {
		t.Errorf("kept is %s", kept)
	}
	again, err := rootkey.FromPassphrase(t.Context(), sensitive.FromString(decomposed), kept)
	if err != nil || !again.Equal(root) {
		t.Error("the other spelling of ü gives another key", err)
	}
}

// Golden: what a slot has kept must open for ever.
func TestAnOldPassphraseSlotOpens(t *testing.T) {
	kept := []byte("$argon2id$v=19$m=65536,t=1,p=4$" + salt)
	root, err := rootkey.FromPassphrase(t.Context(), sensitive.FromString("correct horse battery staple"), kept)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(root.Reveal()); got != goldenPassphrase {
		t.Errorf("it gives %s", got)
	}
	if other, err := rootkey.FromPassphrase(t.Context(), sensitive.FromString("correct horse battery staplE"), kept); err != nil || other.Equal(root) {
		t.Error("another passphrase gives the same key", err)
	}
}

func TestAWeakPassphraseIsRefused(t *testing.T) {
	for _, phrase := range []string{"", "fifteen letters", strings.Repeat("ü", 15), strings.Repeat("x", 1025), "sixteen letters \xff"} {
		root, kept, err := rootkey.NewPassphrase(t.Context(), sensitive.FromString(phrase))
		if !errors.Is(err, fault.Invalid) || kept != nil || !root.Empty() {
			t.Errorf("%d bytes: %v", len(phrase), err)
		}
	}
}

// Whoever writes the slot chooses the costs, so they must not stop the server.
func TestHostileCostsAreRefusedBeforeTheyCost(t *testing.T) {
	for _, kept := range []string{
		"", "x", "$argon2id$v=19$m=4294967295,t=3,p=4$" + salt, "$argon2id$v=19$m=1048577,t=1,p=4$" + salt, "$argon2id$v=19$m=1048576,t=5,p=4$" + salt,
		"$argon2id$v=19$m=65536,t=4294967295,p=4$" + salt, "$argon2id$v=19$m=65536,t=0,p=4$" + salt, "$argon2id$v=19$m=65536,t=1,p=0$" + salt,
		"$argon2id$v=19$m=65536,t=1,p=255$" + salt, "$argon2id$v=19$m=8,t=1,p=1$" + salt, "$argon2id$v=18$m=65536,t=1,p=4$" + salt,
		"$argon2i$v=19$m=65536,t=1,p=4$" + salt, "$argon2id$v=19$m=65536,t=1,p=4$c2FsdA", "$argon2id$v=19$m=065536,t=1,p=4$" + salt,
		"$argon2id$v=19$m=65536,t=1,p=4$" + salt + " ", "$argon2id$v=19$m=65536,t=1,p=4$" + strings.Repeat("A", 4096),
		"$argon2id$v=19$m=+65536,t=1,p=4$" + salt, "$argon2id$v=19$m=65536,t=1,p=260$" + salt,
	} {
		if _, err := rootkey.FromPassphrase(t.Context(), sensitive.FromString("correct horse battery staple"), []byte(kept)); !errors.Is(err, fault.Invalid) {
			t.Errorf("%.60s: %v", kept, err)
		}
	}
}

func TestAPassphraseIsNotTriedForNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rootkey.FromPassphrase(ctx, sensitive.FromString("correct horse battery staple"), []byte("$argon2id$v=19$m=65536,t=1,p=4$"+salt))
	if !errors.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func FuzzPassphraseKept(f *testing.F) {
	f.Add([]byte("$argon2id$v=19$m=262144,t=3,p=4$" + salt))
	f.Add([]byte("$argon2id$v=19$m=262144,t=3,p=4$"))
	f.Fuzz(func(t *testing.T, kept []byte) {
		text, memory, err := rootkey.ReadPassphraseCost(kept)
		if err == nil && (!bytes.Equal(text, kept) || memory > 1<<20) {
			t.Fatalf("%q is read as %q", kept, text)
		}
	})
}

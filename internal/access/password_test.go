package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func TestAPasswordFitsItsOwnHashOnly(t *testing.T) {
	s := &Service{passwords: make(chan struct{}, 1)}
	right := sensitive.FromString("a long test-value")
	a, err := s.hashPassword(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.hashPassword(t.Context(), right)
	if err != nil || a == b || !strings.HasPrefix(a, fmt.Sprintf("$argon2id$v=19$m=%d,t=3,p=4$", argonMemory)) {
		t.Errorf("%s\n%s %v", a, b, err)
	}
	for password, want := range map[string]bool{"a long test-value": true, "a long test-valuf": false, "": false, "a long test-value ": false} {
		if ok, err := s.checkPassword(t.Context(), a, sensitive.FromString(password)); ok != want || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
	if ok, err := s.checkPassword(t.Context(), "", right); ok || err != nil {
		t.Errorf("nobody's password: %v, %v", ok, err)
	}
}

func TestADamagedHashIsNoWrongPassword(t *testing.T) {
	s := &Service{passwords: make(chan struct{}, 1)}
	for _, stored := range []string{"x", "$argon2i$v=19$m=65536,t=3,p=4$c2FsdA$a2V5", "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$a2V5", "$argon2id$v=19$m=4294967295,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE",
		"$argon2id$v=19$m=65536,t=0,p=0$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE", "$argon2id$v=18$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"} {
		if ok, err := s.checkPassword(t.Context(), stored, sensitive.FromString("a long test-value")); ok || !errors.Is(err, fault.Internal) {
			t.Errorf("%s: %v, %v", stored, ok, err)
		}
	}
}

func TestNewPasswordsHaveBounds(t *testing.T) {
	for password, want := range map[string]bool{
		"": false, "short": false, "eleven byte": false, "a long test-value": true, "tigers eat 7 pens" + strings.Repeat("x", 1007): true, "tigers eat 7 pens" + strings.Repeat("x", 1008): false,
		"aaaaaaaaaaaaaaaa": false, "abcdabcdabcdabcd": false, "abcdeabcdeabcde": false, "password1234": false, "ann.example 2026": false, "with a\x00byte of nothing": false, "not \xff UTF-8 at all": false,
		"прочный пароль": true, "пароль": false,
	} {
		if err := CheckPassword(sensitive.FromString(password), "ann.example@example.test"); (err == nil) != want {
			t.Errorf("%d bytes: %v", len(password), err)
		} else if err != nil && password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("the message repeats it: %v", err)
		}
	}
}

func TestAPasswordTypedOnAnotherKeyboardIsTheSame(t *testing.T) {
	s := &Service{passwords: make(chan struct{}, 1)}
	hash, err := s.hashPassword(t.Context(), sensitive.FromString("ein Schlüssel und\u00a0mehr"))
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"ein Schl\u0075\u0308ssel und mehr": true, "ein Schlussel und mehr": false, "EIN SCHLÜSSEL UND MEHR": false, "ein Schlüssel und mehr\x00": false, "ｅｉｎ Schlüssel und mehr": false} {
		if ok, err := s.checkPassword(t.Context(), hash, sensitive.FromString(password)); ok != want || err != nil {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
}

func TestAWeakerHashIsMadeAnew(t *testing.T) {
	s := &Service{passwords: make(chan struct{}, 1)}
	right := sensitive.FromString("a long test-value")
	hash, err := s.hashPassword(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := s.strengthened(t.Context(), hash, right); fresh != "" || err != nil {
		t.Errorf("%q, %v", fresh, err)
	}
	if fresh, err := s.strengthened(t.Context(), strings.Replace(hash, "t=3", "t=2", 1), right); !strings.HasPrefix(fresh, argonPrefix()) || err != nil {
		t.Errorf("%q, %v", fresh, err)
	}
}

package jwtsecret_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/client/jwtsecret"
)

const (
	older = "test-value-the-older-signing-secret-of-an-app"
	newer = "test-value-the-newer-signing-secret-of-an-app"
)

func secret(t *testing.T, current, previous string) *jwtsecret.Secret {
	t.Helper()
	s, err := jwtsecret.New([]byte(current), []byte(previous))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claims(left time.Duration) map[string]any {
	return map[string]any{"sub": "user-1", "iss": "app", "aud": []string{"web", "api"}, "exp": time.Now().Add(left).Unix()}
}

func TestAChangeLogsNobodyOut(t *testing.T) {
	before, err := secret(t, older, "").Sign(claims(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	overlap := secret(t, newer, older)
	after, err := overlap.Sign(claims(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{before: jwtsecret.Previous, after: jwtsecret.Current} {
		c, by, err := overlap.Verify(token, jwtsecret.Rules{Issuer: "app", Audience: "api"})
		if err != nil || by != want || c["sub"] != "user-1" {
			t.Errorf("by %q, want %q: %v", by, want, err)
		}
	}
	if _, _, err := secret(t, newer, "").Verify(before, jwtsecret.Rules{}); !jwtsecret.Refused(err) {
		t.Errorf("after the overlap: %v", err)
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	s := secret(t, newer, older)
	good, err := s.Sign(claims(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := strings.Split(good, ".")
	enc := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	ended, _ := s.Sign(claims(-time.Hour))
	for name, token := range map[string]string{
		"alg none": enc(`{"alg":"none"}`) + "." + p[1] + ".", "alg none with a signature": enc(`{"alg":"none"}`) + "." + p[1] + "." + p[2],
		"another algorithm": enc(`{"alg":"HS512"}`) + "." + p[1] + "." + p[2], "critical": enc(`{"alg":"HS256","crit":["x"]}`) + "." + p[1] + "." + p[2],
		"ended": ended, "other claims": p[0] + "." + enc(`{"exp":9999999999}`) + "." + p[2], "empty signature": p[0] + "." + p[1] + ".",
		"padded": p[0] + "=." + p[1] + "." + p[2], "two parts": p[0] + "." + p[1], "empty": "", "huge": strings.Repeat("x", 1<<20),
	} {
		if c, _, err := s.Verify(token, jwtsecret.Rules{}); !jwtsecret.Refused(err) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	for _, r := range []jwtsecret.Rules{{Issuer: "other"}, {Audience: "other"}} {
		if _, _, err := s.Verify(good, r); !jwtsecret.Refused(err) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := s.Sign(map[string]any{"sub": "a"}); err == nil {
		t.Error("a token without an end is signed")
	}
	for _, short := range [][2]string{{"test-value", ""}, {newer, "test-value"}} {
		if _, err := jwtsecret.New([]byte(short[0]), []byte(short[1])); err == nil {
			t.Error("a short secret is taken")
		}
	}
}

func TestBothValuesComeFromTheEnvironment(t *testing.T) {
	vars := map[string]string{"JWT_SECRET": newer, "JWT_SECRET_PREVIOUS": older}
	lookup := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	s, err := jwtsecret.FromEnviron(lookup, "JWT_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	token, _ := secret(t, older, "").Sign(claims(time.Minute))
	if _, by, err := s.Verify(token, jwtsecret.Rules{}); err != nil || by != jwtsecret.Previous {
		t.Errorf("%q, %v", by, err)
	}
	if _, err := jwtsecret.FromEnviron(lookup, "OTHER"); err == nil {
		t.Error("a missing variable is taken")
	}
}

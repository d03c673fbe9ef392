package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	directNonce    = "test-value-nonce"
	directRedirect = "http://localhost:8250/oidc/callback"
)

func directKey() sensitive.Value { return sensitive.FromString("test-value-key-of-the-server") }

func begun(t testing.TB, now time.Time) DirectFlow {
	t.Helper()
	f, err := NewDirectFlow(directKey(), "connection", directRedirect, directNonce, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestADirectFlowComesBackToWhoeverBeganIt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f := begun(t, now)
	back, err := OpenDirectFlow(directKey(), f.State(), directNonce, "connection", now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if back.Redirect != directRedirect || back.Nonce() != f.Nonce() || back.Verifier() != f.Verifier() || back.State() != f.State() || string(back.Key()) != string(f.Key()) {
		t.Errorf("%+v", back)
	}
	if strings.Contains(f.State(), f.Nonce()) || strings.Contains(f.State(), f.Verifier()) || strings.Contains(f.State(), directNonce) {
		t.Error("the state tells a secret")
	}
	if g := begun(t, now); g.State() == f.State() || g.Verifier() == f.Verifier() {
		t.Error("two logins are alike")
	}
	for what, open := range map[string]func() (DirectFlow, error){
		"another key": func() (DirectFlow, error) {
			return OpenDirectFlow(sensitive.FromString("test-value-of-another"), f.State(), directNonce, "connection", now)
		},
		"another connection": func() (DirectFlow, error) { return OpenDirectFlow(directKey(), f.State(), directNonce, "other", now) },
		"too late": func() (DirectFlow, error) {
			return OpenDirectFlow(directKey(), f.State(), directNonce, "connection", now.Add(FlowTTL))
		},
		"changed": func() (DirectFlow, error) {
			return OpenDirectFlow(directKey(), "A"+f.State()[1:], directNonce, "connection", now)
		},
		"a cookie": func() (DirectFlow, error) {
			text, err := f.Cookie(directKey())
			if err != nil {
				t.Fatal(err)
			}
			return OpenDirectFlow(directKey(), text, directNonce, "connection", now)
		},
	} {
		if _, err := open(); fault.KindOf(err) != fault.Unauthenticated || errors.Is(err, ErrClientNonce) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := OpenDirectFlow(directKey(), f.State(), "another nonce", "connection", now); !errors.Is(err, ErrClientNonce) {
		t.Errorf("another nonce: %v", err)
	}
}

func FuzzOpenDirectFlow(f *testing.F) {
	now := time.Now()
	f.Add(begun(f, now).State())
	f.Add("")
	f.Add("e30.e30")
	f.Fuzz(func(t *testing.T, state string) {
		got, err := OpenDirectFlow(directKey(), state, directNonce, "connection", now)
		if err != nil {
			return
		}
		// Another process has made it: then it is whole, and good under its key only.
		if got.State() != state || got.Redirect != directRedirect {
			t.Errorf("%q is taken as %+v", state, got)
		}
		if _, err := OpenDirectFlow(sensitive.FromString("test-value-of-another"), state, directNonce, "connection", now); err == nil {
			t.Errorf("%q is good under any key", state)
		}
	})
}

func TestPublicKeysAreReadFromPEM(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	set, algorithms, err := KeySetOfPEM([]string{good})
	if err != nil || len(algorithms) != 1 || algorithms[0] != "ES256" || !strings.Contains(set, `"EC"`) {
		t.Fatalf("%s %v: %v", set, algorithms, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", good + good, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))} {
		if _, _, err := KeySetOfPEM([]string{bad}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := KeySetOfPEM(make([]string, maxPEMKeys+1)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("too many: %v", err)
	}
}

func FuzzKeySetOfPEM(f *testing.F) {
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Add("x")
	f.Fuzz(func(t *testing.T, text string) {
		set, _, err := KeySetOfPEM([]string{text})
		if err != nil {
			return
		}
		if _, err := parseKeys([]byte(set)); err != nil {
			t.Errorf("a key set that cannot be read: %v", err)
		}
	})
}

func TestClaimsThatAreKeptDecideNothing(t *testing.T) {
	t.Parallel()
	r := Rules{Issuer: "i", Audience: []string{"a"}, Bound: Bound{"sub": {"s"}}, Keep: []string{"user", "iss", "missing"}}
	if err := r.check(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	e, err := r.accept(claims{"iss": "i", "aud": "a", "sub": "s", "user": "ann", "exp": float64(now.Add(time.Minute).Unix())}, now)
	if err != nil || e.Attributes["user"] != "ann" || e.Attributes["iss"] != "i" || e.Attributes["missing"] != "" {
		t.Errorf("%+v %v", e, err)
	}
	r.Keep = []string{""}
	if r.check() == nil {
		t.Error("a claim without a name is kept")
	}
}

package login_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/login"
	"github.com/keyturn/keyturn/internal/sensitive"
)

var cookieKey = sensitive.FromString("test-value of thirty-two bytes..")

const connection = "0198c0de-0000-7000-8000-000000000000"

func TestALoginComesBackToTheBrowserThatBeganIt(t *testing.T) {
	now := time.Now()
	f, err := login.NewFlow(connection, challenge, 5000, "abc", now)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := f.Cookie(cookieKey)
	if err != nil {
		t.Fatal(err)
	}
	back, err := login.OpenFlow(cookieKey, cookie, connection, f.State(), now.Add(login.FlowTTL-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if back.Port != 5000 || back.Client != "abc" || back.Challenge != challenge || back.Nonce() != f.Nonce() || back.Verifier() != f.Verifier() || back.RequestID() != f.RequestID() {
		t.Errorf("%+v", back)
	}
	seen := map[string]bool{}
	for _, s := range []string{f.State(), f.Nonce(), f.Verifier(), f.RequestID(), string(f.Key())} {
		if seen[s] || len(s) < 32 {
			t.Errorf("%q is short or used for two purposes", s)
		}
		seen[s] = true
	}

	other, err := login.NewFlow(connection, challenge, 0, "", now)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (login.Flow, error){
		"state of another login": func() (login.Flow, error) { return login.OpenFlow(cookieKey, cookie, connection, other.State(), now) },
		"no state":               func() (login.Flow, error) { return login.OpenFlow(cookieKey, cookie, connection, "", now) },
		"another connection":     func() (login.Flow, error) { return login.OpenFlow(cookieKey, cookie, "other", f.State(), now) },
		"too late": func() (login.Flow, error) {
			return login.OpenFlow(cookieKey, cookie, connection, f.State(), now.Add(login.FlowTTL))
		},
		"before it began": func() (login.Flow, error) {
			return login.OpenFlow(cookieKey, cookie, connection, f.State(), now.Add(-time.Hour))
		},
		"another key": func() (login.Flow, error) {
			return login.OpenFlow(sensitive.FromString("another test-value"), cookie, connection, f.State(), now)
		},
		"a changed cookie": func() (login.Flow, error) {
			return login.OpenFlow(cookieKey, "A"+cookie[1:], connection, f.State(), now)
		},
		"no tag": func() (login.Flow, error) {
			return login.OpenFlow(cookieKey, strings.Split(cookie, ".")[0], connection, f.State(), now)
		},
		"no cookie": func() (login.Flow, error) { return login.OpenFlow(cookieKey, "", connection, f.State(), now) },
		"a long one": func() (login.Flow, error) {
			return login.OpenFlow(cookieKey, strings.Repeat("a", 5000), connection, f.State(), now)
		},
		"a tag at all": func() (login.Flow, error) {
			return login.OpenFlow(cookieKey, strings.Split(cookie, ".")[0]+".", connection, f.State(), now)
		},
	} {
		if _, err := open(); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALoginOutOfBoundsIsNotBegun(t *testing.T) {
	for name, begin := range map[string]func() (login.Flow, error){
		"no challenge":       func() (login.Flow, error) { return login.NewFlow(connection, "", 0, "", time.Now()) },
		"a short challenge":  func() (login.Flow, error) { return login.NewFlow(connection, challenge[1:], 0, "", time.Now()) },
		"another spelling":   func() (login.Flow, error) { return login.NewFlow(connection, challenge[:42]+"N", 0, "", time.Now()) },
		"a port of a system": func() (login.Flow, error) { return login.NewFlow(connection, challenge, 80, "", time.Now()) },
		"no port":            func() (login.Flow, error) { return login.NewFlow(connection, challenge, 70000, "", time.Now()) },
		"a state with lines": func() (login.Flow, error) { return login.NewFlow(connection, challenge, 0, "a\r\nb", time.Now()) },
		"a long state": func() (login.Flow, error) {
			return login.NewFlow(connection, challenge, 0, strings.Repeat("a", 200), time.Now())
		},
	} {
		if _, err := begin(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAVerifierFitsItsChallengeOnly(t *testing.T) {
	if !login.Fits(challenge, verifier) { // RFC 7636, appendix B
		t.Error("the example of the RFC does not fit")
	}
	for _, v := range []string{"", verifier + "A", verifier[:42] + "A", challenge, strings.Repeat("a", 200)} {
		if login.Fits(challenge, v) {
			t.Errorf("%q fits", v)
		}
	}
}

func FuzzOpenFlow(f *testing.F) {
	flow, err := login.NewFlow(connection, challenge, 5000, "abc", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	cookie, err := flow.Cookie(cookieKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cookie)
	f.Add("a.b")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := login.OpenFlow(cookieKey, text, connection, flow.State(), time.Now()); err == nil && text != cookie {
			t.Errorf("%q is taken", text)
		}
	})
}

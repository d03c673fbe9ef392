package rootkey

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// peers has the other end of each wrapper that works over the network.
var peers = map[string]func(*testing.T) *peer{
	"awskms":  newAWSPeer,
	"azurekv": newAzurePeer,
	"gcpkms":  newGCPPeer,
	"transit": newTransitPeer,
}

// notServices are the schemes whose sources speak to no service.
var notServices = []string{"command", "credential", "env", "file", "pkcs11", "tpm"}

// each runs one sentence of the contract against every service, in a world whose time is made up.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, s := range schemes {
		if slices.Contains(notServices, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if peers[s.name] == nil {
				t.Fatal("no peer: every service needs one")
			}
			synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, peers[s.name])) })
		})
	}
}

func TestWrappedRootKeysComeBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.calls
		text := w.wrap()
		if before != 0 || len(text) > maxKeptText || !bytes.HasPrefix(text, []byte(`{"keyturn_wrapped_root":1,"kind":"`+w.wrapper.Kind()+`",`)) {
			t.Errorf("kept is not a small object that begins with its version: %d bytes", len(text))
		}
		if bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(w.root))) {
			t.Error("kept shows the root key")
		}
		w.mustOpen(text, 1)
		if again := w.wrap(); bytes.Equal(again, text) {
			t.Error("wrapping twice gives the same")
		}
		if w.wrapper.Name() != w.uri {
			t.Errorf("it is called %s", w.wrapper.Name())
		}
		for _, secret := range w.planted {
			if strings.Contains(w.wrapper.Name(), secret) || bytes.Contains(text, []byte(secret)) {
				t.Error("a credential is shown")
			}
		}
		again := newWorldOf(w)
		again.mustOpen(text, 1)
	})
}

// newWorldOf is the same place after a restart of the server.
func newWorldOf(w *world) *world {
	again := *w
	again.wrapper = w.open(w.uri)
	return &again
}

func TestAnotherSlotOrInstallationIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		for name, b := range map[string]Binding{
			"slot":    {here.Instance, "0198c2a4-0000-7000-8000-00000000000b"},
			"install": {"0198c2a4-0000-7000-8000-000000000002", here.Slot},
			"swapped": {here.Slot, here.Instance},
			"moved":   {here.Instance + here.Slot[:1], here.Slot[1:]},
		} {
			_, err := w.wrapper.Unwrap(context.Background(), b, text)
			w.mustFail(name, err, fault.Invalid)
		}
		w.calls = 0
		for name, b := range map[string]Binding{
			"empty": {}, "half": {here.Instance, ""}, "long": {strings.Repeat("a", 129), "b"}, "line end": {"a\nb", "c"}, "unicode": {"a", "ü"},
		} {
			_, err := w.wrapper.Unwrap(context.Background(), b, text)
			w.mustFail(name, err, fault.Invalid)
			_, err = w.wrapper.Wrap(context.Background(), b, sensitive.New(random(Size)))
			w.mustFail(name, err, fault.Invalid)
		}
		if w.calls != 0 {
			t.Error("a binding that is none was sent")
		}
	})
}

func TestWhatAnotherKeyMadeIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		other := w.open(w.otherURI)
		_, err := other.Unwrap(context.Background(), here, text)
		w.mustFail("another key", err, fault.Invalid)
		if w.calls != 0 {
			t.Error("it was sent to a key that did not make it")
		}
		k, err := parseKept(w.wrapper.Kind(), text)
		if err != nil {
			t.Fatal(err)
		}
		w.swapped(&k)
		forged, err := k.text()
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.Unwrap(context.Background(), here, forged)
		w.mustFail("a forged name", err, fault.Invalid)
		if w.calls != 1 {
			t.Errorf("%d calls", w.calls)
		}
	})
}

func TestChangedCiphertextsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		k, err := parseKept(w.wrapper.Kind(), text)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []*[]byte{&k.Wrapped, &k.Sealed, &k.Check} {
			honest := *part
			for i := 0; i < len(honest); i += max(1, len(honest)/24) {
				for _, bit := range []byte{1, 0x80} {
					*part = bytes.Clone(honest)
					(*part)[i] ^= bit
					forged, err := k.text()
					if err != nil {
						t.Fatal(err)
					}
					w.mustFail("a flipped bit", w.unwrap(forged), fault.Invalid, fault.Internal)
				}
			}
			for _, n := range []int{0, 1, len(honest) / 2, len(honest) - 1} {
				if n < 0 || n >= len(honest) {
					continue
				}
				*part = honest[:n]
				forged, err := k.text()
				if err != nil {
					t.Fatal(err)
				}
				w.mustFail("a part cut short", w.unwrap(forged), fault.Invalid)
			}
			*part = honest
		}
	})
}

func TestWhatWasNotKeptIsNotSent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := string(w.wrap())
		bad := map[string]string{
			"empty": "", "no object": "[]", "foreign": `{"keyturn_wrapped_root":1}`, "binary": string(random(64)),
			"too long":        text[:len(text)-1] + strings.Repeat(" ", maxKeptText) + "}",
			"a later version": strings.Replace(text, `root":1`, `root":2`, 1),
			"another kind":    strings.Replace(text, `"kind":"`, `"kind":"x`, 1),
			"spaces":          " " + text,
			"another order":   `{"kind":"` + w.wrapper.Kind() + `",` + strings.Replace(text[1:], `"kind":"`+w.wrapper.Kind()+`",`, "", 1),
			"a member more":   text[:len(text)-1] + `,"x":1}`,
			"a member twice":  text[:len(text)-1] + `,"kind":"x"}`,
			"two objects":     text + text,
			"another key":     strings.Replace(text, `"key":"`, `"key":"x`, 1),
		}
		for i := 0; i < len(text); i += 7 {
			bad["cut at "+string(rune('a'+i%26))+text[:i]] = text[:i]
		}
		for name, forged := range bad {
			w.mustFail(name[:min(len(name), 20)], w.unwrap([]byte(forged)), fault.Invalid)
		}
		for _, n := range []int{0, Size - 1, Size + 1, 1 << 20} {
			_, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(make([]byte, n)))
			w.mustFail("no root key", err, fault.Invalid)
		}
		if w.calls != 0 {
			t.Errorf("%d calls", w.calls)
		}
		w.mustOpen([]byte(text), 1)
	})
}

func TestASlowServiceIsAway(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		w.always = silent
		for name, limit := range map[string]time.Duration{"the caller's deadline": 3 * time.Second, "our own": time.Hour} {
			w.calls = 0
			start := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			_, err := w.wrapper.Unwrap(ctx, here, text)
			cancel()
			w.mustFail(name, err, fault.Unavailable)
			if took := time.Since(start); took != min(limit, callTimeout) || w.calls != 1 {
				t.Errorf("%s: %v and %d calls", name, took, w.calls)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err := w.wrapper.Wrap(ctx, here, sensitive.New(bytes.Clone(w.root)))
		w.mustFail("cancelled", err, fault.Unavailable)
	})
}

func TestThrottlingIsWaitedForUpToALimit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		start := time.Now()
		w.script = []step{status(429, "Retry-After", "2"), status(503, "Retry-After", time.Now().Add(5*time.Second).UTC().Format(http.TimeFormat))}
		w.mustOpen(text, 3)
		if took := time.Since(start); took < 5*time.Second || took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		w.calls, start = 0, time.Now()
		w.script = []step{status(429, "Retry-After", "3600")}
		err := w.unwrap(text)
		w.mustFail("an hour", err, fault.Unavailable)
		if w.calls != 1 || time.Since(start) != 0 || fault.As(err).RetryAfter != time.Hour {
			t.Errorf("%d calls, %v, retry after %v", w.calls, time.Since(start), fault.As(err).RetryAfter)
		}
		// Where the caller's deadline comes before the next try, nobody waits for it.
		w.calls = 0
		w.script = []step{status(429, "Retry-After", "4")}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, err = w.wrapper.Unwrap(ctx, here, text)
		w.mustFail("a deadline before the next try", err, fault.Unavailable)
		if ctx.Err() != nil || w.calls != 1 {
			t.Error("it waited in vain")
		}
	})
}

func TestFailuresOfTheServiceAreTriedAgainThreeTimesInAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		for name, failure := range map[string]step{"500": status(500), "502": status(502), "503": status(503), "429": status(429), "cut": cut} {
			w.script, w.always = []step{failure}, nil
			w.mustOpen(text, 2)
			w.script = []step{failure, failure}
			w.mustOpen(text, 3)
			w.calls, w.script, w.always = 0, nil, failure
			start := time.Now()
			w.mustFail(name, w.unwrap(text), fault.Unavailable)
			if w.calls != maxTries || time.Since(start) > 2*time.Second || time.Since(start) < firstBackOff {
				t.Errorf("%s: %d calls in %v", name, w.calls, time.Since(start))
			}
			w.calls = 0
			_, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
			w.mustFail(name, err, fault.Unavailable)
			if w.calls != maxTries {
				t.Errorf("%s: %d calls to wrap", name, w.calls)
			}
		}
	})
}

func TestRefusalsAreNotTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		for _, code := range []int{401, 403, 404, 405, 409, 413, 418} {
			w.calls, w.always = 0, status(code)
			w.mustFail(http.StatusText(code), w.unwrap(text), fault.Denied)
			if w.calls != 1 {
				t.Errorf("%d: %d calls", code, w.calls)
			}
			_, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
			w.mustFail(http.StatusText(code), err, fault.Denied)
		}
		w.always = nil
		w.mustOpen(text, 1)
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		for _, code := range []int{301, 302, 307, 308} {
			w.calls, w.always = 0, status(code, "Location", "https://evil.example.net/") // a call there fails the test
			w.mustFail("redirect", w.unwrap(text), fault.Unavailable)
			if w.calls != 1 {
				t.Errorf("%d calls", w.calls)
			}
		}
	})
}

func TestLiesAreDefects(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		for name, change := range w.unwrapLies {
			w.always = lie(change)
			w.mustFail("unwrap: "+name, w.unwrap(text), fault.Internal)
		}
		for name, change := range w.wrapLies {
			w.always = lie(change)
			_, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
			w.mustFail("wrap: "+name, err, fault.Internal)
		}
		for name, body := range map[string]string{
			"nothing": "", "no JSON": "<html>", "a list": "[]", "cut": `{"a":`, "twice": `{"a":1,"a":2}`,
			"null": "null", "an empty object": "{}",
		} {
			w.calls, w.always = 0, said(body)
			w.mustFail(name, w.unwrap(text), fault.Internal)
			_, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
			w.mustFail(name, err, fault.Internal)
			if w.calls != 2 {
				t.Errorf("%s: a lie was asked for again", name)
			}
		}
		w.calls, w.always = 0, said(`{"x":"`+strings.Repeat("a", 1<<22)+`"}`)
		w.mustFail("huge", w.unwrap(text), fault.Internal)
		w.always = nil
		w.mustOpen(text, 1)
	})
}

func TestWithoutCredentialsNothingIsSent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := w.wrap()
		w.withoutCredentials()
		w.mustFail("no credentials", w.unwrap(text), fault.Denied, fault.Unavailable)
		if w.calls != 0 {
			t.Errorf("%d calls", w.calls)
		}
	})
}

package migrate

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// serveAny answers every path with a text.
func serveAny(t *testing.T, answer func(path string) string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, answer(r.URL.Path)) // the client may be gone
	}))
	t.Cleanup(s.Close)
	return s
}

// serve answers known paths, the first one with its own text, and fails the test for others.
func serve(t *testing.T, one string, others map[string]string, path string) *httptest.Server {
	t.Helper()
	return serveAny(t, func(p string) string {
		if p == path {
			return one
		}
		text, ok := others[p]
		if !ok {
			t.Errorf("asked for %s", p)
		}
		return text
	})
}

func testSource(t *testing.T, h http.HandlerFunc) (*source, *[]time.Duration) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s, err := newSource("Test", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.header.Set("X-Vault-Token", "test-value")
	var waits []time.Duration
	s.wait = func(ctx context.Context, d time.Duration) error {
		waits = append(waits, d)
		return ctx.Err()
	}
	return s, &waits
}

func TestASourceThatAsksForPatienceGetsIt(t *testing.T) {
	tries := 0
	s, waits := testSource(t, func(w http.ResponseWriter, _ *http.Request) {
		switch tries++; tries {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			w.Header().Set("Content-Length", "100") // and then it breaks off
			_, _ = io.WriteString(w, "{")
		default:
			_, _ = io.WriteString(w, "{}")
		}
	})
	a, err := s.get(t.Context(), "/x", nil)
	if err != nil || a.status != http.StatusOK || len(*waits) != 3 || (*waits)[0] != 7*time.Second {
		t.Errorf("%v %v after waits of %v", a.status, err, *waits)
	}
	s, waits = testSource(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	_, err = s.get(t.Context(), "/x", nil)
	refusedAs(t, err, fault.Unavailable, "503")
	if len(*waits) != maxTries-1 {
		t.Errorf("%d waits", len(*waits))
	}
	s, waits = testSource(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	_, err = s.get(t.Context(), "/x", nil)
	refusedAs(t, err, fault.Unavailable, "429")
	if len(*waits) != 0 {
		t.Error("it waits for a day")
	}
}

// A redirect within the host is followed; one to another host, port or scheme would carry the token there and is not.
func TestTheTokenIsNotCarriedElsewhere(t *testing.T) {
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	s, _ := testSource(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/near":
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		case "/there":
			_, _ = io.WriteString(w, "{}")
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/secure":
			http.Redirect(w, r, "https://"+r.Host+"/there", http.StatusMovedPermanently)
		default:
			http.Redirect(w, r, thief.URL+"/x", http.StatusTemporaryRedirect)
		}
	})
	if a, err := s.get(t.Context(), "/near", nil); err != nil || a.status != http.StatusOK {
		t.Errorf("a redirect within the host: %v %v", a.status, err)
	}
	for _, path := range []string{"/far", "/loop", "/secure"} {
		_, err := s.get(t.Context(), path, nil)
		refusedAs(t, err, fault.Denied, "elsewhere")
	}
	if stolen.Load() != 0 {
		t.Error("the other host was asked")
	}
}

func TestAnEndlessAnswerEnds(t *testing.T) {
	s, _ := testSource(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for range 1 << 10 { // a gigabyte
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := s.get(t.Context(), "/x", nil)
	refusedAs(t, err, fault.Exhausted, "MiB")
}

func TestAnswersThatAreNotWhatTheySayAreRefused(t *testing.T) {
	for _, body := range []string{"", "<html>test-value</html>", `{"data": "test-value"}`, `{"data":{"a/":{"type":"kv"},"a/":{"type":"kv"}}}`, "{\"data\":{\"\xff/\":{}}}", `{"data":{}} more`, strings.Repeat("[", 100_000)} {
		s := serveAny(t, func(string) string { return body })
		_, err := Vault(t.Context(), VaultAccess{Address: s.URL, Token: text("x")}, Options{Env: "prod"})
		refusedAs(t, err, fault.Unavailable, "is not what")
	}
}

func TestAddressesOfSourcesAreChecked(t *testing.T) {
	for _, bad := range []string{"", "vault", "ftp://x", "http://", "http://user:test-value@x", "https://x?token=test-value", "https://x#y", "http://x\n"} {
		_, err := newSource("Vault", bad, nil)
		refusedAs(t, err, fault.Invalid, "address")
	}
	if _, err := newSource("Vault", "https://x", []byte("no certificate")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	s, err := newSource("Vault", "http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.wait = func(context.Context, time.Duration) error { return nil }
	_, err = s.get(t.Context(), "/v1/x", url.Values{"list": {"true"}})
	refusedAs(t, err, fault.Unavailable, "does not answer")
}

func TestWorkEndsWithTheFirstError(t *testing.T) {
	var done atomic.Int64
	err := each(t.Context(), 10_000, func(_ context.Context, i int) error {
		done.Add(1)
		if i == 3 {
			return fault.New(fault.Denied, "no")
		}
		return nil
	})
	if fault.KindOf(err) != fault.Denied || done.Load() == 10_000 {
		t.Errorf("%v after %d", err, done.Load())
	}
	if err := each(t.Context(), 0, nil); err != nil {
		t.Error(err)
	}
}

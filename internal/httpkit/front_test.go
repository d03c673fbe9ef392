package httpkit

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
)

// silent keeps what a test provokes out of its output and gives it.
func silent(t *testing.T) *strings.Builder {
	t.Helper()
	var out strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &out
}

func TestAPanicBeforeTheAnswerIsAnInternalFault(t *testing.T) {
	log := silent(t)
	w := httptest.NewRecorder()
	Front(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a test-value in the panic") })).ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"internal"`) || strings.Contains(w.Body.String(), "test-value") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if id := w.Header().Get("X-Request-Id"); id == "" || !strings.Contains(log.String(), id) || strings.Contains(log.String(), "a test-value") {
		t.Errorf("the log says: %s", log)
	}
}

func TestAPanicInAnAnswerCutsItOff(t *testing.T) {
	silent(t)
	s := httptest.NewServer(Front(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"half":`)
		_ = http.NewResponseController(w).Flush()
		panic("a test-value")
	})))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != `{"half":` || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", body, err)
	}
}

func TestAHandlerMayAbort(t *testing.T) {
	log := silent(t)
	s := httptest.NewServer(Front(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
	defer s.Close()
	if resp, err := http.Get(s.URL); err == nil {
		_ = resp.Body.Close()
		t.Errorf("status %d for an aborted answer", resp.StatusCode)
	}
	if log.Len() > 0 {
		t.Errorf("%s", log)
	}
}

func TestBearerTakesOneForm(t *testing.T) {
	for header, want := range map[string]string{"": "", "Bearer x": "x", "bearer x": "x", "BEARER " + strings.Repeat("x", 4096): strings.Repeat("x", 4096)} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got, err := Bearer(r); got != want || err != nil {
			t.Errorf("%.20q: %.20q, %v", header, got, err)
		}
	}
	for _, header := range []string{"x", "Bearer", "Bearer ", "Basic x", "Bearer " + strings.Repeat("x", 4097), "Bearerx y"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got, err := Bearer(r); !errors.Is(err, fault.Unauthenticated) || got != "" {
			t.Errorf("%.20q: %q, %v", header, got, err)
		}
	}
}

func TestDirectMeansThisMachineAndNoProxy(t *testing.T) {
	for _, c := range []struct {
		remote, host, header string
		want                 bool
	}{
		{"127.0.0.1:5", "127.0.0.1:8420", "", true}, {"[::1]:5", "localhost", "", true}, {"[::1]:5", "[::1]:8420", "", true}, {"127.8.8.8:5", "localhost:1", "", true},
		{"192.0.2.1:5", "127.0.0.1", "", false}, {"127.0.0.1:5", "keyturn.example.test", "", false}, {"127.0.0.1:5", "localhost.example.test", "", false}, {"127.0.0.1:5", "", "", false},
		{"127.0.0.1:5", "localhost", "X-Forwarded-For", false}, {"127.0.0.1:5", "localhost", "Forwarded", false}, {"127.0.0.1:5", "localhost", "Origin", false}, {"127.0.0.1:5", "localhost", "Via", false},
		{"@", "localhost", "", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = c.remote, c.host
		if c.header != "" {
			r.Header.Set(c.header, "127.0.0.1")
		}
		if got := Direct(r); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestEveryKindHasStatusAndTitle(t *testing.T) {
	silent(t)
	kinds := []fault.Kind{fault.Invalid, fault.Unauthenticated, fault.Denied, fault.NotFound, fault.Exists, fault.Conflict, fault.Expired, fault.Exhausted, fault.Sealed, fault.Unavailable, fault.Unsupported, fault.Internal}
	if len(kinds) != len(statuses) || len(kinds) != len(titles) {
		t.Errorf("%d kinds, %d statuses, %d titles", len(kinds), len(statuses), len(titles))
	}
	for _, k := range kinds {
		w := httptest.NewRecorder()
		WriteError(w, httptest.NewRequest("GET", "/", nil), fault.Wrap(k, errors.New("a test-value in the cause"), "the message"))
		if w.Code < 400 || titles[k] == "" || !strings.Contains(w.Body.String(), `"the message"`) || strings.Contains(w.Body.String(), "test-value") {
			t.Errorf("%s: %d %s", k, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	WriteError(w, httptest.NewRequest("GET", "/", nil), errors.New("a test-value of a foreign error"))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "test-value") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

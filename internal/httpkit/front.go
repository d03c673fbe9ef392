package httpkit

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// Bounds of the front. They hold before anybody is authenticated.
const (
	MaxHeader         = 16 << 10         // bytes of all header fields together
	ReadHeaderTimeout = 5 * time.Second  // a slow header holds a connection, nothing else
	ReadTimeout       = 60 * time.Second // a body of the largest import over a slow line
	IdleTimeout       = 2 * time.Minute
	maxAgent          = 200 // bytes of a client's name that the log keeps
	maxTarget         = 4 << 10
	maxBearer         = 4 << 10 // bytes of a token, in the longest of its forms
)

type requestKey struct{}

// RequestID gives the id that ties answer and logs together.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// Shape says how faults look below a prefix of the path: a foreign dialect has a shape of its own.
type Shape struct {
	Prefix string
	Write  func(w http.ResponseWriter, r *http.Request, err error)
}

// Front wraps everything that is served: request ids, refusal of ambiguous framing, headers that every answer carries,
// recovery. An unfinished answer of a panicking handler is cut off, never completed with something else.
func Front(next http.Handler, shapes ...Shape) http.Handler {
	refuse := func(w http.ResponseWriter, r *http.Request, err error) {
		for _, s := range shapes {
			if strings.HasPrefix(r.URL.Path, s.Prefix) {
				s.Write(w, r, err)
				return
			}
		}
		WriteError(w, r, err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := uuid.Must(uuid.NewV7()).String()
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		h := w.Header()
		h["Cache-Control"] = noStore
		h["X-Content-Type-Options"] = noSniff
		h["X-Request-Id"] = []string{id}
		answer := &answer{ResponseWriter: w}
		w = answer
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler {
				// The type of the panic only: its text might hold a value.
				slog.Error("handler panicked", "request", id, "method", r.Method, "route", r.Pattern, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			}
			if p == http.ErrAbortHandler || answer.begun {
				panic(http.ErrAbortHandler) // the server cuts the connection and says nothing more
			}
			refuse(w, r, fault.New(fault.Internal, "something went wrong inside the server"))
		}()
		if err := framing(r); err != nil {
			h.Set("Connection", "close")
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answer remembers whether something was sent.
type answer struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// framing refuses requests that two programs in a row could read differently. Go drops the length of a request that is
// chunked as well, so chunked requests are refused altogether.
func framing(r *http.Request) error {
	switch {
	case len(r.TransferEncoding) > 0:
		return fault.New(fault.Invalid, "chunked request bodies are not taken").WithHint("send Content-Length")
	case len(r.RequestURI) > maxTarget:
		return fault.New(fault.Invalid, "the address is too long: at most %d bytes", maxTarget)
	case strings.Contains(r.URL.Path, "//"), strings.Contains(r.URL.Path, "/../"), strings.Contains(r.URL.Path, "/./"),
		strings.HasSuffix(r.URL.Path, "/.."), strings.HasSuffix(r.URL.Path, "/."):
		return fault.New(fault.Invalid, "the path is not canonical")
	case r.Method == http.MethodTrace, r.Method == http.MethodConnect:
		return fault.New(fault.Unsupported, "this method is not taken")
	case len(r.Header["Content-Length"]) > 1, len(r.Header["Authorization"]) > 1, len(r.Header["Content-Type"]) > 1:
		return fault.New(fault.Invalid, "a header field stands there twice")
	}
	return nil
}

// Bearer gives the token of a request, "" when there is none.
func Bearer(r *http.Request) (string, error) {
	v := r.Header.Get("Authorization")
	if v == "" {
		return "", nil
	}
	scheme, token, ok := strings.Cut(v, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxBearer {
		return "", fault.New(fault.Unauthenticated, "the Authorization header is not a bearer token").WithHint("send Authorization: Bearer TOKEN")
	}
	return domain.BareToken(token), nil
}

// Address gives the client's address without its port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Agent gives what the client calls itself, cut short.
func Agent(r *http.Request) string {
	a := r.UserAgent()
	if len(a) > maxAgent {
		a = a[:maxAgent]
	}
	return a
}

// Direct tells whether the request came from this very machine, addressed as such and through no proxy, so that neither a
// proxy in front nor a page in a browser (by DNS rebinding) can pass for somebody who sits here.
func Direct(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via", "Origin"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	here := host == "localhost" || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
	return here && net.ParseIP(Address(r)).IsLoopback()
}

package vault

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// shaped is a failure whose status and words clients depend on.
type shaped struct {
	status   int
	messages []string
	cause    error
}

// Error implements error.
func (s *shaped) Error() string {
	if len(s.messages) > 0 {
		return s.messages[0]
	}
	return http.StatusText(s.status)
}

// Unwrap gives the cause.
func (s *shaped) Unwrap() error { return s.cause }

// bad is a 400 with the words of the original.
func bad(message string) error {
	return &shaped{status: http.StatusBadRequest, messages: []string{message}}
}

// nothing is a 404 without words: there is nothing at the path.
func nothing(*call) error { return &shaped{status: http.StatusNotFound} }

// unsupported is what a verb gets that a path does not have.
func unsupported() error {
	return &shaped{status: http.StatusMethodNotAllowed, messages: []string{"1 error occurred:\n\t* unsupported operation\n\n"}}
}

func noToken() error {
	return fault.New(fault.Unauthenticated, "a token is needed: X-Vault-Token")
}

// denied are the words that the lifetime watcher of the Go client looks for.
const denied = "permission denied"

// statuses maps kinds of faults to the dialect.
var statuses = map[fault.Kind]int{
	fault.Invalid: http.StatusBadRequest, fault.Unauthenticated: http.StatusForbidden, fault.Denied: http.StatusForbidden, fault.NotFound: http.StatusNotFound,
	fault.Exists: http.StatusBadRequest, fault.Conflict: http.StatusBadRequest, fault.Expired: http.StatusBadRequest, fault.Exhausted: http.StatusTooManyRequests,
	fault.Sealed: http.StatusServiceUnavailable, fault.Unavailable: http.StatusServiceUnavailable, fault.Unsupported: http.StatusBadRequest,
	fault.Internal: http.StatusInternalServerError,
}

// fail answers with an error of the dialect. The cause goes to the log, tied to the answer by the request id.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	status, messages := 0, []string{}
	if s, ok := errors.AsType[*shaped](err); ok {
		status, messages = s.status, append(messages, s.messages...)
	} else {
		f := fault.As(err)
		status = statuses[f.Kind]
		if httpkit.TooLarge(err) {
			status = http.StatusRequestEntityTooLarge
		}
		switch {
		case f.Kind == fault.Unauthenticated:
			messages = append(messages, denied)
		case f.Kind == fault.Denied:
			messages = append(messages, "1 error occurred:\n\t* "+denied+"\n\n")
		case f.Kind == fault.NotFound: // most clients tell "nothing there" by a 404 without words
		case f.Kind == fault.Sealed:
			messages = append(messages, "Vault is sealed")
		case status == 0 || status == http.StatusInternalServerError:
			status, messages = http.StatusInternalServerError, append(messages, "internal error")
		default:
			messages = append(messages, httpkit.Sentence(f))
		}
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds()+0.999)))
		}
	}
	if status >= http.StatusInternalServerError {
		slog.Error("request failed", "request", httpkit.RequestID(r.Context()), "method", r.Method, "dialect", Dialect, "error", err)
	}
	body, err := json.Marshal(struct {
		Errors []string `json:"errors"`
	}{messages})
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":["internal error"]}`)
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

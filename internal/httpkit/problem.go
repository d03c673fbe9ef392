// Package httpkit holds the HTTP manners that all surfaces share: the strict front, strict JSON, problem bodies, request
// ids, who is calling. It holds no rules of the product.
package httpkit

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
)

// statuses maps kinds of faults to HTTP. No other place of the native API knows status codes.
var statuses = map[fault.Kind]int{
	fault.Invalid: http.StatusBadRequest, fault.Unauthenticated: http.StatusUnauthorized, fault.Denied: http.StatusForbidden,
	fault.NotFound: http.StatusNotFound, fault.Exists: http.StatusConflict, fault.Conflict: http.StatusConflict,
	fault.Expired: http.StatusGone, fault.Exhausted: http.StatusTooManyRequests, fault.Sealed: http.StatusServiceUnavailable,
	fault.Unavailable: http.StatusServiceUnavailable, fault.Unsupported: http.StatusNotImplemented, fault.Internal: http.StatusInternalServerError,
}

var titles = map[fault.Kind]string{
	fault.Invalid: "The request is not valid", fault.Unauthenticated: "Who are you?", fault.Denied: "You may not do this",
	fault.NotFound: "Not found", fault.Exists: "Exists already", fault.Conflict: "Changed meanwhile", fault.Expired: "Expired",
	fault.Exhausted: "Too much", fault.Sealed: "The server is sealed", fault.Unavailable: "Not available now",
	fault.Unsupported: "Not supported", fault.Internal: "A defect of the server",
}

// Status tells the HTTP status of a kind.
func Status(k fault.Kind) int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// WriteError answers with a problem body. The cause goes to the log, tied to the answer by the request id.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.As(err)
	status := Status(f.Kind)
	id := RequestID(r.Context())
	if status >= 500 && f.Kind != fault.Unsupported {
		slog.Error("request failed", "request", id, "method", r.Method, "route", r.Pattern, "kind", f.Kind, "error", err)
	}
	p := api.Problem{Type: "https://keyturn.dev/docs/reference/errors#" + string(f.Kind), Title: titles[f.Kind], Status: status,
		Detail: f.Message, Kind: string(f.Kind), Hint: f.Hint, Reason: f.Reason, Instance: id}
	for _, field := range f.Fields {
		p.Fields = append(p.Fields, api.FieldProblem(field))
	}
	body, err := json.Marshal(p)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"status":500,"kind":"internal"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if status == http.StatusUnauthorized {
		challenge := `Bearer realm="keyturn"`
		if f.Reason == fault.ReasonReprove { // RFC 9470: the token is good, but not for this
			challenge += `, error="insufficient_user_authentication"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds()+0.999)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

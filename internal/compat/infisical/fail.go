package infisical

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// manner is how the dialect tells a kind of fault.
type manner struct {
	status int
	name   string
}

var manners = map[fault.Kind]manner{
	fault.Invalid: {http.StatusBadRequest, "BadRequest"}, fault.Unauthenticated: {http.StatusUnauthorized, "UnauthorizedError"},
	fault.Denied: {http.StatusForbidden, "PermissionDenied"}, fault.NotFound: {http.StatusNotFound, "NotFound"}, fault.Exists: {http.StatusBadRequest, "BadRequest"},
	fault.Conflict: {http.StatusBadRequest, "BadRequest"}, fault.Expired: {http.StatusUnauthorized, "TokenError"}, fault.Exhausted: {http.StatusTooManyRequests, "RateLimitError"},
	fault.Sealed: {http.StatusServiceUnavailable, "InternalServerError"}, fault.Unavailable: {http.StatusServiceUnavailable, "InternalServerError"},
	fault.Unsupported: {http.StatusBadRequest, "BadRequest"}, fault.Internal: {http.StatusInternalServerError, "InternalServerError"},
}

// issue is one line of a 422: what is wrong with which part of the request.
type issue struct {
	Code    string   `json:"code"`
	Path    []string `json:"path"`
	Message string   `json:"message"`
}

// problem is the body of every failure. Clients act on status and message; of a 422 the message is a list.
type problem struct {
	ReqID      string `json:"reqId"`
	StatusCode int    `json:"statusCode"`
	Message    any    `json:"message"`
	Error      string `json:"error"`
	Details    []any  `json:"details,omitempty"`
	Context    any    `json:"context,omitempty"` // words that some clients act on
}

// fail answers with an error of the dialect. The cause goes to the log, tied to the answer by the request id.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.As(err)
	m, ok := manners[f.Kind]
	if !ok {
		m = manners[fault.Internal]
	}
	p := problem{ReqID: httpkit.RequestID(r.Context()), StatusCode: m.status, Message: httpkit.Sentence(f), Error: m.name}
	switch {
	case httpkit.TooLarge(err):
		p.StatusCode = http.StatusRequestEntityTooLarge
	case f.Kind == fault.Invalid && len(f.Fields) > 0:
		issues := []issue{}
		for _, field := range f.Fields {
			issues = append(issues, issue{"custom", []string{trimSlash(field.Where)}, f.Message + ": " + field.Problem})
		}
		p.StatusCode, p.Error, p.Message = http.StatusUnprocessableEntity, "ValidationFailure", issues
	case f.Kind == fault.Internal:
		p.Message = "something went wrong inside the server"
	}
	if p.StatusCode >= http.StatusInternalServerError {
		slog.Error("request failed", "request", p.ReqID, "method", r.Method, "dialect", Dialect, "kind", f.Kind, "error", err)
	}
	if c, ok := errors.AsType[codeFault](err); ok {
		p.Context = c.context()
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds()+0.999)))
	}
	body, err := json.Marshal(p)
	if err != nil {
		p.StatusCode, body = http.StatusInternalServerError, []byte(`{"statusCode":500,"message":"internal","error":"InternalServerError"}`)
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(p.StatusCode)
	_, _ = w.Write(body)
}

func trimSlash(s string) string {
	if s != "" && s[0] == '/' {
		return s[1:]
	}
	return s
}

// Package scim speaks SCIM 2.0 (RFC 7643, RFC 7644), by which directories such as Okta and Entra ID keep people and groups here.
// It translates and holds no rules: what a directory may do is decided by the service of access. Filters are eq and and, which
// is what directories ask; attributes that nothing here has a use for are taken and forgotten.
package scim

import (
	"context"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// Prefix is where the protocol lives.
const Prefix = "/scim/v2"

const (
	// maxBody has room for a group with all its members, in bytes.
	maxBody = 4 << 20
	// defaultPage and maxPage bound what one list holds.
	defaultPage = 100
	maxPage     = 500
	mediaType   = "application/scim+json"
)

// Names of schemas and messages.
const (
	schemaUser   = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaGroup  = "urn:ietf:params:scim:schemas:core:2.0:Group"
	messageList  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	messageError = "urn:ietf:params:scim:api:messages:2.0:Error"
)

// Surface serves the protocol.
type Surface struct{ access *access.Service }

// New builds the surface.
func New(a *access.Service) *Surface { return &Surface{a} }

// handler is one route; a nil body answers 204.
type handler func(ctx context.Context, r *http.Request) (status int, body any, err error)

// Register puts the routes into a mux.
func (s *Surface) Register(mux *http.ServeMux) {
	for pattern, h := range map[string]handler{
		"GET /ServiceProviderConfig": s.static(providerConfig),
		"GET /ResourceTypes":         s.static(list(len(resourceTypes), 1, resourceTypes)),
		"GET /Schemas":               s.static(list(len(schemas), 1, schemas)),
		"GET /Users":                 s.listUsers,
		"POST /Users":                s.createUser,
		"GET /Users/{id}":            s.getUser,
		"PUT /Users/{id}":            s.putUser,
		"PATCH /Users/{id}":          s.patchUser,
		"DELETE /Users/{id}":         s.deleteUser,
		"GET /Groups":                s.listGroups,
		"POST /Groups":               s.createGroup,
		"GET /Groups/{id}":           s.getGroup,
		"PUT /Groups/{id}":           s.putGroup,
		"PATCH /Groups/{id}":         s.patchGroup,
		"DELETE /Groups/{id}":        s.deleteGroup,
		"GET /ResourceTypes/{name}":  s.named(resourceTypes, "name"),
		"GET /Schemas/{name}":        s.named(schemas, "id"),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" "+Prefix+path, s.serve(h))
	}
	mux.Handle(Prefix+"/", s.serve(func(context.Context, *http.Request) (int, any, error) {
		return 0, nil, fault.New(fault.NotFound, "no such endpoint")
	}))
}

// serve finds out who calls and writes answers in the manner of the protocol.
func (s *Surface) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: httpkit.Address(r), Agent: httpkit.Agent(r),
			Request: httpkit.RequestID(r.Context()), Dialect: "scim"}
		ctx := guard.WithCaller(r.Context(), caller)
		status, body, err := 0, any(nil), s.identify(ctx, r, caller)
		if err == nil {
			status, body, err = h(ctx, r)
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		write(w, status, body)
	})
}

func (s *Surface) identify(ctx context.Context, r *http.Request, caller *guard.Caller) error {
	token, err := httpkit.Bearer(r)
	if err == nil && token == "" {
		err = fault.New(fault.Unauthenticated, "this needs the token of a directory: keyturn scim token")
	}
	if err != nil {
		return err
	}
	who, err := s.access.Authenticate(r.Context(), token, caller.Address)
	if err != nil {
		return s.access.Refused(ctx, err)
	}
	caller.Principal = who
	return nil
}

func write(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out, err := json.Marshal(body, json.Deterministic(true))
	if err != nil {
		status, out = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

// fail answers with an error of the protocol (RFC 7644, section 3.12).
func fail(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.As(err)
	status := httpkit.Status(f.Kind)
	if status >= 500 && f.Kind != fault.Unsupported {
		slog.Error("request failed", "request", httpkit.RequestID(r.Context()), "method", r.Method, "route", r.Pattern, "kind", f.Kind, "error", err)
	}
	detail := f.Message
	if f.Hint != "" {
		detail += ": " + f.Hint
	}
	body := map[string]any{"schemas": []string{messageError}, "status": strconv.Itoa(status), "detail": detail}
	switch f.Kind {
	case fault.Exists:
		body["scimType"] = "uniqueness"
	case fault.Invalid:
		body["scimType"] = "invalidValue"
		if len(f.Fields) > 0 && strings.HasPrefix(f.Fields[0].Where, "scim:") {
			body["scimType"] = strings.TrimPrefix(f.Fields[0].Where, "scim:")
		}
	case fault.Denied:
		body["scimType"] = "mutability"
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="keyturn"`)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds()+0.999)))
	}
	write(w, status, body)
}

// wrong makes an error with a scimType.
func wrong(kind, format string, args ...any) error {
	return fault.New(fault.Invalid, format, args...).WithField("scim:"+kind, "not taken")
}

// read reads a JSON object. Names of attributes are compared without regard to case (RFC 7643, section 2.1), so they are kept in
// small letters.
func read(r *http.Request) (object, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != mediaType && kind != "application/json" {
		return nil, wrong("invalidSyntax", "the body must be %s", mediaType)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return nil, wrong("tooMany", "the body is too large: at most %d bytes", maxBody)
	}
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil || v == nil {
		return nil, wrong("invalidSyntax", "the body is not a JSON object")
	}
	return lower(v)
}

// list is a page (RFC 7644, section 3.4.2).
func list[T any](total, start int, resources []T) map[string]any {
	if resources == nil {
		resources = []T{}
	}
	return map[string]any{"schemas": []string{messageList}, "totalResults": total, "startIndex": start, "itemsPerPage": len(resources), "Resources": resources}
}

// page reads startIndex, which counts from one, and count.
func page(r *http.Request) (start, count int, err error) {
	start, count = 1, defaultPage
	q := r.URL.Query()
	for name, into := range map[string]*int{"startIndex": &start, "count": &count} {
		if text := q.Get(name); text != "" {
			if *into, err = strconv.Atoi(text); err != nil {
				return 0, 0, wrong("invalidValue", "%s is not a number", name)
			}
		}
	}
	return max(start, 1), min(max(count, 0), maxPage), nil
}

func (s *Surface) static(body any) handler {
	return func(context.Context, *http.Request) (int, any, error) { return http.StatusOK, body, nil }
}

func (s *Surface) named(all []map[string]any, by string) handler {
	return func(_ context.Context, r *http.Request) (int, any, error) {
		for _, x := range all {
			if x[by] == r.PathValue("name") {
				return http.StatusOK, x, nil
			}
		}
		return 0, nil, fault.New(fault.NotFound, "no such description")
	}
}

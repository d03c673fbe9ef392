package infisical

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/transit"
)

// Prefix is where the dialect lives.
const Prefix = "/api/"

// Dialect is what the log calls it.
const Dialect = "infisical"

// Services are what the dialect is a view of.
type Services struct {
	Secrets *secrets.Service
	Access  *access.Service
	Transit *transit.Service
	Closing <-chan struct{} // closed when the server begins to stop, which ends streams
	// PingEvery is how often a quiet stream says that it lives, and how often it is looked whether its token still does.
	PingEvery time.Duration
}

// Surface serves the dialect.
type Surface struct {
	Services
	router  *router
	pending httpkit.Pending
}

// need says who may call a route at all; what he may do is for the door.
type need int

const (
	withToken need = iota
	withoutToken
)

// route is one operation. The pattern is below /api, without a slash at the end: "GET /v1/folders/{id}".
type route struct {
	pattern string
	need    need
	do      func(ctx context.Context, c *call) (*answer, error)
}

// answer is what an operation gives; the body becomes JSON.
type answer struct {
	status int // 0 for 200
	body   any
	etag   string // "" for none; a 304 has a status and no body
	sent   bool   // the operation has written to the client itself
}

// with gives a plain answer.
func with(body any) *answer { return &answer{body: body} }

// object is a JSON object that is put together by hand.
type object = map[string]any

// New builds the surface.
func New(services Services) *Surface {
	s := &Surface{Services: services, router: newRouter(), pending: httpkit.NewPending("keyturn infisical login v1")}
	for _, r := range s.routes() {
		s.router.add(r.pattern, s.operation(r))
	}
	return s
}

// routes are all operations, topic by topic.
func (s *Surface) routes() []route {
	return slices.Concat(
		s.statusRoutes(),
		s.universalRoutes(),
		s.machineRoutes(),
		s.tokenRoutes(),
		s.userRoutes(),
		s.serviceTokenRoutes(),
		s.bootstrapRoutes(),
		s.organizationRoutes(),
		s.provisionProjectRoutes(),
		s.provisionEnvironmentRoutes(),
		s.provisionIdentityRoutes(),
		s.identityAuthRoutes(),
		s.identityMethodRoutes(),
		s.membershipRoutes(),
		s.secretRoutes(),
		s.folderRoutes(),
		s.importRoutes(),
		s.tagRoutes(),
		s.projectRoutes(),
		s.dynamicRoutes(),
		s.eventRoutes(),
		s.kmsRoutes(),
	)
}

// Register puts the dialect into a mux.
func (s *Surface) Register(mux *http.ServeMux) {
	mux.HandleFunc(Prefix, func(w http.ResponseWriter, r *http.Request) {
		if path := strings.TrimSuffix(r.URL.Path, "/"); path != r.URL.Path { // clients write both, and a redirect would lose a body
			u := *r.URL
			u.Path, u.RawPath = path, strings.TrimSuffix(u.RawPath, "/")
			r = r.WithContext(r.Context())
			r.URL = &u
		}
		s.router.ServeHTTP(w, r)
	})
}

// Shape makes faults that happen before a request reaches the dialect look like its own.
func Shape() httpkit.Shape { return httpkit.Shape{Prefix: Prefix, Write: fail} }

func (s *Surface) operation(op route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: httpkit.Address(r), Agent: httpkit.Agent(r),
			Request: httpkit.RequestID(r.Context()), Dialect: Dialect}
		ctx := guard.WithCaller(r.Context(), caller)
		r = r.WithContext(ctx)
		var err error
		if op.need == withToken {
			err = s.identify(ctx, r, caller)
		}
		var c *call
		if err == nil {
			c, err = read(w, r)
		}
		var out *answer
		if err == nil {
			out, err = op.do(ctx, c)
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		out.write(w, r)
	})
}

// identify finds who shows the token of a request. An empty header is none: a Go client that forgot its token sends one.
func (s *Surface) identify(ctx context.Context, r *http.Request, caller *guard.Caller) error {
	if strings.TrimSpace(r.Header.Get("Authorization")) == "" {
		return s.Access.Refused(ctx, fault.New(fault.Unauthenticated, "a token is needed: Authorization: Bearer TOKEN"))
	}
	token, err := httpkit.Bearer(r)
	if err != nil {
		return s.Access.Refused(ctx, err)
	}
	who, err := s.Access.Authenticate(ctx, token, caller.Address)
	if err != nil {
		return s.Access.Refused(ctx, err)
	}
	caller.Principal = who
	return nil
}

func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	if a.sent {
		return
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.etag != "" {
		w.Header()["Etag"] = []string{a.etag}
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	body, err := json.Marshal(a.body, json.Deterministic(true))
	if err != nil {
		fail(w, r, fault.Wrap(fault.Internal, err, "the answer could not be written"))
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

var jsonType = []string{"application/json; charset=utf-8"}

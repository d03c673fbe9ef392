package vault

import (
	"context"
	"net/http"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/secrets"
	"github.com/keyturn/keyturn/internal/transit"
)

// Prefix is where the dialect lives.
const Prefix = "/v1/"

// Dialect is what the log calls it.
const Dialect = "vault"

// Services are what the dialect is a view of.
type Services struct {
	Secrets *secrets.Service
	Access  *access.Service
	Leases  Leases // of what engines hand out for a time; nil: there are none
	Keys    *keys.Service
	Instance
	Transit *transit.Service
	Closing <-chan struct{} // closed when the server begins to stop, which ends streams
	// PingEvery is how often a quiet stream says that it lives, and how often it is looked whether its token still does.
	PingEvery time.Duration
}

// Surface serves the dialect.
type Surface struct{ Services }

// New builds the surface.
func New(s Services) *Surface { return &Surface{s} }

// Register puts the dialect into a mux.
func (s *Surface) Register(mux *http.ServeMux) {
	mux.HandleFunc(Prefix, s.serve)
}

// Shape makes faults that happen before a request reaches the dialect look like its own.
func Shape() httpkit.Shape { return httpkit.Shape{Prefix: Prefix, Write: fail} }

func (s *Surface) serve(w http.ResponseWriter, r *http.Request) {
	caller := &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: httpkit.Address(r), Agent: httpkit.Agent(r),
		Request: httpkit.RequestID(r.Context()), Dialect: Dialect}
	ctx := guard.WithCaller(r.Context(), caller)
	c, err := read(w, r.WithContext(ctx))
	if err == nil && (!isOpen(c) || c.token != "" && !ignoresToken(c)) {
		err = s.identify(ctx, c, caller)
	}
	if err == nil {
		err = c.readFields()
	}
	if err == nil && c.wrap > 0 {
		err = s.mayWrap(c)
	}
	if err == nil {
		err = s.enter(ctx, c, caller.Principal.Kind != domain.Anonymous)
	}
	var out *reply
	if err == nil {
		out, err = s.dispatch(ctx, c)
	}
	if err == nil && c.wrap > 0 {
		out, err = s.wrapped(ctx, c, out)
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	out.write(w, r)
}

// identify finds who shows the token of a call.
func (s *Surface) identify(ctx context.Context, c *call, caller *guard.Caller) error {
	if c.token == "" {
		return s.Access.Refused(ctx, noToken())
	}
	who, err := s.Access.Authenticate(ctx, c.token, caller.Address)
	if err != nil {
		return s.Access.Refused(ctx, err)
	}
	caller.Principal = who
	return nil
}

package httpapi

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/secrets"
)

// API serves the routes.
type API struct {
	Services
	secrets *secrets.Service
	access  *access.Service
	routes  []Route
	offline string // how long clients may serve from a sealed copy, as they read it
}

// call is one request on its way.
type call struct {
	*API
	ctx  context.Context
	w    http.ResponseWriter
	r    *http.Request
	raw  []byte // the body as it came, for the idempotency key
	idem *guard.Idempotency
}

// body reads the JSON body and, when the client sent an idempotency key, looks whether this was asked before.
func (c *call) body(limit int64, v any) error {
	raw, err := httpkit.ReadBody(c.r, limit, v)
	c.raw = raw
	if err != nil {
		return err
	}
	return c.replay()
}

// names tells whether the body has a field of this name at its top, whatever its value.
func (c *call) names(field string) bool {
	var top map[string]jsontext.Value
	return json.Unmarshal(c.raw, &top) == nil && top[field] != nil
}

// replayed is the way out of a handler when the answer is known from before.
type replayed struct{ answer []byte }

func (replayed) Error() string { return "answered before" }

const maxIdempotencyKey = 128

func (c *call) replay() error {
	key := c.r.Header.Get("Idempotency-Key")
	if key == "" || guard.CallerOf(c.ctx).Principal.Kind == domain.Anonymous {
		return nil
	}
	if len(key) > maxIdempotencyKey {
		return fault.New(fault.Invalid, "the idempotency key is too long: at most %d bytes", maxIdempotencyKey)
	}
	h := sha256.New()
	h.Write([]byte(c.r.Method + " " + c.r.URL.RequestURI() + "\x00"))
	h.Write(c.raw)
	c.idem = c.secrets.Idempotency(key, [32]byte(h.Sum(nil)))
	answer, err := c.secrets.Replay(c.ctx, c.idem)
	if err != nil {
		return err
	}
	if answer != nil {
		return replayed{answer}
	}
	c.ctx = guard.WithIdempotency(c.ctx, c.idem)
	return nil
}

// handler makes the http.Handler of a route.
func (a *API) handler(r *Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c := &call{API: a, w: w, r: req}
		if err := c.identify(r.Auth); err != nil {
			httpkit.WriteError(w, req, err)
			return
		}
		if r.request == nil && req.ContentLength > 0 {
			httpkit.WriteError(w, req, fault.New(fault.Invalid, "this route takes no body"))
			return
		}
		if r.request == nil && req.Method != http.MethodGet {
			if err := c.replay(); err != nil {
				c.finish(r, nil, err)
				return
			}
		}
		answer, err := r.serve(c)
		c.finish(r, answer, err)
	})
}

func (c *call) finish(r *Route, answer any, err error) {
	status := r.status()
	if again, ok := err.(replayed); ok {
		if c.raw = again.answer; r.Waits && c.names("change_set") {
			status = http.StatusAccepted
		}
		c.w.Header().Set("Idempotency-Replayed", "true")
		httpkit.WriteBody(c.w, status, again.answer)
		return
	}
	if waits, ok := errors.AsType[*secrets.Waits](err); ok && r.Waits {
		status, err = http.StatusAccepted, nil
		answer = api.Waiting{ChangeSet: ptr(changeOf(waits.Change)), Effects: effectsOf(waits.Effects)}
	}
	if err != nil {
		httpkit.WriteError(c.w, c.r, err)
		return
	}
	if answer == nil { // the handler has answered by itself
		return
	}
	body, err := json.Marshal(answer)
	if err == nil && c.idem != nil {
		err = c.secrets.Keep(c.ctx, c.idem, body)
	}
	if err != nil {
		httpkit.WriteError(c.w, c.r, err)
		return
	}
	httpkit.WriteBody(c.w, status, body)
}

// identify finds out who is calling.
func (c *call) identify(need Auth) error {
	caller := &guard.Caller{Principal: &domain.Principal{Kind: domain.Anonymous}, Address: httpkit.Address(c.r), Agent: httpkit.Agent(c.r),
		Request: httpkit.RequestID(c.r.Context()), Dialect: "native"}
	c.ctx = guard.WithCaller(c.r.Context(), caller)
	token, err := httpkit.Bearer(c.r)
	if need == Anyone {
		if err == nil && token != "" {
			return c.access.Shown(c.ctx, token) // nobody asked for it, so it may be a decoy
		}
		return nil
	}
	if err == nil && token == "" {
		err = fault.New(fault.Unauthenticated, "this needs a token").WithHint("log in with: keyturn login, or send Authorization: Bearer TOKEN")
	}
	if err != nil {
		return err
	}
	who, err := c.access.Authenticate(c.ctx, token, caller.Address)
	if err != nil {
		return c.access.Refused(c.ctx, err)
	}
	caller.Principal = who
	return nil
}

// env names the environment of a request.
func env(project, name string) secrets.EnvRef { return secrets.EnvRef{Project: project, Env: name} }

// notModified answers 304 when the client has the current answer, and opens nothing then. Otherwise it gives the tag for the
// answer that follows, if that is one: an error carries none.
func (c *call) notModified(ref secrets.EnvRef, path domain.Path) (tag string, done bool) {
	tag, err := c.secrets.Tag(c.ctx, ref, path)
	if err != nil {
		return "", false
	}
	tag = `"` + tag + `"`
	if sent := c.r.Header.Get("If-None-Match"); sent != "" && strings.TrimPrefix(sent, "W/") == tag {
		c.tagged(tag)
		c.w.WriteHeader(http.StatusNotModified)
		return tag, true
	}
	return tag, false
}

func (c *call) tagged(tag string) {
	if tag != "" {
		c.w.Header().Set("ETag", tag)
	}
}

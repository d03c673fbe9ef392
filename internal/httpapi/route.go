// Package httpapi is the native API: one table of routes from which the mux, the OpenAPI document, the list of permissions
// and the reference page are made. Handlers translate and hold no rules.
package httpapi

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/keyturn/keyturn/api"
)

// Auth says what a route asks of the caller before anything else.
type Auth string

// Kinds of callers.
const (
	Anyone Auth = "anyone" // set-up and login: they check their own proofs
	Token  Auth = "token"  // a bearer token
)

// Route is one row of the table. A row that lacks something keeps the server from starting.
type Route struct {
	Method  string
	Path    string // below api.Prefix, with {names}
	Auth    Auth
	Action  string // what policy is asked, and the action of the entry in the audit log
	Summary string // one sentence
	MaxBody int64  // bytes; 0 where no body is taken
	Example any    // of the body, or of the answer where there is none
	Status  int    // of success; 0 means 200
	Waits   bool   // answers 202 with api.Waiting where the change needs the approval of others
	Stream  bool   // answers with an event stream
	Content string // answers with a file of this media type; the example tells what is in it

	params  *params
	request reflect.Type // of the JSON body, nil when there is none
	answer  reflect.Type
	serve   func(*call) (any, error)
}

// Limits of bodies, in bytes.
const (
	smallBody  = 16 << 10
	valueBody  = 256 << 10 // one value of 64 KiB, escaped
	commitBody = 64 << 20  // ten thousand values of an import
)

// check refuses a row that is not whole.
func (r *Route) check() error {
	var lacks []string
	need := func(ok bool, what string) {
		if !ok {
			lacks = append(lacks, what)
		}
	}
	need(r.Method != "", "method")
	need(strings.HasPrefix(r.Path, "/"), "path")
	need(r.Auth == Anyone || r.Auth == Token, "auth")
	need(r.Action != "", "action")
	need(r.Summary != "", "summary")
	need(r.Example != nil, "example")
	need(r.serve != nil, "handler")
	need((r.request == nil) == (r.MaxBody == 0), "body limit")
	if len(lacks) > 0 {
		return fmt.Errorf("route %s %s lacks: %s", r.Method, r.Path, strings.Join(lacks, ", "))
	}
	return r.params.check(r.Path)
}

// with ties a typed handler to a row: P holds path and query parameters, B the body, A the answer.
func with[P, B, A any](r Route, f func(c *call, p *P, b *B) (A, error)) Route {
	r.params = paramsOf[P]()
	r.answer = reflect.TypeFor[A]()
	if t := reflect.TypeFor[B](); t != reflect.TypeFor[none]() {
		r.request = t
	}
	r.serve = func(c *call) (any, error) {
		var p P
		if err := r.params.read(c.r, &p); err != nil {
			return nil, err
		}
		var b B
		if r.request != nil {
			if err := c.body(r.MaxBody, &b); err != nil {
				return nil, err
			}
		}
		return f(c, &p, &b)
	}
	return r
}

// none stands for "no body" or "no parameters".
type none struct{}

// Pattern gives what the mux takes.
func (r *Route) Pattern() string { return r.Method + " " + api.Prefix + r.Path }

func (r *Route) status() int {
	if r.Status == 0 {
		return http.StatusOK
	}
	return r.Status
}

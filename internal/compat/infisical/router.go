package infisical

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/keyturn/keyturn/internal/fault"
)

// router finds the route of a request. The one of net/http refuses two patterns of which neither is the narrower one, and the
// dialect has such: /v1/projects/slug/{slug} beside /v1/projects/{id}/tags. Here a literal segment wins over a parameter, from
// the left to the right.
type router struct{ root *branch }

// branch is what can follow a path so far.
type branch struct {
	literal map[string]*branch
	param   *branch           // any one segment
	rest    map[string]target // all that is left, by method
	leaf    map[string]target // the path ends here, by method
}

type target struct {
	names []string // of the parameters, in order
	serve http.Handler
}

func newRouter() *router { return &router{root: &branch{}} }

// add takes a pattern such as "GET /v1/folders/{id}" or "GET /v1/x/{name...}". The same twice is an error of the program.
func (rt *router) add(pattern string, serve http.Handler) {
	method, path, _ := strings.Cut(pattern, " ")
	at, t := rt.root, target{serve: serve}
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		name, isParam := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(name, "}")
		switch rest, all := strings.CutSuffix(name, "..."); {
		case isParam && all:
			t.names = append(t.names, rest)
			put(&at.rest, method, t, pattern)
			return
		case isParam:
			t.names = append(t.names, name)
			if at.param == nil {
				at.param = &branch{}
			}
			at = at.param
		default:
			if at.literal == nil {
				at.literal = map[string]*branch{}
			}
			if at.literal[segment] == nil {
				at.literal[segment] = &branch{}
			}
			at = at.literal[segment]
		}
	}
	put(&at.leaf, method, t, pattern)
}

func put(into *map[string]target, method string, t target, pattern string) {
	if *into == nil {
		*into = map[string]target{}
	}
	if _, twice := (*into)[method]; twice {
		panic("a route stands there twice: " + pattern)
	}
	(*into)[method] = t
}

// find gives the target of a path and what its parameters are. Known tells of a path that is there for other methods only.
func (b *branch) find(method string, segments, values []string, known *bool) (target, []string, bool) {
	if len(segments) == 0 {
		t, ok := b.leaf[method]
		*known = *known || len(b.leaf) > 0
		return t, values, ok
	}
	if next := b.literal[segments[0]]; next != nil {
		if t, v, ok := next.find(method, segments[1:], values, known); ok {
			return t, v, ok
		}
	}
	if b.param != nil && segments[0] != "" {
		if t, v, ok := b.param.find(method, segments[1:], append(values[:len(values):len(values)], segments[0]), known); ok {
			return t, v, ok
		}
	}
	t, ok := b.rest[method]
	*known = *known || len(b.rest) > 0
	return t, append(values[:len(values):len(values)], strings.Join(segments, "/")), ok
}

// ServeHTTP implements [http.Handler] for paths below [Prefix]. A segment is decoded once, after the path was cut.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), Prefix), "/")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			fail(w, r, fault.New(fault.Invalid, "the path could not be read"))
			return
		}
		segments[i] = plain
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	known := false
	t, values, ok := rt.root.find(method, segments, nil, &known)
	switch {
	case !ok && known:
		fail(w, r, fault.New(fault.NotFound, "this endpoint does not take the method"))
		return
	case !ok:
		fail(w, r, fault.New(fault.NotFound, "no such endpoint"))
		return
	}
	for i, name := range t.names {
		r.SetPathValue(name, values[i])
	}
	t.serve.ServeHTTP(w, r)
}

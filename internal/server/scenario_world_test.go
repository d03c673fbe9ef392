package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
	"github.com/keyturn/keyturn/keyturntest"
)

func TestMain(m *testing.M) {
	// Each check of a property talks to a server a hundred times; -rapid.checks on the command line asks for more.
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
	os.Exit(testpg.Run(m))
}

// tb is what helpers need of a test, be it one of testing or of rapid.
type tb interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// wire sends what the scenarios ask. It is not the default client: whenever a test closes a server of its own, httptest cuts the
// idle connections of that, and a GET on one of them is sent a second time without anybody hearing of the first.
var wire = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}

// stores are what every scenario runs on.
var stores = []struct {
	name    string
	options func(*testing.T) []keyturntest.Option
}{
	{"sqlite", func(*testing.T) []keyturntest.Option { return nil }},
	{"postgres", func(t *testing.T) []keyturntest.Option {
		return []keyturntest.Option{keyturntest.WithPostgres(testpg.Database(t))}
	}},
}

// onBoth runs a scenario on a fresh server of each store.
func onBoth(t *testing.T, scenario func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, newWorld(keyturntest.Start(t, s.options(t)...)))
		})
	}
}

// world is a running server and what the scenarios made on it.
type world struct {
	server *keyturntest.Server
	admin  person
	made   atomic.Int64
}

func newWorld(s *keyturntest.Server) *world {
	w := &world{server: s}
	w.admin = person{url: s.URL, token: s.Token}
	return w
}

func (w *world) fresh(prefix string) string { return prefix + strconv.FormatInt(w.made.Add(1), 10) }

// project makes a project and gives its environment dev as the admin sees it.
func (w *world) project(t *testing.T, envs ...string) env {
	t.Helper()
	slug := w.fresh("project-")
	send[api.Project](t, w.admin, "POST", "/projects", api.ProjectRequest{Slug: slug, Envs: envs})
	first := "dev"
	if len(envs) > 0 {
		first = envs[0]
	}
	return env{w.admin, slug, first}
}

// person is somebody who talks to a server with a token; an empty one sends none.
type person struct {
	url, token string
	// calls remembers request id and status of every call; nil: nobody asks.
	calls *sync.Map
}

func (p person) with(token string) person {
	p.token = token
	return p
}

// reply is an answer as it came.
type reply struct {
	what   string
	status int
	header http.Header
	body   []byte
}

func (p person) do(t tb, method, path string, body any, header ...string) reply {
	t.Helper()
	r, err := p.try(method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// try is do for other goroutines than that of the test.
func (p person) try(method, path string, body any, header ...string) (reply, error) {
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		in = bytes.NewReader(raw)
	}
	if !strings.HasPrefix(path, "http") {
		path = p.url + api.Prefix + path
	}
	req, err := http.NewRequest(method, path, in)
	if err != nil {
		return reply{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := wire.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	if p.calls != nil {
		p.calls.Store(resp.Header.Get("X-Request-Id"), resp.StatusCode)
	}
	raw, err := io.ReadAll(resp.Body)
	return reply{method + " " + path, resp.StatusCode, resp.Header, raw}, err
}

func (r reply) fits(t tb, into any) {
	t.Helper()
	if r.status < 200 || r.status > 299 {
		t.Fatalf("%s: status %d: %s", r.what, r.status, r.body)
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("%s: %v in %s", r.what, err, r.body)
	}
}

// refused checks status, kind and that the text of the problem holds some words.
func (r reply) refused(t tb, kind string, words ...string) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || p.Status != r.status || r.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s: no problem body but status %d: %s (%v)", r.what, r.status, r.body, err)
	}
	if p.Kind != kind {
		t.Fatalf("%s: kind %q, want %q: %s", r.what, p.Kind, kind, r.body)
	}
	if p.Instance == "" || p.Instance != r.header.Get("X-Request-Id") {
		t.Errorf("%s: request id %q in the body, %q in the header", r.what, p.Instance, r.header.Get("X-Request-Id"))
	}
	text := p.Detail + " " + p.Hint
	for _, f := range p.Fields {
		text += " " + f.Where + " " + f.Problem
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q does not say %q", r.what, text, w)
		}
	}
	return p
}

func send[T any](t tb, p person, method, path string, body any, header ...string) T {
	t.Helper()
	var out T
	p.do(t, method, path, body, header...).fits(t, &out)
	return out
}

func get[T any](t tb, p person, path string) T {
	t.Helper()
	return send[T](t, p, "GET", path, nil)
}

// env is an environment as somebody sees it.
type env struct {
	person
	project, name string
}

func (e env) path() string { return "/projects/" + e.project + "/envs/" + e.name }

func (e env) as(p person) env { return env{p, e.project, e.name} }

func (e env) in(name string) env { return env{e.person, e.project, name} }

// commit sends changes and expects success.
func (e env) commit(t tb, changes ...api.Change) api.Committed {
	t.Helper()
	return send[api.Committed](t, e.person, "POST", e.path()+"/commits", api.CommitRequest{Changes: changes})
}

// attempt sends changes and gives whatever comes.
func (e env) attempt(t tb, changes ...api.Change) reply {
	t.Helper()
	return e.do(t, "POST", e.path()+"/commits", api.CommitRequest{Changes: changes})
}

func (e env) revision(t tb) int64 {
	t.Helper()
	return get[api.Env](t, e.person, e.path()).Revision
}

// query gives "?a=b" from pairs.
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}

func (e env) ask(t tb, path, name string, pairs ...string) reply {
	t.Helper()
	return e.do(t, "GET", e.path()+"/secrets/"+name+query(append([]string{"path", path}, pairs...)...), nil)
}

func (e env) secret(t tb, path, name string, pairs ...string) api.Secret {
	t.Helper()
	var out api.Secret
	e.ask(t, path, name, pairs...).fits(t, &out)
	return out
}

// value reads one value.
func (e env) value(t tb, path, name string, pairs ...string) string {
	t.Helper()
	return bytesOf(t, e.secret(t, path, name, pairs...))
}

func bytesOf(t tb, s api.Secret) string {
	t.Helper()
	if s.Value == nil {
		t.Fatalf("%s has no value", s.Name)
	}
	b, err := s.Value.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (e env) list(t tb, path string, pairs ...string) api.Secrets {
	t.Helper()
	return get[api.Secrets](t, e.person, e.path()+"/secrets"+query(append([]string{"path", path}, pairs...)...))
}

// state is all that an environment holds: full name to value, comment and attributes, and the folders.
func (e env) state(t tb, pairs ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	l := e.list(t, "/", append([]string{"recursive", "true", "reveal", "true", "raw", "true"}, pairs...)...)
	for _, s := range l.Secrets {
		a := s.Attributes
		a.RotatedAt, a.Generated = nil, false
		facts, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		out[full(s.Path, s.Name)] = bytesOf(t, s) + " | " + s.Comment + " | " + string(facts)
	}
	for _, f := range l.Folders {
		out[f+"/"] = "folder"
	}
	return out
}

func full(path, name string) string { return strings.TrimSuffix(path, "/") + "/" + name }

func names(l api.Secrets) []string {
	var out []string
	for _, s := range l.Secrets {
		out = append(out, full(s.Path, s.Name))
	}
	slices.Sort(out)
	return out
}

// set is a change that gives a secret a value.
func set(path, name, value string) api.Change {
	return api.Change{Op: "set", Path: path, Name: name, Value: &value}
}

func setBytes(path, name string, value []byte) api.Change {
	text := base64.StdEncoding.EncodeToString(value)
	return api.Change{Op: "set", Path: path, Name: name, Value: &text, Encoding: "base64"}
}

func rename(path, name, to string) api.Change {
	return api.Change{Op: "rename", Path: path, Name: name, To: to}
}

func move(path, name, to string) api.Change {
	return api.Change{Op: "move", Path: path, Name: name, ToPath: to}
}

func remove(path, name string) api.Change { return api.Change{Op: "delete", Path: path, Name: name} }

func moveFolder(path, to string) api.Change {
	return api.Change{Op: "folder.move", Path: path, ToPath: to}
}

func showIn(path string, from ...api.Place) api.Change {
	return api.Change{Op: "folder.imports", Path: path, Imports: from}
}

func ptr[T any](v T) *T { return &v }

// eventually polls until a condition holds.
func eventually(t tb, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func same(t tb, what string, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s is %q, want %q", what, k, got[k], v)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: %s is there with %q", what, k, v)
		}
	}
}

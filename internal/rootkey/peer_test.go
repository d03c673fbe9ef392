package rootkey

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// peer is a service at the other end of the wire. It really encrypts, and fails the test on a call that its official
// description does not allow.
type peer struct {
	uri, otherURI      string            // two keys of the service
	host               string            // of the operations on keys; the other hosts give credentials
	files              map[string]string // what the server's files hold
	variables          map[string]string
	withoutCredentials func()   // takes the credentials away
	planted            []string // credentials that no error may show
	hosts              map[string]http.Handler
	perWrap            int // calls that wrapping makes
	// swapped makes a kept text claim that the other key made it, as somebody with the database would.
	swapped func(k *kept)
	// lies are what only a broken or false service answers, by what they do to an honest answer.
	wrapLies, unwrapLies map[string]func(map[string]any)
}

// step is one answer instead of the honest one, or around it.
type step func(w http.ResponseWriter, r *http.Request, honest http.Handler)

// wire carries requests to a peer within the process, so that time may be made up.
type wire struct {
	t      *testing.T
	peer   *peer
	script []step // for the next calls
	always step   // for the calls after them
	calls  int    // operations on keys
}

// RoundTrip implements [http.RoundTripper].
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	honest, ok := w.peer.hosts[r.URL.Host]
	if !ok {
		w.t.Errorf("a request goes to %s, which nobody named", r.URL.Host)
		return nil, errors.New("no such host")
	}
	if body := r.Body; body != nil {
		b, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	var play step
	if r.URL.Host == w.peer.host {
		w.calls++
		play = w.always
		if len(w.script) > 0 {
			play, w.script = w.script[0], w.script[1:]
		}
	}
	return serveInProcess(r, func(out http.ResponseWriter) {
		if play != nil {
			play(out, r, honest)
			return
		}
		honest.ServeHTTP(out, r)
	})
}

// serveInProcess runs a handler as the other end of a connection would.
func serveInProcess(r *http.Request, serve func(http.ResponseWriter)) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			resp, err = nil, io.ErrUnexpectedEOF
		} else if p != nil {
			panic(p)
		}
	}()
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	out := httptest.NewRecorder()
	serve(out)
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return out.Result(), nil
}

// world is a peer with the wrapper under test.
type world struct {
	*wire
	*peer
	t       *testing.T
	wrapper Wrapper
	root    []byte
}

func newWorld(t *testing.T, make func(*testing.T) *peer) *world {
	t.Helper()
	p := make(t)
	w := &world{wire: &wire{t: t, peer: p}, peer: p, t: t, root: random(Size)}
	w.wrapper = w.open(p.uri)
	return w
}

func (w *world) environment() Environment {
	return Environment{
		Getenv: func(name string) string { return w.variables[name] },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := w.files[path]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		},
		HTTP: &http.Client{Transport: w.wire},
	}
}

func (w *world) open(uri string) Wrapper {
	w.t.Helper()
	source, err := Parse(uri, w.environment())
	if err != nil {
		w.t.Fatal(err)
	}
	wrapper, ok := source.(Wrapper)
	if !ok {
		w.t.Fatalf("%s is no wrapper", uri)
	}
	return wrapper
}

var here = Binding{Instance: "0198c2a4-0000-7000-8000-000000000001", Slot: "0198c2a4-0000-7000-8000-00000000000a"}

func (w *world) wrap() []byte {
	w.t.Helper()
	text, err := w.wrapper.Wrap(context.Background(), here, sensitive.New(bytes.Clone(w.root)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.calls = 0
	return text
}

func (w *world) unwrap(text []byte) error {
	w.t.Helper()
	got, err := w.wrapper.Unwrap(context.Background(), here, text)
	if err == nil && !bytes.Equal(got.Reveal(), w.root) {
		w.t.Error("another root key came back than went in")
	}
	return err
}

// mustOpen is for calls that must work, after so many calls to the service.
func (w *world) mustOpen(text []byte, calls int) {
	w.t.Helper()
	w.calls = 0
	if err := w.unwrap(text); err != nil {
		w.t.Errorf("does not open: %v", err)
	}
	if w.calls != calls {
		w.t.Errorf("%d calls, want %d", w.calls, calls)
	}
}

// mustFail checks the kind of an error, and that it shows nothing secret in any form.
func (w *world) mustFail(what string, err error, kinds ...fault.Kind) {
	w.t.Helper()
	if err == nil {
		w.t.Errorf("%s: no error", what)
		return
	}
	found := false
	for _, kind := range kinds {
		found = found || fault.KindOf(err) == kind
	}
	if !found {
		w.t.Errorf("%s: got %s (%v), want %v", what, fault.KindOf(err), err, kinds)
	}
	f := fault.As(err)
	text := fmt.Sprintf("%v %+v %#v %s %s", err, err, f, f.Message, f.Hint)
	for _, secret := range append([]string{string(w.root)}, w.planted...) {
		for _, form := range []string{
			secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
			base64.RawURLEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(text, form) {
				w.t.Errorf("%s: the error shows a secret", what)
			}
		}
	}
	if f.Message == "" || strings.HasSuffix(f.Message, ".") {
		w.t.Errorf("%s: not a sentence of ours: %q", what, f.Message)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// Steps.

func status(code int, header ...string) step {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		// A service may show what it was sent; nothing of it may reach an error.
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}
}

func said(body string) step {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, body) }
}

func cut(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

func silent(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// lie changes an honest answer.
func lie(change func(map[string]any)) step {
	return func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		out := httptest.NewRecorder()
		honest.ServeHTTP(out, r)
		if out.Code != http.StatusOK {
			w.WriteHeader(out.Code)
			_, _ = w.Write(out.Body.Bytes())
			return
		}
		var answer map[string]any
		if err := json.Unmarshal(out.Body.Bytes(), &answer); err != nil {
			panic(err)
		}
		change(answer)
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// set gives a change of one member, of which dots name the inner ones.
func set(path string, value any) func(map[string]any) {
	return func(o map[string]any) {
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			o = o[name].(map[string]any)
		}
		o[names[len(names)-1]] = value
	}
}

func both(changes ...func(map[string]any)) func(map[string]any) {
	return func(o map[string]any) {
		for _, change := range changes {
			change(o)
		}
	}
}

// seal and open are how the fakes really encrypt.
func seal(key, plain, data []byte) []byte {
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCMWithRandomNonce(block)
	return gcm.Seal(nil, nil, plain, data)
}

func open(key, sealed, data []byte) ([]byte, error) {
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCMWithRandomNonce(block)
	return gcm.Open(nil, nil, sealed, data)
}

// decoded reads a body as JSON.
func decoded(t *testing.T, r *http.Request) map[string]any {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	var o map[string]any
	if err := json.Unmarshal(b, &o); err != nil {
		t.Errorf("a request is no JSON object: %v", err)
	}
	return o
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func unbase64(s any) []byte {
	b, _ := base64.StdEncoding.DecodeString(fmt.Sprint(s))
	return b
}

// once makes a value that several tests share.
func once[T any](make func() T) func() T { return sync.OnceValue(make) }

// body is a request body again.
func body(o map[string]any) io.ReadCloser {
	b, _ := json.Marshal(o)
	return io.NopCloser(bytes.NewReader(b))
}

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

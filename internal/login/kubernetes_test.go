package login

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/keyturn/keyturn/internal/fault"
)

// apiServer is the one route of an API server that is used. It fails the test when a request or its own answer is not as the
// official description says.
type apiServer struct {
	t      *testing.T
	doc    *openapi3.T
	url    string
	ca     string
	status atomic.Pointer[map[string]any] // of the next reviews
	code   atomic.Int64
	bearer atomic.Value
	calls  atomic.Int64
}

const reviewer = "test-value.reviewer.token"

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("testdata/kubernetes-auth.json")
	if err != nil {
		t.Fatal(err)
	}
	a := &apiServer{t: t, doc: doc}
	s := httptest.NewTLSServer(a)
	t.Cleanup(s.Close)
	a.url, a.ca = s.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return a
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.calls.Add(1)
	item := a.doc.Paths.Value(r.URL.Path)
	if item == nil || item.GetOperation(r.Method) == nil || r.URL.RawQuery != "" {
		a.t.Errorf("%s %s is not in the description", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
		return
	}
	text, _ := io.ReadAll(r.Body)
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		a.t.Errorf("body: %v", err)
	}
	schema := item.Post.RequestBody.Value.Content.Get("*/*")
	if schema == nil {
		schema = item.Post.RequestBody.Value.Content.Get("application/json")
	}
	if err := schema.Schema.Value.VisitJSON(any(body)); err != nil {
		a.t.Errorf("the request is not a TokenReview: %v", err)
	}
	a.bearer.Store(r.Header.Get("Authorization"))
	if code := int(a.code.Load()); code != 0 {
		w.WriteHeader(code)
		return
	}
	body["metadata"] = map[string]any{}
	body["status"] = *a.status.Load()
	answer := item.Post.Responses.Value("201").Value.Content.Get("application/json").Schema.Value
	var plain any
	again, _ := json.Marshal(body)
	_ = json.Unmarshal(again, &plain)
	if err := answer.VisitJSON(plain); err != nil {
		a.t.Errorf("the answer of the test is not a TokenReview: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(again)
}

func (a *apiServer) settings(more map[string]any) map[string]any {
	out := map[string]any{"server": a.url, "ca": a.ca, "audience": []string{testAudience}, "namespaces": []string{"shop", "team-*"}, "service_accounts": []string{"backend"}}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func account(name string, change ...func(map[string]any)) *map[string]any {
	status := map[string]any{"authenticated": true, "audiences": []any{testAudience}, "user": map[string]any{"username": name, "uid": "uid-1",
		"groups": []any{"system:serviceaccounts"}, "extra": map[string]any{"authentication.kubernetes.io/pod-name": []any{"backend-1"}}}}
	for _, f := range change {
		f(status)
	}
	return &status
}

const saToken = "test-value-header.test-value-claims.test-value-signature"

func TestTheAPIServerSaysWhoseServiceAccountItIs(t *testing.T) {
	t.Parallel()
	a := newAPIServer(t)
	v := opened(t, KindKubernetes, a.settings(nil), around(t, reviewer))
	a.status.Store(account("system:serviceaccount:team-a:backend"))
	e, err := shows(v, saToken)
	if err != nil {
		t.Fatal(err)
	}
	if e.Subject != "system:serviceaccount:team-a:backend" || e.Attributes["namespace"] != "team-a" || e.Attributes["service_account"] != "backend" || e.Attributes["pod"] != "backend-1" {
		t.Errorf("%+v", e)
	}
	if a.bearer.Load() != "Bearer "+reviewer {
		t.Error("the reviewer did not ask")
	}

	for _, x := range []struct {
		words  string
		status *map[string]any
	}{
		{"does not know", account("system:serviceaccount:shop:backend", func(s map[string]any) { s["authenticated"] = false })},
		{"does not know", account("system:serviceaccount:shop:backend", func(s map[string]any) { s["error"] = "expired" })},
		{"audience", account("system:serviceaccount:shop:backend", func(s map[string]any) { delete(s, "audiences") })},
		{"audience", account("system:serviceaccount:shop:backend", func(s map[string]any) { s["audiences"] = []any{"https://kubernetes.default.svc"} })},
		{"not of a service account", account("admin")},
		{"not of a service account", account("system:node:backend")},
		{"not of a service account", account("system:serviceaccount:shop")},
		{"not of a service account", account("system:serviceaccount:shop:backend:more")},
		{"does not allow", account("system:serviceaccount:other:backend")},
		{"does not allow", account("system:serviceaccount:shop:frontend")},
		{"does not allow", account("system:serviceaccount:team-a/b:backend")},
	} {
		a.status.Store(x.status)
		refuses(t, v, saToken, x.words)
	}
	calls := a.calls.Load()
	refuses(t, v, strings.Repeat("x", 1<<20), "longer")
	refuses(t, v, "a.b.c\r\nX-Remote-User: admin", "not a service account token")
	refuses(t, v, "", "no token")
	if a.calls.Load() != calls {
		t.Error("nonsense was sent on")
	}
	for code, kind := range map[int]fault.Kind{401: fault.Unavailable, 403: fault.Unavailable, 429: fault.Unavailable, 500: fault.Unavailable, 302: fault.Unavailable} {
		a.code.Store(int64(code))
		if _, err := shows(v, saToken); fault.KindOf(err) != kind {
			t.Errorf("status %d: %v", code, err)
		}
	}
}

func TestAServiceAccountMayReviewItself(t *testing.T) {
	t.Parallel()
	a := newAPIServer(t)
	v := opened(t, KindKubernetes, a.settings(nil), around(t))
	a.status.Store(account("system:serviceaccount:shop:backend"))
	if _, err := shows(v, saToken); err != nil {
		t.Fatal(err)
	}
	if a.bearer.Load() != "Bearer "+saToken {
		t.Error("another token asked")
	}
	a.code.Store(401)
	refuses(t, v, saToken, "does not know")
}

func TestAnAPIServerWithAnotherCertificateIsNotAsked(t *testing.T) {
	t.Parallel()
	a := newAPIServer(t)
	v := opened(t, KindKubernetes, a.settings(map[string]any{"ca": selfSigned(t)}), around(t, reviewer))
	if _, err := shows(v, saToken); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	if a.calls.Load() != 0 {
		t.Error("the token went to a server that nobody vouches for")
	}
}

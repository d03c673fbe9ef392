package infisical

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestALiteralWinsOverAParameter(t *testing.T) {
	rt := newRouter()
	for _, pattern := range []string{"GET /v1/projects/{id}", "GET /v1/projects/slug/{slug}", "GET /v1/projects/{id}/tags", "GET /v1/projects/{id}/tags/{tag}", "DELETE /v1/projects/{id}", "GET /v1/all/{rest...}"} {
		rt.add(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(pattern + " id=" + r.PathValue("id") + " slug=" + r.PathValue("slug") + " rest=" + r.PathValue("rest")))
		}))
	}
	for path, want := range map[string]string{
		"GET /api/v1/projects/a":          "GET /v1/projects/{id} id=a slug= rest=",
		"HEAD /api/v1/projects/a":         "GET /v1/projects/{id} id=a slug= rest=",
		"DELETE /api/v1/projects/slug":    "DELETE /v1/projects/{id} id=slug slug= rest=",
		"GET /api/v1/projects/slug/tags":  "GET /v1/projects/slug/{slug} id= slug=tags rest=",
		"GET /api/v1/projects/a/tags":     "GET /v1/projects/{id}/tags id=a slug= rest=",
		"GET /api/v1/projects/slug/tags/": "GET /v1/projects/slug/{slug} id= slug=tags rest=",
		"GET /api/v1/projects/a%2Fb/tags": "GET /v1/projects/{id}/tags id=a/b slug= rest=",
		"GET /api/v1/all/a/b":             "GET /v1/all/{rest...} id= slug= rest=a/b",
	} {
		method, target, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if w.Body.String() != want {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	for _, path := range []string{"POST /api/v1/projects/a", "GET /api/v1/projects", "GET /api/v2", "GET /api/", "GET /api/v1/projects/a/b/c/d"} {
		method, target, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"statusCode":404`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

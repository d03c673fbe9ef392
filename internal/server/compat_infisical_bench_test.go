package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkInfisicalList compares a list of 50 secrets in the dialect with the native one, in one run: the dialect must reach
// at least half of the native rate, and a 304 at least 1.5 times that of a full answer.
func BenchmarkInfisicalList(b *testing.B) {
	h, token := benchServer(b, 50)
	native := "/keyturn/v1/projects/bench/envs/dev/secrets?path=/&reveal=true&imports=true"
	dialect := "/api/v4/secrets?projectSlug=bench&environment=dev&secretPath=/"
	get := func(b *testing.B, path, known string, want int) string {
		req := httptest.NewRequest(http.MethodGet, path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		if known != "" {
			req.Header.Set("If-None-Match", known)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != want {
			b.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return w.Header().Get("ETag")
	}
	for _, c := range []struct{ name, path string }{{"native", native}, {"infisical", dialect}} {
		tag := get(b, c.path, "", http.StatusOK)
		for name, known := range map[string]string{"200": "", "304": tag} {
			want := http.StatusOK
			if known != "" {
				want = http.StatusNotModified
			}
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.SetParallelism(16)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						get(b, c.path, known, want)
					}
				})
			})
		}
	}
}

package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/server"
)

// benchDocuments is a server with 100 documents of five keys in the environment dev of the project bench.
func benchDocuments(b *testing.B) func(method, path, body string) {
	b.Helper()
	s, err := server.Open(b.Context(), server.Options{Version: "bench", LookupEnv: func(string) (string, bool) { return "", false },
		Config: config.Config{Mode: config.Development, Data: b.TempDir(), CacheBytes: 24 << 20, LogLevel: "error", Dialects: []string{"vault"}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	first, err := s.Access().SetUp(b.Context(), access.SetupInput{Email: "bench@example.test", Password: sensitive.FromString("a long test-value"), Direct: true})
	if err != nil {
		b.Fatal(err)
	}
	token := string(first.Token.Reveal())
	ask(b, s.Handler(), token, "POST", "/projects", []byte(`{"slug":"bench"}`))
	h := s.Handler()
	do := func(method, path, body string) {
		req := httptest.NewRequest(method, "/v1/bench/"+path, bytes.NewReader([]byte(body)))
		req.Header.Set("X-Vault-Token", token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != http.StatusOK {
			b.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	for i := range 100 {
		do("POST", "data/dev/app"+strconv.Itoa(i), `{"data":{"username":"app","password":"test-value","host":"db.example.test","port":5432,"options":{"tls":true}}}`)
	}
	return do
}

// BenchmarkDocumentRead reads documents through the Vault view, each with its entry in the log.
func BenchmarkDocumentRead(b *testing.B) {
	do := benchDocuments(b)
	b.ResetTimer()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			do("GET", "data/dev/app"+strconv.Itoa(i%100), "")
		}
	})
}

// BenchmarkDocumentReadOld reads a version that was replaced, which the database must put together.
func BenchmarkDocumentReadOld(b *testing.B) {
	do := benchDocuments(b)
	do("POST", "data/dev/app0", `{"data":{"username":"other"}}`)
	b.ResetTimer()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			do("GET", "data/dev/app0?version=1", "")
		}
	})
}

// BenchmarkDocumentWrite writes documents, each a commit with its version.
func BenchmarkDocumentWrite(b *testing.B) {
	do := benchDocuments(b)
	b.ResetTimer()
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			do("POST", "data/dev/app"+strconv.Itoa(i%100), `{"data":{"username":"app","password":"test-value `+strconv.Itoa(i)+`","host":"db.example.test","port":5432}}`)
		}
	})
}

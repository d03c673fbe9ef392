package server_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/server"
)

// benchServer is a server with a project "bench" and n secrets of 256 bytes in its environment dev.
func benchServer(b *testing.B, n int) (http.Handler, string) {
	b.Helper()
	s, err := server.Open(context.Background(), server.Options{Version: "bench", LookupEnv: func(string) (string, bool) { return "", false },
		Config: config.Config{Mode: config.Development, Data: b.TempDir(), Dialects: []string{"infisical", "vault"}, CacheBytes: 24 << 20, LogLevel: "error"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	first, err := s.Access().SetUp(context.Background(), access.SetupInput{Email: "bench@example.test", Password: sensitive.FromString("a long test-value"), Direct: true})
	if err != nil {
		b.Fatal(err)
	}
	token := string(first.Token.Reveal())
	ask(b, s.Handler(), token, "POST", "/projects", []byte(`{"slug":"bench"}`))
	for from := 0; from < n; from += 10000 {
		var body bytes.Buffer
		body.WriteString(`{"changes":[`)
		for i := from; i < min(n, from+10000); i++ {
			if i > from {
				body.WriteByte(',')
			}
			body.WriteString(`{"op":"set","path":"/","name":"K` + strconv.Itoa(i) + `","value":"` + string(bytes.Repeat([]byte("v"), 250)) + strconv.Itoa(i) + `"}`)
		}
		body.WriteString(`]}`)
		ask(b, s.Handler(), token, "POST", "/projects/bench/envs/dev/commits", body.Bytes())
	}
	return s.Handler(), token
}

func ask(b *testing.B, h http.Handler, token, method, path string, body []byte) {
	req := httptest.NewRequest(method, "/keyturn/v1"+path, bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code/100 != 2 {
		b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

// BenchmarkRead is one read with its synced entry in the log, without the network.
func BenchmarkRead(b *testing.B) {
	h, token := benchServer(b, 1000)
	for _, waiting := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(waiting), func(b *testing.B) {
			b.SetParallelism(waiting)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					ask(b, h, token, "GET", "/projects/bench/envs/dev/secrets/K"+strconv.Itoa(i%1000), nil)
				}
			})
		})
	}
}

// BenchmarkReadLarge is the same where most of what is read is not at hand.
func BenchmarkReadLarge(b *testing.B) {
	h, token := benchServer(b, 100_000)
	b.ResetTimer()
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(100_000); pb.Next(); i = (i + 7919) % 100_000 {
			ask(b, h, token, "GET", "/projects/bench/envs/dev/secrets/K"+strconv.Itoa(i), nil)
		}
	})
}

// BenchmarkWrite is one commit of one value with its synced entry in the log, without the network.
func BenchmarkWrite(b *testing.B) {
	h, token := benchServer(b, 1000)
	for _, waiting := range []int{1, 16} {
		b.Run(strconv.Itoa(waiting), func(b *testing.B) {
			b.SetParallelism(waiting)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					ask(b, h, token, "POST", "/projects/bench/envs/dev/commits", []byte(`{"changes":[{"op":"set","path":"/","name":"K`+strconv.Itoa(i%1000)+`","value":"`+strconv.Itoa(i)+`"}]}`))
				}
			})
		})
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func ask(t *testing.T, env map[string]string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	ready(backends(func(name string) string { return env[name] })).ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
	return w.Code, w.Body.String()
}

func TestReadyTellsHostsAndNeverPasswords(t *testing.T) {
	const secret = "test-value-password"
	for name, tc := range map[string]struct {
		database, redis string
		status          int
		want            string
	}{
		"both set":                  {"postgres://app:" + secret + "@db.example.test:5432/app", "rediss://:" + secret + "@cache.example.test:6380", 200, `"host":"db.example.test:5432"`},
		"nothing set":               {"", "", 503, `"problem":"not set"`},
		"one missing":               {"postgres://app:" + secret + "@db.example.test/app", "", 503, `"ready":false`},
		"a wrong scheme":            {"mysql://app:" + secret + "@db.example.test/app", "redis://cache.example.test", 503, `begins with postgres://`},
		"a password that breaks it": {"postgres://app:" + secret + "%zz@db.example.test/app", "redis://cache.example.test", 503, `"not a connection string"`},
		"no address at all":         {secret, "redis://cache.example.test", 503, `"not a connection string"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := ask(t, map[string]string{"DATABASE_URL": tc.database, "REDIS_URL": tc.redis})
			if status != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("status %d, body %s; want %d and %s", status, body, tc.status, tc.want)
			}
			if strings.Contains(body, secret) {
				t.Errorf("the password is in the answer: %s", body)
			}
		})
	}
}

func TestTheServiceServesUntilItIsToldToStop(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	env := map[string]string{"PORT": "0", "DATABASE_URL": "postgres://db.example.test/app", "REDIS_URL": "redis://cache.example.test"}
	out, log := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, func(name string) string { return env[name] }, log) }()

	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(line[strings.Index(line, "http://"):])
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var r readiness
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || !r.Ready || r.Redis.Host != "cache.example.test" {
		t.Errorf("got %+v, error %v", r, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the service ended with: %v", err)
	}
}

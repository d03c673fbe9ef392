package main

import (
	"encoding/json"
	"net/http"
	"net/url"
)

// backend is something that the service needs, as far as its connection string tells.
type backend struct {
	Set     bool   `json:"set"`
	Host    string `json:"host,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// readiness is the answer of GET /ready.
type readiness struct {
	Ready    bool    `json:"ready"`
	Database backend `json:"database"`
	Redis    backend `json:"redis"`
}

// backends looks at the environment once: a new value reaches a process by a restart.
func backends(getenv func(string) string) readiness {
	r := readiness{
		Database: parse(getenv("DATABASE_URL"), "postgres", "postgresql"),
		Redis:    parse(getenv("REDIS_URL"), "redis", "rediss"),
	}
	r.Ready = r.Database.usable() && r.Redis.usable()
	return r
}

func (b backend) usable() bool { return b.Set && b.Problem == "" }

// parse takes the host out of a connection string. The error of url.Parse quotes the string, password and all, so it goes
// nowhere.
func parse(address string, schemes ...string) backend {
	if address == "" {
		return backend{Problem: "not set"}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return backend{Set: true, Problem: "not a connection string"}
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return backend{Set: true, Host: u.Host}
		}
	}
	return backend{Set: true, Problem: "want a connection string that begins with " + schemes[0] + "://"}
}

func ready(r readiness) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !r.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(r) // the reader has left, and there is nobody to tell
	})
}

package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
)

// metrics counts what is served. Labels hold routes and statuses, never names of things.
type metrics struct {
	set      *vm.Set
	requests sync.Map // series to *vm.Summary
}

func newMetrics(s *Server) *metrics {
	m := &metrics{set: vm.NewSet()}
	m.set.NewGauge("keyturn_start_time_seconds", func() float64 { return seconds(s.started) })
	m.set.NewGauge(fmt.Sprintf("keyturn_build_info{version=%q,store=%q}", s.o.Version, s.db.Name()), func() float64 { return 1 })
	m.set.NewGauge("keyturn_audit_log_entries", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		i, err := s.db.Instance(ctx)
		if err != nil {
			return -1
		}
		return float64(i.LogSize)
	})
	return m
}

func (m *metrics) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	m.set.WritePrometheus(w)
	vm.WriteProcessMetrics(w)
}

// counted remembers the status of an answer and passes on what streams need.
type counted struct {
	http.ResponseWriter
	status int
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// measure counts requests and their time by route.
func (m *metrics) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &counted{w, http.StatusOK}
		next.ServeHTTP(c, r)
		route := r.Pattern
		if route == "" {
			route = "none"
		}
		m.request(route, c.status).Update(time.Since(start).Seconds())
	})
}

// series is one summary: a route and a class of statuses.
type series struct {
	route string
	class int
}

func (m *metrics) request(route string, status int) *vm.Summary {
	key := series{route, status / 100}
	if known, ok := m.requests.Load(key); ok {
		return known.(*vm.Summary)
	}
	fresh := m.set.GetOrCreateSummary(fmt.Sprintf("keyturn_request_seconds{route=%q,code=\"%dxx\"}", route, key.class))
	m.requests.Store(key, fresh)
	return fresh
}

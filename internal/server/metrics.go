package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/keyturn/keyturn/internal/alert"
	"github.com/keyturn/keyturn/internal/backup"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/keys"
)

// metrics counts what is served. Labels hold routes and statuses, never names of things.
type metrics struct {
	set      *vm.Set
	keys     *keys.Service
	backups  *backup.Service
	follow   *follow.Service
	alerts   func() *alert.Service // made after the metrics
	requests sync.Map              // series to *vm.Summary
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
	m.alerts = func() *alert.Service { return s.alerts }
	m.keys, m.backups, m.follow = s.keys, s.backups, s.follow
	damaged := m.set.NewCounter("keyturn_damaged_envelopes_total")
	s.secrets.OnDamage(func(record, field string) {
		damaged.Inc()
		slog.Error("an envelope does not open in its place: it was altered, or another was put there", "record", record, "field", field)
		if s.alerts != nil {
			s.alerts.Damaged(record, field)
		}
	})
	return m
}

// writeKeys tells how keys and turns stand: labels hold layers, never names of projects.
func (m *metrics) writeKeys(w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	k, err := m.keys.Report(ctx)
	if err != nil {
		return
	}
	type layer struct {
		generation uint32
		oldest     time.Time
		seals      int64
	}
	layers := map[string]layer{}
	for _, key := range k.Keys {
		if key.State != "primary" {
			continue
		}
		l := layers[key.Layer]
		l.generation, l.seals = max(l.generation, key.Generation), max(l.seals, key.Seals)
		if l.oldest.IsZero() || key.CreatedAt.Before(l.oldest) {
			l.oldest = key.CreatedAt
		}
		layers[key.Layer] = l
	}
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		l := layers[name]
		fmt.Fprintf(w, "keyturn_key_generation{layer=%q} %d\n", name, l.generation)
		fmt.Fprintf(w, "keyturn_key_oldest_age_seconds{layer=%q} %.0f\n", name, time.Since(l.oldest).Seconds())
		fmt.Fprintf(w, "keyturn_key_seals_reserved{layer=%q} %d\n", name, l.seals)
	}
	type turn struct {
		running, blocked int
		left             int64
		rate             float64
	}
	turns := map[string]turn{}
	for _, line := range k.Schedule {
		turns[line.Layer] = turn{}
	}
	for _, t := range k.Running {
		u := turns[t.Layer]
		u.running++
		u.left += t.Total - t.Done
		u.rate += t.PerSecond
		if t.Problem != "" {
			u.blocked++
		}
		turns[t.Layer] = u
	}
	for _, name := range slices.Sorted(maps.Keys(turns)) {
		u := turns[name]
		fmt.Fprintf(w, "keyturn_key_turns_running{layer=%q} %d\n", name, u.running)
		fmt.Fprintf(w, "keyturn_key_turns_blocked{layer=%q} %d\n", name, u.blocked)
		fmt.Fprintf(w, "keyturn_key_turn_envelopes_remaining{layer=%q} %d\n", name, u.left)
		fmt.Fprintf(w, "keyturn_key_turn_envelopes_per_second{layer=%q} %.0f\n", name, u.rate)
	}
	fmt.Fprintf(w, "keyturn_key_slots %d\n", len(k.Slots))
}

func (m *metrics) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	m.set.WritePrometheus(w)
	m.writeKeys(w)
	m.writeBackups(w)
	m.writeAlerts(w)
	m.writeFollowers(w)
	vm.WriteProcessMetrics(w)
}

// writeBackups tells how backups stand. What never was is not told.
func (m *metrics) writeBackups(w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	b, err := m.backups.State(ctx)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "keyturn_backup_failures_total %d\n", b.Total)
	if !b.Newest.IsZero() {
		fmt.Fprintf(w, "keyturn_backup_age_seconds %.0f\n", time.Since(b.Newest).Seconds())
		fmt.Fprintf(w, "keyturn_backup_bytes %d\n", b.Bytes)
		fmt.Fprintf(w, "keyturn_backup_duration_seconds %.3f\n", b.Seconds)
	}
	if !b.Drilled.IsZero() {
		ok := 0
		if b.DrillProblem == "" {
			ok = 1
		}
		fmt.Fprintf(w, "keyturn_backup_drill_age_seconds %.0f\n", time.Since(b.Drilled).Seconds())
		fmt.Fprintf(w, "keyturn_backup_drill_ok %d\n", ok)
		fmt.Fprintf(w, "keyturn_backup_drill_duration_seconds %.3f\n", b.DrillSeconds)
	}
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

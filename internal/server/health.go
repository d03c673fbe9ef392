package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

func (s *Server) registerHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		httpkit.WriteBody(w, http.StatusOK, []byte(`{"status":"live"}`))
	})
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET "+api.Prefix+unlockPath, func(w http.ResponseWriter, r *http.Request) { // a sealed server says more here
		respond(w, r, api.SealStatus{Fingerprints: []string{}, Slots: []api.KeySlot{}}, nil)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r, s.o.Config.MetricsToken) {
			httpkit.WriteError(w, r, fault.New(fault.Unauthenticated, "metrics need their token").
				WithHint("send Authorization: Bearer with the value of KEYTURN_METRICS_TOKEN"))
			return
		}
		s.metrics.write(w)
	})
}

// dependency is one line of the answer of /readyz.
type dependency struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail,omitempty"`
}

type readiness struct {
	Status       string       `json:"status"` // ready or not ready
	Dependencies []dependency `json:"dependencies,omitempty"`
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	db := dependency{Name: "database (" + s.db.Name() + ")", Ready: true}
	if err := s.db.Ping(r.Context()); err != nil {
		db.Ready, db.Detail = false, fault.As(err).Message
	}
	stopping := dependency{Name: "service", Ready: true}
	select {
	case <-s.closing:
		stopping.Ready, stopping.Detail = false, "the server is stopping"
	default:
	}
	keys := dependency{Name: "keys", Ready: true, Detail: "unsealed"}
	out := readiness{Status: "ready"}
	status := http.StatusOK
	if !db.Ready || !stopping.Ready {
		out.Status, status = "not ready", http.StatusServiceUnavailable
	}
	if s.o.Config.ReadyToken == "" || allowed(r, s.o.Config.ReadyToken) {
		out.Dependencies = []dependency{db, keys, stopping}
	}
	if err := httpkit.WriteJSON(w, status, out); err != nil {
		httpkit.WriteError(w, r, err)
	}
}

// allowed checks a token of its own; without one only this machine is let in.
func allowed(r *http.Request, want string) bool {
	if want == "" {
		return net.ParseIP(httpkit.Address(r)).IsLoopback()
	}
	got, err := httpkit.Bearer(r)
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return err == nil && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

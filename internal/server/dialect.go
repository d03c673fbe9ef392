package server

import (
	"net/http"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/compat/infisical"
	"github.com/keyturn/keyturn/internal/compat/vault"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// registerDialects serves the foreign APIs that are switched on, and tells how their faults look. What is switched off is not
// built.
func (s *Server) registerDialects(mux *http.ServeMux) []httpkit.Shape {
	var shapes []httpkit.Shape
	for _, name := range s.o.Config.Dialects {
		switch name {
		case infisical.Dialect:
			infisical.New(infisical.Services{Secrets: s.secrets, Access: s.access, Transit: s.transit, Closing: s.closing, PingEvery: s.pingEvery()}).Register(mux)
			shapes = append(shapes, infisical.Shape())
		case vault.Dialect:
			vault.New(vault.Services{Secrets: s.secrets, Access: s.access, Transit: s.transit, Keys: s.keys, Instance: s.vaultInstance(), Closing: s.closing, PingEvery: s.pingEvery()}).Register(mux)
			shapes = append(shapes, vault.Shape())
		}
	}
	return shapes
}

// dressing gives the form of sessions that the console hands to programs of a dialect; nil when it is switched off.
func (s *Server) dressing() func(access.Session) (sensitive.Value, error) {
	if slices.Contains(s.o.Config.Dialects, infisical.Dialect) {
		return infisical.DressSession
	}
	return nil
}

// pingEvery is less than the half minute after which proxies close quiet streams and the first clients give up on one.
const pingEvery = 15 * time.Second

func (s *Server) pingEvery() time.Duration {
	if s.o.PingEvery > 0 {
		return s.o.PingEvery
	}
	return pingEvery
}

func (s *Server) vaultInstance() vault.Instance {
	return vault.Instance{ID: s.world.instance, Storage: s.db.Name()}
}

// registerDialects lets a sealed server tell the clients of foreign APIs in their own words that it is sealed.
func (s *sealed) registerDialects(mux *http.ServeMux) []httpkit.Shape {
	var shapes []httpkit.Shape
	for _, name := range s.dialects {
		switch name {
		case infisical.Dialect:
			shape := infisical.Shape()
			mux.HandleFunc(shape.Prefix, func(w http.ResponseWriter, r *http.Request) { shape.Write(w, r, waits()) })
			shapes = append(shapes, shape)
		case vault.Dialect:
			vault.RegisterSealed(mux, vault.Instance{ID: s.instance, Storage: s.db.Name()}, func() vault.Opening {
				status := s.status()
				return vault.Opening{Have: status.Have, Need: status.Need}
			})
			shapes = append(shapes, vault.Shape())
		}
	}
	return shapes
}

func waits() error {
	return fault.New(fault.Sealed, "the server waits for its root key").WithHint("unlock it with: keyturn unlock")
}

package server

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/compat/infisical"
	"github.com/keyturn/keyturn/internal/compat/vault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// registerDialects serves the foreign APIs that are switched on, and tells how their faults look. What is switched off is not
// built.
func (s *Server) registerDialects(mux *http.ServeMux) []httpkit.Shape {
	var shapes []httpkit.Shape
	for _, name := range s.o.Config.Dialects {
		switch name {
		case infisical.Dialect:
			infisical.New(infisical.Services{Secrets: s.secrets, Access: s.access, Transit: s.transit, Closing: s.closing}).Register(mux)
			shapes = append(shapes, infisical.Shape())
		case vault.Dialect:
			vault.New(vault.Services{Secrets: s.secrets, Access: s.access, Transit: s.transit, Closing: s.closing}).Register(mux)
			shapes = append(shapes, vault.Shape())
		}
	}
	return shapes
}

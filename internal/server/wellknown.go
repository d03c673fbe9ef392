package server

import (
	"net/http"

	"github.com/keyturn/keyturn/internal/httpkit"
)

// keysMaxAge is how long others may keep the published keys. It is far shorter than an overlap of two keys, so nobody misses a
// new one, and a key that was destroyed in haste is forgotten soon.
const keysMaxAge = "public, max-age=300"

// registerWellKnown publishes the keys of identity tokens where others look for them (RFC 8615).
func (s *Server) registerWellKnown(mux *http.ServeMux) {
	for path, document := range map[string]func() ([]byte, error){
		"/.well-known/jwks.json":            s.access.PublishedKeys,
		"/.well-known/openid-configuration": s.access.Discovery,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := document()
			if err != nil {
				httpkit.WriteError(w, r, err)
				return
			}
			w.Header().Set("Cache-Control", keysMaxAge)
			httpkit.WriteBody(w, http.StatusOK, body)
		})
	}
}

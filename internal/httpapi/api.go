package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/access"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/secrets"
)

// Routes gives the table. It is made anew for each caller, so nobody can change it for others.
func Routes() []Route {
	return slices.Concat(accessRoutes(), projectRoutes(), secretRoutes(), auditRoutes(), keyRoutes(), backupRoutes())
}

// New builds the API. It refuses a table with a row that is not whole or stands there twice.
func New(s *secrets.Service, a *access.Service, auditor Auditor, status Reporter, k Keys, b Backups, offline time.Duration, closing <-chan struct{}) (*API, error) {
	out := &API{secrets: s, access: a, auditor: auditor, status: status, keys: k, backups: b, routes: Routes(), offline: offline.String(), closing: closing}
	seen := map[string]bool{}
	for i := range out.routes {
		r := &out.routes[i]
		if err := r.check(); err != nil {
			return nil, err
		}
		if seen[r.Pattern()] {
			return nil, fmt.Errorf("route %s stands there twice", r.Pattern())
		}
		seen[r.Pattern()] = true
	}
	return out, nil
}

// Register puts all routes into a mux, and an answer in our own manner for what is below the prefix and not there.
func (a *API) Register(mux *http.ServeMux) {
	for i := range a.routes {
		mux.Handle(a.routes[i].Pattern(), a.handler(&a.routes[i]))
	}
	mux.HandleFunc("GET "+api.Prefix+DocumentPath, serveDocument())
	mux.HandleFunc(api.Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		httpkit.WriteError(w, r, fault.New(fault.NotFound, "no such route").WithHint("see /keyturn/v1/openapi.json"))
	})
}

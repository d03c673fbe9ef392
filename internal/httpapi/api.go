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
	return slices.Concat(
		accessRoutes(),
		machineRoutes(),
		projectRoutes(),
		mountRoutes(),
		secretRoutes(),
		auditRoutes(),
		keyRoutes(),
		streamRoutes(),
		canaryRoutes(),
		alertRoutes(),
		consumerRoutes(),
		backupRoutes(),
		passkeyRoutes(),
		peopleRoutes(),
		inviteRoutes(),
		accountRoutes(),
		ssoRoutes(),
		policyRoutes(),
		approvalRoutes(),
		requestRoutes(),
		breakGlassRoutes(),
		transitRoutes(),
	)
}

// Services are what the routes ask.
type Services struct {
	Secrets    *secrets.Service
	Access     *access.Service
	Auditor    Auditor
	Status     Reporter
	Keys       Keys
	Backups    Backups
	Streams    Streams
	Canaries   Canaries
	Alerts     Alerts
	Consumers  Consumers
	Offline    time.Duration   // how long clients may serve from a sealed copy
	Closing    <-chan struct{} // closed when the server begins to stop: streams end then
	Passkeys   *access.Passkeys
	BreakGlass BreakGlass
	Transit    Transit
}

// New builds the API. It refuses a table with a row that is not whole or stands there twice.
func New(s Services) (*API, error) {
	out := &API{Services: s, secrets: s.Secrets, access: s.Access, routes: Routes(), offline: s.Offline.String()}
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
	a.registerSSO(mux)
	mux.HandleFunc("GET "+api.Prefix+DocumentPath, serveDocument())
	mux.HandleFunc(api.Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		httpkit.WriteError(w, r, fault.New(fault.NotFound, "no such route").WithHint("see /keyturn/v1/openapi.json"))
	})
}

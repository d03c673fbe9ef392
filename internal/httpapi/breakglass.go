package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// BreakGlass keeps credentials for emergencies, and what is to be done after they were opened.
type BreakGlass interface {
	Prepare(ctx context.Context, in api.BreakGlassRequest, ttl time.Duration) (api.BreakGlassMade, error)
	List(ctx context.Context) (api.BreakGlassList, error)
	Begin(ctx context.Context, name, reason string) (api.BreakGlass, error)
	Enter(ctx context.Context, name string, share sensitive.Value) (api.BreakGlass, error)
	Session(ctx context.Context, name string) (api.Session, error)
	Close(ctx context.Context, name string) (api.BreakGlass, error)
	Report(ctx context.Context, name, opening string) (api.BreakGlassReport, error)
	Tasks(ctx context.Context) (api.BreakGlassTasks, error)
	Done(ctx context.Context, id string) error
}

type breakGlassParam struct {
	Name string `path:"name" doc:"of the credential"`
}

type breakGlassReportParams struct {
	Name    string `path:"name" doc:"of the credential"`
	Opening string `query:"opening" doc:"id of an opening, default the last"`
}

func breakGlassRoutes() []Route {
	return []Route{
		with(Route{Method: "POST", Path: "/break-glass", Auth: Token, Action: "breakglass.prepare", Summary: "Prepare a credential for emergencies; the shares are shown this once.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.BreakGlassRequest{Name: "prod-down", Role: "admin", Project: "shop", Env: "prod", For: "1h", Custodians: []string{"a@example.test", "b@example.test", "c@example.test"}, Need: 2}},
			func(c *call, _ *none, b *api.BreakGlassRequest) (api.BreakGlassMade, error) {
				ttl, err := parseDuration("/for", b.For)
				if err != nil {
					return api.BreakGlassMade{}, err
				}
				return c.BreakGlass.Prepare(c.ctx, *b, ttl)
			}),
		with(Route{Method: "GET", Path: "/break-glass", Auth: Token, Action: "self.read", Summary: "List the break-glass credentials that the caller has to do with.", Example: api.BreakGlassList{}},
			func(c *call, _ *none, _ *none) (api.BreakGlassList, error) { return c.BreakGlass.List(c.ctx) }),
		with(Route{Method: "POST", Path: "/break-glass/{name}/open", Auth: Token, Action: "breakglass.begin", Summary: "Begin to open a break-glass credential: its custodians enter their shares next.", MaxBody: smallBody, Example: api.BreakGlassOpen{Reason: "payments are down"}},
			func(c *call, p *breakGlassParam, b *api.BreakGlassOpen) (api.BreakGlass, error) {
				return c.BreakGlass.Begin(c.ctx, p.Name, b.Reason)
			}),
		with(Route{Method: "POST", Path: "/break-glass/{name}/share", Auth: Token, Action: "breakglass.share", Summary: "Enter the caller's own share; the last that is needed opens the credential.", MaxBody: smallBody, Example: api.BreakGlassEntry{Share: "ktg_test-value"}},
			func(c *call, p *breakGlassParam, b *api.BreakGlassEntry) (api.BreakGlass, error) {
				return c.BreakGlass.Enter(c.ctx, p.Name, sensitive.FromString(b.Share))
			}),
		with(Route{Method: "POST", Path: "/break-glass/{name}/session", Auth: Token, Action: "breakglass.open", Summary: "Take the session of an opened credential, once.", Example: api.Session{}},
			func(c *call, p *breakGlassParam, _ *none) (api.Session, error) {
				return c.BreakGlass.Session(c.ctx, p.Name)
			}),
		with(Route{Method: "POST", Path: "/break-glass/{name}/close", Auth: Token, Action: "breakglass.close", Summary: "Close a credential: its session ends at once, and its report is filed.", Example: api.BreakGlass{}},
			func(c *call, p *breakGlassParam, _ *none) (api.BreakGlass, error) {
				return c.BreakGlass.Close(c.ctx, p.Name)
			}),
		with(Route{Method: "GET", Path: "/break-glass/{name}/report", Auth: Token, Action: "breakglass.report", Summary: "Tell who opened it, when and why, what was read and changed, and what is open.", Example: api.BreakGlassReport{}},
			func(c *call, p *breakGlassReportParams, _ *none) (api.BreakGlassReport, error) {
				return c.BreakGlass.Report(c.ctx, p.Name, p.Opening)
			}),
		with(Route{Method: "GET", Path: "/break-glass-tasks", Auth: Token, Action: "self.read", Summary: "List values that were read in an emergency and must be replaced.", Example: api.BreakGlassTasks{}},
			func(c *call, _ *none, _ *none) (api.BreakGlassTasks, error) { return c.BreakGlass.Tasks(c.ctx) }),
		with(Route{Method: "POST", Path: "/break-glass-tasks/{id}/done", Auth: Token, Action: "secret.write", Summary: "Say that a task is done although the value here is the same.", Example: api.Done{Done: true}},
			func(c *call, p *idParam, _ *none) (api.Done, error) { return done(c.BreakGlass.Done(c.ctx, p.ID)) }),
	}
}

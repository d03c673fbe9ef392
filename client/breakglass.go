package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// PrepareBreakGlass prepares a credential for emergencies; the shares are shown this once.
func (c *Client) PrepareBreakGlass(ctx context.Context, r api.BreakGlassRequest) (api.BreakGlassMade, error) {
	return call[api.BreakGlassMade](ctx, c, request{method: "POST", path: "/break-glass", body: r, once: true})
}

// BreakGlass lists the credentials that the caller has to do with.
func (c *Client) BreakGlass(ctx context.Context) (api.BreakGlassList, error) {
	return call[api.BreakGlassList](ctx, c, request{method: "GET", path: "/break-glass"})
}

// OpenBreakGlass begins to open a credential.
func (c *Client) OpenBreakGlass(ctx context.Context, name, reason string) (api.BreakGlass, error) {
	return call[api.BreakGlass](ctx, c, request{method: "POST", path: path("break-glass", name, "open"), body: api.BreakGlassOpen{Reason: reason}})
}

// ShareBreakGlass enters the caller's own share.
func (c *Client) ShareBreakGlass(ctx context.Context, name, share string) (api.BreakGlass, error) {
	return call[api.BreakGlass](ctx, c, request{method: "POST", path: path("break-glass", name, "share"), body: api.BreakGlassEntry{Share: share}, once: true})
}

// BreakGlassSession takes the session of an opened credential, once.
func (c *Client) BreakGlassSession(ctx context.Context, name string) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: path("break-glass", name, "session"), once: true})
}

// CloseBreakGlass closes a credential.
func (c *Client) CloseBreakGlass(ctx context.Context, name string) (api.BreakGlass, error) {
	return call[api.BreakGlass](ctx, c, request{method: "POST", path: path("break-glass", name, "close")})
}

// BreakGlassReport tells of an opening: the last one, or the one of that id.
func (c *Client) BreakGlassReport(ctx context.Context, name, opening string) (api.BreakGlassReport, error) {
	return call[api.BreakGlassReport](ctx, c, request{method: "GET", path: path("break-glass", name, "report"), query: url.Values(values{}.text("opening", opening))})
}

// BreakGlassTasks lists values that were read in an emergency and must be replaced.
func (c *Client) BreakGlassTasks(ctx context.Context) (api.BreakGlassTasks, error) {
	return call[api.BreakGlassTasks](ctx, c, request{method: "GET", path: "/break-glass-tasks"})
}

// FinishTask says that a task is done although the value here is the same.
func (c *Client) FinishTask(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "POST", path: path("break-glass-tasks", id, "done")})
}

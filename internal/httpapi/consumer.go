package httpapi

import (
	"cmp"
	"context"

	"github.com/keyturn/keyturn/api"
)

// Consumers knows who uses what.
type Consumers interface {
	Of(ctx context.Context, project, env, path, name string) (api.Consumers, error)
	Unused(ctx context.Context, days int) (api.Unused, error)
	Reads(ctx context.Context, principal string) (api.Reads, error)
	First(ctx context.Context, days int) (api.FirstReads, error)
}

type consumerParams struct {
	Project string `path:"project" doc:"id or slug"`
	Env     string `path:"env" doc:"id or slug"`
	Name    string `path:"name" doc:"of the secret"`
	Path    string `query:"path" doc:"folder, default /"`
}

type unusedParams struct {
	Days int64 `query:"days" doc:"that nobody has read or changed it, default 90"`
}

type readsParams struct {
	Principal string `query:"principal" doc:"id of a user or machine"`
}

type firstParams struct {
	Days int64 `query:"days" doc:"how far back, default 7"`
}

// Defaults of reports, in days.
const (
	unusedDays = 90
	firstDays  = 7
)

func consumerRoutes() []Route {
	return []Route{
		with(Route{Method: "GET", Path: "/projects/{project}/envs/{env}/secrets/{name}/consumers", Auth: Token, Action: "secret.list", Summary: "Tell who uses a secret, and who holds the current version.", Example: api.Consumers{}},
			func(c *call, p *consumerParams, _ *none) (api.Consumers, error) {
				return c.Consumers.Of(c.ctx, p.Project, p.Env, cmp.Or(p.Path, "/"), p.Name)
			}),
		with(Route{Method: "GET", Path: "/unused", Auth: Token, Action: "self.read", Summary: "List secrets that nobody has read or changed for so long.", Example: api.Unused{}},
			func(c *call, p *unusedParams, _ *none) (api.Unused, error) {
				return c.Consumers.Unused(c.ctx, int(cmp.Or(p.Days, unusedDays)))
			}),
		with(Route{Method: "GET", Path: "/reads", Auth: Token, Action: "access.read", Summary: "List what a principal was given, what was not rotated since first.", Example: api.Reads{}},
			func(c *call, p *readsParams, _ *none) (api.Reads, error) {
				return c.Consumers.Reads(c.ctx, p.Principal)
			}),
		with(Route{Method: "GET", Path: "/reads/first", Auth: Token, Action: "audit.read", Summary: "List who read a secret for the first time, newest first.", Example: api.FirstReads{}},
			func(c *call, p *firstParams, _ *none) (api.FirstReads, error) {
				return c.Consumers.First(c.ctx, int(cmp.Or(p.Days, firstDays)))
			}),
	}
}

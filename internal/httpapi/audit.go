package httpapi

import (
	"context"
	"math"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/evidence"
)

// Auditor answers questions about the log.
type Auditor interface {
	List(ctx context.Context, f evidence.Filter, before int64, limit int) (api.Entries, error)
	Checkpoint(ctx context.Context) (api.Checkpoint, error)
	Inclusion(ctx context.Context, index int64) (api.InclusionProof, error)
	Consistency(ctx context.Context, oldSize int64) (api.ConsistencyProof, error)
	Page(ctx context.Context, from int64) (api.LogPage, error)
	Verify(ctx context.Context, deep bool) (api.Verification, error)
	Archive(ctx context.Context, before time.Time, open bool) (api.Archive, error)
	Archived(ctx context.Context, from int64) (api.Archive, error)
}

// Reporter tells how the server stands.
type Reporter interface {
	Status(ctx context.Context) (api.Status, error)
	Doctor(ctx context.Context) (api.Checks, error)
}

type entriesParams struct {
	Who     string `query:"who" doc:"id or name of a principal"`
	What    string `query:"what" doc:"action, for example secret.read or secret.*"`
	Outcome string `query:"outcome" doc:"allowed, refused or failed"`
	Project string `query:"project" doc:"id of a project"`
	Env     string `query:"env" doc:"id of an environment"`
	Key     string `query:"key" doc:"name of a secret, or /folder/NAME"`
	Since   int64  `query:"since" doc:"not before, unix milliseconds"`
	Until   int64  `query:"until" doc:"before, unix milliseconds"`
	Before  int64  `query:"before" doc:"only entries with a smaller index"`
	Limit   int64  `query:"limit" doc:"at most so many, up to 1000, default 100"`
}

type indexParam struct {
	Index int64 `path:"index" doc:"of the entry, from 0"`
}

type sizeParam struct {
	Size int64 `query:"old_size" doc:"of the older tree"`
}

type fromParam struct {
	From int64 `query:"from" doc:"index of the first entry"`
}

type deepParam struct {
	Deep bool `query:"deep" doc:"also compare the data with the log"`
}

func auditRoutes() []Route {
	return []Route{
		with(Route{Method: "GET", Path: "/audit/entries", Auth: Token, Action: "audit.read", Summary: "List entries of the log, newest first.", Example: api.Entries{Size: 1}},
			func(c *call, p *entriesParams, _ *none) (api.Entries, error) {
				f := evidence.Filter{Who: p.Who, What: p.What, Outcome: p.Outcome, Project: p.Project, Env: p.Env, Key: p.Key, SinceMS: p.Since, UntilMS: p.Until}
				before := p.Before
				if before == 0 {
					before = math.MaxInt64
				}
				return c.Auditor.List(c.ctx, f, before, int(min(p.Limit, math.MaxInt32)))
			}),
		with(Route{Method: "GET", Path: "/audit/checkpoint", Auth: Token, Action: "audit.read", Summary: "Give a signed checkpoint of the log and the keys that verify it.", Example: api.Checkpoint{}},
			func(c *call, _ *none, _ *none) (api.Checkpoint, error) { return c.Auditor.Checkpoint(c.ctx) }),
		with(Route{Method: "GET", Path: "/audit/entries/{index}/proof", Auth: Token, Action: "audit.read", Summary: "Prove that an entry is in the log.", Example: api.InclusionProof{}},
			func(c *call, p *indexParam, _ *none) (api.InclusionProof, error) {
				return c.Auditor.Inclusion(c.ctx, p.Index)
			}),
		with(Route{Method: "GET", Path: "/audit/consistency", Auth: Token, Action: "audit.read", Summary: "Prove that the log only grew since an older checkpoint.", Example: api.ConsistencyProof{}},
			func(c *call, p *sizeParam, _ *none) (api.ConsistencyProof, error) {
				return c.Auditor.Consistency(c.ctx, p.Size)
			}),
		with(Route{Method: "GET", Path: "/audit/log", Auth: Token, Action: "audit.read", Summary: "Give a stretch of the raw log, for an offline copy.", Example: api.LogPage{}},
			func(c *call, p *fromParam, _ *none) (api.LogPage, error) { return c.Auditor.Page(c.ctx, p.From) }),
		with(Route{Method: "POST", Path: "/audit/verify", Auth: Token, Action: "audit.read", Summary: "Verify the whole log, with deep also the data against it.", Example: api.Verification{}},
			func(c *call, p *deepParam, _ *none) (api.Verification, error) { return c.Auditor.Verify(c.ctx, p.Deep) }),
		with(Route{Method: "GET", Path: "/audit/archive", Auth: Token, Action: "audit.manage", Summary: "List the archived stretches of the log, oldest first.", Example: api.Archive{}},
			func(c *call, p *fromParam, _ *none) (api.Archive, error) { return c.Auditor.Archived(c.ctx, p.From) }),
		with(Route{Method: "POST", Path: "/audit/archive", Auth: Token, Action: "audit.manage", Summary: "Move old entries of the log into the archive; their hashes stay.", MaxBody: smallBody,
			Example: api.ArchiveRequest{Before: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}},
			func(c *call, _ *none, b *api.ArchiveRequest) (api.Archive, error) {
				return long(c, func() (api.Archive, error) { return c.Auditor.Archive(c.ctx, b.Before, b.Open) })
			}),
		with(Route{Method: "GET", Path: "/status", Auth: Token, Action: "instance.read", Summary: "Tell how the server stands.", Example: api.Status{}},
			func(c *call, _ *none, _ *none) (api.Status, error) { return c.Status.Status(c.ctx) }),
		with(Route{Method: "GET", Path: "/doctor", Auth: Token, Action: "instance.read", Summary: "Run the production checklist.", Example: api.Checks{}},
			func(c *call, _ *none, _ *none) (api.Checks, error) { return c.Status.Doctor(c.ctx) }),
	}
}

package httpapi

import (
	"context"
	"net/http"

	"github.com/keyturn/keyturn/api"
)

// Streams sends the log on.
type Streams interface {
	Create(ctx context.Context, in api.StreamRequest) (api.StreamMade, error)
	List(ctx context.Context) (api.Streams, error)
	Pause(ctx context.Context, name string, paused bool) (api.Stream, error)
	Remove(ctx context.Context, name string) error
	Test(ctx context.Context, name string) error
}

type streamParam struct {
	Name string `path:"name" doc:"of the stream"`
}

func streamRoutes() []Route {
	const manage = "audit.manage"
	return []Route{
		with(Route{Method: "GET", Path: "/audit/streams", Auth: Token, Action: manage, Summary: "List where the log is sent on, and how far each stream is behind.", Example: api.Streams{}},
			func(c *call, _ *none, _ *none) (api.Streams, error) { return c.Streams.List(c.ctx) }),
		with(Route{Method: "POST", Path: "/audit/streams", Auth: Token, Action: manage, Summary: "Send the log on to a file, syslog, webhook or bucket.", MaxBody: valueBody, Status: http.StatusCreated,
			Example: api.StreamRequest{Name: "siem", Kind: "webhook", Settings: map[string]string{"url": "https://siem.example.com/keyturn"}}},
			func(c *call, _ *none, b *api.StreamRequest) (api.StreamMade, error) {
				return c.Streams.Create(c.ctx, *b)
			}),
		with(Route{Method: "POST", Path: "/audit/streams/{name}/pause", Auth: Token, Action: manage, Summary: "Hold a stream; it keeps its place in the log.", Example: api.Stream{}},
			func(c *call, p *streamParam, _ *none) (api.Stream, error) {
				return c.Streams.Pause(c.ctx, p.Name, true)
			}),
		with(Route{Method: "POST", Path: "/audit/streams/{name}/resume", Auth: Token, Action: manage, Summary: "Let a stream go on from where it was held.", Example: api.Stream{}},
			func(c *call, p *streamParam, _ *none) (api.Stream, error) {
				return c.Streams.Pause(c.ctx, p.Name, false)
			}),
		with(Route{Method: "POST", Path: "/audit/streams/{name}/test", Auth: Token, Action: manage, Summary: "Show that the other side takes what it is sent, without an entry of the log.", Example: api.Done{}},
			func(c *call, p *streamParam, _ *none) (api.Done, error) {
				return long(c, func() (api.Done, error) { return api.Done{Done: true}, c.Streams.Test(c.ctx, p.Name) })
			}),
		with(Route{Method: "DELETE", Path: "/audit/streams/{name}", Auth: Token, Action: manage, Summary: "End a stream; what it has sent stays where it is.", Example: api.Done{}},
			func(c *call, p *streamParam, _ *none) (api.Done, error) {
				return api.Done{Done: true}, c.Streams.Remove(c.ctx, p.Name)
			}),
	}
}

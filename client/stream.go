package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Streams lists where the log is sent on, and how far each stream is behind.
func (c *Client) Streams(ctx context.Context) (api.Streams, error) {
	return call[api.Streams](ctx, c, request{method: "GET", path: "/audit/streams"})
}

// CreateStream sends the log on. A credential that the server makes is in the answer, and nowhere else ever again.
func (c *Client) CreateStream(ctx context.Context, r api.StreamRequest) (api.StreamMade, error) {
	return call[api.StreamMade](ctx, c, request{method: "POST", path: "/audit/streams", body: r})
}

// PauseStream holds a stream, or lets it go on from where it was held.
func (c *Client) PauseStream(ctx context.Context, name string, paused bool) (api.Stream, error) {
	verb := "resume"
	if paused {
		verb = "pause"
	}
	return call[api.Stream](ctx, c, request{method: "POST", path: path("audit", "streams", name, verb)})
}

// TestStream has the server show that the other side takes what it is sent. It takes as long as ctx allows.
func (c *Client) TestStream(ctx context.Context, name string) error {
	_, err := call[api.Done](ctx, c, request{method: "POST", path: path("audit", "streams", name, "test"), slow: true, once: true})
	return err
}

// RemoveStream ends a stream; what it has sent stays where it is.
func (c *Client) RemoveStream(ctx context.Context, name string) error {
	_, err := call[api.Done](ctx, c, request{method: "DELETE", path: path("audit", "streams", name)})
	return err
}

// Archive moves old entries of the log into the archive; their hashes stay. It takes as long as ctx allows.
func (c *Client) Archive(ctx context.Context, r api.ArchiveRequest) (api.Archive, error) {
	return call[api.Archive](ctx, c, request{method: "POST", path: "/audit/archive", body: r, slow: true, once: true})
}

// Archived lists the archived stretches of the log that begin at an index or later, oldest first.
func (c *Client) Archived(ctx context.Context, from int64) (api.Archive, error) {
	q := values{}.number("from", from)
	return call[api.Archive](ctx, c, request{method: "GET", path: "/audit/archive", query: url.Values(q)})
}

package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/api"
)

// EntriesOptions say which entries of the log are wanted; the zero value is the newest of all.
type EntriesOptions struct {
	Who     string    // id or name of a principal
	What    string    // action, such as secret.read or secret.*
	Outcome string    // allowed, refused or failed
	Project string    // id
	Env     string    // id
	Key     string    // name of a secret, or /folder/NAME
	Since   time.Time // not before; the zero time for no bound
	Until   time.Time // before; the zero time for no bound
	Before  int64     // only entries with a smaller index; 0 for no bound
	Limit   int64     // at most so many; 0 for the server's default
}

// Entries lists entries of the audit log, newest first.
func (c *Client) Entries(ctx context.Context, o EntriesOptions) (api.Entries, error) {
	q := values{}.text("who", o.Who).text("what", o.What).text("outcome", o.Outcome).text("project", o.Project).text("env", o.Env).
		text("key", o.Key).number("since", millis(o.Since)).number("until", millis(o.Until)).number("before", o.Before).number("limit", o.Limit)
	return call[api.Entries](ctx, c, request{method: "GET", path: "/audit/entries", query: url.Values(q)})
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Checkpoint gives a signed checkpoint of the log and the keys that verify it.
func (c *Client) Checkpoint(ctx context.Context) (api.Checkpoint, error) {
	return call[api.Checkpoint](ctx, c, request{method: "GET", path: "/audit/checkpoint"})
}

// Inclusion proves that an entry is in the log.
func (c *Client) Inclusion(ctx context.Context, index int64) (api.InclusionProof, error) {
	return call[api.InclusionProof](ctx, c, request{method: "GET", path: path("audit", "entries", strconv.FormatInt(index, 10), "proof")})
}

// Consistency proves that the log only grew since it had oldSize entries.
func (c *Client) Consistency(ctx context.Context, oldSize int64) (api.ConsistencyProof, error) {
	q := url.Values{"old_size": {strconv.FormatInt(oldSize, 10)}}
	return call[api.ConsistencyProof](ctx, c, request{method: "GET", path: "/audit/consistency", query: q})
}

// LogPage gives a stretch of the raw log from an index on.
func (c *Client) LogPage(ctx context.Context, from int64) (api.LogPage, error) {
	return call[api.LogPage](ctx, c, request{method: "GET", path: "/audit/log", query: url.Values{"from": {strconv.FormatInt(from, 10)}}})
}

// Verify has the server verify its whole log, with deep also the data against it. It takes as long as ctx allows.
func (c *Client) Verify(ctx context.Context, deep bool) (api.Verification, error) {
	q := values{}.flag("deep", deep)
	return call[api.Verification](ctx, c, request{method: "POST", path: "/audit/verify", query: url.Values(q), once: true, slow: true})
}

// Status tells how the server stands.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return call[api.Status](ctx, c, request{method: "GET", path: "/status"})
}

// Doctor runs the production checklist.
func (c *Client) Doctor(ctx context.Context) (api.Checks, error) {
	return call[api.Checks](ctx, c, request{method: "GET", path: "/doctor", slow: true})
}

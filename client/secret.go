package client

import (
	"context"
	"net/url"
	"strings"

	"github.com/keyturn/keyturn/api"
)

// at gives the path of a route of an environment.
func (p Place) at(segments ...string) string {
	return path(append([]string{"projects", p.Project, "envs", p.Env}, segments...)...)
}

// GetOptions say which state of a secret is wanted; the zero value is the current one, with references filled in.
type GetOptions struct {
	Version  int64 // this version
	At       int64 // as it was at this revision of the environment
	Raw      bool  // leave references as they are written
	Personal bool  // the caller's own value where there is one
}

// Get reads one value.
func (c *Client) Get(ctx context.Context, p Place, name string, o GetOptions) (api.Secret, error) {
	q := values{}.text("path", p.Path).number("version", o.Version).number("at", o.At).flag("raw", o.Raw).flag("personal", o.Personal)
	return call[api.Secret](ctx, c, request{method: "GET", path: p.at("secrets", name), query: url.Values(q)})
}

// ListOptions say what of a folder is wanted; the zero value is its own names without values.
type ListOptions struct {
	Recursive bool     // with all folders below
	Reveal    bool     // with values
	Imports   bool     // with what imports show
	Raw       bool     // leave references as they are written
	Personal  bool     // the caller's own values where there are some
	At        int64    // as it was at this revision
	Only      []string // these names only; empty for all
}

func (o ListOptions) query(p Place) url.Values {
	return url.Values(values{}.text("path", p.Path).flag("recursive", o.Recursive).flag("reveal", o.Reveal).flag("imports", o.Imports).
		flag("raw", o.Raw).flag("personal", o.Personal).number("at", o.At).text("only", strings.Join(o.Only, ",")))
}

// List gives the secrets of a folder.
func (c *Client) List(ctx context.Context, p Place, o ListOptions) (api.Secrets, error) {
	return call[api.Secrets](ctx, c, request{method: "GET", path: p.at("secrets"), query: o.query(p)})
}

// ListChanged is List for callers who ask again: with the tag of the answer that they have, changed is false and nothing is
// opened or sent when it still holds. Pass "" the first time.
func (c *Client) ListChanged(ctx context.Context, p Place, o ListOptions, etag string) (list api.Secrets, tag string, changed bool, err error) {
	a, err := c.do(ctx, request{method: "GET", path: p.at("secrets"), query: o.query(p), etag: etag}, &list)
	return list, a.etag, err == nil && !a.unchanged, err
}

// Commit changes an environment, all or nothing. It goes under an idempotency key and is sent again after a lost connection,
// so it happens once.
func (c *Client) Commit(ctx context.Context, p Place, r api.CommitRequest) (api.Committed, error) {
	return call[api.Committed](ctx, c, request{method: "POST", path: p.at("commits"), body: r})
}

// Rollback puts an environment, a folder or one secret back to a revision, by a new commit. The folder stands in r.
func (c *Client) Rollback(ctx context.Context, p Place, r api.RollbackRequest) (api.Committed, error) {
	return call[api.Committed](ctx, c, request{method: "POST", path: p.at("rollback"), body: r})
}

// LogOptions page through commits.
type LogOptions struct {
	Below int64 // only revisions below this one; 0 for the newest
	Limit int64 // at most so many; 0 for the server's default
}

// Log lists commits of an environment, newest first.
func (c *Client) Log(ctx context.Context, p Place, o LogOptions) (api.Commits, error) {
	q := values{}.number("below", o.Below).number("limit", o.Limit)
	return call[api.Commits](ctx, c, request{method: "GET", path: p.at("commits"), query: url.Values(q)})
}

// History lists every state of a secret, newest first, without values.
func (c *Client) History(ctx context.Context, p Place, name string) (api.History, error) {
	return call[api.History](ctx, c, request{method: "GET", path: p.at("secrets", name, "history"), query: p.folder()})
}

func (p Place) folder() url.Values { return url.Values(values{}.text("path", p.Path)) }

// DiffOptions narrow a comparison.
type DiffOptions struct {
	Path   string // only this folder and below
	Reveal bool   // with values
}

// Diff compares two states of a project, each ENV or ENV@REVISION.
func (c *Client) Diff(ctx context.Context, project, from, to string, o DiffOptions) (api.Diff, error) {
	q := values{}.text("from", from).text("to", to).text("path", o.Path).flag("reveal", o.Reveal)
	return call[api.Diff](ctx, c, request{method: "GET", path: path("projects", project, "diff"), query: url.Values(q)})
}

// Schema tells what a folder needs and what is missing.
func (c *Client) Schema(ctx context.Context, p Place) (api.Schema, error) {
	return call[api.Schema](ctx, c, request{method: "GET", path: p.at("schema"), query: p.folder()})
}

// Example writes a .env.example for a folder, without values.
func (c *Client) Example(ctx context.Context, p Place) (api.Example, error) {
	return call[api.Example](ctx, c, request{method: "GET", path: p.at("example"), query: p.folder()})
}

// SetPersonal gives the caller a value of his own for a secret.
func (c *Client) SetPersonal(ctx context.Context, p Place, name string, value []byte) error {
	folder := p.Path
	if folder == "" {
		folder = "/"
	}
	return c.act(ctx, request{method: "PUT", path: p.at("personal"), body: api.PersonalRequest{Path: folder, Name: name, Value: api.NewValue(value)}})
}

// RemovePersonal takes the caller's own value away.
func (c *Client) RemovePersonal(ctx context.Context, p Place, name string) error {
	return c.act(ctx, request{method: "DELETE", path: p.at("personal", name), query: p.folder()})
}

// Purge destroys every version of a deleted secret for good.
func (c *Client) Purge(ctx context.Context, p Place, name string) error {
	folder := p.Path
	if folder == "" {
		folder = "/"
	}
	return c.act(ctx, request{method: "POST", path: p.at("secrets", "purge"), body: api.PurgeRequest{Path: folder, Name: name}})
}

// act sends a request whose answer tells nothing but success.
func (c *Client) act(ctx context.Context, r request) error {
	_, err := call[api.Done](ctx, c, r)
	return err
}

// DueOptions narrow the list of what falls due.
type DueOptions struct {
	Project string // slug or id; empty for all
	Owner   string // empty for all
	Within  string // Go duration or days, such as 30d; empty for the server's default
}

// Due lists what is overdue or falls due soon.
func (c *Client) Due(ctx context.Context, o DueOptions) (api.Found, error) {
	q := values{}.text("project", o.Project).text("owner", o.Owner).text("within", o.Within)
	return call[api.Found](ctx, c, request{method: "GET", path: "/due", query: url.Values(q)})
}

// Reuse lists values that are stored in more than one place; an empty project means all.
func (c *Client) Reuse(ctx context.Context, project string) (api.Found, error) {
	return call[api.Found](ctx, c, request{method: "GET", path: "/reuse", query: url.Values(values{}.text("project", project))})
}

// Search finds secrets by a part of a name, tag, owner or metadata; an empty project means all.
func (c *Client) Search(ctx context.Context, project, text string) (api.Found, error) {
	q := values{}.text("project", project).text("text", text)
	return call[api.Found](ctx, c, request{method: "GET", path: "/search", query: url.Values(q)})
}

// Where finds where a value is stored, by its digest.
func (c *Client) Where(ctx context.Context, value []byte) (api.Found, error) {
	return call[api.Found](ctx, c, request{method: "POST", path: "/where", body: api.WhereRequest{Value: api.NewValue(value)}})
}

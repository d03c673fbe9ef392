package client

import (
	"context"
	"fmt"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Waiting is the error of a change that the server keeps until others approve it: nothing was changed yet. Find it with
// errors.As.
type Waiting struct {
	api.Waiting
}

// Error implements error.
func (w *Waiting) Error() string {
	return fmt.Sprintf("the change waits for approval: %s", w.ChangeSet.ID)
}

// Approval tells whose approval changes of an environment need. The path of p is not used.
func (c *Client) Approval(ctx context.Context, p Place) (api.Approval, error) {
	return call[api.Approval](ctx, c, request{method: "GET", path: p.at("approval")})
}

// SetApproval says whose approval changes of an environment need. Where it needs some already, this is a [Waiting] too.
func (c *Client) SetApproval(ctx context.Context, p Place, r api.Approval) (api.Approval, error) {
	return call[api.Approval](ctx, c, request{method: "PUT", path: p.at("approval"), body: r})
}

// ChangesOptions narrow a list of changes.
type ChangesOptions struct {
	Project string // slug or id; empty for all
	Env     string // slug or id; empty for all
	All     bool   // also those that are over
}

// Changes lists changes that wait for approval, newest first.
func (c *Client) Changes(ctx context.Context, o ChangesOptions) (api.ChangeSets, error) {
	q := values{}.text("project", o.Project).text("env", o.Env).flag("all", o.All)
	return call[api.ChangeSets](ctx, c, request{method: "GET", path: "/changes", query: url.Values(q)})
}

// Change shows a change that waits, or waited.
func (c *Client) Change(ctx context.Context, id string) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "GET", path: path("changes", id)})
}

// ChangeDiff compares a change with what is there, with reveal also the values that the caller may read.
func (c *Client) ChangeDiff(ctx context.Context, id string, reveal bool) (api.Diff, error) {
	return call[api.Diff](ctx, c, request{method: "GET", path: path("changes", id, "diff"), query: url.Values(values{}.flag("reveal", reveal))})
}

// EditChange replaces what one's own commit says while it waits; approvals count no more.
func (c *Client) EditChange(ctx context.Context, id string, r api.CommitRequest) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "PUT", path: path("changes", id), body: r})
}

// ApproveChange approves a change as it was looked at: r names its digest. The last approval that is needed applies it; look at
// the state of the answer.
func (c *Client) ApproveChange(ctx context.Context, id string, r api.ReviewRequest) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: path("changes", id, "approve"), body: r})
}

// RejectChange rejects a change; that ends it.
func (c *Client) RejectChange(ctx context.Context, id string, r api.ReviewRequest) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: path("changes", id, "reject"), body: r})
}

// CommentChange says something about a change.
func (c *Client) CommentChange(ctx context.Context, id, comment string) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: path("changes", id, "comments"), body: api.CommentRequest{Comment: comment}})
}

// WithdrawChange takes one's own change back.
func (c *Client) WithdrawChange(ctx context.Context, id string) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: path("changes", id, "withdraw")})
}

// RebaseChange makes one's own change anew for what stands there now; approvals count no more.
func (c *Client) RebaseChange(ctx context.Context, id string) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: path("changes", id, "rebase")})
}

// LinkChange makes a link by which the caller approves a change as it is now, once and without a login.
func (c *Client) LinkChange(ctx context.Context, id string) (api.ReviewLink, error) {
	return call[api.ReviewLink](ctx, c, request{method: "POST", path: path("changes", id, "link"), once: true})
}

// ShowReviewLink shows the change of a link. It uses nothing up.
func (c *Client) ShowReviewLink(ctx context.Context, token string) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: "/change-links/show", body: api.ReviewLinkRequest{Token: token}, once: true})
}

// ApproveReviewLink approves as the reviewer of a link, and uses it up.
func (c *Client) ApproveReviewLink(ctx context.Context, token, comment string) (api.ChangeSet, error) {
	return call[api.ChangeSet](ctx, c, request{method: "POST", path: "/change-links/approve", body: api.ReviewLinkRequest{Token: token, Comment: comment}, once: true})
}

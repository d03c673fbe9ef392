package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// RequestAccess asks for a role somewhere, for a time.
func (c *Client) RequestAccess(ctx context.Context, r api.AccessAsked) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{method: "POST", path: "/access-requests", body: r})
}

// AccessRequests lists one's own requests and those that one can decide, with all also decided ones.
func (c *Client) AccessRequests(ctx context.Context, all bool) (api.AccessRequests, error) {
	return call[api.AccessRequests](ctx, c, request{method: "GET", path: "/access-requests", query: url.Values(values{}.flag("all", all))})
}

// ApproveAccess gives what is asked for; it ends by itself.
func (c *Client) ApproveAccess(ctx context.Context, id, comment string) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{method: "POST", path: path("access-requests", id, "approve"), body: api.CommentRequest{Comment: comment}})
}

// DenyAccess refuses a request.
func (c *Client) DenyAccess(ctx context.Context, id, comment string) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{method: "POST", path: path("access-requests", id, "deny"), body: api.CommentRequest{Comment: comment}})
}

// WithdrawAccess takes one's own request back.
func (c *Client) WithdrawAccess(ctx context.Context, id string) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{method: "POST", path: path("access-requests", id, "withdraw")})
}

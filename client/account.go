package client

import (
	"context"
	"net/url"

	"github.com/keyturn/keyturn/api"
)

// Invite makes a link with which somebody makes his own account; it is shown this once.
func (c *Client) Invite(ctx context.Context, r api.InviteRequest) (api.NewInvite, error) {
	return call[api.NewInvite](ctx, c, request{method: "POST", path: "/invites", body: r, once: true})
}

// Invites lists invitations.
func (c *Client) Invites(ctx context.Context) (api.Invites, error) {
	return call[api.Invites](ctx, c, request{method: "GET", path: "/invites"})
}

// Uninvite takes an invitation back.
func (c *Client) Uninvite(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("invites", id)})
}

// ShowLink tells what a link is for; token is what stands behind the # of it.
func (c *Client) ShowLink(ctx context.Context, token string) (api.Link, error) {
	return call[api.Link](ctx, c, request{method: "POST", path: "/invites/show", body: api.LinkRequest{Token: token}, once: true})
}

// AcceptInvite makes the account that an invitation is for, and logs in.
func (c *Client) AcceptInvite(ctx context.Context, r api.AcceptRequest) (api.Session, error) {
	return call[api.Session](ctx, c, request{method: "POST", path: "/invites/accept", body: r, once: true})
}

// ResetPassword sets a new password with a link.
func (c *Client) ResetPassword(ctx context.Context, r api.PasswordResetRequest) error {
	return c.act(ctx, request{method: "POST", path: "/password/reset", body: r, once: true})
}

// ConfirmAddress makes the address that a link was sent to that of the account.
func (c *Client) ConfirmAddress(ctx context.Context, token string) error {
	return c.act(ctx, request{method: "POST", path: "/address/confirm", body: api.LinkRequest{Token: token}, once: true})
}

// PasswordLink makes a link with which a person sets a new password; it is shown this once.
func (c *Client) PasswordLink(ctx context.Context, id string) (api.NewInvite, error) {
	return call[api.NewInvite](ctx, c, request{method: "POST", path: path("users", id, "password-link"), once: true})
}

// Profile shows one's own account and groups.
func (c *Client) Profile(ctx context.Context) (api.Profile, error) {
	return call[api.Profile](ctx, c, request{method: "GET", path: "/self"})
}

// Rename changes one's own name.
func (c *Client) Rename(ctx context.Context, name string) error {
	return c.act(ctx, request{method: "PATCH", path: "/self", body: api.ProfileRequest{Name: name}})
}

// ChangePassword changes one's own password; all other sessions end.
func (c *Client) ChangePassword(ctx context.Context, r api.PasswordRequest) error {
	return c.act(ctx, request{method: "POST", path: "/self/password", body: r, once: true})
}

// ChangeAddress sends a link to a new address of one's own.
func (c *Client) ChangeAddress(ctx context.Context, email string) error {
	return c.act(ctx, request{method: "POST", path: "/self/address", body: api.AddressRequest{Email: email}, once: true})
}

// Sessions lists what one is logged in with, or for another one's id what he is.
func (c *Client) Sessions(ctx context.Context, user string) (api.Sessions, error) {
	return call[api.Sessions](ctx, c, request{method: "GET", path: sessionsPath(user)})
}

// EndSessions ends what one is logged in with elsewhere, or for another one's id all that he is.
func (c *Client) EndSessions(ctx context.Context, user string) error {
	return c.act(ctx, request{method: "DELETE", path: sessionsPath(user)})
}

func sessionsPath(user string) string {
	if user == "" {
		return "/self/sessions"
	}
	return path("users", user, "sessions")
}

// User shows an account and its groups.
func (c *Client) User(ctx context.Context, id string) (api.Profile, error) {
	return call[api.Profile](ctx, c, request{method: "GET", path: path("users", id)})
}

// SetUserAddress changes the address of a person.
func (c *Client) SetUserAddress(ctx context.Context, id, email string) error {
	return c.act(ctx, request{method: "PUT", path: path("users", id, "address"), body: api.AddressRequest{Email: email}})
}

// DeactivateUser ends a person's access at once and lists what is to be rotated.
func (c *Client) DeactivateUser(ctx context.Context, id string) (api.Tasks, error) {
	return call[api.Tasks](ctx, c, request{method: "POST", path: path("users", id, "deactivate"), once: true, slow: true})
}

// EraseUser replaces name and address of a person who was deactivated.
func (c *Client) EraseUser(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "POST", path: path("users", id, "erase")})
}

// UserTasks lists what a person who has left had read and what is still to be rotated; closed tasks too if asked.
func (c *Client) UserTasks(ctx context.Context, id string, closed bool) (api.Tasks, error) {
	return call[api.Tasks](ctx, c, request{method: "GET", path: path("users", id, "tasks"), query: url.Values(values{}.flag("closed", closed))})
}

// Tasks lists what is to be rotated of what one owns, or with all of everybody's; closed tasks too if asked.
func (c *Client) Tasks(ctx context.Context, all, closed bool) (api.Tasks, error) {
	return call[api.Tasks](ctx, c, request{method: "GET", path: "/tasks", query: url.Values(values{}.flag("all", all).flag("closed", closed))})
}

// DismissTask closes a task without a rotation, for a reason.
func (c *Client) DismissTask(ctx context.Context, id, reason string) error {
	return c.act(ctx, request{method: "POST", path: path("tasks", id, "dismiss"), body: api.DismissRequest{Reason: reason}})
}

package client

import (
	"context"

	"github.com/keyturn/keyturn/api"
)

// Reauth shows again who the holder of the client's session is, so that it may do dangerous things for a while.
func (c *Client) Reauth(ctx context.Context, r api.Reproof) error {
	return c.act(ctx, request{method: "POST", path: "/reauth", body: r, once: true})
}

// Factors tells how the caller stands with second factors.
func (c *Client) Factors(ctx context.Context) (api.Factors, error) {
	return call[api.Factors](ctx, c, request{method: "GET", path: "/self/factors"})
}

// CreateFactor begins a second factor; its secret is shown this once.
func (c *Client) CreateFactor(ctx context.Context, r api.FactorRequest) (api.NewFactor, error) {
	return call[api.NewFactor](ctx, c, request{method: "POST", path: "/self/factors", body: r, once: true})
}

// ConfirmFactor puts a second factor in force by a code of it; with the first come the recovery codes.
func (c *Client) ConfirmFactor(ctx context.Context, id, code string) (api.RecoveryCodes, error) {
	return call[api.RecoveryCodes](ctx, c, request{method: "POST", path: path("self", "factors", id, "confirm"), body: api.CodeRequest{Code: code}, once: true})
}

// DeleteFactor takes one of the caller's second factors out of force.
func (c *Client) DeleteFactor(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("self", "factors", id)})
}

// RenewRecoveryCodes makes new recovery codes in place of the old ones.
func (c *Client) RenewRecoveryCodes(ctx context.Context) (api.RecoveryCodes, error) {
	return call[api.RecoveryCodes](ctx, c, request{method: "POST", path: "/self/recovery-codes", once: true})
}

// ResetFactors takes all second factors of a person out of force and ends what he is logged in with.
func (c *Client) ResetFactors(ctx context.Context, id string) error {
	return c.act(ctx, request{method: "DELETE", path: path("users", id, "factors")})
}

// Settings tells what the organisation has decided for its people.
func (c *Client) Settings(ctx context.Context) (api.Settings, error) {
	return call[api.Settings](ctx, c, request{method: "GET", path: "/settings"})
}

// ChangeSettings decides anew; what is empty stays as it is.
func (c *Client) ChangeSettings(ctx context.Context, r api.Settings) (api.Settings, error) {
	return call[api.Settings](ctx, c, request{method: "PATCH", path: "/settings", body: r})
}

package client

import (
	"context"
	"net/url"
	"strconv"

	"github.com/keyturn/keyturn/api"
)

// Alerts lists what happened in the last month, newest first, at most limit; 0 for the server's default.
func (c *Client) Alerts(ctx context.Context, limit int) (api.Alerts, error) {
	return call[api.Alerts](ctx, c, request{method: "GET", path: "/alerts", query: number("limit", limit)})
}

// number gives a query with a number, none for 0.
func number(name string, n int) url.Values {
	if n == 0 {
		return nil
	}
	return url.Values{name: {strconv.Itoa(n)}}
}

// AlertRules lists the rules that make alerts, as they stand.
func (c *Client) AlertRules(ctx context.Context) (api.AlertRules, error) {
	return call[api.AlertRules](ctx, c, request{method: "GET", path: "/alerts/rules"})
}

// SetAlertRule changes a rule; what is nil stays as it is.
func (c *Client) SetAlertRule(ctx context.Context, id string, r api.AlertRuleRequest) (api.AlertRule, error) {
	return call[api.AlertRule](ctx, c, request{method: "PATCH", path: path("alerts", "rules", id), body: r})
}

// AlertChannels lists where alerts are sent.
func (c *Client) AlertChannels(ctx context.Context) (api.AlertChannels, error) {
	return call[api.AlertChannels](ctx, c, request{method: "GET", path: "/alerts/channels"})
}

// AddAlertChannel sends alerts to one more place. A signing secret that the server makes is in the answer, and nowhere else ever
// again.
func (c *Client) AddAlertChannel(ctx context.Context, r api.AlertChannelRequest) (api.AlertChannelMade, error) {
	return call[api.AlertChannelMade](ctx, c, request{method: "POST", path: "/alerts/channels", body: r})
}

// RemoveAlertChannel sends nothing more to a place, not even what waits.
func (c *Client) RemoveAlertChannel(ctx context.Context, name string) error {
	_, err := call[api.Done](ctx, c, request{method: "DELETE", path: path("alerts", "channels", name)})
	return err
}

// TestAlertChannel has the server send a test message. It takes as long as ctx allows.
func (c *Client) TestAlertChannel(ctx context.Context, name string) (api.AlertDelivery, error) {
	return call[api.AlertDelivery](ctx, c, request{method: "POST", path: path("alerts", "channels", name, "test"), once: true, slow: true})
}

// AlertDeliveries lists messages and how they fared, newest first; with dead only those that were given up.
func (c *Client) AlertDeliveries(ctx context.Context, dead bool, limit int) (api.AlertDeliveries, error) {
	q := number("limit", limit)
	if dead {
		if q == nil {
			q = url.Values{}
		}
		q.Set("dead", "true")
	}
	return call[api.AlertDeliveries](ctx, c, request{method: "GET", path: "/alerts/deliveries", query: q})
}

// ResendAlert has a message tried again from the beginning.
func (c *Client) ResendAlert(ctx context.Context, id string) (api.AlertDelivery, error) {
	return call[api.AlertDelivery](ctx, c, request{method: "POST", path: path("alerts", "deliveries", id, "resend")})
}

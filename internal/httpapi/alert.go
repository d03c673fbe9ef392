package httpapi

import (
	"context"
	"net/http"

	"github.com/keyturn/keyturn/api"
)

// Alerts tells people what they should look at.
type Alerts interface {
	List(ctx context.Context, limit int) (api.Alerts, error)
	ListRules(ctx context.Context) (api.AlertRules, error)
	SetRule(ctx context.Context, id string, in api.AlertRuleRequest) (api.AlertRule, error)
	Channels(ctx context.Context) (api.AlertChannels, error)
	AddChannel(ctx context.Context, in api.AlertChannelRequest) (api.AlertChannelMade, error)
	RemoveChannel(ctx context.Context, name string) error
	Test(ctx context.Context, name string) (api.AlertDelivery, error)
	Deliveries(ctx context.Context, dead bool, limit int) (api.AlertDeliveries, error)
	Resend(ctx context.Context, id string) (api.AlertDelivery, error)
}

type alertParams struct {
	Limit int64 `query:"limit" doc:"at most so many, up to 500, default 50"`
}

type deliveryParams struct {
	Dead  bool  `query:"dead" doc:"only those that were given up"`
	Limit int64 `query:"limit" doc:"at most so many, up to 500, default 50"`
}

type alertRuleParam struct {
	ID string `path:"id" doc:"of the rule"`
}

type alertChannelParam struct {
	Name string `path:"name" doc:"of the channel"`
}

type deliveryParam struct {
	ID string `path:"id" doc:"of the delivery"`
}

func alertRoutes() []Route {
	const read, manage = "alert.read", "alert.manage"
	off := false
	return []Route{
		with(Route{Method: "GET", Path: "/alerts", Auth: Token, Action: read, Summary: "List what happened in the last month, newest first.", Example: api.Alerts{}},
			func(c *call, p *alertParams, _ *none) (api.Alerts, error) { return c.Alerts.List(c.ctx, int(p.Limit)) }),
		with(Route{Method: "GET", Path: "/alerts/rules", Auth: Token, Action: read, Summary: "List the rules that make alerts, as they stand.", Example: api.AlertRules{}},
			func(c *call, _ *none, _ *none) (api.AlertRules, error) { return c.Alerts.ListRules(c.ctx) }),
		with(Route{Method: "PATCH", Path: "/alerts/rules/{id}", Auth: Token, Action: manage, Summary: "Change a rule.", MaxBody: smallBody, Example: api.AlertRuleRequest{Enabled: &off}},
			func(c *call, p *alertRuleParam, b *api.AlertRuleRequest) (api.AlertRule, error) {
				return c.Alerts.SetRule(c.ctx, p.ID, *b)
			}),
		with(Route{Method: "GET", Path: "/alerts/channels", Auth: Token, Action: read, Summary: "List where alerts are sent.", Example: api.AlertChannels{}},
			func(c *call, _ *none, _ *none) (api.AlertChannels, error) { return c.Alerts.Channels(c.ctx) }),
		with(Route{Method: "POST", Path: "/alerts/channels", Auth: Token, Action: manage, Summary: "Send alerts to one more place.", MaxBody: valueBody, Status: http.StatusCreated,
			Example: api.AlertChannelRequest{Name: "ops", Kind: "slack", Secrets: map[string]string{"url": "https://hooks.slack.com/services/..."}}},
			func(c *call, _ *none, b *api.AlertChannelRequest) (api.AlertChannelMade, error) {
				return c.Alerts.AddChannel(c.ctx, *b)
			}),
		with(Route{Method: "DELETE", Path: "/alerts/channels/{name}", Auth: Token, Action: manage, Summary: "Send nothing more to a place, not even what waits.", Example: api.Done{}},
			func(c *call, p *alertChannelParam, _ *none) (api.Done, error) {
				return api.Done{Done: true}, c.Alerts.RemoveChannel(c.ctx, p.Name)
			}),
		with(Route{Method: "POST", Path: "/alerts/channels/{name}/test", Auth: Token, Action: manage, Summary: "Send a test message and tell whether it was taken.", Example: api.AlertDelivery{}},
			func(c *call, p *alertChannelParam, _ *none) (api.AlertDelivery, error) {
				return long(c, func() (api.AlertDelivery, error) { return c.Alerts.Test(c.ctx, p.Name) })
			}),
		with(Route{Method: "GET", Path: "/alerts/deliveries", Auth: Token, Action: read, Summary: "List messages and how they fared, newest first.", Example: api.AlertDeliveries{}},
			func(c *call, p *deliveryParams, _ *none) (api.AlertDeliveries, error) {
				return c.Alerts.Deliveries(c.ctx, p.Dead, int(p.Limit))
			}),
		with(Route{Method: "POST", Path: "/alerts/deliveries/{id}/resend", Auth: Token, Action: manage, Summary: "Have a message tried again from the beginning.", Example: api.AlertDelivery{}},
			func(c *call, p *deliveryParam, _ *none) (api.AlertDelivery, error) {
				return c.Alerts.Resend(c.ctx, p.ID)
			}),
	}
}

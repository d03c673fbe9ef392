package channel

import (
	"context"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// pagerDutyChannel triggers events (developer.pagerduty.com, Events API v2).
type pagerDutyChannel struct {
	to  target
	key sensitive.Value
	o   Outside
}

// pagerDutyAddress is that of the service region of the United States; Europe has https://events.eu.pagerduty.com/v2/enqueue.
const pagerDutyAddress = "https://events.pagerduty.com/v2/enqueue"

const (
	routingKey       = 32   // characters of an integration key
	pagerDutySummary = 1024 // characters
)

func pagerDuty() Kind {
	return Kind{Name: "pagerduty", Title: "PagerDuty Events API v2", Fields: []Field{
		{Name: "routing-key", Means: "the integration key of a service, of 32 characters", Required: true, Secret: true},
		{Name: "url", Means: "where events are posted to; Europe has https://events.eu.pagerduty.com/v2/enqueue", Default: pagerDutyAddress},
	}, open: func(c Config, o Outside) (Sender, string, error) {
		key := c.Secret["routing-key"]
		if key.Len() != routingKey {
			return nil, "", fault.New(fault.Invalid, "an integration key of PagerDuty has %d characters", routingKey).WithField("/settings/routing-key", "wrong length")
		}
		to, err := parseTarget("url", sensitive.FromString(c.Public["url"]), false)
		return &pagerDutyChannel{to, key, o}, to.host, err
	}}
}

// Send implements [Sender]. The key of the matter is that of the incident: further messages and repeated attempts join it.
func (p *pagerDutyChannel) Send(ctx context.Context, m Message) error {
	details := map[string]string{}
	for _, f := range m.lines() {
		details[f.Name] = f.Value
	}
	return post(ctx, p.o, p.to, map[string]any{
		"routing_key": string(p.key.Reveal()), "event_action": "trigger", "dedup_key": dedupKey(m.Key), "client": "Keyturn",
		"payload": map[string]any{
			"summary": m.headline(pagerDutySummary), "source": plain(m.Instance, maxFactValue), "severity": string(m.Severity),
			"timestamp": m.LastAt.UTC().Format(time.RFC3339Nano), "component": "keyturn", "class": m.Rule, "custom_details": details,
		},
	}, nil)
}

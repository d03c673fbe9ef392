package api

import "time"

// AlertChannelRequest makes a channel. Which settings there are depends on the kind: slack, discord, teams, pagerduty,
// alertmanager, webhook, smtp.
type AlertChannelRequest struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Settings map[string]string `json:"settings,omitzero"`
	Secrets  map[string]string `json:"secrets,omitzero"`  // settings that are kept sealed and never shown again
	Severity string            `json:"severity,omitzero"` // the least that is sent: critical, warning (without one) or info
	Rules    []string          `json:"rules,omitzero"`    // only these; without any, all
}

// AlertChannel is a place where alerts are sent.
type AlertChannel struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Place     string            `json:"place"` // which one, without what opens it
	Settings  map[string]string `json:"settings"`
	Severity  string            `json:"severity"`
	Rules     []string          `json:"rules,omitzero"`
	CreatedAt time.Time         `json:"created_at"`
	CreatedBy string            `json:"created_by"`
}

// AlertChannelMade is a new channel. A signing secret that the server made is shown here and never again.
type AlertChannelMade struct {
	Channel AlertChannel `json:"channel"`
	Secret  string       `json:"secret,omitzero"`
}

// AlertChannels lists all.
type AlertChannels struct {
	Channels []AlertChannel `json:"channels"`
}

// AlertRule is one thing worth telling. Times are durations such as 10m.
type AlertRule struct {
	ID        string `json:"id"`
	Means     string `json:"means"`
	Enabled   bool   `json:"enabled"`
	Severity  string `json:"severity"`
	Threshold int64  `json:"threshold,omitzero"` // so many within Within make an alert
	Within    string `json:"within,omitzero"`
	Quiet     string `json:"quiet"`   // how long more of the same is counted before it is told again
	Changed   bool   `json:"changed"` // somebody set it
}

// AlertRules lists all.
type AlertRules struct {
	Rules []AlertRule `json:"rules"`
}

// AlertRuleRequest changes a rule; what is left out stays as it is. With Reset it becomes what it was at first.
type AlertRuleRequest struct {
	Enabled   *bool   `json:"enabled,omitempty"`
	Severity  *string `json:"severity,omitempty"`
	Threshold *int64  `json:"threshold,omitempty"`
	Within    *string `json:"within,omitempty"`
	Quiet     *string `json:"quiet,omitempty"`
	Reset     bool    `json:"reset,omitzero"`
}

// AlertFact is one line of what is known.
type AlertFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Alert is one matter that a rule found, with how often it happened until it was quiet.
type Alert struct {
	ID       string      `json:"id"`
	Rule     string      `json:"rule"`
	Severity string      `json:"severity"`
	Title    string      `json:"title"`
	Facts    []AlertFact `json:"facts"`
	FirstAt  time.Time   `json:"first_at"`
	LastAt   time.Time   `json:"last_at"`
	Count    int64       `json:"count"`
	Told     int64       `json:"told"`             // the count that was sent
	DueAt    *time.Time  `json:"due_at,omitempty"` // when it is told next
}

// Alerts lists what happened last, newest first.
type Alerts struct {
	Alerts []Alert `json:"alerts"`
}

// AlertDelivery is one message to one channel.
type AlertDelivery struct {
	ID        string     `json:"id"` // the receiver gets it with each attempt
	Channel   string     `json:"channel"`
	Title     string     `json:"title"`
	State     string     `json:"state"` // waiting, sent or dead
	Attempts  int64      `json:"attempts"`
	Problem   string     `json:"problem,omitzero"` // of the last attempt
	CreatedAt time.Time  `json:"created_at"`
	NextAt    *time.Time `json:"next_at,omitempty"`
	DoneAt    *time.Time `json:"done_at,omitempty"`
}

// AlertDeliveries lists messages, newest first.
type AlertDeliveries struct {
	Dead       int64           `json:"dead"`    // how many were given up in all
	Waiting    int64           `json:"waiting"` // how many are still tried
	Deliveries []AlertDelivery `json:"deliveries"`
}

package store

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
)

// AlertChannel is a place where alerts are sent.
type AlertChannel struct {
	ID        string            `db:"id,key"`
	Name      string            `db:"name"`
	Kind      string            `db:"kind"`
	Settings  map[string]string `db:"settings,json"`
	Place     string            `db:"place"`
	Severity  string            `db:"severity"`
	Rules     []string          `db:"rules,json"`
	CreatedAt int64             `db:"created_at"`
	CreatedBy string            `db:"created_by"`
}

// AlertSettings is what somebody changed of a rule; nil is as the program has it. Times are milliseconds.
type AlertSettings struct {
	Enabled   *bool   `json:"enabled,omitempty"`
	Severity  *string `json:"severity,omitempty"`
	Threshold *int64  `json:"threshold,omitempty"`
	Within    *int64  `json:"within,omitempty"`
	Quiet     *int64  `json:"quiet,omitempty"`
}

// AlertRule is a rule that somebody changed.
type AlertRule struct {
	ID       string        `db:"id,key"`
	Settings AlertSettings `db:"settings,json"`
}

// AlertFact is one line of what is known of an event.
type AlertFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// AlertEvent is one matter that a rule found worth telling.
type AlertEvent struct {
	ID       string      `db:"id,key"`
	Rule     string      `db:"rule"`
	Matter   string      `db:"matter"`
	Severity string      `db:"severity"`
	Title    string      `db:"title"`
	Facts    []AlertFact `db:"facts,json"`
	FirstAt  int64       `db:"first_at"`
	LastAt   int64       `db:"last_at"`
	Count    int64       `db:"count"`
	Told     int64       `db:"told"`
	DueAt    int64       `db:"due_at"`
	QuietAt  int64       `db:"quiet_at"`
	Entry    int64       `db:"entry"`
}

// The states of a delivery.
const (
	DeliveryWaiting = "waiting"
	DeliverySent    = "sent"
	DeliveryDead    = "dead"
)

// AlertDelivery is one message to one channel.
type AlertDelivery struct {
	ID        string `db:"id,key"`
	Event     string `db:"event_id"`
	Channel   string `db:"channel_id"`
	Message   string `db:"message"`
	State     string `db:"state"`
	Attempts  int64  `db:"attempts"`
	NextAt    int64  `db:"next_at"`
	Problem   string `db:"problem"`
	CreatedAt int64  `db:"created_at"`
	DoneAt    int64  `db:"done_at"`
}

var (
	alertChannels   = newTable[AlertChannel]("alert_channel", true)
	alertRules      = newTable[AlertRule]("alert_rule", true)
	alertEvents     = newTable[AlertEvent]("alert_event", false)
	alertDeliveries = newTable[AlertDelivery]("alert_delivery", false)
)

// AlertChannels lists all by name.
func (q Queries) AlertChannels(ctx context.Context) ([]AlertChannel, error) {
	return alertChannels.list(ctx, q.q, "ORDER BY name")
}

// AlertChannel finds one by id.
func (q Queries) AlertChannel(ctx context.Context, id string) (AlertChannel, error) {
	return alertChannels.one(ctx, q.q, "WHERE id = ?", id)
}

// AlertChannelByName finds one.
func (q Queries) AlertChannelByName(ctx context.Context, name string) (AlertChannel, error) {
	return alertChannels.one(ctx, q.q, "WHERE name = ?", name)
}

// PutAlertChannel stores one. A second one of a name is fault.Exists.
func (tx *Tx) PutAlertChannel(ctx context.Context, row *AlertChannel) error {
	return alertChannels.put(ctx, tx, row)
}

// RemoveAlertChannel removes one with all that waits for it.
func (tx *Tx) RemoveAlertChannel(ctx context.Context, row *AlertChannel) error {
	if _, err := tx.exec(ctx, "DELETE FROM alert_delivery WHERE channel_id = ?", row.ID); err != nil {
		return err
	}
	return alertChannels.remove(ctx, tx, row)
}

// AlertRules lists the rules that somebody changed.
func (q Queries) AlertRules(ctx context.Context) ([]AlertRule, error) {
	return alertRules.list(ctx, q.q, "ORDER BY id")
}

// PutAlertRule stores one.
func (tx *Tx) PutAlertRule(ctx context.Context, row *AlertRule) error {
	return alertRules.put(ctx, tx, row)
}

// RemoveAlertRule gives a rule back what the program has.
func (tx *Tx) RemoveAlertRule(ctx context.Context, row *AlertRule) error {
	return alertRules.remove(ctx, tx, row)
}

// OpenAlertEvents lists the matters of a rule that are not quiet yet.
func (q Queries) OpenAlertEvents(ctx context.Context, rule string, now int64) ([]AlertEvent, error) {
	return alertEvents.list(ctx, q.q, "WHERE rule = ? AND quiet_at > ? ORDER BY first_at, id", rule, now)
}

// AlertEvents lists what happened last, newest first, at most limit.
func (q Queries) AlertEvents(ctx context.Context, since, limit int64) ([]AlertEvent, error) {
	return alertEvents.list(ctx, q.q, "WHERE last_at >= ? ORDER BY last_at DESC, id DESC LIMIT ?", since, limit)
}

// AlertEvent finds one by id.
func (q Queries) AlertEvent(ctx context.Context, id string) (AlertEvent, error) {
	return alertEvents.one(ctx, q.q, "WHERE id = ?", id)
}

// DueAlertEvents lists those that must be told now.
func (q Queries) DueAlertEvents(ctx context.Context, now, limit int64) ([]AlertEvent, error) {
	return alertEvents.list(ctx, q.q, "WHERE due_at > 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?", now, limit)
}

// PutAlertEvents stores some.
func (d *Derived) PutAlertEvents(ctx context.Context, rows ...*AlertEvent) error {
	return alertEvents.put(ctx, d.tx, rows...)
}

// AlertDeliveries lists those in a state, "" for any, newest first, at most limit.
func (q Queries) AlertDeliveries(ctx context.Context, state string, limit int64) ([]AlertDelivery, error) {
	if state == "" {
		return alertDeliveries.list(ctx, q.q, "ORDER BY created_at DESC, id DESC LIMIT ?", limit)
	}
	return alertDeliveries.list(ctx, q.q, "WHERE state = ? ORDER BY created_at DESC, id DESC LIMIT ?", state, limit)
}

// AlertDelivery finds one by id.
func (q Queries) AlertDelivery(ctx context.Context, id string) (AlertDelivery, error) {
	return alertDeliveries.one(ctx, q.q, "WHERE id = ?", id)
}

// DueAlertDeliveries lists those whose next attempt is due.
func (q Queries) DueAlertDeliveries(ctx context.Context, now, limit int64) ([]AlertDelivery, error) {
	return alertDeliveries.list(ctx, q.q, "WHERE state = 'waiting' AND next_at <= ? ORDER BY next_at, id LIMIT ?", now, limit)
}

// CountAlertDeliveries counts those in a state.
func (q Queries) CountAlertDeliveries(ctx context.Context, state string) (int64, error) {
	return q.count(ctx, "SELECT count(*) FROM alert_delivery WHERE state = ?", state)
}

// NextAlert tells when the next message or attempt is due, 0 for none.
func (q Queries) NextAlert(ctx context.Context) (int64, error) {
	return q.count(ctx, `SELECT coalesce(min(at), 0) FROM (SELECT min(due_at) AS at FROM alert_event WHERE due_at > 0
		UNION ALL SELECT min(next_at) FROM alert_delivery WHERE state = ?) AS due`, DeliveryWaiting)
}

// count asks for one number.
func (q Queries) count(ctx context.Context, text string, args ...any) (int64, error) {
	rows, err := q.q.query(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var n int64
	if rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, q.q.classify(err)
		}
	}
	return n, q.q.classify(rows.Err())
}

// PutAlertDeliveries stores some.
func (d *Derived) PutAlertDeliveries(ctx context.Context, rows ...*AlertDelivery) error {
	return d.tx.PutAlertDeliveries(ctx, rows...)
}

// PutAlertDeliveries is [Derived.PutAlertDeliveries] for a change that somebody decided.
func (tx *Tx) PutAlertDeliveries(ctx context.Context, rows ...*AlertDelivery) error {
	return alertDeliveries.put(ctx, tx, rows...)
}

// ClaimAlertDelivery puts the next attempt off to until, if it is still due when seen says, and tells whether it did: whoever
// puts it off makes the attempt.
func (d *Derived) ClaimAlertDelivery(ctx context.Context, seen *AlertDelivery, until int64) (bool, error) {
	return d.changed(ctx, "UPDATE alert_delivery SET next_at = ?, attempts = attempts + 1 WHERE id = ? AND state = ? AND next_at = ? AND attempts = ?",
		until, seen.ID, DeliveryWaiting, seen.NextAt, seen.Attempts)
}

// EndAlertDelivery writes down how an attempt ended, unless another server has made one since.
func (d *Derived) EndAlertDelivery(ctx context.Context, row *AlertDelivery) (bool, error) {
	return d.changed(ctx, "UPDATE alert_delivery SET state = ?, next_at = ?, problem = ?, done_at = ? WHERE id = ? AND state = ? AND attempts = ?",
		row.State, row.NextAt, row.Problem, row.DoneAt, row.ID, DeliveryWaiting, row.Attempts)
}

// ForgetAlerts removes what ended before a moment: events that are quiet and told, deliveries that were sent or are dead.
func (d *Derived) ForgetAlerts(ctx context.Context, before int64) error {
	if _, err := d.tx.exec(ctx, "DELETE FROM alert_delivery WHERE state <> 'waiting' AND created_at < ?", before); err != nil {
		return err
	}
	_, err := d.tx.exec(ctx, "DELETE FROM alert_event WHERE due_at = 0 AND quiet_at < ? AND last_at < ?", before, before)
	return err
}

// AlertKnown tells which of some things were seen before.
func (q Queries) AlertKnown(ctx context.Context, ids ...string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(ids) == 0 {
		return out, nil
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := q.q.query(ctx, "SELECT id FROM alert_known WHERE id IN ("+strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ")+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, q.q.classify(err)
		}
		out[id] = true
	}
	return out, q.q.classify(rows.Err())
}

// PutAlertKnown remembers things that were seen.
func (d *Derived) PutAlertKnown(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		if _, err := d.tx.exec(ctx, "INSERT INTO alert_known (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", id, d.tx.now); err != nil {
			return err
		}
	}
	return nil
}

// tagsOf picks the tags out of the attributes of a secret.
func tagsOf(attrs string) ([]domain.Tag, error) {
	if !strings.Contains(attrs, `"tags"`) {
		return nil, nil
	}
	var a struct {
		Tags []domain.Tag `json:"tags"`
	}
	if err := json.Unmarshal([]byte(attrs), &a); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the attributes of a secret are damaged")
	}
	return a.Tags, nil
}

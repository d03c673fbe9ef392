package alert

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxChannels bounds the channels of an instance.
	maxChannels = 64
	// maxListed bounds lists.
	maxListed = 500
	// listDays is how far back a list of alerts goes.
	listDays = 30
)

// manage does what changes rules or channels; the other servers hear of it.
func (s *Service) manage(ctx context.Context, what string, detail map[string]string, work func(*store.Tx, guard.Permit) error) error {
	detail["what"] = what
	op := guard.Op{Action: "alert.manage", Detail: detail}
	op.Resource.Org = guard.CallerOf(ctx).Principal.Org
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if err := work(tx, p); err != nil {
			return err
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedWatching})
	})
}

func (s *Service) read(ctx context.Context, what string, work func() error) error {
	op := guard.Op{Action: "alert.read", Detail: map[string]string{"what": what}}
	op.Resource.Org = guard.CallerOf(ctx).Principal.Org
	return s.door.Read(ctx, op, func(guard.Permit) error { return work() })
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func maybe(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := at(ms)
	return &t
}

// AddChannel makes a channel. A signing secret that was left out is made, and shown in the answer only.
func (s *Service) AddChannel(ctx context.Context, in api.AlertChannelRequest) (api.AlertChannelMade, error) {
	var out api.AlertChannelMade
	err := s.manage(ctx, "channel add", map[string]string{"channel": domain.RecordedLabel(in.Name), "kind": domain.RecordedName(in.Kind)}, func(tx *store.Tx, p guard.Permit) error {
		row, secrets, made, err := s.accept(in)
		if err != nil {
			return err
		}
		all, err := tx.AlertChannels(ctx)
		if err != nil {
			return err
		}
		if len(all) >= maxChannels {
			return fault.New(fault.Exhausted, "there are %d channels, and no more can be made", maxChannels)
		}
		if slices.ContainsFunc(all, func(c store.AlertChannel) bool { return c.Name == row.Name }) {
			return fault.New(fault.Exists, "there is a channel of this name").WithField("/name", "taken")
		}
		row.ID, row.CreatedAt, row.CreatedBy = domain.NewID[string](), tx.Now(), p.Principal().Name
		if err := tx.PutAlertChannel(ctx, &row); err != nil {
			return err
		}
		out = api.AlertChannelMade{Channel: channelOf(&row), Secret: string(made.Reveal())}
		return s.keepSecrets(ctx, tx, row.ID, secrets)
	})
	if err != nil {
		return api.AlertChannelMade{}, err
	}
	return out, nil
}

// accept checks what somebody wants to have.
func (s *Service) accept(in api.AlertChannelRequest) (row store.AlertChannel, secrets map[string]sensitive.Value, made sensitive.Value, err error) {
	name, err := domain.ParseLabel(in.Name)
	if err != nil {
		return row, nil, made, err
	}
	kind, err := channel.KindNamed(in.Kind)
	if err != nil {
		return row, nil, made, err
	}
	severity := in.Severity
	if severity == "" {
		severity = string(channel.Warning)
	}
	if !slices.Contains(channel.Severities(), channel.Severity(severity)) {
		return row, nil, made, fault.New(fault.Invalid, "a severity is critical, warning or info").WithField("/severity", "unknown")
	}
	all := defaults()
	for _, id := range in.Rules {
		if !slices.ContainsFunc(all, func(r Rule) bool { return r.ID == id }) {
			return row, nil, made, fault.New(fault.Invalid, "no such rule").WithField("/rules", "unknown").WithHint("keyturn alert rules shows them")
		}
	}
	secrets = map[string]sensitive.Value{}
	for field, text := range in.Secrets {
		secrets[field] = sensitive.FromString(text)
	}
	if kind.Name == "webhook" && secrets["secret"].Empty() {
		made = channel.NewSigningSecret()
		secrets["secret"] = made
	}
	_, place, err := kind.Open(channel.Config{Public: in.Settings, Secret: secrets}, s.outside)
	if err != nil {
		return row, nil, made, err
	}
	settings := in.Settings
	if settings == nil {
		settings = map[string]string{}
	}
	return store.AlertChannel{Name: string(name), Kind: kind.Name, Settings: settings, Place: place, Severity: severity, Rules: in.Rules}, secrets, made, nil
}

func channelOf(c *store.AlertChannel) api.AlertChannel {
	return api.AlertChannel{ID: c.ID, Name: c.Name, Kind: c.Kind, Place: c.Place, Settings: c.Settings, Severity: c.Severity, Rules: c.Rules, CreatedAt: at(c.CreatedAt), CreatedBy: c.CreatedBy}
}

// Channels lists all.
func (s *Service) Channels(ctx context.Context) (api.AlertChannels, error) {
	out := api.AlertChannels{Channels: []api.AlertChannel{}}
	err := s.read(ctx, "channels", func() error {
		rows, err := s.db.AlertChannels(ctx)
		for i := range rows {
			out.Channels = append(out.Channels, channelOf(&rows[i]))
		}
		return err
	})
	return out, err
}

// RemoveChannel removes one with its secrets and all that waits for it.
func (s *Service) RemoveChannel(ctx context.Context, name string) error {
	return s.manage(ctx, "channel remove", map[string]string{"channel": domain.RecordedLabel(name)}, func(tx *store.Tx, _ guard.Permit) error {
		row, err := tx.AlertChannelByName(ctx, name)
		if err != nil {
			return err
		}
		if err := tx.RemoveInstanceSecret(ctx, secretID(row.ID)); err != nil {
			return err
		}
		return tx.RemoveAlertChannel(ctx, &row)
	})
}

// Test sends one message to a channel at once, and tells how it ended: sent, or dead with its problem.
func (s *Service) Test(ctx context.Context, name string) (api.AlertDelivery, error) {
	var row store.AlertChannel
	var letter *store.AlertDelivery
	err := s.manage(ctx, "test", map[string]string{"channel": domain.RecordedLabel(name)}, func(tx *store.Tx, p guard.Permit) (err error) {
		if row, err = tx.AlertChannelByName(ctx, name); err != nil {
			return err
		}
		now := at(tx.Now())
		m := channel.Message{ID: domain.NewID[string](), Key: "test/" + row.ID, Rule: "test", Severity: channel.Info, Title: "a test message: alerts arrive here", Count: 1, At: now, LastAt: now,
			Instance: s.instance, Test: true, Facts: []channel.Fact{{Name: "sent by", Value: p.Principal().Name}, {Name: "channel", Value: row.Name}}}
		letter, err = s.delivery(m, "", row.ID, tx.Now())
		return err
	})
	if err != nil {
		return api.AlertDelivery{}, err
	}
	letter.Attempts = maxAttempts // a person waits for this one: it is not tried again
	problem := s.attempt(ctx, letter)
	end(letter, problem, time.Now())
	if err := s.db.Derive(ctx, func(d *store.Derived) error { return d.PutAlertDeliveries(ctx, letter) }); err != nil {
		return api.AlertDelivery{}, err
	}
	out := deliveryOf(letter, row.Name)
	if problem != nil && fault.As(problem).Hint != "" {
		out.Problem += "; " + fault.As(problem).Hint
	}
	return out, nil
}

// ListRules lists all rules as they stand.
func (s *Service) ListRules(ctx context.Context) (api.AlertRules, error) {
	out := api.AlertRules{Rules: []api.AlertRule{}}
	err := s.read(ctx, "rules", func() error {
		changed, err := s.db.AlertRules(ctx)
		for _, r := range Rules(changed) {
			out.Rules = append(out.Rules, ruleOf(r))
		}
		return err
	})
	return out, err
}

func ruleOf(r Rule) api.AlertRule {
	out := api.AlertRule{ID: r.ID, Means: r.Means, Enabled: r.Enabled, Severity: string(r.Severity), Threshold: r.Threshold, Quiet: r.Quiet.String(), Changed: r.Changed}
	if r.Within > 0 {
		out.Within = r.Within.String()
	}
	return out
}

// SetRule changes a rule.
func (s *Service) SetRule(ctx context.Context, id string, in api.AlertRuleRequest) (api.AlertRule, error) {
	var out api.AlertRule
	detail := map[string]string{"rule": domain.RecordedName(id)}
	if in.Enabled != nil && !*in.Enabled {
		detail["enabled"] = "false"
	}
	err := s.manage(ctx, "rule", detail, func(tx *store.Tx, _ guard.Permit) error {
		all, err := tx.AlertRules(ctx)
		if err != nil {
			return err
		}
		row := store.AlertRule{ID: id}
		there := false
		if i := slices.IndexFunc(all, func(r store.AlertRule) bool { return r.ID == id }); i >= 0 {
			row, there = all[i], true
		}
		change, err := settingsOf(in)
		if err != nil {
			return err
		}
		if err := checkSettings(id, change); err != nil {
			return err
		}
		if in.Reset {
			row.Settings = store.AlertSettings{}
		}
		row.Settings = merged(row.Settings, change)
		all = slices.DeleteFunc(all, func(r store.AlertRule) bool { return r.ID == id })
		if row.Settings != (store.AlertSettings{}) {
			all = append(all, row)
			err = tx.PutAlertRule(ctx, &row)
		} else if there {
			err = tx.RemoveAlertRule(ctx, &row)
		}
		if err != nil {
			return err
		}
		rules := Rules(all)
		out = ruleOf(rules[slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })])
		return nil
	})
	return out, err
}

// settingsOf reads what somebody wants to change.
func settingsOf(in api.AlertRuleRequest) (store.AlertSettings, error) {
	out := store.AlertSettings{Enabled: in.Enabled, Severity: in.Severity, Threshold: in.Threshold}
	for _, f := range []struct {
		name string
		text *string
		into **int64
	}{{"within", in.Within, &out.Within}, {"quiet", in.Quiet, &out.Quiet}} {
		if f.text == nil {
			continue
		}
		d, err := time.ParseDuration(*f.text)
		if err != nil {
			return out, fault.New(fault.Invalid, "%s is not a duration: want one such as 10m or 24h", f.name).WithField("/"+f.name, "not a duration")
		}
		ms := d.Milliseconds()
		*f.into = &ms
	}
	return out, nil
}

func merged(a, b store.AlertSettings) store.AlertSettings {
	if b.Enabled != nil {
		a.Enabled = b.Enabled
	}
	if b.Severity != nil {
		a.Severity = b.Severity
	}
	if b.Threshold != nil {
		a.Threshold = b.Threshold
	}
	if b.Within != nil {
		a.Within = b.Within
	}
	if b.Quiet != nil {
		a.Quiet = b.Quiet
	}
	return a
}

// List tells what happened in the last month, newest first.
func (s *Service) List(ctx context.Context, limit int) (api.Alerts, error) {
	out := api.Alerts{Alerts: []api.Alert{}}
	err := s.read(ctx, "alerts", func() error {
		rows, err := s.db.AlertEvents(ctx, time.Now().Add(-listDays*day).UnixMilli(), int64(bounded(limit)))
		for _, e := range rows {
			a := api.Alert{ID: e.ID, Rule: e.Rule, Severity: e.Severity, Title: e.Title, FirstAt: at(e.FirstAt), LastAt: at(e.LastAt), Count: e.Count, Told: e.Told, DueAt: maybe(e.DueAt), Facts: []api.AlertFact{}}
			for _, f := range e.Facts {
				a.Facts = append(a.Facts, api.AlertFact(f))
			}
			out.Alerts = append(out.Alerts, a)
		}
		return err
	})
	return out, err
}

func bounded(limit int) int {
	const usual = 50
	if limit <= 0 {
		limit = usual
	}
	return min(limit, maxListed)
}

// Deliveries lists messages, newest first; with dead only those that were given up.
func (s *Service) Deliveries(ctx context.Context, dead bool, limit int) (api.AlertDeliveries, error) {
	out := api.AlertDeliveries{Deliveries: []api.AlertDelivery{}}
	err := s.read(ctx, "deliveries", func() (err error) {
		if out.Dead, err = s.db.CountAlertDeliveries(ctx, store.DeliveryDead); err != nil {
			return err
		}
		if out.Waiting, err = s.db.CountAlertDeliveries(ctx, store.DeliveryWaiting); err != nil {
			return err
		}
		state := ""
		if dead {
			state = store.DeliveryDead
		}
		rows, err := s.db.AlertDeliveries(ctx, state, int64(bounded(limit)))
		if err != nil {
			return err
		}
		channels, err := s.db.AlertChannels(ctx)
		names := map[string]string{}
		for _, c := range channels {
			names[c.ID] = c.Name
		}
		for i := range rows {
			out.Deliveries = append(out.Deliveries, deliveryOf(&rows[i], names[rows[i].Channel]))
		}
		return err
	})
	return out, err
}

func deliveryOf(d *store.AlertDelivery, name string) api.AlertDelivery {
	var m channel.Message
	_ = json.Unmarshal([]byte(d.Message), &m) // a damaged one is shown without its title
	out := api.AlertDelivery{ID: d.ID, Channel: name, Title: m.Title, State: d.State, Attempts: d.Attempts, Problem: d.Problem, CreatedAt: at(d.CreatedAt), DoneAt: maybe(d.DoneAt)}
	if d.State == store.DeliveryWaiting {
		out.NextAt = maybe(d.NextAt)
	}
	if m.Test {
		out.Attempts = 1
	}
	return out
}

// Resend has a message tried again from the beginning, with the same id.
func (s *Service) Resend(ctx context.Context, id string) (api.AlertDelivery, error) {
	var out api.AlertDelivery
	err := s.manage(ctx, "resend", map[string]string{"delivery": domain.RecordedName(id)}, func(tx *store.Tx, _ guard.Permit) error {
		row, err := tx.AlertDelivery(ctx, id)
		if err != nil {
			return err
		}
		c, err := tx.AlertChannel(ctx, row.Channel)
		if err != nil {
			return err
		}
		if row.State == store.DeliveryWaiting && row.NextAt > tx.Now()+claimFor.Milliseconds() || row.State != store.DeliveryWaiting {
			row.State, row.Attempts, row.NextAt, row.DoneAt = store.DeliveryWaiting, 0, tx.Now(), 0
			if err := tx.PutAlertDeliveries(ctx, &row); err != nil {
				return err
			}
		}
		out = deliveryOf(&row, c.Name)
		return nil
	})
	return out, err
}

// State is how alerts stand, for metrics and the doctor.
type State struct {
	Channels      int
	Dead, Waiting int64
}

// State tells it.
func (s *Service) State(ctx context.Context) (State, error) {
	channels, err := s.db.AlertChannels(ctx)
	if err != nil {
		return State{}, err
	}
	out := State{Channels: len(channels)}
	if out.Dead, err = s.db.CountAlertDeliveries(ctx, store.DeliveryDead); err != nil {
		return out, err
	}
	out.Waiting, err = s.db.CountAlertDeliveries(ctx, store.DeliveryWaiting)
	return out, err
}

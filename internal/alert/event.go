package alert

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxMatters bounds the matters of one rule that are told by themselves while they are not quiet. Further ones are counted in
	// one event for all, so that a thousand names that an attacker tries are one message.
	maxMatters = 5
	// others is that matter.
	others = "others"
	// maxTitle and maxFact bound what is stored of an event, in bytes.
	maxTitle = 300
	maxFact  = 500
	// maxDue bounds the events that are told in one transaction.
	maxDue = 100
)

// record stores hits in one transaction: each joins the open event of its matter, or begins one.
func (s *Service) record(ctx context.Context, hits []hit, known []string) error {
	rules, err := s.current(ctx)
	if err != nil {
		return err
	}
	err = s.db.Derive(ctx, func(d *store.Derived) error {
		open := map[string][]*store.AlertEvent{}
		changed := map[string]*store.AlertEvent{}
		for i := range hits {
			h := &hits[i]
			at := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == h.rule })
			if at < 0 || !rules[at].Enabled {
				continue
			}
			events, ok := open[h.rule]
			if !ok {
				rows, err := d.OpenAlertEvents(ctx, h.rule, d.Now())
				if err != nil {
					return err
				}
				for j := range rows {
					events = append(events, &rows[j])
				}
			}
			var e *store.AlertEvent
			if events, e = join(events, h, rules[at], d.Now()); e != nil {
				changed[e.ID] = e
			}
			open[h.rule] = events
		}
		var rows []*store.AlertEvent
		for _, e := range changed {
			rows = append(rows, e)
		}
		if err := d.PutAlertEvents(ctx, rows...); err != nil {
			return err
		}
		return d.PutAlertKnown(ctx, known...)
	})
	if err == nil && len(hits) > 0 {
		s.nudge()
	}
	return err
}

// join counts a hit in the event of its matter, or makes one. It gives the events of the rule, and the one that changed; nil when
// the hit was counted before.
func join(events []*store.AlertEvent, h *hit, r Rule, now int64) ([]*store.AlertEvent, *store.AlertEvent) {
	find := func(matter string) *store.AlertEvent {
		if i := slices.IndexFunc(events, func(e *store.AlertEvent) bool { return e.Matter == matter }); i >= 0 {
			return events[i]
		}
		return nil
	}
	matter := cut(h.matter, maxFact)
	e := find(matter)
	if e == nil && len(events) >= maxMatters {
		matter = others
		e = find(others)
	}
	if e == nil {
		e = &store.AlertEvent{ID: domain.NewID[string](), Rule: h.rule, Matter: matter, Severity: string(r.Severity), Title: cut(h.title, maxTitle), Facts: facts(h.facts),
			FirstAt: h.at, LastAt: h.at, Count: max(h.count, 1), DueAt: now + r.Gather.Milliseconds(), QuietAt: now + max(r.Gather, r.Quiet).Milliseconds(), Entry: h.entry}
		if matter == others {
			e.Title = cut("and others: "+h.title, maxTitle)
		}
		return append(events, e), e
	}
	if h.entry >= 0 && h.entry <= e.Entry || h.count == 0 {
		return events, nil
	}
	e.Count, e.LastAt, e.FirstAt = e.Count+h.count, max(e.LastAt, h.at), min(e.FirstAt, h.at)
	e.Entry = max(e.Entry, h.entry)
	if e.Told > 0 {
		e.Title, e.Facts = cut(h.title, maxTitle), facts(h.facts) // what is new matters more
		if matter == others {
			e.Title = cut("and others: "+h.title, maxTitle)
		}
		if e.DueAt == 0 {
			e.DueAt = e.QuietAt
		}
	}
	return events, e
}

func facts(in []store.AlertFact) []store.AlertFact {
	var out []store.AlertFact
	for _, f := range in {
		if f.Value != "" {
			out = append(out, store.AlertFact{Name: cut(f.Name, maxFact), Value: cut(f.Value, maxFact)})
		}
	}
	return out
}

func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xC0 == 0x80 { // in the middle of a rune
		limit--
	}
	return text[:limit]
}

// tell makes deliveries of the events that are due, in one transaction: whichever server comes first.
func (s *Service) tell(ctx context.Context) error {
	due, err := s.db.DueAlertEvents(ctx, time.Now().UnixMilli(), 1)
	if err != nil || len(due) == 0 {
		return err
	}
	rules, err := s.current(ctx)
	if err != nil {
		return err
	}
	return s.db.Derive(ctx, func(d *store.Derived) error {
		events, err := d.DueAlertEvents(ctx, d.Now(), maxDue)
		if err != nil {
			return err
		}
		channels, err := d.AlertChannels(ctx)
		if err != nil {
			return err
		}
		var rows []*store.AlertEvent
		var letters []*store.AlertDelivery
		for i := range events {
			e := &events[i]
			for _, c := range channels {
				if !wants(&c, e) {
					continue
				}
				letter, err := s.letter(e, c.ID, d.Now())
				if err != nil {
					return err
				}
				letters = append(letters, letter)
			}
			e.Told, e.DueAt, e.QuietAt = e.Count, 0, d.Now()+quietOf(rules, e.Rule).Milliseconds()
			rows = append(rows, e)
		}
		if err := d.PutAlertEvents(ctx, rows...); err != nil {
			return err
		}
		return d.PutAlertDeliveries(ctx, letters...)
	})
}

func quietOf(rules []Rule, id string) time.Duration {
	for _, r := range rules {
		if r.ID == id {
			return r.Quiet
		}
	}
	return time.Hour
}

// wants tells whether a channel takes an event.
func wants(c *store.AlertChannel, e *store.AlertEvent) bool {
	all := channel.Severities()
	return (c.Rules == nil || slices.Contains(c.Rules, e.Rule)) &&
		slices.Index(all, channel.Severity(e.Severity)) <= slices.Index(all, channel.Severity(c.Severity))
}

// letter is one message to one channel.
func (s *Service) letter(e *store.AlertEvent, to string, now int64) (*store.AlertDelivery, error) {
	id := domain.NewID[string]()
	m := channel.Message{ID: id, Key: e.Rule + "/" + e.Matter, Rule: e.Rule, Severity: channel.Severity(e.Severity), Title: e.Title, Count: e.Count - e.Told,
		At: time.UnixMilli(e.FirstAt).UTC(), LastAt: time.UnixMilli(e.LastAt).UTC(), Instance: s.instance, Facts: []channel.Fact{}}
	if e.Told > 0 {
		m.Title = "again: " + m.Title
		m.Facts = append(m.Facts, channel.Fact{Name: "in all", Value: strconv.FormatInt(e.Count, 10) + " times"})
	}
	for _, f := range e.Facts {
		m.Facts = append(m.Facts, channel.Fact(f))
	}
	return s.delivery(m, e.ID, to, now)
}

func (s *Service) delivery(m channel.Message, event, to string, now int64) (*store.AlertDelivery, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a message could not be written")
	}
	return &store.AlertDelivery{ID: m.ID, Event: event, Channel: to, Message: string(text), State: store.DeliveryWaiting, NextAt: now, CreatedAt: now}, nil
}

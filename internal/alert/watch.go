package alert

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/keyturn/keyturn/internal/store"
)

const (
	// watchEvery is how often it is looked whether a question is due.
	watchEvery = 5 * time.Second
	// answerWithin bounds one question.
	answerWithin = 5 * time.Minute
	// maxDamages bounds what was found damaged and is not told yet.
	maxDamages = 64
)

// Finding is something that stands as it should not.
type Finding struct {
	Rule   string
	Matter string // names what it is about
	Title  string
	Facts  []store.AlertFact
}

// Watch is a question about how something stands. The answer is all that is wrong of its rules at the moment.
type Watch struct {
	Rules []string
	First time.Duration // after the start
	Every time.Duration
	Ask   func(ctx context.Context) ([]Finding, error)
}

// Watch adds a question. Call it before Run.
func (s *Service) Watch(w Watch) { s.states = append(s.states, w) }

// watch asks what is due. Every server asks: the answers meet in the same events.
func (s *Service) watch(ctx context.Context) {
	begun := time.Now()
	next := make([]time.Time, len(s.states))
	for i, w := range s.states {
		next[i] = begun.Add(w.First)
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		for i, w := range s.states {
			if time.Now().Before(next[i]) {
				continue
			}
			if err := s.ask(ctx, w); err != nil && ctx.Err() == nil {
				slog.Warn("it could not be asked how things stand", "rules", w.Rules, "error", err)
			}
			next[i] = time.Now().Add(w.Every)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask stores what is wrong, and ends the events of what is right again, so that it is told at once when it comes back.
func (s *Service) ask(ctx context.Context, w Watch) error {
	rules, err := s.current(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(rules, func(r Rule) bool { return r.Enabled && slices.Contains(w.Rules, r.ID) }) {
		return nil
	}
	asking, cancel := context.WithTimeout(system(ctx), answerWithin)
	defer cancel()
	found, err := w.Ask(asking)
	if err != nil {
		return err
	}
	var hits []hit
	for _, f := range found {
		hits = append(hits, hit{rule: f.Rule, matter: f.Matter, title: f.Title, facts: f.Facts, at: time.Now().UnixMilli(), entry: -1})
	}
	if len(hits) > 0 {
		if err := s.record(ctx, hits, nil); err != nil {
			return err
		}
	}
	return s.settle(ctx, w.Rules, found)
}

// settle ends the open events of rules whose matters are not among what was found.
func (s *Service) settle(ctx context.Context, rules []string, found []Finding) error {
	var over []store.AlertEvent
	for _, rule := range rules {
		open, err := s.db.OpenAlertEvents(ctx, rule, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		for _, e := range open {
			if e.Matter != others && !slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == rule && cut(f.Matter, maxFact) == e.Matter }) {
				over = append(over, e)
			}
		}
	}
	if len(over) == 0 {
		return nil
	}
	return s.db.Derive(ctx, func(d *store.Derived) error {
		for _, was := range over {
			e, err := d.AlertEvent(ctx, was.ID)
			if err != nil {
				return err
			}
			e.QuietAt = min(e.QuietAt, d.Now())
			if err := d.PutAlertEvents(ctx, &e); err != nil {
				return err
			}
		}
		return nil
	})
}

// damage is an envelope that does not open.
type damage struct{ record, field string }

// Damaged tells of an envelope that does not open in its place. It does not wait: of very many at once some are not counted.
func (s *Service) Damaged(record, field string) {
	select {
	case s.damaged <- damage{record, field}:
	default:
	}
}

func (s *Service) hearDamage(ctx context.Context) {
	for {
		var d damage
		select {
		case <-ctx.Done():
			return
		case d = <-s.damaged:
		}
		h := hit{rule: EnvelopeBroken, matter: d.record, title: "a stored value does not open in its place: it was altered, or another was put there",
			facts: []store.AlertFact{fact("record", d.record), fact("field", d.field)}, at: time.Now().UnixMilli(), entry: -1, count: 1}
		for ctx.Err() == nil {
			err := s.record(ctx, []hit{h}, nil)
			if err == nil {
				break
			}
			slog.Warn("the alarm about a damaged envelope is not stored yet", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(lookEvery):
			}
		}
	}
}

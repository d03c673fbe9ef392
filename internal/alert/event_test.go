package alert

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/store"
)

// Whatever hits come in whatever order and how often again, each is counted once, and few rows hold them all.
func TestEveryHitIsCountedOnceInFewRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := Rule{ID: "r", Enabled: true, Gather: time.Second, Quiet: time.Minute}
		n := rapid.IntRange(1, 200).Draw(t, "hits")
		var hits []hit
		for i := range n {
			hits = append(hits, hit{rule: "r", matter: fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "matter")), title: "x", at: int64(1000 + i), entry: int64(i), count: 1})
		}
		var events []*store.AlertEvent
		for done := 0; done < n; {
			end := rapid.IntRange(done+1, n).Draw(t, "batch")
			again := rapid.IntRange(1, 2).Draw(t, "times") // a batch that failed half-way is shown again
			for range again {
				for i := done; i < end; i++ {
					events, _ = join(events, &hits[i], rule, 5000)
				}
			}
			done = end
		}
		total := int64(0)
		for _, e := range events {
			total += e.Count
			if e.FirstAt > e.LastAt || e.DueAt == 0 {
				t.Fatalf("an event stands as %+v", e)
			}
		}
		if total != int64(n) || len(events) > maxMatters+1 {
			t.Fatalf("%d of %d hits in %d rows", total, n, len(events))
		}
	})
}

func TestWhatWasToldIsToldAgainWhenItIsQuiet(t *testing.T) {
	rule := Rule{ID: "r", Enabled: true, Quiet: time.Minute}
	events, e := join(nil, &hit{rule: "r", matter: "m", title: "first", at: 1, entry: 1, count: 1}, rule, 1000)
	if e.DueAt != 1000 || e.QuietAt != 61_000 {
		t.Fatalf("%+v", e)
	}
	e.Told, e.DueAt, e.QuietAt = 1, 0, 62_000 // told
	events, again := join(events, &hit{rule: "r", matter: "m", title: "second", at: 2, entry: 2, count: 1}, rule, 2000)
	if again != e || e.DueAt != 62_000 || e.Count != 2 || e.Title != "second" {
		t.Errorf("%+v", e)
	}
	if _, same := join(events, &hit{rule: "r", matter: "m", title: "first", at: 1, entry: 1, count: 1}, rule, 3000); same != nil {
		t.Error("an entry counts twice")
	}
	// How something stands is no number.
	events, e = join(nil, &hit{rule: "r", matter: "state", at: 1, entry: -1}, rule, 1000)
	if _, same := join(events, &hit{rule: "r", matter: "state", at: 1, entry: -1}, rule, 1000); same != nil || e.Count != 1 {
		t.Error("a state is counted")
	}
}

func TestTextsOfEventsAreBounded(t *testing.T) {
	h := hit{rule: "r", matter: strings.Repeat("ä", 1000), title: strings.Repeat("ö", 1000), facts: []store.AlertFact{{Name: strings.Repeat("ü", 1000), Value: "\xff" + strings.Repeat("é", 1000)}, {Name: "empty"}}, count: 1}
	_, e := join(nil, &h, Rule{ID: "r"}, 1)
	for _, text := range []string{e.Matter, e.Title, e.Facts[0].Name, e.Facts[0].Value} {
		if len(text) > maxFact || !utf8.ValidString(text) {
			t.Errorf("%d bytes: %q", len(text), text[:10])
		}
	}
	if len(e.Facts) != 1 {
		t.Errorf("%d facts", len(e.Facts))
	}
}

func TestAttemptsWaitLongerEachTimeAndEnd(t *testing.T) {
	retry := fault.New(fault.Unavailable, "not now")
	d := &store.AlertDelivery{State: store.DeliveryWaiting}
	now := time.UnixMilli(1_000_000)
	total := time.Duration(0)
	for d.State == store.DeliveryWaiting {
		d.Attempts++
		end(d, retry, now)
		if d.State == store.DeliveryWaiting {
			wait := time.UnixMilli(d.NextAt).Sub(now)
			if wait < firstRetry/2-time.Millisecond || wait > lastRetry {
				t.Fatalf("attempt %d waits %s", d.Attempts, wait)
			}
			total += wait
		}
	}
	if d.State != store.DeliveryDead || d.Attempts != maxAttempts || total < 4*time.Hour || total > 12*time.Hour || d.Problem != "not now" {
		t.Errorf("%+v after %s", d, total)
	}
	asked := fault.New(fault.Exhausted, "too many")
	asked.RetryAfter = 20 * time.Minute
	d = &store.AlertDelivery{State: store.DeliveryWaiting, Attempts: 1}
	if end(d, asked, now); time.UnixMilli(d.NextAt).Sub(now) < 20*time.Minute {
		t.Errorf("it comes back sooner than asked: %+v", d)
	}
	d = &store.AlertDelivery{State: store.DeliveryWaiting, Attempts: 1}
	if end(d, fault.New(fault.Invalid, "no"), now); d.State != store.DeliveryDead {
		t.Errorf("what is refused for good is tried again: %+v", d)
	}
	if end(d, nil, now); d.State != store.DeliverySent || d.Problem != "" {
		t.Errorf("%+v", d)
	}
}

func TestAChannelTakesWhatItAskedFor(t *testing.T) {
	for _, c := range []struct {
		least string
		rules []string
		event store.AlertEvent
		want  bool
	}{
		{"warning", nil, store.AlertEvent{Severity: "critical", Rule: "a"}, true},
		{"warning", nil, store.AlertEvent{Severity: "warning", Rule: "a"}, true},
		{"warning", nil, store.AlertEvent{Severity: "info", Rule: "a"}, false},
		{"critical", nil, store.AlertEvent{Severity: "warning", Rule: "a"}, false},
		{"info", []string{"b"}, store.AlertEvent{Severity: "critical", Rule: "a"}, false},
		{"info", []string{"a"}, store.AlertEvent{Severity: "info", Rule: "a"}, true},
	} {
		if got := wants(&store.AlertChannel{Severity: c.least, Rules: c.rules}, &c.event); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

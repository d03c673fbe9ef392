package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/audit"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/store"
)

// facts of a world without a database.
type imagined struct {
	seen   map[string]bool
	marks  []string
	envs   map[string]string
	broken error
}

func (w *imagined) fresh(_ context.Context, ids ...string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, id := range ids {
		if !w.seen[id] {
			out[id] = true
		}
	}
	for _, id := range ids {
		w.seen[id] = true
	}
	return out, w.broken
}

func (w *imagined) marked(_ context.Context, e *follow.Entry) ([]string, error) {
	var out []string
	for _, k := range e.Keys {
		if slices.Contains(w.marks, k) {
			out = append(out, k)
		}
	}
	return out, w.broken
}

func (w *imagined) envName(_ context.Context, id string) (string, error) { return w.envs[id], w.broken }

var begin = time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC).UnixMilli()

// seen makes entries: each a second after the one before.
func entries(es ...audit.Entry) []follow.Entry {
	out := make([]follow.Entry, len(es))
	for i, e := range es {
		if e.At == 0 {
			e.At = begin + int64(i)*1000
		}
		if e.Outcome == "" {
			e.Outcome = audit.Allowed
		}
		out[i] = follow.Entry{Entry: e, Index: int64(i)}
	}
	return out
}

var machine = audit.Actor{Kind: "identity", ID: "m1", Name: "ci-deploy"}

func read(keys ...string) audit.Entry {
	return audit.Entry{Action: "secret.read", Actor: machine, Project: "p1", Env: "e1", Keys: keys, Address: "198.51.100.7"}
}

func many(n int, e func(i int) audit.Entry) []audit.Entry {
	var out []audit.Entry
	for i := range n {
		out = append(out, e(i))
	}
	return out
}

// judged gives "rule matter" of all hits.
func judged(t *testing.T, w *imagined, rules []Rule, es []follow.Entry) []string {
	t.Helper()
	j := newJudge()
	j.use(rules)
	out := []string{}
	for i := range es {
		hits, err := j.look(t.Context(), &es[i], w)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			out = append(out, h.rule+" "+h.matter)
		}
	}
	return out
}

func TestEachRuleFindsWhatItIsForAndNothingElse(t *testing.T) {
	failed := func(detail map[string]string, address string) audit.Entry {
		return audit.Entry{Action: "session.login", Outcome: audit.Failed, Actor: audit.Actor{Kind: "anonymous"}, Detail: detail, Address: address}
	}
	rows := func(table string) []audit.Row { return []audit.Row{{T: table, K: "x"}} }
	for name, c := range map[string]struct {
		entries []audit.Entry
		want    []string
	}{
		"a decoy":                    {[]audit.Entry{{Action: "canary.touched", Outcome: audit.Failed, Detail: map[string]string{"canary_id": "c1", "place": "laptop of anna"}}}, []string{"canary-touched c1"}},
		"a step of break-glass":      {[]audit.Entry{{Action: "breakglass.open", Actor: machine, Detail: map[string]string{"credential": "b1"}}}, []string{"break-glass breakglass.open b1"}},
		"a read in an emergency":     {[]audit.Entry{{Action: "breakglass.read", Actor: machine, Project: "p1", Env: "e1", Keys: []string{"/A"}, Address: "198.51.100.7"}}, []string{"break-glass breakglass.read m1"}},
		"an item of break-glass":     {[]audit.Entry{read("/db/ROOT")}, []string{"break-glass-item m1 e1 /db/ROOT"}},
		"a refused read of it":       {[]audit.Entry{{Action: "secret.read", Outcome: audit.Refused, Actor: machine, Env: "e1", Keys: []string{"/db/ROOT"}}}, nil},
		"a freeze":                   {[]audit.Entry{{Action: "project.freeze", Project: "p1"}, {Action: "instance.freeze"}}, []string{"freeze p1", "freeze "}},
		"a refused freeze":           {[]audit.Entry{{Action: "project.freeze", Outcome: audit.Refused}}, nil},
		"a new slot":                 {[]audit.Entry{{Action: "keys.manage", Detail: map[string]string{"keys": "slot add"}}}, []string{"unlock-keys slot add"}},
		"a turn of a key":            {[]audit.Entry{{Action: "keys.manage", Detail: map[string]string{"keys": "begin"}}}, nil},
		"an unlock":                  {[]audit.Entry{{Action: "keys.unlock", Detail: map[string]string{"what": "share"}}}, []string{"unlock-keys share"}},
		"a log that does not verify": {[]audit.Entry{{Action: "audit.read", Detail: map[string]string{"problems": "3"}}}, []string{"audit-damaged log"}},
		"a log that does":            {[]audit.Entry{{Action: "audit.read", Detail: map[string]string{"log": "verify"}}}, nil},
		"an admin who blinds us":     {[]audit.Entry{{Action: "alert.manage", Actor: machine, Detail: map[string]string{"what": "rule", "enabled": "false"}}}, []string{"watching-changed alert.manage"}},
		"a test message":             {[]audit.Entry{{Action: "alert.manage", Actor: machine, Detail: map[string]string{"what": "test"}}}, nil},
		"a grant in production":      {[]audit.Entry{{Action: "access.manage", Actor: machine, Env: "prod", Rows: rows("role_grant")}}, []string{"prod-access m1"}},
		"a grant in a whole project": {[]audit.Entry{{Action: "access.manage", Actor: machine, Project: "p1", Rows: rows("role_grant")}}, []string{"prod-access m1"}},
		"a grant for play":           {[]audit.Entry{{Action: "access.manage", Actor: machine, Env: "dev", Rows: rows("role_grant")}}, nil},
		"a new user":                 {[]audit.Entry{{Action: "access.manage", Actor: machine, Rows: rows("person")}}, nil},
		"a revoked token":            {[]audit.Entry{failed(map[string]string{"token": "revoked", "token_id": "t1", "principal": "m1"}, "198.51.100.7")}, []string{"revoked-token t1"}},
		"nine failed logins": {many(9, func(int) audit.Entry {
			return failed(map[string]string{"account": "anna@example.test"}, "198.51.100.7")
		}), nil},
		"ten failed logins": {many(10, func(int) audit.Entry {
			return failed(map[string]string{"account": "anna@example.test"}, "198.51.100.7")
		}), []string{"failed-logins account anna@example.test", "failed-logins address 198.51.100.7"}},
		"ten accounts": {many(10, func(i int) audit.Entry { return failed(map[string]string{"account": fmt.Sprint(i)}, "198.51.100.7") }), []string{"failed-logins address 198.51.100.7"}},
		"ten addresses": {many(10, func(i int) audit.Entry {
			return failed(map[string]string{"account": "anna"}, fmt.Sprintf("198.51.100.%d", i))
		}), []string{"failed-logins account anna"}},
		"a flood that was cut short": {[]audit.Entry{failed(map[string]string{"account": "anna", "not_recorded_before": "40"}, "")}, []string{"failed-logins account anna"}},
		"ten failed logins in a day": {many(10, func(i int) audit.Entry {
			e := failed(map[string]string{"account": "anna"}, "")
			e.At = begin + int64(i)*hour
			return e
		}), nil},
		"an ordinary read":           {[]audit.Entry{read("/A")}, nil},
		"the same values every time": {many(600, func(i int) audit.Entry { return read("/A", fmt.Sprintf("/B%d", i%100)) }), nil},
		"a list of very many":        {[]audit.Entry{read(wildcard(500)...)}, []string{"bulk-export m1"}},
		"one by one":                 {many(500, func(i int) audit.Entry { e := read(fmt.Sprintf("/K%d", i)); e.At = begin + int64(i)*1000; return e }), []string{"bulk-export m1"}},
		"one by one and slowly":      {many(600, func(i int) audit.Entry { e := read(fmt.Sprintf("/K%d", i)); e.At = begin + int64(i)*60_000; return e }), nil},
		"the server itself":          {[]audit.Entry{{Action: "secret.read", Actor: audit.Actor{Kind: "system", ID: "backup"}, Keys: wildcard(600)}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &imagined{seen: map[string]bool{"project m1 p1": true, "somewhere m1": true, "network m1 198.51.100.0/24": true}, marks: []string{"/db/ROOT"},
				envs: map[string]string{"prod": "production", "dev": "dev"}}
			got := judged(t, w, Rules(nil), entries(c.entries...))
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

const hour = int64(3600_000)

func wildcard(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("/K%d", i))
	}
	return out
}

func TestTheFirstTimeIsToldOnce(t *testing.T) {
	w := &imagined{seen: map[string]bool{}}
	on := true
	rules := Rules([]store.AlertRule{{ID: FirstSecret, Settings: store.AlertSettings{Enabled: &on}}})
	elsewhere := read("/A")
	elsewhere.Address = "203.0.113.9"
	near := read("/A")
	near.Address = "198.51.100.200"
	other := read("/A")
	other.Project = "p2"
	unknown := read("/B")
	unknown.Address = "not an address"
	got := judged(t, w, rules, entries(read("/A"), read("/A"), near, elsewhere, elsewhere, other, unknown))
	want := []string{"first-read m1", "first-read-secret m1", // the first network says nothing
		"new-network m1", "first-read m1", "first-read-secret m1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNetworksAreSites(t *testing.T) {
	for address, want := range map[string]string{"198.51.100.7": "198.51.100.0/24", "::ffff:198.51.100.7": "198.51.100.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48", "": "", "x": ""} {
		if got := networkOf(address); got != want {
			t.Errorf("%q: %q", address, got)
		}
	}
}

func TestADisabledRuleFindsNothing(t *testing.T) {
	var changed []store.AlertRule
	for _, r := range defaults() {
		no := false
		changed = append(changed, store.AlertRule{ID: r.ID, Settings: store.AlertSettings{Enabled: &no}})
	}
	w := &imagined{seen: map[string]bool{}, marks: []string{"/K1"}}
	if got := judged(t, w, Rules(changed), entries(read(wildcard(600)...), audit.Entry{Action: "canary.touched"}, audit.Entry{Action: "project.freeze"})); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestAnEntryThatIsShownAgainCountsOnce(t *testing.T) {
	w := &imagined{seen: map[string]bool{}}
	j := newJudge()
	j.use(Rules(nil))
	es := entries(many(9, func(int) audit.Entry {
		return audit.Entry{Action: "session.login", Outcome: audit.Failed, Detail: map[string]string{"account": "anna"}}
	})...)
	for range 3 {
		for i := range es {
			hits, err := j.look(t.Context(), &es[i], w)
			if err != nil || len(hits) != 0 {
				t.Fatalf("%v, %v", hits, err)
			}
		}
	}
	// One that could not be judged comes again and is judged then.
	bad := entries(read("/A"))[0]
	bad.Index = 20
	w.broken = errors.New("the database is away")
	if _, err := j.look(t.Context(), &bad, w); err == nil {
		t.Fatal("no failure")
	}
	w.broken, w.seen = nil, map[string]bool{}
	if hits, err := j.look(t.Context(), &bad, w); err != nil || len(hits) != 1 {
		t.Errorf("%v, %v", hits, err)
	}
}

func TestAWindowCountsLikeAPersonWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const within = 100
		limit := rapid.Int64Range(1, 6).Draw(t, "limit")
		w := newWindow(within * time.Millisecond)
		type one struct {
			item string
			at   int64
		}
		all := map[string][]one{}
		now := int64(1000)
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			now += rapid.Int64Range(0, 60).Draw(t, "step")
			key, item := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6", "7"}).Draw(t, "item")
			all[key] = append(all[key], one{item, now})
			different := map[string]bool{}
			for _, o := range all[key] {
				if o.at > now-within {
					different[o.item] = true
				}
			}
			got := w.add(key, item, now, limit)
			if want := min(int64(len(different)), limit); got != want {
				t.Fatalf("got %d, there are %d, limit %d", got, len(different), limit)
			}
		}
	})
}

func TestAWindowStaysSmallWhateverNamesAreTried(t *testing.T) {
	w := newWindow(time.Minute)
	for i := range 3 * maxKeys {
		w.add(fmt.Sprint(i), "x", begin, 10)
	}
	for i := range 10_000 {
		w.add("one", fmt.Sprint(i), begin, 10)
	}
	if items, _ := w.keys.get("one"); w.keys.len() > maxKeys || items.len() > 10 {
		t.Errorf("%d keys, %d items", w.keys.len(), items.len())
	}
}

func TestRulesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules(nil) {
		if seen[r.ID] || r.Means == "" || r.Quiet <= 0 || !slices.Contains(channel.Severities(), r.Severity) || (r.Threshold > 0 && r.Within <= 0) || r.Severity == channel.Critical && r.Gather != 0 || strings.ToLower(r.ID) != r.ID {
			t.Errorf("not whole: %+v", r)
		}
		seen[r.ID] = true
	}
}

func TestSettingsOfRulesAreBounded(t *testing.T) {
	num := func(n int64) *int64 { return &n }
	text := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		rule string
		s    store.AlertSettings
		ok   bool
	}{
		"a threshold":             {BulkExport, store.AlertSettings{Threshold: num(3)}, true},
		"none at all":             {BulkExport, store.AlertSettings{Threshold: num(0)}, false},
		"one where there is none": {CanaryTouched, store.AlertSettings{Threshold: num(3)}, false},
		"a period":                {BulkExport, store.AlertSettings{Within: num(60_000), Quiet: num(1000)}, true},
		"none":                    {BulkExport, store.AlertSettings{Quiet: num(0)}, false},
		"a year":                  {BulkExport, store.AlertSettings{Within: num(365 * 24 * hour)}, false},
		"one where none is":       {CanaryTouched, store.AlertSettings{Within: num(60_000)}, false},
		"a severity":              {CanaryTouched, store.AlertSettings{Severity: text("info")}, true},
		"another":                 {CanaryTouched, store.AlertSettings{Severity: text("panic")}, false},
		"no such rule":            {"nothing", store.AlertSettings{}, false},
	} {
		if err := checkSettings(c.rule, c.s); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

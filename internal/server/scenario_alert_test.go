package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/keyturntest"
)

// pager is a program that gets alerts.
type pager struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	wait   string // Retry-After
	got    []received
	tries  int
}

type received struct {
	ID   string // of the message, from its header
	Data struct {
		Rule, Title, Severity string
		Count                 int64
		Facts                 []api.AlertFact
	}
}

func newPager(t *testing.T) *pager {
	r := &pager{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.tries++
		if r.status == http.StatusOK {
			m := received{ID: req.Header.Get("Webhook-Id")}
			if err := json.Unmarshal(body, &m); err != nil {
				t.Errorf("a message is no JSON: %v", err)
			}
			r.got = append(r.got, m)
		}
		if r.wait != "" {
			w.Header().Set("Retry-After", r.wait)
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *pager) answer(status int) { r.mu.Lock(); r.status = status; r.mu.Unlock() }

func (r *pager) attempts() int { r.mu.Lock(); defer r.mu.Unlock(); return r.tries }

// of gives the messages of a rule.
func (r *pager) of(rule string) []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []received
	for _, m := range r.got {
		if m.Data.Rule == rule {
			out = append(out, m)
		}
	}
	return out
}

// watching is a world whose server may call this machine.
func watching(t *testing.T, options ...keyturntest.Option) *world {
	t.Helper()
	options = append(options, keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" }))
	return newWorld(keyturntest.Start(t, options...))
}

func (w *world) tell(t *testing.T, r *pager, severity string, rules ...string) string {
	t.Helper()
	name := w.fresh("channel-")
	send[api.AlertChannelMade](t, w.admin, "POST", "/alerts/channels", api.AlertChannelRequest{Name: name, Kind: "webhook", Secrets: map[string]string{"url": r.URL + "/hook"}, Severity: severity, Rules: rules})
	return name
}

func (w *world) rule(t *testing.T, id string, change api.AlertRuleRequest) {
	t.Helper()
	send[api.AlertRule](t, w.admin, "PATCH", "/alerts/rules/"+id, change)
}

func eachStore(t *testing.T, scenario func(t *testing.T, options []keyturntest.Option)) {
	t.Parallel()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) { t.Parallel(); scenario(t, s.options(t)) })
	}
}

func TestAFloodPagesOnceAndThenWithANumber(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		r := newPager(t)
		w.tell(t, r, "critical", "bulk-export")
		w.rule(t, "bulk-export", api.AlertRuleRequest{Threshold: ptr(int64(5)), Quiet: ptr("3s")})
		e := w.project(t)
		var changes []api.Change
		for i := range 40 {
			changes = append(changes, set("/", fmt.Sprintf("K%d", i), "test-value"))
		}
		e.commit(t, changes...)
		for i := range 40 {
			e.value(t, "/", fmt.Sprintf("K%d", i))
		}
		eventually(t, 5*time.Second, "the first message", func() bool { return len(r.of("bulk-export")) > 0 })
		eventually(t, 15*time.Second, "all of it", func() bool {
			total := int64(0)
			for _, m := range r.of("bulk-export") {
				total += m.Data.Count
			}
			return total == 36 // of 40 reads, from the fifth on
		})
		all := r.of("bulk-export")
		if len(all) > 2 || all[0].Data.Severity != "critical" {
			t.Errorf("%d messages, the first %+v", len(all), all[0])
		}
		if len(all) == 2 && (all[0].ID == all[1].ID || !strings.HasPrefix(all[1].Data.Title, "again: ")) {
			t.Errorf("the second is %+v", all[1])
		}
		list := get[api.Alerts](t, w.admin, "/alerts")
		for _, a := range list.Alerts {
			if a.Rule == "bulk-export" && a.Count != 36 {
				t.Errorf("the list tells %+v", a)
			}
		}
	})
}

func TestATouchedDecoyIsToldWithinFiveSeconds(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		r, slow := newPager(t), httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			<-req.Context().Done()
		}))
		defer slow.Close()
		w.tell(t, &pager{Server: slow}, "info") // a channel that hangs holds up nobody else
		w.tell(t, r, "critical", "canary-touched")
		decoy := send[api.CanaryMade](t, w.admin, "POST", "/canaries", api.CanaryRequest{Kind: "token", Place: "laptop of the intern"})
		begun := time.Now()
		w.admin.with(decoy.Token).do(t, "GET", "/whoami", nil)
		eventually(t, 5*time.Second, "the alarm", func() bool { return len(r.of("canary-touched")) > 0 })
		if m := r.of("canary-touched")[0]; time.Since(begun) > 5*time.Second || !strings.Contains(m.Data.Title, "laptop of the intern") {
			t.Errorf("after %s: %+v", time.Since(begun), m)
		}
	})
}

func TestWhatCannotBeSentIsDeadInSightAndCanBeSentAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		r := newPager(t)
		name := w.tell(t, r, "info", "watching-changed")
		r.answer(http.StatusGone)
		eventually(t, 10*time.Second, "a dead letter", func() bool {
			return get[api.AlertDeliveries](t, w.admin, "/alerts/deliveries?dead=true").Dead >= 1
		})
		if n := r.attempts(); n != 1 {
			t.Errorf("%d attempts at an address that is gone", n)
		}
		dead := get[api.AlertDeliveries](t, w.admin, "/alerts/deliveries?dead=true").Deliveries[0]
		if dead.State != "dead" || dead.Channel != name || !strings.Contains(dead.Problem, "410") || strings.Contains(dead.Problem, "127.0.0.1") {
			t.Errorf("it stands as %+v", dead)
		}
		r.answer(http.StatusOK)
		send[api.AlertDelivery](t, w.admin, "POST", "/alerts/deliveries/"+dead.ID+"/resend", nil)
		eventually(t, 10*time.Second, "the message", func() bool { return len(r.of("watching-changed")) == 1 })
		if got := r.of("watching-changed")[0].ID; got != dead.ID {
			t.Errorf("it came as %s, it was %s", got, dead.ID)
		}
	})
}

func TestAPlaceThatFailsIsTriedAgainWithTheSameId(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		r := newPager(t)
		r.answer(http.StatusBadGateway)
		w.tell(t, r, "info", "watching-changed")
		eventually(t, 60*time.Second, "an attempt", func() bool { return r.attempts() >= 1 })
		waiting := get[api.AlertDeliveries](t, w.admin, "/alerts/deliveries")
		r.answer(http.StatusOK)
		eventually(t, 15*time.Second, "the message", func() bool { return len(r.of("watching-changed")) == 1 })
		if got := r.of("watching-changed")[0].ID; got != waiting.Deliveries[0].ID {
			t.Errorf("it came as %s, it was %s", got, waiting.Deliveries[0].ID)
		}
		eventually(t, 5*time.Second, "its end", func() bool {
			return get[api.AlertDeliveries](t, w.admin, "/alerts/deliveries").Deliveries[0].State == "sent"
		})
	})
}

// A server that dies between an event and its message, or in the middle of an attempt, has another one say it.
func TestARestartLosesNoAlert(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := newPager(t)
	r.answer(http.StatusServiceUnavailable)
	s := keyturntest.Start(t, keyturntest.WithData(data), keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" }))
	w := newWorld(s)
	w.tell(t, r, "info", "watching-changed")
	eventually(t, 60*time.Second, "an attempt", func() bool { return r.attempts() >= 1 })
	s.Stop()
	r.answer(http.StatusOK)
	keyturntest.Bare(t, keyturntest.WithData(data), keyturntest.WithConfig(func(c *config.Config) { c.OutboundAllow = "127.0.0.0/8" }))
	eventually(t, 90*time.Second, "the message", func() bool { return len(r.of("watching-changed")) >= 1 })
}

func TestManyFailedLoginsOfManyNamesAreFewMessages(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		r := newPager(t)
		w.tell(t, r, "info", "failed-logins")
		w.rule(t, "failed-logins", api.AlertRuleRequest{Threshold: ptr(int64(1)), Severity: ptr("critical")})
		for i := range 25 {
			w.admin.with("").do(t, "POST", "/login", api.LoginRequest{Email: fmt.Sprintf("nobody-%d@example.test", i), Password: "test-value-wrong-password"})
		}
		eventually(t, 10*time.Second, "messages", func() bool { return len(r.of("failed-logins")) >= 6 })
		eventually(t, 10*time.Second, "the list", func() bool {
			var others int64
			for _, a := range get[api.Alerts](t, w.admin, "/alerts").Alerts {
				if a.Rule == "failed-logins" && strings.HasPrefix(a.Title, "and others") {
					others = a.Count
				}
			}
			return others > 0
		})
		if n := len(r.of("failed-logins")); n > 6 { // five by themselves, one for all others
			t.Errorf("%d messages", n)
		}
	})
}

func TestARevokedTokenThatIsUsedIsTold(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		r := newPager(t)
		w.tell(t, r, "info", "revoked-token")
		w.rule(t, "revoked-token", api.AlertRuleRequest{Severity: ptr("critical")})
		e := w.project(t)
		token := send[api.NewToken](t, w.admin, "POST", "/tokens", api.TokenRequest{Project: e.project, Scopes: "dev:/:read", TTL: "10m"})
		send[api.Done](t, w.admin, "DELETE", "/tokens/"+token.ID, nil)
		w.admin.with(token.Token).do(t, "GET", "/whoami", nil).refused(t, "unauthenticated")
		eventually(t, 10*time.Second, "the alarm", func() bool { return len(r.of("revoked-token")) == 1 })
	})
}

func TestAChannelCannotReachInside(t *testing.T) {
	t.Parallel()
	w := newWorld(keyturntest.Start(t)) // allows nothing
	touched := newPager(t)
	redirecting := httptest.NewServer(http.RedirectHandler(touched.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	try := func(who *world, url, want string) {
		t.Helper()
		name := who.fresh("channel-")
		send[api.AlertChannelMade](t, who.admin, "POST", "/alerts/channels", api.AlertChannelRequest{Name: name, Kind: "slack", Secrets: map[string]string{"url": url}})
		d := send[api.AlertDelivery](t, who.admin, "POST", "/alerts/channels/"+name+"/test", nil)
		if d.State != "dead" || !strings.Contains(d.Problem, want) || strings.Contains(d.Problem, "127.0.0.1") {
			t.Errorf("%s: %+v", url, d)
		}
	}
	try(w, touched.URL, "inside")
	try(w, strings.Replace(touched.URL, "127.0.0.1", "localhost", 1), "inside")
	try(watching(t), redirecting.URL, "redirect")
	if touched.attempts() != 0 {
		t.Error("the inner server was asked")
	}
}

func TestSecretsOfChannelsAreSealedAndStayHidden(t *testing.T) {
	eachStore(t, func(t *testing.T, options []keyturntest.Option) {
		w := watching(t, options...)
		const hidden = "test-value-hook-4711"
		send[api.AlertChannelMade](t, w.admin, "POST", "/alerts/channels", api.AlertChannelRequest{Name: "ops", Kind: "slack", Secrets: map[string]string{"url": "https://hooks.example.test/" + hidden}})
		w.admin.do(t, "POST", "/alerts/channels", api.AlertChannelRequest{Name: "bad", Kind: "slack", Secrets: map[string]string{"url": "http://hooks.example.test/" + hidden}}).refused(t, "invalid")
		w.admin.do(t, "POST", "/alerts/channels", api.AlertChannelRequest{Name: "bad", Kind: "slack", Settings: map[string]string{"url": "https://hooks.example.test/" + hidden}}).refused(t, "invalid")
		for _, path := range []string{"/alerts/channels", "/alerts", "/alerts/deliveries", "/audit/entries?limit=100", "/audit/log?from=0"} {
			if r := w.admin.do(t, "GET", path, nil); strings.Contains(string(r.body), hidden) {
				t.Errorf("%s tells the address of the hook", path)
			}
		}
	})
}

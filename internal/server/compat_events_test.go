package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/keyturntest"
)

// quickPings makes a server whose streams say often that they live, and look as often whether their tokens do.
func quickPings(o *server.Options) { o.PingEvery = 50 * time.Millisecond }

// onBothQuickly is onBoth with quick pings.
func onBothQuickly(t *testing.T, scenario func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, newWorld(keyturntest.Start(t, append(s.options(t), quickPings)...)))
		})
	}
}

// lines gives what a stream of events sends, line by line; it is closed at the end of the stream.
func (c infisicalEnv) stream(t *testing.T, body string) (lines chan string, r *http.Response) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "POST", c.url+"/api/v1/events/subscribe/project-events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	r, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	lines = make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines, r
}

// next gives the next line that begins with a word, or "" at the end of the stream.
func next(t *testing.T, lines chan string, word string) string {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return ""
			}
			if rest, ok := strings.CutPrefix(line, word); ok {
				return rest
			}
		case <-deadline:
			t.Fatalf("no %q within 5 s", word)
		}
	}
}

func TestInfisicalEventsComeAsTheyHappen(t *testing.T) {
	onBothQuickly(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		e.commit(t, set("/", "OLD", "test-value"), set("/f", "GONE", "test-value"))
		lines, r := c.stream(t, `{"projectId":"`+c.id+`","register":[{"event":"secret:create"},{"event":"secret:update","conditions":{"environmentSlug":"dev","secretPath":"/"}},
			{"event":"secret:delete","conditions":{"environmentSlug":"dev","secretPath":"/**"}},{"event":"secret:import-mutation"}]}`)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%d %v", r.StatusCode, r.Header)
		}
		for range 3 {
			if next(t, lines, "event: ping") != "" {
				t.Error("no ping")
			}
		}
		expect := func(kind, key string) {
			t.Helper()
			for deadline := time.Now().Add(5 * time.Second); ; {
				line := next(t, lines, "data: ")
				if line == "1" && time.Now().Before(deadline) {
					continue
				}
				var m struct {
					ProjectType string
					Data        struct {
						EventType string
						Payload   []struct{ Environment, SecretPath, SecretKey string }
					}
				}
				if err := json.Unmarshal([]byte(line), &m); err != nil || m.ProjectType != "secret-manager" {
					t.Fatalf("%q: %v", line, err)
				}
				var keys []string
				for _, p := range m.Data.Payload {
					keys = append(keys, p.Environment+":"+full(p.SecretPath, p.SecretKey))
				}
				agree(t, m.Data.EventType, strings.Join(keys, " "), key)
				agree(t, "the kind", m.Data.EventType, kind)
				return
			}
		}
		e.commit(t, set("/", "A", "test-value"), set("/f", "B", "test-value"))
		expect("secret:create", "dev:/A dev:/f/B")
		e.commit(t, set("/f", "B", "test-value-2")) // nobody asked for it
		e.in("prod").commit(t, set("/", "C", "test-value"))
		expect("secret:create", "prod:/C")
		e.commit(t, set("/", "OLD", "test-value-2"))
		expect("secret:update", "dev:/OLD")
		e.commit(t, api.Change{Op: "folder.delete", Path: "/f"})
		expect("secret:delete", "dev:/f/B dev:/f/GONE")
		e.commit(t, rename("/", "A", "A2"))
		expect("secret:create", "dev:/A2")
		expect("secret:delete", "dev:/A")
		e.commit(t, importing("/", api.Place{Env: "prod", Path: "/"}))
		expect("secret:import-mutation", "dev:/")
		w.server.Stop()
		if next(t, lines, "never") != "" {
			t.Error("the stream did not end with the server")
		}
	})
}

func TestInfisicalEventsAreFilteredAndEnd(t *testing.T) {
	onBothQuickly(t, func(t *testing.T, w *world) {
		e := w.project(t)
		c := w.infisical(t, e)
		p, i, _ := w.machineID(t, api.GrantRequest{Project: e.project, Env: "dev", Role: "developer"})
		lines, _ := c.as(p).stream(t, `{"projectId":"`+c.id+`"}`)
		next(t, lines, "event: ping")
		e.in("prod").commit(t, set("/", "HIDDEN", "test-value"))
		e.commit(t, set("/", "SHOWN", "test-value"))
		for line := next(t, lines, "data: "); ; line = next(t, lines, "data: ") {
			if strings.Contains(line, "HIDDEN") || line == "" {
				t.Fatal("somebody was told of what he may not see")
			}
			if strings.Contains(line, "SHOWN") {
				break
			}
		}
		send[api.Done](t, w.admin, "PATCH", "/identities/"+i.Name, api.EnabledRequest{Disabled: true})
		e.commit(t, set("/", "LATER", "test-value"))
		for line := next(t, lines, "data: "); line != ""; line = next(t, lines, "data: ") {
			if strings.Contains(line, "LATER") {
				t.Error("a machine that is switched off was told of a change")
			}
		}
		c.as(w.machine(t)).call(t, 404, "POST", "/v1/events/subscribe/project-events", map[string]any{"projectId": c.id})
		c.call(t, 422, "POST", "/v1/events/subscribe/project-events", map[string]any{"projectId": c.id, "register": []any{map[string]any{"event": "secret:burn"}}})
		c.call(t, 422, "POST", "/v1/events/subscribe/project-events", map[string]any{})
	})
}

func TestVaultEventsComeOverAWebSocket(t *testing.T) {
	onBothQuickly(t, func(t *testing.T, w *world) {
		e := w.project(t)
		e.commit(t, set("/back", "OLD", "test-value"))
		p, i, _ := w.machineID(t, api.GrantRequest{Project: e.project, Env: "dev", Role: "developer"})
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		dial := func(path, token string, header ...string) (*websocket.Conn, *http.Response, error) {
			h := http.Header{"X-Vault-Token": {token}}
			for i := 0; i < len(header); i += 2 {
				h.Set(header[i], header[i+1])
			}
			return websocket.Dial(ctx, w.admin.url+"/v1/"+path, &websocket.DialOptions{HTTPHeader: h})
		}
		conn, _, err := dial("sys/events/subscribe/kv*?json=true", p.token)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		type told struct {
			ID, Source, SpecVersion, Type, Time string
			Data                                struct {
				Event struct {
					ID       string
					Metadata map[string]string
				}
				EventType  string            `json:"event_type"`
				PluginInfo map[string]string `json:"plugin_info"`
				Namespace  string
			}
		}
		read := func() told {
			t.Helper()
			kind, body, err := conn.Read(ctx)
			if err != nil || kind != websocket.MessageText {
				t.Fatalf("%v %v", kind, err)
			}
			var m told
			if err := json.Unmarshal(body, &m); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			return m
		}
		e.in("prod").commit(t, set("/", "HIDDEN", "test-value"))
		e.commit(t, set("/back/api", "A", "test-value"), set("/back/api", "B", "test-value"))
		m := read()
		want := e.project + "/data/dev/back/api"
		if d := m.Data; d.Event.Metadata["path"] != want || d.Event.Metadata["data_path"] != want || d.Event.Metadata["modified"] != "true" || d.Namespace != "" ||
			d.EventType != "kv-v2/data-write" || d.Event.Metadata["operation"] != "data-write" || d.PluginInfo["mount_path"] != e.project+"/" || m.SpecVersion != "1.0" ||
			m.ID == "" || m.ID != d.Event.ID || m.Source == "" || m.Time == "" {
			t.Errorf("%+v", m)
		}
		e.commit(t, api.Change{Op: "delete", Path: "/back", Name: "OLD"})
		if m := read(); m.Data.EventType != "kv-v2/data-delete" || m.Data.Event.Metadata["path"] != e.project+"/data/dev/back" {
			t.Errorf("%+v", m)
		}
		// A mount over the folder shows the document under another path, and a namespace takes away what stands in front.
		send[api.Mount](t, w.admin, "POST", "/mounts", api.MountRequest{Path: "apps/main", Project: e.project, Env: "dev", Folder: "/back", Version: 1})
		inside, _, err := dial("sys/events/subscribe/*?json=true", p.token, "X-Vault-Namespace", "apps/")
		if err != nil {
			t.Fatal(err)
		}
		defer inside.CloseNow()
		e.commit(t, set("/back/api", "A", "test-value-2"))
		if m := read(); m.Data.Event.Metadata["path"] != "apps/main/api" || m.Data.EventType != "kv-v1/write" {
			t.Errorf("%+v", m)
		}
		if m := read(); m.Data.Event.Metadata["path"] != want {
			t.Errorf("%+v", m)
		}
		if _, body, err := inside.Read(ctx); err != nil || !strings.Contains(string(body), `"path":"main/api"`) || !strings.Contains(string(body), `"namespace":"apps"`) {
			t.Errorf("%s %v", body, err)
		}
		e.commit(t, set("/", "ROOT", "test-value"))
		if m := read(); m.Data.Event.Metadata["path"] != e.project+"/data/dev" {
			t.Errorf("%+v", m)
		}
		for what, r := range map[string]struct {
			status int
			path   string
			token  string
			header []string
		}{
			"another origin":   {403, "sys/events/subscribe/kv*?json=true", p.token, []string{"Origin", "https://evil.example.test"}},
			"no token":         {403, "sys/events/subscribe/kv*?json=true", "", nil},
			"a wrong token":    {403, "sys/events/subscribe/kv*?json=true", "hvs.test-value", nil},
			"no JSON":          {400, "sys/events/subscribe/kv*", p.token, nil},
			"a filter":         {400, "sys/events/subscribe/kv*?json=true&filter=x", p.token, nil},
			"a broken pattern": {400, "sys/events/subscribe/%5B?json=true", p.token, nil},
		} {
			c, resp, err := dial(r.path, r.token, r.header...)
			if err == nil {
				_ = c.CloseNow()
				t.Errorf("%s: it was let in", what)
			} else if resp == nil || resp.StatusCode != r.status {
				t.Errorf("%s: %v", what, err)
			}
		}
		send[api.Done](t, w.admin, "PATCH", "/identities/"+i.Name, api.EnabledRequest{Disabled: true})
		if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("the stream of a machine that was switched off: %v", err)
		}
		other, _, err := dial("sys/events/subscribe/kv-v2/data-write?json=true", w.admin.token)
		if err != nil {
			t.Fatal(err)
		}
		defer other.CloseNow()
		stopped := make(chan struct{})
		go func() { defer close(stopped); w.server.Stop() }()
		if _, _, err := other.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("a stream at the end of the server: %v", err)
		}
		<-stopped
	})
}

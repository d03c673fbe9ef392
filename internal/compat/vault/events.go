package vault

import (
	"context"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/secrets"
)

// eventPrefix is where clients subscribe; what follows is a pattern of event types.
const eventPrefix = "sys/events/subscribe/"

// eventWrite is the type of the most frequent event; patterns are tried on it.
const eventWrite = "kv-v2/data-write"

// eventWait bounds how long a client may take to read a message: a dead one must not hold its place for ever.
const eventWait = 10 * time.Second

// event is a message of the stream: a CloudEvent in the form that the originals send.
type event struct {
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	SpecVersion string    `json:"specversion"`
	Type        string    `json:"type"`
	Data        eventData `json:"data"`
	ContentType string    `json:"datacontentype"` // spelled as the originals do
	Time        string    `json:"time"`
}

type eventData struct {
	Event      eventBody  `json:"event"`
	EventType  string     `json:"event_type"`
	PluginInfo eventMount `json:"plugin_info"`
	Namespace  string     `json:"namespace"`
}

type eventBody struct {
	ID       string            `json:"id"`
	Metadata map[string]string `json:"metadata"`
}

type eventMount struct {
	Class   string `json:"mount_class"`
	Path    string `json:"mount_path"`
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
}

// sysEvents streams changes of documents over a WebSocket until the client leaves, its token ends or the server stops. Each
// project is a mount under its slug: the document of a folder is the environment and the folders below it.
func (s *Surface) sysEvents(ctx context.Context, c *call) (*reply, error) {
	pattern, ok := c.below(eventPrefix)
	if !ok || c.verb != verbRead {
		return nil, unsupported()
	}
	if _, err := path.Match(pattern, eventWrite); err != nil || len(pattern) > 200 {
		return nil, bad("invalid pattern of event types")
	}
	if yes, err := strconv.ParseBool(c.query.Get("json")); err != nil || !yes {
		return nil, bad("events are sent as JSON only: subscribe with json=true")
	}
	if c.query.Get("filter") != "" {
		return nil, bad("filters of events are not supported: what you may not see is left out anyway")
	}
	if !strings.EqualFold(c.http.Header.Get("Upgrade"), "websocket") {
		return nil, bad("events are sent over a WebSocket")
	}
	tail, err := s.Secrets.Tail(ctx, "")
	if err != nil {
		return nil, err
	}
	defer tail.Stop()
	// A page of another origin cannot subscribe with what a browser sends by itself: the library refuses it (RFC 6455, 10.2).
	conn, err := websocket.Accept(c.writer, c.http, nil)
	if err != nil {
		return &reply{sent: true}, nil // it has answered
	}
	defer func() { _ = conn.CloseNow() }()
	ctx = conn.CloseRead(context.WithoutCancel(ctx)) // ends when the client does; it sends nothing
	s.sendEvents(ctx, c, conn, tail, pattern)
	return &reply{sent: true}, nil
}

// sendEvents is the loop of one stream.
func (s *Surface) sendEvents(ctx context.Context, c *call, conn *websocket.Conn, tail *secrets.Tail, pattern string) {
	ping := time.NewTicker(s.PingEvery)
	defer ping.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.Closing:
			_ = conn.Close(websocket.StatusGoingAway, "the server stops")
			return
		case <-ping.C:
			if _, ok := s.again(ctx, c); !ok {
				_ = conn.Close(websocket.StatusPolicyViolation, denied)
				return
			}
			if within(ctx, conn.Ping) != nil {
				return
			}
		case <-tail.Changed():
			now, ok := s.again(ctx, c)
			if !ok {
				_ = conn.Close(websocket.StatusPolicyViolation, denied)
				return
			}
			happened, err := tail.Take(now)
			if err != nil {
				_ = conn.Close(websocket.StatusInternalError, "internal error")
				return
			}
			events, err := s.documentEvents(now, c, happened)
			if err != nil {
				_ = conn.Close(websocket.StatusInternalError, "internal error")
				return
			}
			for _, e := range events {
				if ok, _ := path.Match(pattern, e.Data.EventType); !ok && !loose(pattern, e.Data.EventType) {
					continue
				}
				body, err := json.Marshal(e, json.Deterministic(true))
				if err != nil {
					return
				}
				if within(ctx, func(ctx context.Context) error { return conn.Write(ctx, websocket.MessageText, body) }) != nil {
					return
				}
			}
		}
	}
}

// loose takes a '*' at the end of a pattern for any text, slashes too, as the originals do.
func loose(pattern, name string) bool {
	head, ok := strings.CutSuffix(pattern, "*")
	return ok && !strings.ContainsAny(head, "*?[\\") && strings.HasPrefix(name, head)
}

func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, eventWait)
	defer cancel()
	return do(ctx)
}

// again finds who the token of a stream is of now.
func (s *Surface) again(ctx context.Context, c *call) (context.Context, bool) {
	caller := *guard.CallerOf(ctx)
	who, err := s.Access.Authenticate(ctx, c.token, caller.Address)
	if err != nil {
		return ctx, false
	}
	caller.Principal = who
	return guard.WithCaller(ctx, &caller), true
}

// documentEvents gives one event for each document that changed, under each path that it has in the namespace of the call.
func (s *Surface) documentEvents(ctx context.Context, c *call, happened []secrets.Happening) ([]event, error) {
	var out []event
	told := map[string]bool{}
	for i := range happened {
		h := &happened[i]
		document := string(h.Env.ID) + string(h.Path)
		if h.Doing == secrets.DidImports || told[document] { // what a folder imports is no part of its document
			continue
		}
		told[document] = true
		places, err := s.Secrets.MountedAt(ctx, h)
		if err != nil {
			return nil, err
		}
		for _, at := range places {
			if mount, ok := c.within(at.Mount.Path); ok {
				out = append(out, documentEvent(mount, &at, h, c.namespace))
			}
		}
	}
	return out, nil
}

func documentEvent(mount string, at *secrets.MountedAt, h *secrets.Happening, namespace string) event {
	id := uuid.Must(uuid.NewV7()).String()
	engine, data, operation := "kv-v2", "data/", "data-write"
	if h.Gone {
		operation = "data-delete"
	}
	if at.Mount.Version == 1 {
		engine, data, operation = "kv-v1", "", strings.TrimPrefix(operation, "data-")
	}
	where := strings.TrimPrefix(mount+"/"+data+at.Rest, "/")
	kind := engine + "/" + operation
	return event{ID: id, Source: "vault://keyturn", SpecVersion: "1.0", Type: kind, ContentType: "application/cloudevents", Time: time.Now().UTC().Format(time.RFC3339Nano),
		Data: eventData{EventType: kind, Namespace: namespace, PluginInfo: eventMount{"secret", mount + "/", "kv", strings.TrimPrefix(engine, "kv-")},
			Event: eventBody{ID: id, Metadata: map[string]string{"current_version": strconv.FormatInt(h.Version, 10), "data_path": where, "path": where,
				"operation": operation, "modified": "true"}}}}
}

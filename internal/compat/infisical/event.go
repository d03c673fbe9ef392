package infisical

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/httpkit"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) eventRoutes() []route {
	return []route{{"POST /v1/events/subscribe/project-events", withToken, s.streamEvents}}
}

// eventNames are what the dialect calls what happens.
var eventNames = map[secrets.Doing]string{
	secrets.DidCreate: "secret:create", secrets.DidUpdate: "secret:update", secrets.DidDelete: "secret:delete", secrets.DidImports: "secret:import-mutation",
}

// maxRegistered bounds what one stream asks for.
const maxRegistered = 100

// writeWithin is how long a client may leave its connection full: much longer than any line is slow, much shorter than a token lives.
const writeWithin = 10 * time.Second

// registered is one thing that a stream asks for.
type registered struct {
	Event      string `json:"event"`
	Conditions struct {
		Environment string `json:"environmentSlug"`
		Path        string `json:"secretPath"` // of a folder; with '*' a pattern
	} `json:"conditions"`

	below domain.Pattern // in place of an exact path
}

func (r *registered) wants(name string, h *secrets.Happening) bool {
	if r.Event != name || r.Conditions.Environment != "" && r.Conditions.Environment != string(h.Env.Slug) {
		return false
	}
	if r.below != "" {
		return r.below.Match(h.Path)
	}
	return r.Conditions.Path == "" || r.Conditions.Path == string(h.Path)
}

// registrations reads what a stream asks for. Nothing means everything.
func (c *call) registrations() ([]registered, error) {
	var list []registered
	if err := c.into("register", &list); err != nil {
		return nil, err
	}
	if len(list) > maxRegistered {
		return nil, wrong("register", "at most 100 events")
	}
	for i := range list {
		known := false
		for _, name := range eventNames {
			known = known || name == list[i].Event
		}
		if !known {
			return nil, wrong("register", "events secret:create, secret:update, secret:delete or secret:import-mutation")
		}
		if p := list[i].Conditions.Path; strings.Contains(p, "*") {
			pattern, err := domain.ParsePattern(p)
			if err != nil {
				return nil, fault.As(err).WithField("/register", "no path of a folder")
			}
			list[i].below = pattern
		} else if p != "" {
			path, err := domain.ParsePath(p)
			if err != nil {
				return nil, fault.As(err).WithField("/register", "no path of a folder")
			}
			list[i].Conditions.Path = string(path)
		}
	}
	if len(list) == 0 {
		for _, name := range eventNames {
			list = append(list, registered{Event: name})
		}
	}
	return list, nil
}

// message is one event as clients read it.
type message struct {
	ProjectType string      `json:"projectType"`
	Data        messageData `json:"data"`
}

type messageData struct {
	EventType string    `json:"eventType"`
	Payload   []payload `json:"payload"`
}

type payload struct {
	Environment string `json:"environment"`
	Path        string `json:"secretPath"`
	Key         string `json:"secretKey,omitzero"`
}

// streamEvents sends what happens in a project (text/event-stream) until the client leaves, its token ends or the server stops.
func (s *Surface) streamEvents(ctx context.Context, c *call) (*answer, error) {
	project, err := c.project()
	if err != nil {
		return nil, err
	}
	wanted, err := c.registrations()
	if err != nil {
		return nil, err
	}
	token, err := httpkit.Bearer(c.http)
	if err != nil {
		return nil, err
	}
	tail, err := s.Secrets.Tail(ctx, project)
	if err != nil {
		return nil, err
	}
	defer tail.Stop()
	flusher := http.NewResponseController(c.writer)
	// The time limit of a request is not one of a stream: past it the server would take the client for gone.
	if err := errors.Join(flusher.SetWriteDeadline(time.Time{}), flusher.SetReadDeadline(time.Time{})); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "this connection cannot stream")
	}
	c.writer.Header().Set("Content-Type", "text/event-stream")
	c.writer.Header().Set("X-Accel-Buffering", "no") // some proxies hold back what they pass on
	c.writer.WriteHeader(http.StatusOK)
	send := func(text []byte) bool {
		// A client that reads no more must not hold the stream past the life of its token.
		if flusher.SetWriteDeadline(time.Now().Add(writeWithin)) != nil {
			return false
		}
		if _, err := c.writer.Write(text); err != nil {
			return false
		}
		return flusher.Flush() == nil
	}
	over := &answer{sent: true}
	ping := time.NewTicker(s.PingEvery)
	defer ping.Stop()
	alive := send(pingEvent)
	for alive {
		select {
		case <-ctx.Done():
			return over, nil
		case <-s.Closing:
			return over, nil
		case <-ping.C:
			_, ok := s.again(ctx, token)
			alive = ok && send(pingEvent)
		case <-tail.Changed():
			now, ok := s.again(ctx, token)
			if !ok {
				return over, nil
			}
			happened, err := tail.Take(now)
			if err != nil {
				return over, nil
			}
			for _, text := range events(happened, wanted) {
				alive = alive && send(text)
			}
		}
	}
	return over, nil
}

// pingEvent keeps proxies and clients from taking a quiet stream for a dead one.
var pingEvent = []byte("event: ping\ndata: 1\n\n")

// again finds who a token is of now. What he may see is decided for each event anew.
func (s *Surface) again(ctx context.Context, token string) (context.Context, bool) {
	c := *guard.CallerOf(ctx)
	who, err := s.Access.Authenticate(ctx, token, c.Address)
	if err != nil {
		return ctx, false
	}
	c.Principal = who
	return guard.WithCaller(ctx, &c), true
}

// events writes what happened as messages, one for each kind of event.
func events(happened []secrets.Happening, wanted []registered) [][]byte {
	var out [][]byte
	for _, doing := range []secrets.Doing{secrets.DidCreate, secrets.DidUpdate, secrets.DidDelete, secrets.DidImports} {
		m := message{ProjectType: "secret-manager", Data: messageData{EventType: eventNames[doing]}}
		for i := range happened {
			h := &happened[i]
			if h.Doing == doing && slices.ContainsFunc(wanted, func(r registered) bool { return r.wants(eventNames[doing], h) }) {
				m.Data.Payload = append(m.Data.Payload, payload{string(h.Env.Slug), string(h.Path), string(h.Name)})
			}
		}
		if len(m.Data.Payload) == 0 {
			continue
		}
		body, err := json.Marshal(m)
		if err != nil {
			continue // slugs and names are always text
		}
		out = append(out, slices.Concat([]byte("event: "+eventNames[doing]+"\ndata: "), body, []byte("\n\n")))
	}
	return out
}

package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/httpkit"
)

// pingEvery keeps proxies from closing a quiet stream, and is how often rights are looked at again.
const pingEvery = 15 * time.Second

// writeWithin is how long a client may leave its connection full.
const writeWithin = 10 * time.Second

// streamEvents sends a line for each commit of an environment until the client leaves, its token ends or the server stops.
func streamEvents(c *call, p *envParams, _ *none) (any, error) {
	flusher := http.NewResponseController(c.w)
	ref := env(p.Project, p.Env)
	events, stop, err := c.secrets.Watch(c.ctx, ref)
	if err != nil {
		return nil, err
	}
	defer stop()
	token, err := httpkit.Bearer(c.r)
	if err != nil {
		return nil, err
	}
	// The time limit of a request is not one of a stream: past it the server would take the client for gone.
	if err := errors.Join(flusher.SetWriteDeadline(time.Time{}), flusher.SetReadDeadline(time.Time{})); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "this connection cannot stream")
	}
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.WriteHeader(http.StatusOK)
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	told := int64(-1)
	for {
		line := []byte(": ping\n\n")
		select {
		case <-c.ctx.Done():
			return nil, nil
		case <-c.Closing:
			return nil, nil
		case <-ping.C:
			who, err := c.access.Authenticate(c.ctx, token, httpkit.Address(c.r))
			if err != nil || !c.secrets.StillMay(c.ctx, who, ref) {
				return nil, nil
			}
		case f := <-events:
			if f.Revision <= told {
				continue // heard of twice
			}
			told = f.Revision
			body, err := json.Marshal(api.Event{Seq: f.Seq, Kind: string(f.Kind), Project: string(f.Project), Env: string(f.Env), Revision: f.Revision})
			if err != nil {
				return nil, nil
			}
			line = append(append([]byte("event: commit\ndata: "), body...), "\n\n"...)
		}
		// A client that reads no more must not hold the stream past the life of its token.
		if flusher.SetWriteDeadline(time.Now().Add(writeWithin)) != nil {
			return nil, nil
		}
		if _, err := c.w.Write(line); err != nil {
			return nil, nil
		}
		if err := flusher.Flush(); err != nil {
			return nil, nil
		}
	}
}

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
)

// Bounds of a watch.
const (
	quietFor     = 50 * time.Second // the server says something every 15 s: more than three missed and the line is dead
	maxReconnect = 30 * time.Second
	maxEventLine = 64 << 10 // bytes
)

// Watch calls f for each commit of an environment until ctx ends, f fails, or the server refuses. It connects again by
// itself. The server begins each stream with the revision where the environment stands, so f gets that too when it is not
// the one that f saw last: nothing is missed between two connections.
func (c *Client) Watch(ctx context.Context, p Place, f func(api.Event) error) error {
	w := &watch{client: c, place: p, tell: f, seen: -1}
	for wait := firstWait; ; wait = min(2*wait, maxReconnect) {
		connected, err := w.stream(ctx)
		var stop *stopped
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.cause
		case connected:
			wait = firstWait
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait + rand.N(wait)):
		}
	}
}

// stopped ends a watch for good.
type stopped struct{ cause error }

func (s *stopped) Error() string { return s.cause.Error() }

type watch struct {
	client *Client
	place  Place
	tell   func(api.Event) error
	seen   int64 // revision that f saw last
}

// stream holds one connection. It tells whether it got one.
func (w *watch) stream(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := request{method: http.MethodGet, path: w.place.at("events")}
	if err := r.check(); err != nil {
		return false, &stopped{err}
	}
	req, err := w.client.prepare(ctx, r, nil)
	if err != nil {
		return false, &stopped{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	alive := time.AfterFunc(quietFor, cancel)
	defer alive.Stop()
	resp, err := w.client.http.Do(req)
	if err != nil {
		return false, w.client.lost(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, lasting(w.client.problem(resp))
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventLine)
	for lines.Scan() {
		alive.Reset(quietFor)
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return true, fmt.Errorf("the event stream of %s is not what Keyturn sends", w.client.base)
		}
		if err := w.see(e); err != nil {
			return true, err
		}
	}
	return true, lines.Err()
}

func (w *watch) see(e api.Event) error {
	if e.Revision <= w.seen {
		return nil
	}
	w.seen = e.Revision
	if err := w.tell(e); err != nil {
		return &stopped{err}
	}
	return nil
}

// lasting marks failures that another try will not mend.
func lasting(err error) error {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, Unavailable) || errors.Is(err, Exhausted) || errors.Is(err, Internal) {
		return err
	}
	return &stopped{err}
}

package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
)

// Bounds of retrying.
const (
	maxTries  = 4
	firstWait = 100 * time.Millisecond
	maxWait   = 5 * time.Second // a server that asks for more is left alone
)

// request is one call before it is sent.
type request struct {
	method string
	path   string // below api.Prefix, escaped
	query  url.Values
	body   any    // nil for none
	etag   string // sent as If-None-Match
	once   bool   // never sent twice: it makes something that is shown once, or is not known to the server by a key
	slow   bool   // may take as long as the caller's context allows
}

// check refuses names that would make another path of this one: empty ones, and dots, which no escape covers.
func (r request) check() error {
	for _, part := range strings.Split(r.path[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return errors.New("a project, environment or name in the call is empty or a dot")
		}
	}
	return nil
}

// answer is what came back with success.
type answer struct {
	etag      string
	unchanged bool // 304
}

// call sends a request and decodes the answer as T.
func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	_, err := c.do(ctx, r, &out)
	return out, err
}

// do sends a request, again after a lost connection where that is safe: reads, and writes under an idempotency key.
func (c *Client) do(ctx context.Context, r request, out any) (answer, error) {
	if err := r.check(); err != nil {
		return answer{}, err
	}
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return answer{}, fmt.Errorf("the request cannot be written: %w", err)
		}
	}
	key := ""
	write := r.method != http.MethodGet
	if write && !r.once && c.token != "" {
		key = rand.Text()
	}
	sent, proved := false, false
	for try := 1; ; try++ {
		a, err := c.once(ctx, r, body, key, out)
		if err == nil || ctx.Err() != nil {
			return a, err
		}
		if !proved && c.prove != nil && wantsProof(err) {
			proved = true
			if err := c.prove(ctx, &Client{base: c.base, token: c.token, agent: c.agent, http: c.http}); err != nil {
				return a, err
			}
			continue
		}
		wait, again := c.again(err, try, sent)
		lost, isLost := errors.AsType[*unreachable](err)
		sent = sent || isLost && !refused(err)
		if again = again && (!write || key != ""); !again {
			if isLost {
				lost.sent = sent && write
			}
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, err
		case <-time.After(wait):
		}
	}
}

// wantsProof tells whether the server did nothing because the session's proof is too old.
func wantsProof(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Reason == ReasonReauthenticate
}

// again tells whether and when to try once more. Where nobody listened from the start there is no point; after a lost
// connection the server may be starting again.
func (c *Client) again(err error, try int, sent bool) (time.Duration, bool) {
	if try >= maxTries {
		return 0, false
	}
	wait := firstWait << (2 * (try - 1))
	wait += mathrand.N(wait)
	if e, ok := errors.AsType[*Error](err); ok {
		return max(wait, e.RetryAfter), e.Kind == string(Unavailable) && e.RetryAfter > 0 && e.RetryAfter <= maxWait
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted || errors.Is(err, context.DeadlineExceeded) {
		return 0, false
	}
	return wait, errors.Is(err, ErrUnreachable) && (sent || !refused(err))
}

func (c *Client) once(ctx context.Context, r request, body []byte, key string, out any) (answer, error) {
	outer := ctx
	if !r.slow {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	req, err := c.prepare(ctx, r, body)
	if err != nil {
		return answer{}, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.lost(outer, err)
	}
	defer resp.Body.Close()
	a := answer{etag: resp.Header.Get("ETag")}
	switch {
	case resp.StatusCode == http.StatusNotModified && r.etag != "":
		a.unchanged = true
		return a, nil
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return a, c.problem(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return a, c.lost(outer, err)
	case len(b) > maxAnswer:
		return a, fmt.Errorf("the answer of %s is larger than %d bytes", c.base, maxAnswer)
	}
	if resp.StatusCode == http.StatusAccepted {
		var w Waiting
		if json.Unmarshal(b, &w.Waiting) == nil && w.ChangeSet != nil {
			return a, &w
		}
	}
	// The decoder's own message may quote what it found, which may be a value.
	if json.Unmarshal(b, out) != nil {
		return a, fmt.Errorf("the answer of %s is not what Keyturn says: is it the right address?", c.base)
	}
	return a, nil
}

// lost makes the error of a request that got no answer. When the caller gave up, that is the reason.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &unreachable{server: c.base, cause: bare(err)}
}

func (c *Client) prepare(ctx context.Context, r request, body []byte) (*http.Request, error) {
	address := c.base + api.Prefix + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, reader)
	if err != nil {
		return nil, fmt.Errorf("the request cannot be written: %w", bare(err))
	}
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.etag != "" {
		req.Header.Set("If-None-Match", r.etag)
	}
	return req, nil
}

// values collects query parameters and leaves out what is empty.
type values url.Values

func (v values) text(name, s string) values {
	if s != "" {
		v[name] = []string{s}
	}
	return v
}

func (v values) number(name string, n int64) values {
	if n != 0 {
		v[name] = []string{strconv.FormatInt(n, 10)}
	}
	return v
}

func (v values) flag(name string, on bool) values {
	if on {
		v[name] = []string{"true"}
	}
	return v
}

// path joins segments, each escaped.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

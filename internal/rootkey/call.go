package rootkey

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	callTimeout = 10 * time.Second // one try; the services answer in well under one second
	maxTries    = 3                // a person or a starting server waits for the answer
	maxAnswer   = 64 << 10         // bytes; honest answers have at most 10 KiB

	firstBackOff  = 200 * time.Millisecond
	maxRetryAfter = 5 * time.Second // a longer wait is told to the caller instead of being waited for
)

// answer is what a service said, complete.
type answer struct {
	status int
	header http.Header
	body   []byte // may hold a root key: whoever decodes it clears it
}

// caller sends requests to one service. It tries again after 429, 5xx and connections that were cut, never follows a redirect,
// and reads no more than maxAnswer. Its errors show neither bodies nor headers.
type caller struct {
	label  string // the service for people
	client *http.Client
	// throttled tells of answers that mean 429 in the service's own dialect; may be nil.
	throttled func(answer) bool
}

// do sends what build makes, anew for each try, and gives the answer with whatever status it has, except those that were
// tried in vain: they, and a service that cannot be reached, are [fault.Unavailable].
func (c caller) do(ctx context.Context, build func(context.Context) (*http.Request, error)) (answer, error) {
	for try := 1; ; try++ {
		a, err := c.once(ctx, build)
		again := false
		var asked time.Duration
		switch {
		case err != nil:
			again = wasCut(err)
			if !again {
				return answer{}, c.explain(ctx, err)
			}
			err = c.away(err, "cuts the connection")
		case a.status == http.StatusTooManyRequests || c.throttled != nil && c.throttled(a):
			again, asked = true, retryAfter(a.header)
			err = c.away(nil, "is asked too often")
		case a.status >= http.StatusInternalServerError:
			again, asked = true, retryAfter(a.header)
			err = c.away(nil, "fails with status "+strconv.Itoa(a.status))
		case a.status >= 300 && a.status < 400:
			return answer{}, c.away(nil, "answers with a redirect, which is not followed since the request holds a credential").
				WithHint("name the place that it points to; of a cluster, the active node or the load balancer")
		}
		if !again {
			return a, nil
		}
		clear(a.body)
		fail := fault.As(err)
		fail.RetryAfter = asked
		step := firstBackOff << (try - 1)
		wait := max(asked, step/2+rand.N(step)) // jitter, so that servers that lost the service together do not return together
		end, limited := ctx.Deadline()
		if try == maxTries || asked > maxRetryAfter || limited && time.Until(end) < wait {
			return answer{}, fail
		}
		select {
		case <-ctx.Done():
			return answer{}, fail
		case <-time.After(wait):
		}
	}
}

// once is one try. An error is of the transport, or a fault that no further try mends.
func (c caller) once(ctx context.Context, build func(context.Context) (*http.Request, error)) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := build(ctx)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		clear(body)
		return answer{}, err
	}
	if len(body) > maxAnswer {
		clear(body)
		return answer{}, untrue(c.label, "gave an answer that is too long to be one")
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

// wasCut tells of a connection that ended without an answer, which a second try may mend.
func wasCut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain names what ended a try.
func (c caller) explain(ctx context.Context, err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	switch {
	case ctx.Err() != nil:
		return c.away(ctx.Err(), "did not answer before the caller gave up")
	case errors.Is(err, context.DeadlineExceeded):
		return c.away(nil, "did not answer within "+callTimeout.String())
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return c.away(err, "shows a certificate that is not trusted here").
			WithHint("check the address and the clock; for a private authority, install its certificate")
	}
	return c.away(err, "cannot be reached")
}

// away is a service that is not to be had now. Of a transport's error only the innermost part is kept for the log.
func (c caller) away(cause error, what string) *fault.Error {
	if u, ok := errors.AsType[*url.Error](cause); ok {
		cause = u.Err
	}
	return fault.Wrap(fault.Unavailable, cause, "%s %s", c.label, what)
}

// retryAfter reads Retry-After in either form of RFC 9110 section 10.2.3; zero when there is none.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// post makes a request with a body that can be sent once. The body is JSON unless the headers say otherwise.
func post(ctx context.Context, address string, header http.Header, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Internal, "a request to a root key service cannot be made") // the cause shows the address
	}
	if header != nil {
		req.Header = header
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// refused is a service that knows the caller or the key and says no.
func refused(label, what string) *fault.Error { return fault.New(fault.Denied, "%s %s", label, what) }

package migrate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/keyturn/keyturn/internal/fault"
)

// Bounds of talking to a source.
const (
	maxAnswer      = 64 << 20         // bytes: the secrets of one environment, with values
	maxHeader      = 64 << 10         // bytes of the headers of an answer
	connectTimeout = 10 * time.Second // a source that is not there is told soon
	answerTimeout  = 90 * time.Second // the largest list over a slow line
	maxTries       = 6                // of a request that the source wants later, or that got lost
	firstWait      = 200 * time.Millisecond
	maxWait        = 60 * time.Second // a source that asks for more has a quota that a person should know of
	maxRedirects   = 3                // within one host
	workers        = 16               // requests at once: a source of normal size serves them, and a migration is not an attack
)

// Options say what of a source is read, and how.
type Options struct {
	Only    []string // places as the source names them; empty for all
	History int      // states of each secret, newest first; 1 for the present one, 0 for all that the source has
	Env     string   // the environment of sources that have none
	// Progress is told how far reading is; total 0 means unknown. It may be nil, and is called by one goroutine at a time.
	Progress func(what string, done, total int)
}

func (o Options) tell(what string, done, total int) {
	if o.Progress != nil {
		o.Progress(what, done, total)
	}
}

// source speaks to one live system.
type source struct {
	name   string // for messages
	base   *url.URL
	header http.Header
	http   *http.Client
	wait   func(context.Context, time.Duration) error
}

// newSource makes a client for an address. The roots are PEM certificates to trust beside those of the system, or nil.
func newSource(name, address string, roots []byte) (*source, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fault.New(fault.Invalid, "the address of %s is not valid", name).WithHint("want http://HOST:PORT or https://HOST")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fault.New(fault.Invalid, "the address of %s must not hold a user, a query or a fragment", name)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != nil {
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(roots) {
			return nil, fault.New(fault.Invalid, "the file of certificates holds none in PEM form")
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return &source{name: name, base: u, header: http.Header{"User-Agent": {"keyturn-migrate"}, "Accept": {"application/json"}}, wait: pause, http: &http.Client{
		CheckRedirect: sameHost,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    connectTimeout,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    workers,
		},
	}}, nil
}

// sameHost keeps the credential at the host that the user named: a redirect to another one, or out of TLS, is an answer and
// not a way.
func sameHost(next *http.Request, before []*http.Request) error {
	first := before[0].URL
	if len(before) > maxRedirects || next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// answered is an answer below 500.
type answered struct {
	status int
	body   []byte
}

// decode reads the body. What the decoder says of it may quote it, so it is not passed on.
func (s *source) decode(a answered, out any) error {
	if err := json.Unmarshal(a.body, out); err != nil {
		return fault.New(fault.Unavailable, "the answer of %s is not what %s says", s.base.Host, s.name).WithHint("is it the right address?")
	}
	return nil
}

// get reads a path below the base. Segments of the path are escaped by the caller.
func (s *source) get(ctx context.Context, path string, query url.Values) (answered, error) {
	return s.call(ctx, http.MethodGet, path, query, nil)
}

// call sends a request, again while the source asks for patience or the line breaks. It must be one that may be repeated.
func (s *source) call(ctx context.Context, method, path string, query url.Values, body any) (answered, error) {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return answered{}, fault.Wrap(fault.Internal, err, "couldn't write the request")
		}
	}
	for try := 1; ; try++ {
		a, later, err := s.once(ctx, method, path, query, sent)
		if err == nil || later < 0 || try == maxTries || ctx.Err() != nil {
			return a, err
		}
		if later == 0 {
			later = firstWait << (try - 1)
			later += rand.N(later)
		}
		if err := s.wait(ctx, later); err != nil {
			return answered{}, err
		}
	}
}

// once sends a request. With an error, later is how long to wait before the next try: 0 for the usual time, below 0 for never.
func (s *source) once(ctx context.Context, method, path string, query url.Values, body []byte) (a answered, later time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	address := s.base.String() + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, in)
	if err != nil {
		return a, -1, fault.New(fault.Invalid, "a name at %s cannot stand in a request", s.name)
	}
	req.Header = s.header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return a, 0, fault.Wrap(fault.Unavailable, err, "%s does not answer at %s", s.name, s.base.Host).WithHint("is the address right, and may this machine reach it?")
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	switch {
	case a.status >= 300 && a.status < 400:
		return a, -1, fault.New(fault.Denied, "%s at %s sends the request elsewhere; the token is not carried there", s.name, s.base.Host).
			WithHint("give the address that it really has")
	case a.status == http.StatusTooManyRequests || a.status >= 500 && a.status != http.StatusNotImplemented:
		later := patience(resp.Header.Get("Retry-After"))
		err := fault.New(fault.Unavailable, "%s at %s answers with status %d", s.name, s.base.Host, a.status).WithHint("try again later; what was moved already is not moved twice")
		if later > maxWait {
			later = -1
		}
		return a, later, err
	}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return a, 0, fault.Wrap(fault.Unavailable, err, "the answer of %s broke off", s.base.Host)
	case len(a.body) > maxAnswer:
		return a, -1, fault.New(fault.Exhausted, "an answer of %s is larger than %d MiB", s.base.Host, maxAnswer>>20).WithHint("move a part at a time with --only")
	}
	return a, 0, nil
}

// patience reads Retry-After in seconds, 0 where there is none.
func patience(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 1<<20)) * time.Second
}

// refusal makes the fault of an answer that is no success.
func (s *source) refusal(a answered, what string) error {
	switch a.status {
	case http.StatusUnauthorized:
		return fault.New(fault.Unauthenticated, "%s does not take the credential", s.name).WithHint("is it expired, or of another installation?")
	case http.StatusForbidden:
		return fault.New(fault.Denied, "the credential may not read %s of %s", what, s.name).WithHint("give it the right to read, or name the parts that it may read with --only")
	case http.StatusNotFound:
		return fault.New(fault.NotFound, "%s has no %s", s.name, what)
	}
	return fault.New(fault.Unavailable, "%s answers with status %d when asked for %s", s.name, a.status, what)
}

// each runs work for 0 to n-1, several at once, and gives the first error. It returns when all have ended.
func each(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var all sync.WaitGroup
	for range min(workers, n) {
		all.Go(func() {
			for i := range next {
				if err := work(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}

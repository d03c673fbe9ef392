package bucket

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/keyturn/keyturn/internal/fault"
)

const (
	// maxTries is how often one request is sent: AWS advises a few retries with growing waits.
	maxTries = 4
	// firstWait and maxWait bound the wait between tries, which doubles and is drawn at random up to the bound.
	firstWait = 200 * time.Millisecond
	maxWait   = 20 * time.Second
	// maxRetryAfter is the longest wait that a store may ask for within one call. What asks for more is told to the
	// caller, who can come back later.
	maxRetryAfter = time.Minute
	// maxTry is the time for one request with its answer, except for the content of an object: a part of 8 MiB at 32 KiB
	// a second.
	maxTry = 5 * time.Minute
	// maxStall is how long a store may send nothing while an object is read, or before the head of its answer.
	maxStall = time.Minute
	// maxAnswer bounds all answers but lists and objects: they are XML of a few hundred bytes.
	maxAnswer = 64 << 10
)

// call is one request.
type call struct {
	what   string // for errors: the name of the object, or what is asked for
	method string
	key    string     // without the prefix of the address; empty means the bucket
	query  url.Values // may be nil
	header http.Header
	body   []byte // must not change until the call returns
	limit  int64  // bytes of the answer; zero means maxAnswer
	etag   *string
	ok     func(answer []byte) error // looks into an answer of status 200 for errors, may be nil
}

// s3Client gives a client of its own settings around a transport. Redirects come back as answers: whoever can make a store
// say "over there" must not get a signed request.
func s3Client(given *http.Client) *http.Client {
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if given != nil && given.Transport != nil {
		client.Transport = given.Transport
		return client
	}
	client.Transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  maxStall,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return client
}

// do sends a request until it succeeds, fails for good, or has had its tries, and gives the body of the answer.
func (s *s3) do(ctx context.Context, c call) ([]byte, error) {
	var answer []byte
	err := retry(ctx, c.what, func() error {
		ctx, cancel := context.WithTimeout(ctx, maxTry)
		defer cancel()
		response, err := s.try(ctx, c)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		limit := c.limit
		if limit == 0 {
			limit = maxAnswer
		}
		answer, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
		if err != nil {
			return cut(c.what, err)
		}
		if int64(len(answer)) > limit {
			return notS3(fmt.Errorf("the answer is longer than %d bytes", limit))
		}
		if c.etag != nil {
			*c.etag = response.Header.Get("ETag")
		}
		if c.ok != nil {
			return c.ok(answer)
		}
		return nil
	})
	return answer, err
}

// open is do for an object: the caller reads and closes the body, for as long as ctx lives.
func (s *s3) open(ctx context.Context, c call) (*http.Response, error) {
	var response *http.Response
	err := retry(ctx, c.what, func() error {
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(maxStall, func() { cancel(errStalled) })
		r, err := s.try(ctx, c)
		timer.Stop()
		if err != nil {
			cancel(nil)
			return err
		}
		r.Body = &stalling{ctx: ctx, body: r.Body, cancel: cancel, timer: timer}
		response = r
		return nil
	})
	return response, err
}

// try sends a request once. Answers other than 2xx become faults.
func (s *s3) try(ctx context.Context, c call) (*http.Response, error) {
	key := ""
	if c.key != "" {
		key = s.address.key(c.key)
	}
	request, err := http.NewRequestWithContext(ctx, c.method, s.address.url(key, c.query).String(), http.NoBody)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "a request to the store could not be made")
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	body := &payload{bytes: c.body}
	// The transport may read on after it has answered, and the bytes are the next part's by then.
	defer body.Close()
	if len(c.body) > 0 {
		request.Body, request.ContentLength = body, int64(len(c.body))
	}
	if err := s.sign(request, c.body); err != nil {
		return nil, err
	}
	// Not signed, since proxies change them. Without this, Go would ask for gzip and lose the length of objects.
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "keyturn")

	response, err := s.client.Do(request)
	if err != nil {
		return nil, cut(c.what, err)
	}
	if response.StatusCode/100 != 2 {
		defer response.Body.Close()
		answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // half an answer still has its status
		return nil, s3Fault(c, response.StatusCode, answer, retryAfter(response.Header, time.Now()))
	}
	return response, nil
}

// sign puts AWS Signature Version 4 on a request, over the hash of its body.
func (s *s3) sign(request *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	request.Header.Set("X-Amz-Content-Sha256", hash)
	credentials := aws.Credentials{
		AccessKeyID:     string(s.keys.id.Reveal()),
		SecretAccessKey: string(s.keys.secret.Reveal()),
		SessionToken:    string(s.keys.session.Reveal()),
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }) // S3 does not escape twice
	if err := signer.SignHTTP(request.Context(), credentials, request, hash, "s3", s.address.region, time.Now()); err != nil {
		return fault.New(fault.Internal, "a request to the store could not be signed") // its cause might show too much
	}
	return nil
}

// retry runs f until it succeeds or fails for another reason than fault.Unavailable, at most maxTries times.
func retry(ctx context.Context, what string, f func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := f()
		if ctx.Err() != nil && err != nil {
			return interrupted(context.Cause(ctx), what)
		}
		e, ok := errors.AsType[*fault.Error](err)
		if err == nil || !ok || e.Kind != fault.Unavailable || try == maxTries || e.RetryAfter > maxRetryAfter {
			return err
		}
		pause := max(e.RetryAfter, rand.N(wait))
		wait = min(2*wait, maxWait)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return interrupted(context.Cause(ctx), what)
		}
	}
}

// retryAfter reads RFC 9110, section 10.2.3: seconds or a date. What cannot be read is zero.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// cut is for requests without an answer. A certificate that does not fit will not fit the next time either.
func cut(what string, err error) error {
	if errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(x509.HostnameError)) {
		return fault.Wrap(fault.Invalid, err, "the store for backups shows a certificate that this machine does not trust").
			WithHint("is the endpoint right? SSL_CERT_FILE adds an authority of your own")
	}
	return fault.Wrap(fault.Unavailable, err, "%s: the store for backups did not answer", what)
}

// payload is the body of one try. After Close it touches its bytes no more, whatever the transport still does.
type payload struct {
	mu    sync.Mutex // guards bytes, and what they lie in
	bytes []byte
}

func (p *payload) Read(to []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(to, p.bytes)
	p.bytes = p.bytes[n:]
	return n, nil
}

func (p *payload) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes = nil
	return nil
}

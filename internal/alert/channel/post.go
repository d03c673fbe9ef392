package channel

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

const (
	// maxAnswer bounds what is read of an answer: nothing in it is needed but that the connection can be used again.
	maxAnswer = 16 << 10
	// maxRetryAfter bounds how long another side may put us off; longer would keep an alert from everybody for good.
	maxRetryAfter = time.Hour
)

// agent is what the channels call themselves.
const agent = "Keyturn-Alerts"

// target is an address that messages are posted to. The whole of it is a secret: with most services who knows it may post.
type target struct {
	url  sensitive.Value
	host string // may be shown
}

// parseTarget checks an address. Plain HTTP is refused but on this machine, or where plaintext says that it is meant.
func parseTarget(name string, v sensitive.Value, plaintext bool) (target, error) {
	wrong := func(why string) error {
		return fault.New(fault.Invalid, "the setting %s is not an address to post to: %s", name, why).WithField("/settings/"+name, "%s", why)
	}
	u, err := url.Parse(strings.TrimSpace(string(v.Reveal())))
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return target{}, wrong("want https://host/path")
	case u.User != nil:
		return target{}, wrong("it holds a user name: give credentials by their own settings")
	case u.Fragment != "":
		return target{}, wrong("it has a fragment")
	case u.Scheme == "http" && !plaintext && !loopback(u.Hostname()):
		return target{}, wrong("it is not encrypted: want https")
	case u.Scheme != "https" && u.Scheme != "http":
		return target{}, wrong("want https")
	}
	return target{sensitive.FromString(u.String()), plain(u.Host, maxFactValue)}, nil
}

// loopback tells whether a host is surely this machine.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// errRedirect is the cause of a redirect that was not followed.
var errRedirect = errors.New("redirect")

// post makes one attempt to send JSON.
func post(ctx context.Context, o Outside, to target, body any, header http.Header) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "a message could not be written")
	}
	return postBytes(ctx, o, to, b, header)
}

func postBytes(ctx context.Context, o Outside, to target, body []byte, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, string(to.url.Reveal()), bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Invalid, "the address of the channel is not one")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", agent)
	client := *o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errRedirect }
	resp, err := client.Do(req)
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close()
	}
	if err != nil {
		return unreached(ctx, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // so that the connection can be used again
	return judge(resp.StatusCode, resp.Header.Get("Retry-After"), time.Now())
}

// judge makes a fault of a status.
func judge(status int, retryAfter string, now time.Time) error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests:
		f := fault.New(fault.Exhausted, "the channel takes no more messages at the moment (status 429)")
		f.RetryAfter = parseRetryAfter(retryAfter, now)
		return f
	case status == http.StatusRequestTimeout || status >= 500:
		f := fault.New(fault.Unavailable, "the channel failed with status %d", status)
		f.RetryAfter = parseRetryAfter(retryAfter, now)
		return f
	case status >= 300 && status < 400:
		return fault.New(fault.Denied, "the channel answered with a redirect (status %d), which is not followed", status).WithHint("configure the final address")
	}
	return fault.New(fault.Invalid, "the channel refused the message with status %d", status).
		WithHint("its address or credential may have been withdrawn: make a new one and add the channel again")
}

// parseRetryAfter reads seconds, also with a fraction as Discord gives them, or an HTTP date (RFC 9110 section 10.2.3). What
// it cannot read is 0.
func parseRetryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(0, at.Sub(now)), maxRetryAfter)
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || seconds != seconds || seconds < 0 {
		return 0
	}
	if seconds > maxRetryAfter.Seconds() {
		return maxRetryAfter
	}
	return time.Duration(seconds * float64(time.Second))
}

// unreached makes a fault of a failure to get an answer. Nothing of the cause is kept: errors of this kind name addresses.
func unreached(ctx context.Context, err error) error {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, errRedirect):
		return fault.New(fault.Denied, "the channel answered with a redirect, which is not followed").WithHint("configure the final address")
	case fault.KindOf(err) == fault.Denied: // the guarded dialer: an address inside
		inside, _ := errors.AsType[*fault.Error](err)
		return fault.New(fault.Denied, "%s", inside.Message).WithHint("%s", inside.Hint)
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.New(fault.Unavailable, "the attempt was given up")
	case errors.As(err, &dns):
		return fault.New(fault.Unavailable, "the name of the channel's host is not known")
	case errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &verify):
		return fault.New(fault.Unavailable, "the certificate of the channel is not trusted")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fault.New(fault.Unavailable, "the channel did not answer in time")
	}
	return fault.New(fault.Unavailable, "the channel could not be reached")
}

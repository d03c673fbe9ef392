package stream

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// webhookKind posts batches of JSON, signed as Standard Webhooks 1.0.0 says (https://www.standardwebhooks.com): HMAC-SHA256
// over id, time and body. The id is made of the log and the range of entries, so that a batch that comes twice can be told.
var webhookKind = kind{
	name: "webhook",
	settings: map[string]string{
		"url": "https://HOST/PATH; http:// only for networks that KEYTURN_OUTBOUND_ALLOW names",
	},
	credential: "the signing secret: whsec_ and base64 of 24 to 64 bytes; made when none is given",
	generated: func() sensitive.Value {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return sensitive.FromString(webhookPrefix + base64.StdEncoding.EncodeToString(key))
	},
	open: openWebhook,
}

const (
	// webhookPrefix marks a symmetric secret.
	webhookPrefix = "whsec_"
	// minWebhookKey and maxWebhookKey are those of the specification, in bytes.
	minWebhookKey, maxWebhookKey = 24, 64
	// webhookWithin bounds one delivery.
	webhookWithin = 30 * time.Second
	// maxWebhookAnswer is read and thrown away, so that the connection can be used again.
	maxWebhookAnswer = 64 << 10
)

// delivery is the body of one webhook.
type delivery struct {
	Type      string     `json:"type"` // audit.entries or audit.test
	Timestamp string     `json:"timestamp"`
	Log       string     `json:"log"` // origin
	First     int64      `json:"first"`
	Last      int64      `json:"last"`
	Entries   []numbered `json:"entries"`
}

type numbered struct {
	Index int64           `json:"index"`
	Entry json.RawMessage `json:"entry"`
}

type webhook struct {
	url    string
	origin string
	key    sensitive.Value
	client *http.Client
}

func openWebhook(around surroundings, settings map[string]string, credential sensitive.Value) (sink, error) {
	u, err := url.Parse(settings["url"])
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fault.New(fault.Invalid, "the address of the webhook is not valid").WithHint("want https://HOST/PATH without a user or a fragment").
			WithField("/settings/url", "not valid")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && (ip == nil || !ip.IsLoopback() && !ip.IsPrivate()) {
		return nil, fault.New(fault.Invalid, "the address of the webhook is not https").WithHint("the log must not cross the network in clear; http:// is for addresses such as 10.1.2.3 only").
			WithField("/settings/url", "want https")
	}
	text, ok := strings.CutPrefix(string(credential.Reveal()), webhookPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minWebhookKey || len(key) > maxWebhookKey {
		return nil, fault.New(fault.Invalid, "the signing secret is not valid").WithHint("want whsec_ and base64 of %d to %d bytes, or none: the server makes one", minWebhookKey, maxWebhookKey).
			WithField("/credential", "not valid")
	}
	return &webhook{u.String(), around.origin, sensitive.New(key), around.rules.Client(webhookWithin)}, nil
}

func (s *webhook) send(ctx context.Context, batch []follow.Entry) error {
	first, last := batch[0].Index, batch[len(batch)-1].Index
	d := delivery{Type: "audit.entries", Log: s.origin, First: first, Last: last}
	for _, e := range batch {
		d.Entries = append(d.Entries, numbered{e.Index, e.Raw})
	}
	// The number of entries is a part: a stream may pass over some of a range.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d\n%d", s.origin, first, last, len(batch)))
	return s.post(ctx, "msg_"+hex.EncodeToString(sum[:16]), d)
}

func (s *webhook) test(ctx context.Context) error {
	return s.post(ctx, "msg_test_"+strings.ToLower(rand.Text()), delivery{Type: "audit.test", Log: s.origin, Entries: []numbered{}})
}

func (s *webhook) post(ctx context.Context, id string, d delivery) error {
	now := time.Now()
	d.Timestamp = now.UTC().Format(time.RFC3339Nano)
	body, err := json.Marshal(d)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the entries cannot be written as JSON")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Internal, "the address of the webhook cannot be used")
	}
	seconds := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "keyturn")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", seconds)
	r.Header.Set("webhook-signature", "v1,"+s.sign(id, seconds, body))
	answer, err := s.client.Do(r)
	if err != nil {
		if errors.Is(err, fault.Denied) {
			return fault.As(err)
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // its text has the address
		}
		return fault.Wrap(fault.Unavailable, err, "the webhook cannot be reached")
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxWebhookAnswer))
	if answer.StatusCode/100 != 2 {
		return fault.New(fault.Unavailable, "the webhook answers %d", answer.StatusCode)
	}
	return nil
}

func (s *webhook) sign(id, seconds string, body []byte) string {
	mac := hmac.New(sha256.New, s.key.Reveal())
	mac.Write([]byte(id + "." + seconds + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (s *webhook) close() error {
	s.client.CloseIdleConnections()
	s.key.Wipe()
	return nil
}

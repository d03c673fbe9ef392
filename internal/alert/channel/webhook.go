package channel

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// webhookChannel posts the message as JSON, signed in the manner of Standard Webhooks
// (github.com/standard-webhooks/standard-webhooks), for which there are libraries in most languages.
type webhookChannel struct {
	to     target
	secret sensitive.Value // of the signature, decoded
	o      Outside
}

// secretPrefix marks a signing secret; base64 of its bytes follows.
const secretPrefix = "whsec_"

// Bounds of a signing secret in bytes, as the standard has them.
const (
	minSigning = 24
	maxSigning = 64
	newSigning = 32
)

func webhook() Kind {
	return Kind{Name: "webhook", Title: "signed webhook", Fields: []Field{
		{Name: "url", Means: "where messages are posted to", Required: true, Secret: true},
		{Name: "secret", Means: "whsec_ and base64 of 24 to 64 bytes, the key of the signature; made when it is left out", Required: true, Secret: true},
		{Name: "plaintext", Means: "yes allows http in a network of your own"},
	}, open: func(c Config, o Outside) (Sender, string, error) {
		to, err := parseTarget("url", c.Secret["url"], c.Public["plaintext"] == "yes")
		if err != nil {
			return nil, "", err
		}
		encoded, ok := strings.CutPrefix(string(c.Secret["secret"].Reveal()), secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < minSigning || len(key) > maxSigning {
			return nil, "", fault.New(fault.Invalid, "not a signing secret: want %s and base64 of %d to %d bytes", secretPrefix, minSigning, maxSigning).
				WithField("/settings/secret", "not a signing secret").WithHint("leave it out, and one is made")
		}
		return &webhookChannel{to, sensitive.New(key), o}, to.host, nil
	}}
}

// NewSigningSecret makes the key of a webhook's signature, in the form in which receivers take it.
func NewSigningSecret() sensitive.Value {
	var b [newSigning]byte
	_, _ = rand.Read(b[:]) // never fails
	return sensitive.FromString(secretPrefix + base64.StdEncoding.EncodeToString(b[:]))
}

// Send implements [Sender].
func (w *webhookChannel) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(struct {
		Type      string  `json:"type"`
		Timestamp string  `json:"timestamp"`
		Data      Message `json:"data"`
	}{"keyturn.alert", m.At.UTC().Format(time.RFC3339Nano), m})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "a message could not be written")
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	return postBytes(ctx, w.o, w.to, body, http.Header{
		"Webhook-Id": {m.ID}, "Webhook-Timestamp": {at}, "Webhook-Signature": {signature(w.secret, m.ID, at, body)},
	})
}

// signature signs id, time and body, so that neither can be put with another.
func signature(key sensitive.Value, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key.Reveal())
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

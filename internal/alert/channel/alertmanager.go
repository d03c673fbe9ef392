package channel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/sensitive"
)

// alertmanagerChannel posts alerts to the API v2 of Prometheus' Alertmanager (github.com/prometheus/alertmanager, api/v2).
type alertmanagerChannel struct {
	to    target
	token sensitive.Value
	o     Outside
}

// firingFor is how long an alert stays in Alertmanager: what happened is over, and a person should have seen it by then.
const firingFor = time.Hour

func alertmanager() Kind {
	return Kind{Name: "alertmanager", Title: "Prometheus Alertmanager", Fields: []Field{
		{Name: "url", Means: "where Alertmanager is, such as https://alertmanager.example.com", Required: true},
		{Name: "token", Means: "a bearer token for the proxy in front of it", Secret: true},
		{Name: "plaintext", Means: "yes allows http in a network of your own"},
	}, open: func(c Config, o Outside) (Sender, string, error) {
		to, err := parseTarget("url", sensitive.FromString(strings.TrimSuffix(c.Public["url"], "/")+"/api/v2/alerts"), c.Public["plaintext"] == "yes")
		return &alertmanagerChannel{to, c.Secret["token"], o}, to.host, err
	}}
}

// postableAlert is the type of that name in the API.
type postableAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    string            `json:"startsAt"`
	EndsAt      string            `json:"endsAt"`
}

// Send implements [Sender]. Equal labels are the same alert, so an attempt that is repeated changes nothing.
func (a *alertmanagerChannel) Send(ctx context.Context, m Message) error {
	alert := postableAlert{
		Labels: map[string]string{"alertname": "Keyturn" + camel(m.Rule), "service": "keyturn", "rule": m.Rule, "severity": string(m.Severity),
			"instance": plain(m.Instance, maxFactValue), "matter": dedupKey(m.Key)},
		Annotations: map[string]string{"summary": m.headline(maxFactValue), "description": m.body()},
		StartsAt:    m.At.UTC().Format(time.RFC3339Nano), EndsAt: m.LastAt.Add(firingFor).UTC().Format(time.RFC3339Nano),
	}
	header := http.Header{}
	if !a.token.Empty() {
		header.Set("Authorization", "Bearer "+string(a.token.Reveal()))
	}
	return post(ctx, a.o, a.to, []postableAlert{alert}, header)
}

// camel writes "failed-logins" as "FailedLogins", as names of alerts are written.
func camel(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(s, "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// dedupKey makes a short key of any text.
func dedupKey(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

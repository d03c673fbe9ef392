package channel_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

func value(s string) sensitive.Value { return sensitive.FromString(s) }

func TestAWebhookIsSignedWithItsIdAndTime(t *testing.T) {
	p := newPlace(t, "webhook")
	before := time.Now().Unix()
	if err := send(t, p, message()); err != nil {
		t.Fatal(err)
	}
	h, body := p.headers[0], p.received()[0]
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(string(p.config.Secret["secret"].Reveal()), "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	id, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "." + body))
	if got, want := h.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want || id != message().ID {
		t.Errorf("signature %s of %s, want %s", got, id, want)
	}
	var seconds int64
	if err := json.Unmarshal([]byte(at), &seconds); err != nil || seconds < before || seconds > time.Now().Unix() {
		t.Errorf("time %s, %v", at, err)
	}
}

// The example of the standard: secret, id, time and body give this signature in every library.
func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	const secret, id, at, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	if got := channel.Signature(value(string(key)), id, at, []byte(body)); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("got %s", got)
	}
}

func TestASigningSecretIsMadeLongEnough(t *testing.T) {
	a, b := channel.NewSigningSecret(), channel.NewSigningSecret()
	if a.Equal(b) || a.Len() < 40 {
		t.Error("two secrets are equal, or short")
	}
	p := newPlace(t, "webhook")
	for _, bad := range []string{"whsec_", "whsec_c2hvcnQ=", "test-value", "whsec_%%%"} {
		p.config.Secret["secret"] = value(bad)
		kind, _ := channel.KindNamed("webhook")
		if _, _, err := kind.Open(p.config, allowing(t, "")); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestNoAddressInsideIsCalled(t *testing.T) {
	touched := make(chan string, 10)
	inner := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { touched <- r.Host }))
	defer inner.Close()
	_, port, _ := net.SplitHostPort(inner.Listener.Addr().String())
	each(t, func(t *testing.T, p *place) {
		for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
			if p.kind == "smtp" {
				p.config.Public["host"], p.config.Public["port"] = strings.Trim(host, "[]"), port
			} else if _, ok := p.config.Secret["url"]; ok {
				p.config.Secret["url"] = value("http://" + host + ":" + port + "/x")
			} else {
				p.config.Public["url"] = "http://" + host + ":" + port + "/x"
			}
			err := open(t, p, allowing(t, "")).Send(t.Context(), message())
			if fault.KindOf(err) != fault.Denied || channel.Retryable(err) || !strings.Contains(fault.As(err).Hint, "KEYTURN_OUTBOUND_ALLOW") {
				t.Errorf("%s: %v", host, err)
			}
		}
	})
	if len(touched) != 0 {
		t.Errorf("the inner server was asked for %s", <-touched)
	}
}

func TestARedirectIsNotFollowedEvenToTheSameHost(t *testing.T) {
	p := newPlace(t, "slack")
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/again", http.StatusPermanentRedirect)
	}))
	defer srv.Close()
	p.config.Secret["url"] = value(srv.URL)
	if err := send(t, p, message()); fault.KindOf(err) != fault.Denied || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// mailTo opens a mail channel to a name of the world that stands on this machine.
func mailTo(t *testing.T, p *place, at net.Addr, mode string, o channel.Outside) channel.Sender {
	t.Helper()
	p.config.Public["host"], p.config.Public["port"], p.config.Public["tls"] = "example.com", "2525", mode
	o.Dial = redirected(at)
	return open(t, p, o)
}

func TestMailIsSentOverSTARTTLSWithALogin(t *testing.T) {
	p := newPlace(t, "smtp")
	cert, trust := authority(t)
	s := mailTo(t, p, p.serveMail(t, &cert), "starttls", channel.Outside{TLS: trust})
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	if len(p.received()) != 1 || strings.Join(p.headers[0]["Rcpt"], " ") != "ops@example.test dba@example.test" {
		t.Errorf("got %v for %v", p.received(), p.headers)
	}
}

func TestMailIsSentOverTLSFromTheFirstByte(t *testing.T) {
	p := newPlace(t, "smtp")
	cert, trust := authority(t)
	s := mailTo(t, p, p.serveMailTLS(t, cert), "implicit", channel.Outside{TLS: trust})
	if err := s.Send(t.Context(), message()); err != nil || len(p.received()) != 1 {
		t.Fatal(err)
	}
}

func TestAMailServerWithoutSTARTTLSGetsNothing(t *testing.T) {
	p := newPlace(t, "smtp")
	s := mailTo(t, p, p.serveMail(t, nil), "starttls", channel.Outside{})
	err := s.Send(t.Context(), message())
	if fault.KindOf(err) != fault.Denied || len(p.received()) != 0 || p.tries() != 0 {
		t.Errorf("%d mails, %d logins: %v", len(p.received()), p.tries(), err)
	}
}

func TestAMailServerWithAStrangeCertificateGetsNothing(t *testing.T) {
	p := newPlace(t, "smtp")
	cert, _ := authority(t)
	for _, mode := range []string{"starttls", "implicit"} {
		at := p.serveMail(t, &cert)
		if mode == "implicit" {
			at = p.serveMailTLS(t, cert)
		}
		err := mailTo(t, p, at, mode, channel.Outside{}).Send(t.Context(), message())
		if err == nil || len(p.received()) != 0 || p.tries() != 0 || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestAWrongLoginIsDeadAtOnce(t *testing.T) {
	p := newPlace(t, "smtp")
	p.config.Secret["password"] = value("test-value-wrong")
	err := send(t, p, message())
	if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "test-value") {
		t.Errorf("got %v", err)
	}
}

// The real thing takes what we send, shows it once however often it was sent, and keeps names as text.
func TestARealAlertmanagerTakesOurAlerts(t *testing.T) {
	address := startAlertmanager(t)
	p := newPlace(t, "alertmanager")
	p.config.Public["url"] = "http://" + address
	m := message()
	m.Facts = append(m.Facts, channel.Fact{Name: "name", Value: hostile})
	m.At = time.Now().Add(-time.Second)
	m.LastAt = time.Now()
	for range 2 {
		if err := send(t, p, m); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.Get("http://" + address + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var alerts []struct{ Labels, Annotations map[string]string }
	if err := json.NewDecoder(resp.Body).Decode(&alerts); err != nil {
		t.Fatal(err)
	}
	if len(alerts) != 1 || alerts[0].Labels["alertname"] != "KeyturnBulkExport" || alerts[0].Labels["severity"] != "critical" ||
		!strings.Contains(alerts[0].Annotations["description"], "ci-deploy") {
		t.Errorf("got %+v", alerts)
	}
}

func startAlertmanager(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatal("prometheus-alertmanager is missing: run scripts/testdeps.sh")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config.file="+config, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if resp, err := http.Get("http://" + address + "/-/ready"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return address
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("alertmanager did not start: %s", out.String())
	return ""
}

func TestRetryAfterIsReadAsNumberOrDate(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0.5": 500 * time.Millisecond, "-3": 0, "soon": 0, "NaN": 0, "Inf": time.Hour, "1e300": time.Hour, "99999999": time.Hour,
		"Thu, 01 Jan 2026 00:00:30 GMT": 30 * time.Second, "Thu, 01 Jan 2015 00:00:30 GMT": 0,
	} {
		if got := channel.ParseRetryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "0.5", "Thu, 01 Jan 2026 00:00:30 GMT", "1e999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := channel.ParseRetryAfter(s, time.Unix(0, 0)); d < 0 || d > time.Hour {
			t.Errorf("%q: %s", s, d)
		}
	})
}

func FuzzWebhookAddress(f *testing.F) {
	for _, s := range []string{"https://example.test/x", "http://127.0.0.1", "https://a@b", "//x", "https://[::1]:99/"} {
		f.Add(s)
	}
	rules, err := outbound.ParseRules("")
	if err != nil {
		f.Fatal(err)
	}
	kind, err := channel.KindNamed("slack")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, where, err := kind.Open(channel.Config{Secret: map[string]sensitive.Value{"url": value(s)}}, channel.Outside{Client: rules.Client(time.Second)})
		if err == nil && (where == "" || strings.ContainsAny(where, "/\r\n")) {
			t.Errorf("%q stands as %q", s, where)
		}
	})
}

package channel_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/keyturn/keyturn/internal/alert/channel"
	"github.com/keyturn/keyturn/internal/outbound"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// patience bounds one attempt in these tests.
const patience = 10 * time.Second

// behaviour is what the other side does.
type behaviour string

const (
	takes     behaviour = "takes"
	refuses   behaviour = "refuses"
	busy      behaviour = "busy"
	broken    behaviour = "broken"
	hangs     behaviour = "hangs"
	redirects behaviour = "redirects"
	floods    behaviour = "floods"
)

// putOff is what a busy place asks for.
const putOff = 7

// place is a fake that a channel sends to.
type place struct {
	kind   string
	config channel.Config
	hidden []string // what no failure may name

	mu      sync.Mutex
	does    behaviour
	got     []string // bodies
	headers []http.Header
	logins  int
	end     chan struct{}
}

func (p *place) act(b behaviour) { p.mu.Lock(); p.does = b; p.mu.Unlock() }

func (p *place) doing() behaviour { p.mu.Lock(); defer p.mu.Unlock(); return p.does }

func (p *place) received() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.got...)
}

func (p *place) take(body string, h http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got, p.headers = append(p.got, body), append(p.headers, h)
}

// allowing gives the way out of a server that may call this machine.
func allowing(t *testing.T, networks string) channel.Outside {
	t.Helper()
	rules, err := outbound.ParseRules(networks)
	if err != nil {
		t.Fatal(err)
	}
	return channel.Outside{Client: rules.Client(patience), Dial: rules.DialContext}
}

func newPlace(t *testing.T, kind string) *place {
	p := &place{kind: kind, does: takes, end: make(chan struct{})}
	if kind == "smtp" {
		p.mailServer(t)
	} else {
		p.webServer(t)
	}
	t.Cleanup(func() { close(p.end) })
	return p
}

// testToken looks like what stands in the addresses of webhooks.
const testToken = "test-value-token-B8sQk2"

func (p *place) webServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		switch p.doing() {
		case takes:
			p.take(string(body), r.Header)
			status := map[string]int{"discord": 204, "teams": 202, "pagerduty": 202}[p.kind]
			if status == 0 {
				status = 200
			}
			w.WriteHeader(status)
		case refuses:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "no such hook: "+r.URL.Path)
		case busy:
			w.Header().Set("Retry-After", strconv.Itoa(putOff))
			w.WriteHeader(http.StatusTooManyRequests)
		case broken:
			w.WriteHeader(http.StatusBadGateway)
		case hangs:
			select {
			case <-r.Context().Done():
			case <-p.end:
			}
		case redirects:
			http.Redirect(w, r, "/elsewhere/"+testToken, http.StatusTemporaryRedirect)
		case floods:
			p.take(string(body), r.Header)
			chunk := strings.Repeat("x", 64<<10)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}
	}))
	t.Cleanup(srv.Close)
	url := srv.URL + "/hook/" + testToken
	p.hidden = []string{url, testToken, srv.Listener.Addr().String(), "127.0.0.1"}
	p.config = channel.Config{Public: map[string]string{}, Secret: map[string]sensitive.Value{}}
	switch p.kind {
	case "alertmanager":
		p.config.Public["url"] = url
		p.config.Secret["token"] = sensitive.FromString("test-value-bearer")
	case "pagerduty":
		p.config.Public["url"] = url
		p.config.Secret["routing-key"] = sensitive.FromString("test-value-0123456789abcdef01234")
	case "webhook":
		p.config.Secret["url"] = sensitive.FromString(url)
		p.config.Secret["secret"] = channel.NewSigningSecret()
	default:
		p.config.Secret["url"] = sensitive.FromString(url)
	}
	for _, v := range p.config.Secret {
		p.hidden = append(p.hidden, string(v.Reveal()))
	}
}

// mailBackend is a mail server that wants a login.
type mailBackend struct{ p *place }

func (b mailBackend) NewSession(*smtp.Conn) (smtp.Session, error) {
	switch b.p.doing() {
	case hangs:
		<-b.p.end
		return nil, errors.New("gone")
	case busy:
		return nil, &smtp.SMTPError{Code: 421, Message: "too busy"}
	}
	return &mailSession{p: b.p}, nil
}

type mailSession struct {
	p    *place
	in   bool
	rcpt []string
}

func (*mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		s.p.mu.Lock()
		s.p.logins++
		s.p.mu.Unlock()
		if username != mailUser || password != mailPassword {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}), nil
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch s.p.doing() {
	case refuses:
		return &smtp.SMTPError{Code: 550, Message: "no such user " + to}
	case broken:
		return &smtp.SMTPError{Code: 451, Message: "try later, " + to}
	}
	s.rcpt = append(s.rcpt, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err == nil {
		s.p.take(string(body), http.Header{"Rcpt": s.rcpt})
	}
	return err
}

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

const (
	mailUser     = "keyturn"
	mailPassword = "test-value-mail-password"
)

func (p *place) mailServer(t *testing.T) {
	_, port, _ := net.SplitHostPort(p.serveMail(t, nil).String())
	p.config = channel.Config{Public: map[string]string{"host": "127.0.0.1", "port": port, "from": "Keyturn <keyturn@example.test>", "to": "ops@example.test, dba@example.test",
		"username": mailUser}, Secret: map[string]sensitive.Value{"password": sensitive.FromString(mailPassword)}}
	p.hidden = []string{"127.0.0.1", port, mailPassword, "ops@example.test"}
}

// serveMail starts a server; with a certificate it offers STARTTLS and takes logins over TLS only.
func (p *place) serveMail(t *testing.T, certificate *tls.Certificate) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(mailBackend{p})
	srv.Domain, srv.AllowInsecureAuth, srv.ErrorLog = "mail.example.test", certificate == nil, silent{}
	if certificate != nil {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(&flooding{l, p}) }()
	t.Cleanup(func() { _, _ = srv.Close(), l.Close(); <-done })
	return l.Addr()
}

// serveMailTLS is a server that speaks TLS from the first byte.
func (p *place) serveMailTLS(t *testing.T, certificate tls.Certificate) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(mailBackend{p})
	srv.Domain, srv.ErrorLog = "mail.example.test", silent{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	t.Cleanup(func() { _, _ = srv.Close(), l.Close(); <-done })
	return l.Addr()
}

// tries counts logins, right and wrong.
func (p *place) tries() int { p.mu.Lock(); defer p.mu.Unlock(); return p.logins }

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// flooding is a listener that answers with a greeting without end when it is told to.
type flooding struct {
	net.Listener
	p *place
}

func (f *flooding) Accept() (net.Conn, error) {
	for {
		conn, err := f.Listener.Accept()
		if err != nil || f.p.doing() != floods {
			return conn, err
		}
		go func() {
			defer conn.Close()
			line := strings.Repeat("220-more\r\n", 1000)
			for {
				if _, err := io.WriteString(conn, line); err != nil {
					return
				}
			}
		}()
	}
}

// authority makes a certificate for a name and what trusts it.
func authority(t *testing.T) (tls.Certificate, *tls.Config) {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is for example.com and 127.0.0.1
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv.TLS.Certificates[0], &tls.Config{RootCAs: roots}
}

// redirected dials one address whatever is asked for: a name of the world that stands on this machine.
func redirected(to net.Addr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, to.String())
	}
}

func open(t *testing.T, p *place, o channel.Outside) channel.Sender {
	t.Helper()
	kind, err := channel.KindNamed(p.kind)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := kind.Open(p.config, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

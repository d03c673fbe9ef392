package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// mailChannel hands a mail to a server (RFC 5321, submission as in RFC 6409). But on this machine the connection is always
// encrypted: a server that does not offer STARTTLS (RFC 3207), or from whose offer somebody took it away, gets nothing.
type mailChannel struct {
	host     string
	port     int
	from     string
	to       []string
	username string
	password sensitive.Value
	implicit bool // TLS from the first byte, RFC 8314
	o        Outside
}

const (
	submissionPort  = 587
	submissionsPort = 465
	maxRecipients   = 20
	// mailTimeout bounds one command and its answer; the context bounds them all.
	mailTimeout = 20 * time.Second
	mailSubject = 200
)

func mail() Kind {
	return Kind{Name: "smtp", Title: "mail", Fields: []Field{
		{Name: "host", Means: "the mail server", Required: true},
		{Name: "port", Means: "its port; 587, and 465 with tls=implicit"},
		{Name: "from", Means: "the address that mails come from", Required: true},
		{Name: "to", Means: "who gets them, separated by commas", Required: true},
		{Name: "username", Means: "for servers that ask for a login"},
		{Name: "password", Means: "of the login", Secret: true},
		{Name: "tls", Means: "starttls, or implicit for TLS from the first byte", Default: "starttls"},
	}, open: openMail}
}

func openMail(c Config, o Outside) (Sender, string, error) {
	bad := func(field, why string) (Sender, string, error) {
		return nil, "", fault.New(fault.Invalid, "the setting %s of a mail channel is wrong: %s", field, why).WithField("/settings/"+field, "%s", why)
	}
	m := &mailChannel{host: c.Public["host"], username: c.Public["username"], password: c.Secret["password"], port: submissionPort, o: o}
	switch c.Public["tls"] {
	case "starttls":
	case "implicit":
		m.implicit, m.port = true, submissionsPort
	default:
		return bad("tls", "want starttls or implicit")
	}
	if strings.ContainsAny(m.host, "/@ \t\r\n") || strings.Contains(m.host, ":") && net.ParseIP(m.host) == nil {
		return bad("host", "want a name or an address, without a port")
	}
	if p := c.Public["port"]; p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return bad("port", "want a number from 1 to 65535")
		}
		m.port = int(n)
	}
	from, err := netmail.ParseAddress(c.Public["from"])
	if err != nil {
		return bad("from", "want an address such as keyturn@example.com")
	}
	m.from = from.String()
	to, err := netmail.ParseAddressList(c.Public["to"])
	if err != nil || len(to) > maxRecipients {
		return bad("to", "want at most "+strconv.Itoa(maxRecipients)+" addresses such as team@example.com, separated by commas")
	}
	for _, a := range to {
		m.to = append(m.to, a.Address)
	}
	if (m.username == "") != m.password.Empty() {
		return bad("password", "want user name and password, or neither")
	}
	return m, plain(strings.Join(m.to, ", "), maxFactValue), nil
}

// maxTalk bounds what is read from a mail server, in bytes: its answers are a few lines.
const maxTalk = 256 << 10

// bounded is a connection that ends when the other side talks too much.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// dial gives the library its connection, and end what closes it: when the context ends, and at last. The library knows the
// context while it connects only, and leaves connections open when a login fails.
func (m *mailChannel) dial(whole context.Context, end *func()) gomail.DialContextFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		raw, err := m.o.Dial(ctx, network, net.JoinHostPort(m.host, strconv.Itoa(m.port))) // the library's own text knows no IPv6
		if err != nil {
			return nil, err
		}
		conn := &bounded{raw, maxTalk}
		stop := context.AfterFunc(whole, func() { _ = raw.Close() })
		*end = func() { stop(); _ = raw.Close() }
		if !m.implicit {
			return conn, nil
		}
		secure := tls.Client(conn, m.tls())
		return secure, secure.HandshakeContext(ctx)
	}
}

func (m *mailChannel) tls() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.o.TLS != nil {
		c = m.o.TLS.Clone()
	}
	c.ServerName = m.host
	return c
}

// Send implements [Sender].
func (m *mailChannel) Send(ctx context.Context, msg Message) error {
	letter, err := m.letter(msg)
	if err != nil {
		return err
	}
	return m.deliver(ctx, letter)
}

func (m *mailChannel) deliver(ctx context.Context, letter *gomail.Msg) error {
	end := func() {}
	defer func() { end() }()
	policy := gomail.TLSMandatory
	if m.implicit || loopback(m.host) {
		policy = gomail.NoTLS // encrypted already, or never leaves the machine
	}
	options := []gomail.Option{gomail.WithPort(m.port), gomail.WithDialContextFunc(m.dial(ctx, &end)), gomail.WithTLSConfig(m.tls()), gomail.WithTLSPolicy(policy),
		gomail.WithTimeout(mailTimeout), gomail.WithHELO("keyturn.invalid")}
	if m.username != "" {
		// The library sends PLAIN and LOGIN over TLS and to this machine only.
		options = append(options, gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin),
			gomail.WithUsername(m.username), gomail.WithPassword(string(m.password.Reveal())))
	}
	client, err := gomail.NewClient(m.host, options...)
	if err != nil {
		return fault.New(fault.Invalid, "the settings of the mail channel are not usable")
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return mailFault(ctx, err)
	}
	if err := client.SendWithSMTPClient(session, letter); err != nil {
		return mailFault(ctx, err)
	}
	_ = client.CloseWithSMTPClient(session) // the mail is the server's by now, whatever it says to QUIT
	return nil
}

// letter writes the mail. The library encodes what stands in headers, and there are no line breaks in it.
func (m *mailChannel) letter(msg Message) (*gomail.Msg, error) {
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := letter.From(m.from); err != nil {
		return nil, fault.New(fault.Invalid, "the address that mails come from is not one")
	}
	if err := letter.To(m.to...); err != nil {
		return nil, fault.New(fault.Invalid, "an address that mails go to is not one")
	}
	letter.Subject("[Keyturn] " + msg.headline(mailSubject))
	letter.SetDateWithValue(time.Now())
	letter.SetMessageIDWithValue(msg.ID + "@keyturn.invalid")
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday notes, please
	if msg.Severity == Critical {
		letter.SetGenHeader("Importance", "high")
	}
	letter.SetBodyString(gomail.TypeTextPlain, msg.headline(mailSubject)+"\n\n"+msg.body())
	return letter, nil
}

// mailFault makes a fault of what the library or the server said; neither text is kept.
func mailFault(ctx context.Context, err error) error {
	code := 0
	var answer *textproto.Error
	var sent *gomail.SendError
	switch {
	case errors.As(err, &answer):
		code = answer.Code
	case errors.As(err, &sent):
		if code = sent.ErrorCode(); code == 0 && sent.IsTemp() {
			code = 450
		}
	}
	switch {
	case code >= 500 && code != 521 && code < 600:
		return fault.New(fault.Invalid, "the mail server refused the message with code %d", code).WithHint("check sender, recipients and login of the channel")
	case code >= 400:
		return fault.New(fault.Unavailable, "the mail server takes no message at the moment (code %d)", code)
	case strings.Contains(err.Error(), "does not support STARTTLS"):
		return fault.New(fault.Denied, "the mail server offers no encryption (STARTTLS)").WithHint("use a server that does, or tls=implicit")
	case strings.Contains(err.Error(), "not support SMTP AUTH"), strings.Contains(err.Error(), "autodiscover"):
		return fault.New(fault.Invalid, "the mail server offers no login that can be used")
	}
	return unreached(ctx, err)
}

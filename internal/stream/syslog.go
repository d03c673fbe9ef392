package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// syslogKind sends RFC 5424 messages: over TLS (RFC 5425) and TCP with octet counting (RFC 6587 section 3.4.1), or over UDP
// (RFC 5426). The message is the canonical entry. Syslog has no acknowledgement: what lies in the buffers of a connection when
// the other side dies is lost, and a datagram may get lost at any time. Where that must not be, take a webhook or a bucket.
var syslogKind = kind{
	name: "syslog",
	settings: map[string]string{
		"address":  "tls://HOST:6514, tcp://HOST:601 or udp://HOST:514",
		"ca":       "certificates (PEM) that the server's is checked against, instead of the system's",
		"hostname": "what the messages say that they come from, default the name of the machine",
	},
	open: openSyslog,
}

const (
	// syslogWithin bounds connecting, and writing one batch.
	syslogWithin = 10 * time.Second
	// facilityAudit is "log audit" (RFC 5424 table 1).
	facilityAudit = 13
	// The severities used (RFC 5424 table 2).
	severityWarning, severityNotice, severityInfo = 4, 5, 6
	// sdID names our structured data. 32473 is the enterprise number for examples (RFC 5612).
	sdID = "keyturn@32473"
	// maxDatagram is what fits into one UDP datagram over IPv4.
	maxDatagram = 65507
	// maxHostname, maxMsgID are those of RFC 5424 section 6.
	maxHostname, maxMsgID = 255, 32
)

type syslog struct {
	around            surroundings
	network, at, host string
	name              string // HOSTNAME
	tls               *tls.Config
	conn              net.Conn
}

func openSyslog(around surroundings, settings map[string]string, _ sensitive.Value) (sink, error) {
	scheme, at, ok := strings.Cut(settings["address"], "://")
	host, port, err := net.SplitHostPort(at)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if !ok || scheme != "tls" && scheme != "tcp" && scheme != "udp" || err != nil || host == "" || portErr != nil || number == 0 {
		return nil, fault.New(fault.Invalid, "the address of the syslog server is not valid").WithHint("want tls://HOST:6514, tcp://HOST:601 or udp://HOST:514").
			WithField("/settings/address", "not valid")
	}
	out := &syslog{around: around, network: scheme, at: at, host: host, name: settings["hostname"]}
	if out.name == "" {
		out.name, _ = os.Hostname()
	}
	if out.name = printable(out.name, maxHostname); out.name == "" {
		out.name = "-"
	}
	if scheme == "tls" {
		out.network = "tcp"
		out.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		if pem := settings["ca"]; pem != "" {
			out.tls.RootCAs = x509.NewCertPool()
			if !out.tls.RootCAs.AppendCertsFromPEM([]byte(pem)) {
				return nil, fault.New(fault.Invalid, "ca holds no certificate in PEM form").WithField("/settings/ca", "not valid")
			}
		}
	} else if settings["ca"] != "" {
		return nil, fault.New(fault.Invalid, "ca is for tls:// addresses only").WithField("/settings/ca", "not used")
	}
	return out, nil
}

func (s *syslog) begin(ctx context.Context) error {
	if s.conn != nil && s.alive() {
		return nil
	}
	_ = s.close()
	ctx, cancel := context.WithTimeout(ctx, syslogWithin)
	defer cancel()
	conn, err := s.around.rules.DialContext(ctx, s.network, s.at)
	if err != nil {
		if errors.Is(err, fault.Denied) {
			return err
		}
		return fault.Wrap(fault.Unavailable, err, "the syslog server cannot be reached")
	}
	if s.tls != nil {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return errors.Join(fault.Wrap(fault.Unavailable, err, "the syslog server's TLS is refused").WithHint("give its certificate authority with ca"), conn.Close())
		}
		conn = secure
	}
	s.conn = conn
	return nil
}

// alive looks whether the other side has hung up: a write would succeed all the same and be lost.
func (s *syslog) alive() bool {
	if s.network == "udp" {
		return true
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return false
	}
	_, err := s.conn.Read(make([]byte, 1)) // syslog servers say nothing
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func (s *syslog) send(ctx context.Context, batch []follow.Entry) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	var b []byte
	for i, e := range batch {
		m := s.message(e)
		if s.network != "udp" {
			b = append(strconv.AppendInt(b, int64(len(m)), 10), ' ')
		} else if len(m) > maxDatagram {
			m = m[:maxDatagram]
		}
		b = append(b, m...)
		if s.network == "udp" || i == len(batch)-1 {
			if err := s.write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	return nil
}

func (s *syslog) write(b []byte) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(syslogWithin))
	if err == nil {
		_, err = s.conn.Write(b)
	}
	if err != nil {
		_ = s.close()
		return fault.Wrap(fault.Unavailable, err, "the syslog server does not take what it is sent")
	}
	return nil
}

// message makes <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD] MSG (RFC 5424 section 6).
func (s *syslog) message(e follow.Entry) []byte {
	severity := severityInfo
	switch e.Outcome {
	case "refused":
		severity = severityWarning
	case "failed":
		severity = severityNotice
	}
	id := printable(e.Action, maxMsgID)
	if id == "" {
		id = "-"
	}
	head := fmt.Sprintf(`<%d>1 %s %s keyturn - %s [%s log="%s" index="%d"] `, facilityAudit*8+severity,
		time.UnixMilli(e.At).UTC().Format("2006-01-02T15:04:05.000Z"), s.name, id, sdID, paramValue(s.around.origin), e.Index)
	return append([]byte(head), e.Raw...)
}

// printable keeps what PRINTUSASCII allows, up to a length.
func printable(text string, limit int) string {
	out := strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return -1
		}
		return r
	}, text)
	return out[:min(len(out), limit)]
}

// paramValue escapes a value of structured data (RFC 5424 section 6.3.3).
func paramValue(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(text)
}

func (s *syslog) test(ctx context.Context) error {
	e := follow.Entry{Index: 0, Raw: []byte(`{"action":"stream.test"}`)}
	e.Action, e.At = "stream.test", time.Now().UnixMilli()
	return s.send(ctx, []follow.Entry{e})
}

func (s *syslog) close() error {
	if s.conn == nil {
		return nil
	}
	conn := s.conn
	s.conn = nil
	return conn.Close()
}

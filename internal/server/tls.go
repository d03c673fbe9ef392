package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/keyturn/keyturn/internal/fault"
)

// certificates serves a certificate from files and takes a new one in when they change.
type certificates struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time // newest modification time of the two files
	checked time.Time
}

// checkEvery bounds how often the files are looked at.
const checkEvery = 5 * time.Second

func loadCertificates(certFile, keyFile string) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the TLS certificate cannot be used").WithHint("look at KEYTURN_TLS_CERT and KEYTURN_TLS_KEY")
	}
	return c, nil
}

func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current, c.changed, c.checked = &pair, c.newest(), time.Now()
	return nil
}

func (c *certificates) newest() time.Time {
	var newest time.Time
	for _, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}

func (c *certificates) config() *tls.Config {
	// A client may show a certificate. It is asked for and not verified here: whose it is, and whether it may log in, the login
	// method decides, which knows the authority.
	return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if time.Since(c.checked) > checkEvery {
			c.checked = time.Now()
			if !c.newest().Equal(c.changed) {
				if err := c.load(); err != nil { // half written, perhaps: go on with the old one and look again
					slog.Warn("the new TLS certificate cannot be used yet", "error", err)
				}
			}
		}
		return c.current, nil
	}}
}

// Package testldap runs a real OpenLDAP server for tests, on loopback, in a temporary folder, for as long as the test runs:
// slapd from Debian, with StartTLS and ldaps by a certificate of its own. A missing slapd is a failure, never a skip.
package testldap

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What every server holds.
const (
	Base     = "dc=example,dc=test"
	People   = "ou=people," + Base
	Groups   = "ou=groups," + Base
	Root     = "cn=root," + Base
	Password = "test-value" // of Root and of all people that [Person] makes
)

// startWithin bounds the start on a busy machine.
const startWithin = 30 * time.Second

// Server is a running directory.
type Server struct {
	URL  string // ldap://127.0.0.1:PORT, with StartTLS
	TLS  string // ldaps://127.0.0.1:PORT
	CA   string // PEM
	done chan struct{}
}

// Person gives the LDIF of somebody with a password.
func Person(uid, mail, name string) string {
	return fmt.Sprintf("dn: uid=%s,%s\nobjectClass: inetOrgPerson\nuid: %s\nmail: %s\ncn: %s\nsn: %s\nuserPassword: %s\n", uid, People, uid, mail, name, name, Password)
}

// Group gives the LDIF of a group of people by their uids.
func Group(cn string, uids ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "dn: cn=%s,%s\nobjectClass: groupOfNames\ncn: %s\n", cn, Groups, cn)
	for _, uid := range uids {
		fmt.Fprintf(&b, "member: uid=%s,%s\n", uid, People)
	}
	return b.String()
}

// Start starts a directory with entries in LDIF; it ends with the test. settings are lines of slapd.conf before the database.
func Start(tb testing.TB, settings string, entries ...string) *Server {
	tb.Helper()
	program, err := exec.LookPath("slapd")
	if err != nil {
		program = "/usr/sbin/slapd" // no folder of ordinary people's PATH on Debian
	}
	folder, err := os.MkdirTemp("", "testldap-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := &Server{done: make(chan struct{})}
	if s.CA, err = certificate(folder); err != nil {
		tb.Fatal(err)
	}
	config := filepath.Join(folder, "slapd.conf")
	ldif := filepath.Join(folder, "start.ldif")
	start := []string{"dn: " + Base + "\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n",
		"dn: " + People + "\nobjectClass: organizationalUnit\nou: people\n", "dn: " + Groups + "\nobjectClass: organizationalUnit\nou: groups\n"}
	err = errors.Join(os.Mkdir(filepath.Join(folder, "db"), 0o700),
		os.WriteFile(ldif, []byte(strings.Join(append(start, entries...), "\n")), 0o600),
		os.WriteFile(config, []byte(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile `+folder+`/pid
argsfile `+folder+`/args
TLSCACertificateFile `+folder+`/cert.pem
TLSCertificateFile `+folder+`/cert.pem
TLSCertificateKeyFile `+folder+`/key.pem
`+settings+`
database mdb
suffix "`+Base+`"
rootdn "`+Root+`"
rootpw `+Password+`
directory `+folder+`/db
maxsize 16777216
index uid,mail,member eq
`), 0o600))
	if err != nil {
		tb.Fatal(err)
	}
	if out, err := exec.Command(program, "-T", "add", "-f", config, "-l", ldif).CombinedOutput(); err != nil {
		tb.Fatalf("testldap: slapadd: %v\n%s", err, out)
	}
	plain, encrypted := free(tb), free(tb)
	s.URL, s.TLS = "ldap://"+plain, "ldaps://"+encrypted
	cmd := exec.Command(program, "-f", config, "-h", s.URL+"/ "+s.TLS+"/", "-d", "0")
	var problems strings.Builder
	cmd.Stderr = &problems
	endWithParent(cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the death signal is tied to the thread (prctl(2)), which ends with this goroutine
		defer close(s.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		tb.Fatalf("testldap: start slapd: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-s.done
	})
	for deadline := time.Now().Add(startWithin); ; {
		c1, err1 := net.Dial("tcp", plain)
		c2, err2 := net.Dial("tcp", encrypted)
		for _, c := range []net.Conn{c1, c2} {
			if c != nil {
				_ = c.Close()
			}
		}
		if err1 == nil && err2 == nil {
			return s
		}
		select {
		case <-s.done:
			tb.Fatalf("testldap: slapd ended: %s", problems.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("testldap: slapd does not answer within %v", startWithin)
		}
	}
}

// free gives an address on loopback that nobody uses at the moment.
func free(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate makes a key and a certificate for loopback, and gives the certificate.
func certificate(folder string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return string(cert), errors.Join(os.WriteFile(filepath.Join(folder, "cert.pem"), cert, 0o600),
		os.WriteFile(filepath.Join(folder, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

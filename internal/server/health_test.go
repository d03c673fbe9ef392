package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/internal/server"
	"github.com/keyturn/keyturn/keyturntest"
)

func fetch(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestHealthReadinessAndMetricsKeepTheirTokens(t *testing.T) {
	const ready, metrics = "ready test-value", "metrics test-value"
	s := keyturntest.Start(t, keyturntest.WithConfig(func(c *config.Config) { c.ReadyToken, c.MetricsToken = ready, metrics }))
	for _, c := range []struct {
		path, token string
		status      int
		has, lacks  string
	}{
		{"/healthz", "", 200, "live", "database"},
		{"/readyz", "", 200, `"ready"`, "database"},
		{"/readyz", ready, 200, "database (sqlite)", ""},
		{"/readyz", metrics, 200, `"ready"`, "database"},
		{"/metrics", "", 401, "token", "keyturn_request_seconds"},
		{"/metrics", s.Token, 401, "token", "keyturn_request_seconds"},
		{"/metrics", metrics, 200, "keyturn_audit_log_entries", "test-value"},
		{"/nothing", "", 404, "", "database"},
	} {
		status, body := fetch(t, s.URL+c.path, c.token)
		if status != c.status || !strings.Contains(body, c.has) || c.lacks != "" && strings.Contains(body, c.lacks) {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
	}
}

// certificate writes a self-signed certificate for this machine and gives its serial number.
func certificate(t *testing.T, folder string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "keyturn test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACertificateIsTakenInWhenItsFilesChange(t *testing.T) {
	folder := t.TempDir()
	certificate(t, folder, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- server.Run(ctx, server.Options{Version: "test", LookupEnv: func(string) (string, bool) { return "", false },
			Config: config.Config{Mode: config.Development, Listen: address, Data: filepath.Join(folder, "data"), CacheBytes: 1 << 20, LogLevel: "error",
				TLSCert: filepath.Join(folder, "cert.pem"), TLSKey: filepath.Join(folder, "key.pem")}})
	}()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // only the serial number is looked at
		if err != nil {
			return 0
		}
		defer conn.Close()
		if conn.ConnectionState().Version < tls.VersionTLS12 {
			t.Error("an old TLS version was taken")
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	wait := func(want int64) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); serial() != want; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("certificate %d is not served", want)
			}
		}
	}
	wait(1)
	certificate(t, folder, 2)
	future := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(folder, "cert.pem"), future, future); err != nil {
		t.Fatal(err)
	}
	wait(2)
	stop()
	if err := <-done; err != nil {
		t.Errorf("the server stopped with: %v", err)
	}
}

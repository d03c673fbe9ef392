package server

import (
	"crypto/tls"
	"testing"
)

// Without the question no client shows its certificate; with more than the question, those without one could not connect.
func TestAClientCertificateIsAskedForAndNotNeeded(t *testing.T) {
	if got := (&certificates{}).config().ClientAuth; got != tls.RequestClientCert {
		t.Errorf("client authentication is %v", got)
	}
}

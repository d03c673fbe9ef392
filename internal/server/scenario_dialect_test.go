package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/internal/config"
	"github.com/keyturn/keyturn/keyturntest"
)

func TestDialectsThatAreSwitchedOffAreNotThere(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string]bool{
		"none":             {},
		"infisical":        {"/api/status": true},
		"vault":            {"/v1/sys/health": true},
		"infisical, vault": {"/api/status": true, "/v1/sys/health": true},
	} {
		s := keyturntest.Start(t, keyturntest.WithConfig(func(c *config.Config) {
			c.Dialects = nil
			for _, d := range []string{"infisical", "vault"} {
				if strings.Contains(name, d) {
					c.Dialects = append(c.Dialects, d)
				}
			}
		}))
		p := person{url: s.URL, token: s.Token}
		for _, path := range []string{"/api/status", "/v1/sys/health"} {
			if got := p.do(t, "GET", s.URL+path, nil).status == http.StatusOK; got != want[path] {
				t.Errorf("%s with %s: served %v", path, name, got)
			}
		}
	}
}

// What the front refuses looks like the dialect that was asked.
func TestTheFrontRefusesInTheShapeOfTheDialect(t *testing.T) {
	t.Parallel()
	s := keyturntest.Start(t)
	p := person{url: s.URL, token: s.Token}
	long := strings.Repeat("x", 5000)
	for path, want := range map[string]string{"/v1/secret/data/": `{"errors":[`, "/api/v3/secrets/raw/": `{"reqId":`, "/keyturn/v1/": `{"type":`} {
		r := p.do(t, "GET", s.URL+path+long, nil)
		if r.status != http.StatusBadRequest || !strings.HasPrefix(string(r.body), want) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

package proof

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/testpg"
)

// patient is a server whose log will fail.
type patient struct {
	site    *site
	token   string
	witness *witness
}

const (
	hot, cold = "test-value that was read before", "test-value that nobody has read yet"

	// recoversWithin bounds how long a server may need to notice that all is well again.
	recoversWithin = time.Minute
)

func newPatient(t *testing.T, server *process) *patient {
	t.Helper()
	p := &patient{site: siteAt(t, server.url), witness: &witness{}}
	p.token = p.site.setUp(t)
	must[api.Project](t, p.site, p.token, "POST", "/projects", api.ProjectRequest{Slug: "shop", Envs: []string{"dev"}})
	must[api.Committed](t, p.site, p.token, "POST", at("shop", "dev", "commits"), set("/", "HOT", hot))
	must[api.Committed](t, p.site, p.token, "POST", at("shop", "dev", "commits"), set("/cold", "COLD", cold))
	must[api.Secret](t, p.site, p.token, "GET", at("shop", "dev", "secrets", "HOT"), nil)
	p.witness.judge(t, p.site, p.token, true)
	return p
}

// attempts are requests of every sort. None may succeed while the log takes no entry.
var attempts = []struct {
	method, path string
	body         any
	token        string // "" for the admin's own
}{
	{"GET", at("shop", "dev", "secrets", "HOT"), nil, ""},
	{"GET", at("shop", "dev", "secrets", "HOT") + "?version=1", nil, ""},
	{"GET", at("shop", "dev", "secrets", "COLD") + "?path=/cold", nil, ""},
	{"GET", at("shop", "dev", "secrets") + "?recursive=true&reveal=true", nil, ""},
	{"GET", at("shop", "dev", "secrets"), nil, ""},
	{"GET", at("shop", "dev", "secrets", "HOT", "history"), nil, ""},
	{"GET", at("shop", "dev", "secrets", "NO_SUCH"), nil, ""}, // not even "not there" may be told without a record
	{"GET", "/projects/no-such", nil, ""},
	{"GET", "/projects", nil, ""},
	{"GET", "/whoami", nil, ""},
	{"GET", "/audit/checkpoint", nil, ""},
	{"GET", "/audit/entries", nil, ""},
	{"GET", "/tokens", nil, ""},
	{"POST", at("shop", "dev", "commits"), set("/", "NEW", "test-value that was refused"), ""},
	{"POST", at("shop", "dev", "commits"), set("/", "HOT", "test-value that was refused"), ""},
	{"PUT", at("shop", "dev", "personal"), api.PersonalRequest{Path: "/", Name: "HOT", Value: api.Value{Value: "test-value that was refused"}}, ""},
	{"POST", "/projects", api.ProjectRequest{Slug: "refused"}, ""},
	{"POST", "/identities", api.IdentityRequest{Name: "refused"}, ""},
	{"POST", "/tokens", api.TokenRequest{Project: "shop", Scopes: "dev:/:read", TTL: "1h"}, ""},
	{"POST", "/login", api.LoginRequest{Email: adminEmail, Password: adminPassword}, "nobody"},
	{"POST", "/login", api.LoginRequest{Email: adminEmail, Password: "a wrong test-value"}, "nobody"},
	{"GET", "/whoami", nil, "ktk_0000000000000000000000000000000000000000000000000"},
}

// suffers makes every attempt at once: each must be refused as unavailable, and no value may leave.
func (p *patient) suffers(t *testing.T) {
	t.Helper()
	var all sync.WaitGroup
	for _, a := range attempts {
		all.Go(func() {
			token := a.token
			switch token {
			case "":
				token = p.token
			case "nobody":
				token = ""
			}
			out := p.site.call(token, a.method, a.path, a.body)
			what := a.method + " " + a.path
			if out.err != nil {
				t.Errorf("%s gets no answer: %v", what, out.err)
				return
			}
			if out.status != http.StatusServiceUnavailable || out.kind() != "unavailable" {
				t.Errorf("%s while the log takes nothing: %s", what, out)
			}
			for _, secret := range []string{hot, cold, "refused"} {
				if bytes.Contains(out.body, []byte(secret)) {
					t.Errorf("%s tells a value: %s", what, out)
				}
			}
		})
	}
	all.Wait()
}

// recovers waits until the server works again and checks that nothing was lost and nothing refused was done.
func (p *patient) recovers(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(recoversWithin); ; {
		a := p.site.call(p.token, "GET", at("shop", "dev", "secrets", "HOT"), nil)
		if a.ok() {
			if got := decoded[api.Secret](t, a); got.Value == nil || got.Value.Value != hot || got.Version != 1 {
				t.Errorf("the value is another one after the outage: version %d", got.Version)
			}
			break
		}
		if a.err != nil || a.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("the server does not recover: %s", a)
		}
		<-time.After(10 * time.Millisecond)
	}
	if got := must[api.Secret](t, p.site, p.token, "GET", at("shop", "dev", "secrets", "COLD")+"?path=/cold", nil); got.Value == nil || got.Value.Value != cold {
		t.Error("a value is lost")
	}
	for _, path := range []string{at("shop", "dev", "secrets", "NEW"), "/projects/refused"} {
		if a := p.site.call(p.token, "GET", path, nil); a.status != http.StatusNotFound {
			t.Errorf("what was refused is there: %s", a)
		}
	}
	must[api.Committed](t, p.site, p.token, "POST", at("shop", "dev", "commits"), set("/", "AFTER", "test-value after"))
	p.witness.judge(t, p.site, p.token, true)
}

func (p *patient) ready(t *testing.T, want int) {
	t.Helper()
	if a := p.site.raw("", "GET", "/readyz", nil); a.status != want {
		t.Errorf("readiness tells %s, want %d", a, want)
	}
	if a := p.site.raw("", "GET", "/healthz", nil); a.status != http.StatusOK {
		t.Errorf("the server is not live: %s", a)
	}
}

func TestWithoutPostgreSQLNothingIsToldAndNothingIsDone(t *testing.T) {
	database := testpg.Private(t)
	place := onPostgres(t, database)
	server := place.start(t)
	p := newPatient(t, server)
	p.ready(t, http.StatusOK)
	for _, end := range []func(testing.TB){database.Stop, database.Kill} {
		end(t)
		p.suffers(t)
		p.ready(t, http.StatusServiceUnavailable)
		database.Restart(t)
		p.recovers(t)
		p.ready(t, http.StatusOK)
	}
	server.stop(t)
}

// A limit of the size of files makes writes fail in the middle: that is no full disk but an error of the disk, after which the
// server leaves service, since nobody knows what the disk holds.
func TestAfterAWriteErrorTheServerTellsNothingAndLeavesService(t *testing.T) {
	place := onSQLite(t)
	limited := place
	limited.fileBlocks = 4096 // of 512 bytes
	server := limited.start(t)
	p := newPatient(t, server)
	var acknowledged []string
	const most = 400
	for i := range most {
		value := fmt.Sprintf("test-value %d %s", i, strings.Repeat("x", 40<<10))
		a := p.site.call(p.token, "POST", at("shop", "dev", "commits"), set("/big", fmt.Sprintf("BIG_%d", i), value))
		if a.ok() {
			acknowledged = append(acknowledged, value)
			continue
		}
		if a.err != nil && a.status == 0 || a.status == http.StatusServiceUnavailable && a.kind() == "unavailable" {
			break
		}
		t.Fatalf("a write that the disk refused: %s", a)
	}
	if len(acknowledged) == most || len(acknowledged) == 0 {
		t.Fatalf("%d writes were acknowledged: the limit did not do what it is for", len(acknowledged))
	}
	if a := p.site.call(p.token, "GET", at("shop", "dev", "secrets", "HOT"), nil); a.err == nil && (a.status != http.StatusServiceUnavailable || bytes.Contains(a.body, []byte(hot))) {
		t.Errorf("the server goes on after a write error: %s", a)
	}
	select {
	case <-server.ended:
	case <-time.After(exitWithin):
		t.Fatalf("the server does not leave service:\n%s", tail(server.out.String()))
	}
	const codeUnavailable = 10
	if code := server.cmd.ProcessState.ExitCode(); code != codeUnavailable || !strings.Contains(server.out.String(), "leaves service") {
		t.Errorf("exit code %d:\n%s", code, tail(server.out.String()))
	}
	server = place.start(t)
	p.site = siteAt(t, server.url)
	for i, value := range acknowledged {
		if got := must[api.Secret](t, p.site, p.token, "GET", at("shop", "dev", "secrets", fmt.Sprintf("BIG_%d", i))+"?path=/big", nil); got.Value == nil || got.Value.Value != value {
			t.Errorf("an acknowledged write is lost: number %d of %d", i, len(acknowledged))
		}
	}
	p.recovers(t)
	server.stop(t)
}

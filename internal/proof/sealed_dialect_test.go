package proof

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/keyturn/keyturn/api"
)

// Clients of foreign APIs are told in their own words that a server is sealed, and find it open afterwards.
func TestASealedServerAnswersForeignClients(t *testing.T) {
	p := onSQLite(t)
	server := p.start(t)
	s := siteAt(t, server.url)
	c := newCrowd(t, s)
	held := addPeople(t, s, c.token)
	server.stop(t)
	p.env = []string{"KEYTURN_MODE=production", "KEYTURN_WHEN_SEALED=wait"}
	server = p.startSealed(t)

	ids := regexp.MustCompile(`"(cluster_id|requestId|reqId)":"[0-9a-f-]{36}"`)
	times := regexp.MustCompile(`"server_time_utc":\d{10}`)
	ask := func(method, path, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, server.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Vault-Token", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, times.ReplaceAllString(ids.ReplaceAllString(string(body), `"$1":"ID"`), `"server_time_utc":0`)
	}
	health := `{"initialized":true,"sealed":true,"standby":false,"performance_standby":false,"replication_performance_mode":"disabled","replication_dr_mode":"disabled",` +
		`"server_time_utc":0,"version":"1.20.0","cluster_name":"keyturn","cluster_id":"ID","enterprise":false,"echo_duration_ms":0,"clock_skew_ms":0,"replication_primary_canary_age_ms":0}`
	seal := func(progress, need string) string {
		return `{"type":"shamir","initialized":true,"sealed":true,"t":` + need + `,"n":` + need + `,"progress":` + progress + `,"nonce":"","version":"1.20.0","build_date":"2025-06-23T10:21:30Z",` +
			`"migration":false,"cluster_name":"keyturn","cluster_id":"ID","recovery_seal":false,"storage_type":"sqlite"}`
	}
	sealed := `{"errors":["Vault is sealed"]}`
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v1/sys/health", 503, health},
		{"GET", "/v1/sys/health?sealedcode=299&activecode=200", 299, health},
		{"HEAD", "/v1/sys/health", 503, ""},
		{"GET", "/v1/sys/seal-status", 200, seal("0", "1")},
		{"GET", "/v1/sys/leader", 503, sealed},
		{"GET", "/v1/sys/mounts", 503, sealed},
		{"PUT", "/v1/sys/health", 503, sealed},
		{"GET", "/v1/secret/data/app", 503, sealed},
		{"LIST", "/v1/secret/metadata/", 503, sealed},
		{"PUT", "/v1/auth/approle/login", 503, sealed},
		{"PUT", "/v1/sys/unseal", 503, sealed},
	} {
		if status, body := ask(c.method, c.path, "hvs.test-value"); status != c.status || body != c.body {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, status, body, c.status, c.body)
		}
	}
	for _, path := range []string{"/api/v3/secrets/raw", "/api/v1/auth/universal-auth/login"} {
		if status, body := ask("GET", path, ""); status != 503 || !strings.Contains(body, `"statusCode":503`) {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if code, text := unlock(t, server.url, "", "POST", api.Unlock{Share: held.shares[0]}); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	if status, body := ask("GET", "/v1/sys/seal-status", ""); status != 200 || body != seal("1", "2") {
		t.Errorf("after one of two shares: %d %s", status, body)
	}
	if code, text := unlock(t, server.url, "", "POST", api.Unlock{Share: held.shares[1]}); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	deadline := time.Now().Add(30 * time.Second)
	for status, body := 0, ""; status != 200; status, body = ask("GET", "/v1/sys/health", "") {
		if time.Now().After(deadline) {
			t.Fatalf("it stays %d %s", status, body)
		}
	}
	server.stop(t)
}

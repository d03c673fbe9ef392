package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyturn/keyturn/api"
)

// site is a server as a client without any cleverness sees it: no retries, no caching, every answer with its request id.
type site struct {
	url  string
	http *http.Client
	// heard, where it is wanted, keeps the status of every request by its id.
	heard *sync.Map
}

func siteAt(tb testing.TB, address string) *site {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	tb.Cleanup(transport.CloseIdleConnections)
	return &site{url: address, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// answer is what came back. An answer whose body was cut off has an error, whatever its status.
type answer struct {
	status  int
	request string // id
	header  http.Header
	body    []byte
	err     error
}

func (a answer) ok() bool { return a.err == nil && a.status >= 200 && a.status < 300 }

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

// kind gives the kind of a problem, "" for a success.
func (a answer) kind() string {
	var p api.Problem
	if a.ok() || json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Kind
}

// call sends one request below the API's prefix. A body that is no []byte is sent as JSON.
func (s *site) call(token, method, path string, body any, header ...string) answer {
	return s.raw(token, method, api.Prefix+path, body, header...)
}

func (s *site) raw(token, method, path string, body any, header ...string) answer {
	var reader io.Reader
	if body != nil {
		b, raw := body.([]byte)
		if !raw {
			var err error
			if b, err = json.Marshal(body); err != nil {
				return answer{err: err}
			}
		}
		reader = bytes.NewReader(b)
	}
	// A request cannot be resumed: it has its own end in the client's timeout.
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, reader)
	if err != nil {
		return answer{err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, request: resp.Header.Get("X-Request-Id"), header: resp.Header}
	if s.heard != nil {
		s.heard.Store(a.request, a.status)
	}
	if a.body, a.err = io.ReadAll(resp.Body); a.err == nil && len(a.body) > 0 && strings.Contains(resp.Header.Get("Content-Type"), "json") && !json.Valid(a.body) {
		a.err = fmt.Errorf("the body is no JSON: %d bytes", len(a.body))
	}
	return a
}

// must sends a request that has to succeed and decodes the answer.
func must[T any](tb rapid.TB, s *site, token, method, path string, body any) T {
	tb.Helper()
	return decoded[T](tb, s.call(token, method, path, body))
}

func decoded[T any](tb rapid.TB, a answer) T {
	tb.Helper()
	if !a.ok() {
		tb.Fatalf("the request failed: %s", a)
	}
	var out T
	if err := json.Unmarshal(a.body, &out); err != nil {
		tb.Fatalf("the answer is not what was asked for: %v", err)
	}
	return out
}

const (
	adminEmail    = "admin@example.test"
	adminPassword = "a test-value for the admin"
)

// setUp makes the first admin of a server in development mode and gives his token.
func (s *site) setUp(tb testing.TB) string {
	tb.Helper()
	return must[api.Setup](tb, s, "", "POST", "/setup", api.SetupRequest{Email: adminEmail, Password: adminPassword}).Token
}

// set makes a commit that sets one secret.
func set(path, name, value string) api.CommitRequest {
	return api.CommitRequest{Changes: []api.Change{{Op: "set", Path: path, Name: name, Value: &value}}}
}

// at gives the path of an environment's route; segments are escaped.
func at(project, env string, segments ...string) string {
	out := "/projects/" + url.PathEscape(project) + "/envs/" + url.PathEscape(env)
	for _, s := range segments {
		out += "/" + url.PathEscape(s)
	}
	return out
}

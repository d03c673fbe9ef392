package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/runner"
)

// shelf is a server with a few folders of one environment.
type shelf struct {
	folders  map[string][]string // path → names; a value is PATH:NAME:test-value
	allowed  string              // what it says of offline copies
	refuse   int                 // a status instead of answers
	asked    []string            // the queries that revealed values
	revision int64
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.refuse != 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(s.refuse)
		_ = json.NewEncoder(w).Encode(api.Problem{Status: s.refuse, Detail: "refused", Kind: map[int]string{401: "unauthenticated", 403: "denied", 503: "unavailable"}[s.refuse]})
		return
	}
	q := r.URL.Query()
	only := strings.Split(q.Get("only"), ",")
	out := api.Secrets{Revision: s.revision, Secrets: []api.Secret{}}
	for _, name := range s.folders[q.Get("path")] {
		if q.Get("only") != "" && !slices.Contains(only, name) {
			continue
		}
		secret := api.Secret{Path: q.Get("path"), Name: name}
		if q.Get("reveal") == "true" {
			v := api.NewValue([]byte(q.Get("path") + ":" + name + ":test-value"))
			secret.Value = &v
		}
		out.Secrets = append(out.Secrets, secret)
	}
	if q.Get("reveal") == "true" {
		s.asked = append(s.asked, q.Get("path")+"?"+q.Get("only"))
		w.Header().Set(offlineHeader, s.allowed)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// openShelf gives a source for a shelf, and what it told on standard error.
func openShelf(t *testing.T, address, cache, token string, f runFlags) (*runSource, *bytes.Buffer) {
	t.Helper()
	var told bytes.Buffer
	a := &app{err: &told, found: &settings{}, version: "test", getenv: func(name string) string {
		return map[string]string{"KEYTURN_SERVER": address, "KEYTURN_TOKEN": token, "KEYTURN_PROJECT": "shop", "KEYTURN_ENV": "dev", "XDG_CACHE_HOME": cache}[name]
	}}
	if f.offline == "" {
		f.offline = offlineAuto
	}
	s, err := a.openSource(f)
	if err != nil {
		t.Fatal(err)
	}
	return s, &told
}

func environment(t *testing.T, s *runSource) string {
	t.Helper()
	got, err := s.get(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	env, err := runner.Environ(runner.Options{Vars: got.Vars})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(env)
	return strings.Join(env, " ")
}

func TestSeveralFoldersRevealNothingThatIsNotUsed(t *testing.T) {
	served := &shelf{folders: map[string][]string{"/a": {"A", "BOTH"}, "/b": {"B", "BOTH"}}, revision: 3}
	server := httptest.NewServer(served)
	defer server.Close()
	for name, tc := range map[string]struct {
		paths, only []string
		want, asked string
		told        string
	}{
		"all, the last wins":       {[]string{"/a", "/b"}, nil, "A=/a:A:test-value B=/b:B:test-value BOTH=/b:BOTH:test-value", "/a? /b?", "BOTH of /b"},
		"the other way round":      {[]string{"b", "a"}, nil, "A=/a:A:test-value B=/b:B:test-value BOTH=/a:BOTH:test-value", "/b? /a?", "BOTH of /a"},
		"only what each path wins": {[]string{"/a", "/b"}, []string{"A", "BOTH"}, "A=/a:A:test-value BOTH=/b:BOTH:test-value", "/a?A /b?BOTH", ""},
		"a path that wins nothing": {[]string{"/a", "/b"}, []string{"BOTH"}, "BOTH=/b:BOTH:test-value", "/b?BOTH", ""},
		"one path is one question": {[]string{"/a"}, []string{"A"}, "A=/a:A:test-value", "/a?A", ""},
	} {
		t.Run(name, func(t *testing.T) {
			served.asked = nil
			s, told := openShelf(t, server.URL, t.TempDir(), "test-value-token", runFlags{paths: tc.paths, only: tc.only})
			if got := environment(t, s); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if got := strings.Join(served.asked, " "); got != tc.asked {
				t.Errorf("asked for %s, want %s", got, tc.asked)
			}
			if !strings.Contains(told.String(), tc.told) || strings.Contains(told.String(), "test-value") {
				t.Errorf("told %q, want %q", told, tc.told)
			}
		})
	}
	s, _ := openShelf(t, server.URL, t.TempDir(), "test-value-token", runFlags{paths: []string{"/a", "/b"}, only: []string{"ABSENT"}})
	if _, err := s.get(context.Background()); !errors.Is(err, fault.NotFound) {
		t.Errorf("an absent name: %v", err)
	}
}

func TestACopyServesOnlyWhileNobodyAnswersAndTheServerAllowedIt(t *testing.T) {
	for name, tc := range map[string]struct {
		allowed      string
		first, later runFlags
		token        string
		kept         bool
	}{
		"allowed":                {allowed: "1h", kept: true},
		"by default not":         {allowed: ""},
		"forbidden":              {allowed: "0s"},
		"not a duration":         {allowed: "for ever"},
		"negative":               {allowed: "-1h"},
		"never kept":             {allowed: "1h", first: runFlags{offline: offlineNever}},
		"never read":             {allowed: "1h", later: runFlags{offline: offlineNever}},
		"read on purpose":        {allowed: "1h", later: runFlags{offline: offlineOnly}, kept: true},
		"another token":          {allowed: "1h", token: "test-value-other"},
		"other names":            {allowed: "1h", later: runFlags{only: []string{"A"}}},
		"personal is not shared": {allowed: "1h", later: runFlags{personal: true}},
		"another folder":         {allowed: "1h", later: runFlags{paths: []string{"/b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(&shelf{folders: map[string][]string{"/": {"A"}, "/b": {"A"}}, allowed: tc.allowed, revision: 7})
			cache := t.TempDir()
			s, _ := openShelf(t, server.URL, cache, "test-value-token", tc.first)
			environment(t, s)
			server.Close()
			token := "test-value-token"
			if tc.token != "" {
				token = tc.token
			}
			s, told := openShelf(t, server.URL, cache, token, tc.later)
			got, err := s.get(context.Background())
			if tc.kept != (err == nil) || tc.kept != (len(got.Vars) == 1) {
				t.Fatalf("%d variables, error %v", len(got.Vars), err)
			}
			if tc.kept && (!strings.Contains(told.String(), "copy of revision 7, fetched") || !strings.Contains(told.String(), "the server allows 1h")) {
				t.Errorf("told %q", told)
			}
			if !tc.kept && tc.later.offline != offlineOnly && !errors.Is(err, client.ErrUnreachable) {
				t.Errorf("want the reason, got %v", err)
			}
		})
	}
}

func TestWhoMayNotReadAnyMoreKeepsNoCopy(t *testing.T) {
	for _, status := range []int{401, 403} {
		served := &shelf{folders: map[string][]string{"/": {"A"}}, allowed: "1h"}
		server := httptest.NewServer(served)
		cache := t.TempDir()
		s, _ := openShelf(t, server.URL, cache, "test-value-token", runFlags{})
		environment(t, s)
		served.refuse = status
		if _, err := s.get(context.Background()); err == nil {
			t.Fatal("a refusal was taken for an answer")
		}
		server.Close()
		if got, err := s.get(context.Background()); !errors.Is(err, client.ErrUnreachable) {
			t.Errorf("after %d: %d variables, error %v", status, len(got.Vars), err)
		}
	}
}

func TestAServerThatAnswersWithAFaultIsNotPassedOver(t *testing.T) {
	served := &shelf{folders: map[string][]string{"/": {"A"}}, allowed: "1h"}
	server := httptest.NewServer(served)
	defer server.Close()
	s, _ := openShelf(t, server.URL, t.TempDir(), "test-value-token", runFlags{})
	environment(t, s)
	served.refuse = 503 // sealed, for example: it said so, and that is to be known
	if _, err := s.get(context.Background()); !errors.Is(err, client.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestTheTokenStaysOutOfTheProgram(t *testing.T) {
	environ := []string{"HOME=/x", "KEYTURN_TOKEN=test-value", "keyturn_token=test-value", "KEYTURN_TOKEN_X=1", "KEYTURN_SERVER=s"}
	if got := strings.Join(childBase(environ, false), " "); got != "HOME=/x KEYTURN_TOKEN_X=1 KEYTURN_SERVER=s" {
		t.Errorf("got %s", got)
	}
	if got := childBase(environ, true); len(got) != len(environ) {
		t.Errorf("got %s", got)
	}
}

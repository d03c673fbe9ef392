package client_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/keyturntest"
)

func writeFile(name string, b []byte) error { return os.WriteFile(name, b, 0o600) }

// team gives a client of a real server with a project "shop".
func team(t *testing.T) *client.Client {
	t.Helper()
	s := keyturntest.Start(t)
	c, err := client.New(s.URL, s.Token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateProject(t.Context(), api.ProjectRequest{Slug: "shop"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func set(name string, value []byte) api.Change {
	v := api.NewValue(value)
	return api.Change{Op: "set", Path: place.Path, Name: name, Value: &v.Value, Encoding: v.Encoding}
}

func TestBytesComeBackAsTheyWereSet(t *testing.T) {
	c := team(t)
	values := map[string]string{"TEXT": "test-value <&> \u2028 \"quoted\"\n", "EMPTY": "", "BINARY": "\x00\xff\xfe test-value", "SPACES": "  test-value\r\n"}
	var changes []api.Change
	for name, v := range values {
		changes = append(changes, set(name, []byte(v)))
	}
	if _, err := c.Commit(t.Context(), place, api.CommitRequest{Changes: changes}); err != nil {
		t.Fatal(err)
	}
	for name, want := range values {
		s, err := c.Get(t.Context(), place, name, client.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Bytes(); err != nil || string(got) != want {
			t.Errorf("%s came back as %q (%v)", name, got, err)
		}
	}
}

func TestACommitUnderOneKeyHappensOnce(t *testing.T) {
	s := keyturntest.Start(t)
	// The connection is cut after the server has done its work, once.
	cut := false
	real := http.DefaultTransport
	c, err := client.New(s.URL, s.Token, client.WithHTTPClient(&http.Client{Transport: wire(func(r *http.Request) (*http.Response, error) {
		resp, err := real.RoundTrip(r)
		if err == nil && r.Method == http.MethodPost && !cut {
			cut = true
			_ = resp.Body.Close()
			return nil, errors.New("connection reset by peer")
		}
		return resp, err
	})}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateProject(t.Context(), api.ProjectRequest{Slug: "shop"}); err != nil {
		t.Fatalf("the project that was made and not answered was taken for another's: %v", err)
	}
	cut = false
	first, err := c.Commit(t.Context(), place, api.CommitRequest{Changes: []api.Change{set("A", []byte("test-value"))}})
	if err != nil || first.Revision != 1 {
		t.Fatalf("got %+v, %v", first, err)
	}
	commits, err := c.Log(t.Context(), place, client.LogOptions{})
	if err != nil || len(commits.Commits) != 1 {
		t.Errorf("%d commits, %v", len(commits.Commits), err)
	}
}

func TestWatchTellsACommitOfTheServer(t *testing.T) {
	c := team(t)
	done := errors.New("seen")
	began := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		first := true
		ended <- c.Watch(t.Context(), place, func(e api.Event) error {
			if first {
				first = false
				close(began)
				return nil
			}
			if e.Revision != 1 {
				return errors.New("another revision")
			}
			return done
		})
	}()
	select {
	case <-began:
	case err := <-ended:
		t.Fatalf("the watch ended: %v", err)
	}
	if _, err := c.Commit(t.Context(), place, api.CommitRequest{Changes: []api.Change{set("A", []byte("test-value"))}}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, done) {
		t.Errorf("the watch ended with %v", err)
	}
}

func TestAServerThatStoppedIsUnreachable(t *testing.T) {
	s := keyturntest.Start(t)
	c, err := client.New(s.URL, s.Token)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := c.Status(context.WithoutCancel(t.Context())); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyATrustedCertificateIsSpokenTo(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"version":"x"}`)) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	file := t.TempDir() + "/ca.pem"
	if err := writeFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})); err != nil {
		t.Fatal(err)
	}
	trusting, err := client.New(s.URL, testToken, client.WithCA(file))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := trusting.Status(t.Context()); err != nil || got.Version != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
	strict, err := client.New(s.URL, testToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strict.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

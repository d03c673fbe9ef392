package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// standInVariable makes the test binary behave as a stand-in for Keyturn.
const standInVariable = "KEYTURN_BENCH_STAND_IN"

func TestMain(m *testing.M) {
	if os.Getenv(standInVariable) == "" {
		os.Exit(m.Run())
	}
	if err := standIn(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const standInToken = "test-value-stand-in-token"

// standIn answers just what keyturn_facts.go assumes, strictly.
func standIn(args []string) error {
	switch line := strings.Join(args, " "); {
	case line == "version" || line == "completion bash":
		return nil
	case strings.HasPrefix(line, "server "):
		return standInServer(args[2], args[4])
	case strings.HasPrefix(line, "bootstrap "):
		password, err := os.ReadFile(args[6])
		if err != nil || strings.TrimSpace(string(password)) != ktPassword || args[4] != ktAdmin {
			return errors.New("bootstrap: wrong arguments")
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]string{"token": standInToken})
	case line == "run -- true":
		resp, err := standInGet(ktListPath(os.Getenv("KEYTURN_PROJECT"), os.Getenv("KEYTURN_ENV")))
		if err != nil || resp.StatusCode != 200 {
			return errors.New("run: no values")
		}
		return exec.Command("true").Run()
	case strings.HasPrefix(line, "import "):
		b, err := os.ReadFile(args[1])
		if err != nil || strings.Count(string(b), "\n") != importSize {
			return errors.New("import: file is not complete")
		}
		return nil
	}
	return fmt.Errorf("unknown command %q", args)
}

func standInGet(path string) (*http.Response, error) {
	r, err := http.NewRequest(http.MethodGet, os.Getenv("KEYTURN_SERVER")+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+os.Getenv("KEYTURN_TOKEN"))
	return http.DefaultClient.Do(r)
}

// standInServer keeps its values over a restart by writing them at the end.
func standInServer(dir, listen string) error {
	if os.Getenv("KEYTURN_MODE") != "development" || os.Getenv("GOMAXPROCS") != serverProcs {
		return errors.New("server: wrong environment")
	}
	s := &standInStore{Projects: map[string]map[string]map[string]string{}}
	file := filepath.Join(dir, "store.json")
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, s); err != nil {
			return err
		}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	srv := &http.Server{Addr: listen, Handler: s.mux()}
	go func() { <-ended; srv.Close() }()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(file, b, 0o600))
}

// standInStore is project, environment, name, value.
type standInStore struct {
	mu       sync.Mutex
	Projects map[string]map[string]map[string]string
}

func (s *standInStore) mux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+ktReady, func(http.ResponseWriter, *http.Request) {})
	handle := func(pattern string, h func(r *http.Request, values map[string]string) (any, int)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if r.Header.Get("Authorization") != "Bearer "+standInToken {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			values := s.Projects[r.PathValue("project")][r.PathValue("env")]
			if r.PathValue("env") != "" && values == nil {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			answer, status := h(r, values)
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(answer)
		})
	}
	handle("POST "+ktProjects, func(r *http.Request, _ map[string]string) (any, int) {
		var body struct{ Slug, Name string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.Name == "" || s.Projects[body.Slug] != nil {
			return nil, http.StatusConflict
		}
		s.Projects[body.Slug] = map[string]map[string]string{"dev": {}, "staging": {}, "prod": {}}
		return body, http.StatusCreated
	})
	env := ktEnvPath("{project}", "{env}")
	handle("GET "+env+"/secrets/{name}", func(r *http.Request, values map[string]string) (any, int) {
		value, ok := values[r.PathValue("name")]
		if !ok || r.URL.Query().Get("path") != "/" {
			return nil, http.StatusNotFound
		}
		return map[string]string{"value": value}, http.StatusOK
	})
	handle("GET "+env+"/secrets", func(r *http.Request, values map[string]string) (any, int) {
		if r.URL.Query().Get("reveal") != "true" {
			return nil, http.StatusBadRequest
		}
		return values, http.StatusOK
	})
	handle("POST "+env+"/commits", func(r *http.Request, values map[string]string) (any, int) {
		var body struct {
			Message string
			Changes []ktChange
		}
		err := json.NewDecoder(r.Body).Decode(&body)
		if err != nil || body.Message == "" || len(body.Changes) == 0 || len(body.Changes) > ktMaxChanges {
			return nil, http.StatusBadRequest
		}
		for _, c := range body.Changes {
			if c.Op != "set" || c.Path != "/" {
				return nil, http.StatusBadRequest
			}
			values[c.Name] = c.Value
		}
		return nil, http.StatusCreated
	})
	return mux
}

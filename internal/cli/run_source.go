package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/runner"
	"github.com/keyturn/keyturn/internal/sensitive"
)

// runSource is where run gets its variables: the server, or the sealed copy of the last fetch.
type runSource struct {
	app    *app
	client *client.Client
	age    *offlineAge
	place  client.Place
	paths  []string
	flags  runFlags
	token  sensitive.Value
	cache  runner.Cache
	key    runner.CacheKey
}

// openSource finds out what to fetch from where. It speaks to nobody yet.
func (a *app) openSource(f runFlags) (*runSource, error) {
	place, err := a.place()
	if err != nil {
		return nil, err
	}
	server, err := a.server()
	if err != nil {
		return nil, err
	}
	token, err := a.token(server)
	if err != nil {
		return nil, err
	}
	s := &runSource{app: a, place: place, flags: f, token: sensitive.FromString(token), age: &offlineAge{}}
	if s.client, err = a.dialRun(server.address, token, s.age); err != nil {
		return nil, err
	}
	for _, p := range f.paths {
		s.paths = append(s.paths, below("/", p))
	}
	if len(s.paths) == 0 {
		s.paths = []string{place.Path}
	}
	s.key = runner.CacheKey{Server: server.address, Project: place.Project, Env: place.Env, Paths: s.paths, Only: f.only}
	if f.personal {
		s.key.Paths = append(slices.Clone(s.paths), "personal") // no path is spelled so: each begins with a slash
	}
	if s.cache.Dir = a.cacheDir(); s.cache.Dir == "" && f.offline == offlineOnly {
		return nil, fault.New(fault.Invalid, "there is no folder for copies of this user").WithHint("set HOME or XDG_CACHE_HOME")
	}
	return s, nil
}

// cacheDir gives the folder of sealed copies, or "" when this user has none.
func (a *app) cacheDir() string {
	if dir := a.getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "keyturn", "run")
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "keyturn", "run")
}

// get fetches, and falls back to the copy where the flags say so. What comes from the copy is told.
func (s *runSource) get(ctx context.Context) (runner.Snapshot, error) {
	if s.flags.offline == offlineOnly {
		return s.load("--offline only")
	}
	got, err := s.fetch(ctx)
	switch {
	case err == nil:
		s.keep(got)
		return got, nil
	case s.flags.offline == offlineAuto && s.cache.Dir != "" && errors.Is(err, client.ErrUnreachable):
		kept, missing := s.load(s.key.Server + " cannot be reached")
		if missing == nil {
			return kept, nil
		}
		if !errors.Is(missing, fault.NotFound) {
			s.app.warn("%s", reportOf(missing).message)
		}
	case errors.Is(err, client.Unauthenticated), errors.Is(err, client.Denied), errors.Is(err, client.NotFound), errors.Is(err, fault.NotFound):
		s.keep(runner.Snapshot{}) // who may not read any more keeps no copy either
	}
	return runner.Snapshot{}, err
}

// load opens the copy and tells how old it is, since whoever reads the logs of the program must know.
func (s *runSource) load(why string) (runner.Snapshot, error) {
	now := time.Now()
	got, err := s.cache.Load(s.key, s.token, now.UnixMilli())
	if err != nil {
		return got, err
	}
	fetched := time.UnixMilli(got.FetchedMS)
	s.app.warn("%s: using the copy of revision %s, fetched %s ago (%s; the server allows %s)",
		why, got.Revision, max(0, now.Sub(fetched)).Round(time.Second), when(fetched), got.MaxAge)
	return got, nil
}

// keep seals a copy, or removes it when the server allows none. A copy that fails does not keep the program from running.
func (s *runSource) keep(got runner.Snapshot) {
	if s.flags.offline == offlineNever || s.cache.Dir == "" {
		return
	}
	if err := s.cache.Save(s.key, s.token, got); err != nil {
		s.app.warn("no offline copy is kept: %s", reportOf(err).message)
	}
}

// fetch asks the server: one list for each path. With several paths and --only the names are asked for first, so that no
// value is revealed that another path overrides.
func (s *runSource) fetch(ctx context.Context) (runner.Snapshot, error) {
	only := make([][]string, len(s.paths))
	for i := range only {
		only[i] = s.flags.only
	}
	if len(s.paths) > 1 && len(s.flags.only) > 0 {
		var err error
		if only, err = s.winners(ctx); err != nil {
			return runner.Snapshot{}, err
		}
	}
	m := merged{app: s.app, from: map[string]string{}}
	revision := int64(0)
	for i, path := range s.paths {
		if len(s.flags.only) > 0 && len(only[i]) == 0 {
			continue
		}
		place := s.place
		place.Path = path
		list, err := s.client.List(ctx, place, client.ListOptions{Reveal: true, Imports: true, Personal: s.flags.personal, Only: only[i]})
		if err != nil {
			return runner.Snapshot{}, missingName(err, only[i])
		}
		if err := m.add(path, list.Secrets); err != nil {
			return runner.Snapshot{}, err
		}
		if i == 0 || revision == 0 {
			revision = list.Revision // of the first answer: a commit in between is then seen as new
		}
	}
	return runner.Snapshot{
		Vars: m.vars, Revision: strconv.FormatInt(revision, 10), FetchedMS: time.Now().UnixMilli(), MaxAge: s.age.get(), Source: s.key.Server,
	}, nil
}

// winners tells for each path which of the wanted names are taken from it: the last path that has a name.
func (s *runSource) winners(ctx context.Context) ([][]string, error) {
	last := map[string]int{}
	for i, path := range s.paths {
		place := s.place
		place.Path = path
		list, err := s.client.List(ctx, place, client.ListOptions{Imports: true})
		if err != nil {
			return nil, err
		}
		for _, secret := range list.Secrets {
			last[secret.Name] = i
		}
	}
	out := make([][]string, len(s.paths))
	for _, name := range s.flags.only {
		i, found := last[name]
		if !found {
			return nil, fault.New(fault.NotFound, "no secret %s in any of the paths, or no right to see it", name)
		}
		if !slices.Contains(out[i], name) {
			out[i] = append(out[i], name)
		}
	}
	return out, nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/migrate"
	"github.com/keyturn/keyturn/internal/term"
)

// Bounds of one commit of a migration. The server takes ten times as many changes and four times as many bytes; smaller ones
// keep others from waiting, and an interrupted run loses little.
const (
	maxBatch      = 2000
	maxBatchBytes = 12 << 20
	// maxHistory is how many commits a history is written as, one for each time and author of the source. A longer one is
	// written in larger steps, so that ten thousand documents do not become ten thousand commits.
	maxHistory = 500
)

// apply makes what is missing: projects and environments, then values, then what folders import, then references. Values come
// first everywhere, since an import or a reference must find what it points to.
func (m *migration) apply(ctx context.Context) error {
	for _, p := range m.projects {
		if err := m.makeProject(ctx, p); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, *movedEnv) error{m.writeValues, m.writeImports, m.writeReferences} {
		for _, p := range m.projects {
			for _, e := range p.envs {
				if err := step(ctx, e); err != nil {
					return explainWaiting(err, e)
				}
			}
		}
	}
	return m.makeMounts(ctx)
}

// explainWaiting says what to do where a rule of approval keeps the commits.
func explainWaiting(err error, e *movedEnv) error {
	if w, ok := errors.AsType[*client.Waiting](err); ok {
		return fmt.Errorf("%s of %s wants approval: nothing more is written until it is given, then run this again: %w", e.plan.Slug, e.project.plan.Slug, w)
	}
	return err
}

// makeProject makes a project, or the environments that it lacks, with the ids that they have at the source.
func (m *migration) makeProject(ctx context.Context, p *movedProject) error {
	if p.here == nil {
		r := api.ProjectRequest{Slug: p.plan.Slug, Name: p.plan.Name, ID: p.plan.ID, EnvIDs: map[string]string{}}
		for _, e := range p.plan.Envs {
			r.Envs = append(r.Envs, e.Slug)
			if e.ID != "" {
				r.EnvIDs[e.Slug] = e.ID
			}
		}
		made, err := m.client.CreateProject(ctx, r)
		if errors.Is(err, client.Exists) && (r.ID != "" || len(r.EnvIDs) > 0) {
			m.warn(fmt.Sprintf("the ids of project %s were used here before: it gets new ones, and applications that carry them must be told", r.Slug))
			r.ID, r.EnvIDs = "", nil
			made, err = m.client.CreateProject(ctx, r)
		}
		if err != nil {
			return err
		}
		p.here = &made
		if err := m.nameEnvs(ctx, p); err != nil {
			return err
		}
	}
	for _, e := range p.envs {
		if slices.ContainsFunc(p.here.Envs, func(x api.Env) bool { return x.Slug == e.plan.Slug }) {
			continue
		}
		r := api.EnvRequest{Slug: e.plan.Slug, Name: e.plan.Name, ID: e.plan.ID}
		made, err := m.client.CreateEnv(ctx, p.here.ID, r)
		if errors.Is(err, client.Exists) && r.ID != "" {
			m.warn(fmt.Sprintf("the id of environment %s of %s was used here before: it gets a new one", r.Slug, p.plan.Slug))
			r.ID = ""
			made, err = m.client.CreateEnv(ctx, p.here.ID, r)
		}
		if err != nil {
			return err
		}
		p.here.Envs = append(p.here.Envs, made)
	}
	return nil
}

// nameEnvs gives the environments of a new project the names that they have at the source.
func (m *migration) nameEnvs(ctx context.Context, p *movedProject) error {
	for _, e := range p.plan.Envs {
		if e.Name == "" || e.Name == e.Slug {
			continue
		}
		if _, err := m.client.RenameEnv(ctx, client.Place{Project: p.here.ID, Env: e.Slug}, api.RenameRequest{Name: e.Name}); err != nil {
			return err
		}
	}
	return nil
}

// batch is a commit to be.
type batch struct {
	first, last time.Time
	author      string
	mixed       bool // of several authors or times
	changes     []api.Change
	keys        map[migrate.Key]bool
	bytes       int
}

// writeValues writes the states that are missing, oldest first.
func (m *migration) writeValues(ctx context.Context, e *movedEnv) error {
	var folders []api.Change
	filled := e.filled()
	for _, path := range e.missingFolders() {
		if !filled[path] {
			folders = append(folders, api.Change{Op: "folder.create", Path: path})
		}
	}
	batches := e.batches()
	p := term.NewProgress(m.app.err, "writing "+e.project.plan.Slug+"/"+e.plan.Slug)
	defer p.Done()
	for i, b := range batches {
		if err := m.commit(ctx, e, m.message(b), b.changes); err != nil {
			return err
		}
		p.Update(int64(i+1), int64(len(batches)))
	}
	for chunk := range slices.Chunk(e.closing(batches), maxBatch) {
		if err := m.commit(ctx, e, "deleted at "+m.plan.Source, chunk); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(folders, maxBatch) {
		if err := m.commit(ctx, e, "folders moved from "+m.plan.Source, chunk); err != nil {
			return err
		}
	}
	return nil
}

// closing deletes the folders that are deleted at the source, as far as this run wrote their history and nothing lives in them or
// below them.
func (e *movedEnv) closing(batches []*batch) []api.Change {
	alive := map[string]bool{}
	mark := func(path string) {
		for ; path != "" && !alive[path]; path = path[:strings.LastIndexByte(path, '/')] {
			alive[path] = true
		}
	}
	for _, s := range e.plan.Now() {
		mark(s.Path)
	}
	for _, f := range e.plan.Folders {
		mark(f.Path)
	}
	for path := range e.folders { // made here by somebody
		if path != "/" && !slices.Contains(e.plan.Closed, path) {
			mark(path)
		}
	}
	for path := range e.occupied { // somebody's secrets live there
		mark(path)
	}
	written := map[string]bool{}
	for _, b := range batches {
		for k := range b.keys {
			written[k.Path] = true
		}
	}
	var out []api.Change
	for _, path := range e.plan.Closed {
		below := slices.ContainsFunc(out, func(c api.Change) bool { return strings.HasPrefix(path, c.Path+"/") })
		if written[path] && !alive[path] && path != "/" && !below {
			out = append(out, api.Change{Op: "folder.delete", Path: path})
		}
	}
	return out
}

// filled tells which folders come with the secrets in them or below them.
func (e *movedEnv) filled() map[string]bool {
	out := map[string]bool{}
	for _, st := range e.plan.Steps {
		for _, s := range st.Sets {
			for path := s.Path; path != "" && !out[path]; path = path[:strings.LastIndexByte(path, '/')] {
				out[path] = true
			}
		}
	}
	return out
}

func (m *migration) commit(ctx context.Context, e *movedEnv, message string, changes []api.Change) error {
	did, err := m.client.Commit(ctx, e.place(), api.CommitRequest{Message: message, Cause: causeMigration, Changes: changes})
	if err != nil {
		return nameChanges(err, changes)
	}
	if did.ID != "" {
		e.commits++
	}
	return nil
}

// message says where a commit comes from, with the time and the author that the source gives.
func (m *migration) message(b *batch) string {
	text := "moved from " + m.plan.Source
	if b.author != "" && !b.mixed {
		text = "by " + b.author + ", " + text
	}
	switch at := b.last.UTC().Format(time.RFC3339); {
	case b.last.IsZero():
	case b.first.Equal(b.last):
		text = at + " " + text
	default:
		text = b.first.UTC().Format(time.RFC3339) + " to " + at + " " + text
	}
	return text
}

// batches groups the missing states into commits.
func (e *movedEnv) batches() []*batch {
	type moved struct {
		at     time.Time
		author string
		sets   []migrate.Secret
		gone   []migrate.Key
	}
	seen := map[migrate.Key]int{}
	var steps []moved
	for _, st := range e.plan.Steps {
		now := moved{at: st.At, author: st.Author}
		for _, s := range st.Sets {
			seen[s.Key]++
			if seen[s.Key] > e.from[s.Key] {
				now.sets = append(now.sets, s)
			}
		}
		for _, k := range st.Gone {
			if !e.keeps[k] && seen[k] >= e.from[k] {
				now.gone = append(now.gone, k)
			}
		}
		if len(now.sets)+len(now.gone) > 0 {
			steps = append(steps, now)
		}
	}
	fine := len(steps) <= maxHistory
	var out []*batch
	var b *batch
	for _, st := range steps {
		for len(st.sets)+len(st.gone) > 0 {
			joins := b != nil && len(b.changes) < maxBatch && b.bytes < maxBatchBytes && (!fine || b.author == st.author && b.last.Equal(st.at))
			for _, s := range st.sets {
				joins = joins && !b.keys[s.Key]
			}
			for _, k := range st.gone {
				joins = joins && !b.keys[k]
			}
			if !joins {
				b = &batch{first: st.at, author: st.author, keys: map[migrate.Key]bool{}}
				out = append(out, b)
			}
			b.mixed = b.mixed || b.author != st.author
			b.last = st.at
			for len(st.sets) > 0 && len(b.changes) < maxBatch && b.bytes < maxBatchBytes {
				s := st.sets[0]
				st.sets = st.sets[1:]
				b.keys[s.Key] = true
				b.bytes += s.Value.Len() + len(s.Comment)
				b.changes = append(b.changes, setChange(&s))
			}
			for len(st.sets) == 0 && len(st.gone) > 0 && len(b.changes) < maxBatch {
				k := st.gone[0]
				st.gone = st.gone[1:]
				b.keys[k] = true
				b.changes = append(b.changes, api.Change{Op: "delete", Path: k.Path, Name: k.Name})
			}
		}
	}
	return out
}

// setChange writes a state. References are text at first: what they point to may come later.
func setChange(s *migrate.Secret) api.Change {
	v := api.NewValue(s.Value.Reveal())
	c := api.Change{Op: "set", Path: s.Path, Name: s.Name, Value: &v.Value, Encoding: v.Encoding, Comment: &s.Comment}
	tags, meta := s.Tags, s.Meta
	if tags == nil {
		tags = []string{}
	}
	if meta == nil {
		meta = map[string]string{}
	}
	c.Tags, c.Metadata = &tags, &meta
	if s.RotateEvery != "" {
		c.RotateEvery = &s.RotateEvery
	}
	literal := s.Literal || pointing(s)
	c.Literal = &literal
	if s.JSON {
		c.JSON = &s.JSON
	}
	return c
}

// pointing tells whether a state shall have references that are filled in.
func pointing(s *migrate.Secret) bool {
	text := string(s.Value.Reveal())
	return !s.Literal && strings.Contains(text, "${") && (len(domain.References(text)) > 0 || strings.Contains(text, "$${"))
}

func importChanges(e *migrate.Env) []api.Change {
	var out []api.Change
	for _, f := range e.Folders {
		if len(f.Imports) == 0 {
			continue
		}
		c := api.Change{Op: "folder.imports", Path: f.Path}
		for _, im := range f.Imports {
			c.Imports = append(c.Imports, api.Place{Project: im.Project, Env: im.Env, Path: im.Path})
		}
		out = append(out, c)
	}
	return out
}

// writeImports makes folders show what they show at the source.
func (m *migration) writeImports(ctx context.Context, e *movedEnv) error {
	if !e.pendingImports {
		return nil
	}
	return m.try(ctx, e, "imports moved from "+m.plan.Source, importChanges(e.plan), "what it imports is left out")
}

// writeReferences turns text into references, now that everything is here.
func (m *migration) writeReferences(ctx context.Context, e *movedEnv) error {
	pointers := map[migrate.Key]bool{}
	now := e.plan.Now()
	for i := range now {
		if pointing(&now[i]) && !e.keeps[now[i].Key] {
			pointers[now[i].Key] = true
		}
	}
	if len(pointers) == 0 {
		return nil
	}
	list, err := m.client.List(ctx, e.place(), client.ListOptions{Recursive: true})
	if err != nil {
		return err
	}
	no := false
	var changes []api.Change
	for _, s := range list.Secrets {
		if s.From == "" && s.Literal && pointers[migrate.Key{Path: s.Path, Name: s.Name}] {
			changes = append(changes, api.Change{Op: "set", Path: s.Path, Name: s.Name, Literal: &no})
		}
	}
	for chunk := range slices.Chunk(changes, maxBatch) {
		if err := m.try(ctx, e, "references moved from "+m.plan.Source, chunk, "its references stay as text"); err != nil {
			return err
		}
	}
	return nil
}

// try commits changes; where one of them is refused, the others are made all the same and that one is told.
func (m *migration) try(ctx context.Context, e *movedEnv, message string, changes []api.Change, otherwise string) error {
	err := m.commit(ctx, e, message, changes)
	if err == nil || !errors.Is(err, client.Invalid) && !errors.Is(err, client.NotFound) && !errors.Is(err, client.Conflict) {
		return err
	}
	if len(changes) == 1 {
		m.warn(fmt.Sprintf("%s of %s/%s: %s (%v)", keyOf(changes[0].Path, changes[0].Name), e.project.plan.Slug, e.plan.Slug, otherwise, err))
		return nil
	}
	half := len(changes) / 2
	if err := m.try(ctx, e, message, changes[:half], otherwise); err != nil {
		return err
	}
	return m.try(ctx, e, message, changes[half:], otherwise)
}

package alert

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/follow"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// maxKnown bounds what is remembered in memory of what was seen; the rest is asked for.
	maxKnown = 100_000
	// maxMarked bounds the environments whose marked secrets are remembered.
	maxMarked = 256
	// perQuestion bounds one question to the database.
	perQuestion = 256
)

// breakGlassTag marks secrets that are for emergencies: who reads one is asked why.
const breakGlassTag = domain.Tag("break-glass")

// knowledge is what the rules ask about the world. It belongs to the goroutine of the follower.
type knowledge struct {
	db     *store.DB
	seen   map[string]bool // ids that are known
	news   []string        // of them, those that are not stored yet
	marks  map[domain.EnvID]marks
	places map[string]string // environments to their slugs
}

// marks are the marked secrets of an environment as of a revision.
type marks struct {
	revision int64
	keys     map[string]bool
}

func newKnowledge(db *store.DB) *knowledge {
	return &knowledge{db: db, seen: map[string]bool{}, marks: map[domain.EnvID]marks{}, places: map[string]string{}}
}

// short makes an id of bounded length of any text.
func short(text string) string {
	kind, _, _ := strings.Cut(text, " ")
	sum := sha256.Sum256([]byte(text))
	return kind + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// fresh implements memory.
func (k *knowledge) fresh(ctx context.Context, texts ...string) (map[string]bool, error) {
	if len(k.seen) > maxKnown {
		clear(k.seen)
		for _, id := range k.news {
			k.seen[id] = true
		}
	}
	var ask []string
	for _, t := range texts {
		if id := short(t); !k.seen[id] {
			ask = append(ask, id)
		}
	}
	stored := map[string]bool{}
	for part := range slices.Chunk(ask, perQuestion) {
		known, err := k.db.AlertKnown(ctx, part...)
		if err != nil {
			return nil, err
		}
		for id := range known {
			stored[id], k.seen[id] = true, true
		}
	}
	out := map[string]bool{}
	for _, t := range texts {
		if id := short(t); !k.seen[id] {
			out[t], k.seen[id] = true, true
			k.news = append(k.news, id)
		}
	}
	return out, nil
}

// marked implements memory.
func (k *knowledge) marked(ctx context.Context, e *follow.Entry) ([]string, error) {
	if e.Env == "" {
		return nil, nil
	}
	env := domain.EnvID(e.Env)
	m, ok := k.marks[env]
	if !ok || m.revision < e.Revision {
		row, err := k.db.Environment(ctx, env)
		if missing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		places, err := k.db.Places(ctx, env)
		if err != nil {
			return nil, err
		}
		m = marks{row.Revision, map[string]bool{}}
		for _, p := range places {
			if slices.Contains(p.Tags, breakGlassTag) {
				m.keys[p.Path.Key(p.Name)] = true
			}
		}
		if len(k.marks) >= maxMarked {
			clear(k.marks)
		}
		k.marks[env] = m
	}
	if len(m.keys) == 0 {
		return nil, nil
	}
	var out []string
	for _, key := range e.Keys {
		if m.keys[key] {
			out = append(out, key)
		}
	}
	return out, nil
}

// envName implements memory.
func (k *knowledge) envName(ctx context.Context, id string) (string, error) {
	if name, ok := k.places[id]; ok {
		return name, nil
	}
	row, err := k.db.Environment(ctx, domain.EnvID(id))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	if len(k.places) >= maxMarked {
		clear(k.places)
	}
	k.places[id] = string(row.Slug)
	return string(row.Slug), nil
}

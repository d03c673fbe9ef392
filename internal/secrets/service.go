// Package secrets holds the rules of projects, environments, folders and secrets: commits, history, references, imports,
// roll back, due dates. It is the one place where values are sealed and opened, always behind the door.
package secrets

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/sensitive"
	"github.com/keyturn/keyturn/internal/store"
)

// Service answers for everything that holds secrets.
type Service struct {
	db    *store.DB
	door  *guard.Door
	keys  *keys.Service
	ring  *keyring.Ring
	dir   *directory
	cache *cache
	// heard is the number of the last change of secrets or projects that this server made or heard of, anywhere.
	heard    atomic.Int64
	watching watchers
	looks    recollection
	people   People
	// onDamage hears of each envelope that does not open in its place; nil: nobody asks.
	onDamage func(record, field string)
	// onShow hears of each value that is about to be shown; nil: nobody asks.
	onShow func(p guard.Permit, id domain.SecretID)
}

// New builds the service. cacheBytes bounds the memory for sealed values that are kept at hand.
func New(db *store.DB, door *guard.Door, k *keys.Service, cacheBytes int64) *Service {
	s := &Service{db: db, door: door, keys: k, ring: k.Ring(), dir: newDirectory(db, k), cache: newCache(db, cacheBytes),
		watching: watchers{all: map[chan store.Feed]domain.EnvID{}, tails: map[*Tail]bool{}}}
	// Until the first commit is heard of, tags are those of this start alone: what happened before it is not known.
	s.heard.Store(-time.Now().UnixNano())
	db.Hear(s.Hear)
	k.Hold(s)
	return s
}

// OnDamage sets who hears of envelopes that do not open in their place. Call it before the service is used.
func (s *Service) OnDamage(hear func(record, field string)) { s.onDamage = hear }

// OnShow sets who hears of each value that is about to be shown or copied, before the record is written: he may add to that.
// It stands on the path of every read, so it must be quick and ask nobody. Call it before the service is used.
func (s *Service) OnShow(hear func(p guard.Permit, id domain.SecretID)) { s.onShow = hear }

// EnvRef names an environment the way callers write it: slug or id for both.
type EnvRef struct{ Project, Env string }

// place is an environment that was found.
type place struct {
	project store.Project
	env     store.Environment
}

func (p place) resource(path domain.Path) policy.Resource {
	return policy.Resource{Org: p.project.Org, Project: p.project.ID, Env: p.env.ID, EnvSlug: p.env.Slug, Path: path}
}

// secret names one secret in a question to the door: rules may be about names and tags.
func (p place) secret(path domain.Path, name domain.SecretName, tags []domain.Tag) policy.Resource {
	r := p.resource(path)
	r.Name, r.Tags = name, tags
	return r
}

// row does the same for a state that was found.
func (p place) row(path domain.Path, row *store.Secret) policy.Resource {
	return p.secret(path, row.Name, row.Attrs.Tags)
}

// asked names a secret that somebody wrote. Where rules look at tags, those of the secret that is there now count.
func (s *Service) asked(ctx context.Context, pl place, path domain.Path, name domain.SecretName) policy.Resource {
	if !policy.AsksTags(guard.CallerOf(ctx).Principal) {
		return pl.secret(path, name, nil)
	}
	_, _, row, err := s.visible(ctx, pl, path, name, nil, nil)
	if err != nil {
		return pl.secret(path, name, nil) // whatever is wrong, the work itself meets it again
	}
	return pl.secret(path, name, row.Attrs.Tags)
}

func (p place) String() string { return string(p.project.Slug) + "/" + string(p.env.Slug) }

// where finds the environment, or records the miss and hides it.
func (s *Service) where(ctx context.Context, action policy.Action, ref EnvRef) (place, error) {
	pl, err := s.dir.find(ctx, guard.CallerOf(ctx).Principal.Org, ref)
	if err != nil {
		return place{}, s.door.Miss(ctx, guard.Op{Action: action, Detail: map[string]string{"project": clip(ref.Project), "env": clip(ref.Env)}}, err)
	}
	return pl, nil
}

// clip gives what somebody typed as the log may keep it.
func clip(s string) string { return domain.RecordedName(s) }

// Field names in associated data. They never change: a changed name makes what was sealed under it unreadable.
const (
	fieldValue    = "secret.value"
	fieldComment  = "secret.comment"
	fieldPersonal = "personal.value"
)

func valuePlace(row *store.Secret) keyring.Place {
	return keyring.Place{Project: string(row.Project), Record: string(row.ID), Field: fieldValue, Version: row.Version}
}

func commentPlace(row *store.Secret) keyring.Place {
	return keyring.Place{Project: string(row.Project), Record: string(row.ID), Field: fieldComment, Version: row.Attrs.CommentRev}
}

// open opens the value of a state. The permit is proof that somebody asked at the door.
func (s *Service) open(p guard.Permit, row *store.Secret) (sensitive.Value, error) {
	if !p.Valid() {
		return sensitive.Value{}, fault.New(fault.Denied, "no permit")
	}
	if row.Value == nil {
		return sensitive.Value{}, fault.New(fault.NotFound, "version %d of %s was purged", row.Version, row.Name)
	}
	v, err := s.ring.Open(valuePlace(row), row.Value)
	if err != nil {
		v, err = s.openAnew(valuePlace(row), row, func(fresh *store.Secret) []byte { return fresh.Value }, err)
	}
	if err != nil {
		return v, fmt.Errorf("open version %d of %s: %w", row.Version, row.Name, err)
	}
	return v, nil
}

// show opens a value for whoever asked.
func (s *Service) show(p guard.Permit, row *store.Secret) (sensitive.Value, error) {
	s.shown(p, row.ID)
	return s.open(p, row)
}

func (s *Service) shown(p guard.Permit, id domain.SecretID) {
	if s.onShow != nil {
		s.onShow(p, id)
	}
}

func (s *Service) openComment(p guard.Permit, row *store.Secret) (sensitive.Value, error) {
	if len(row.Comment) == 0 || !p.Valid() {
		return sensitive.Value{}, nil
	}
	v, err := s.ring.Open(commentPlace(row), row.Comment)
	if err != nil {
		v, err = s.openAnew(commentPlace(row), row, func(fresh *store.Secret) []byte { return fresh.Comment }, err)
	}
	if err != nil {
		return v, fmt.Errorf("open the comment of %s: %w", row.Name, err)
	}
	return v, nil
}

// Hear takes in what this server and others did.
func (s *Service) Hear(f store.Feed) {
	switch f.Kind {
	case store.FeedCommit:
		s.cache.advance(context.Background(), f.Env, f.Revision)
		s.watching.tell(f)
	case store.FeedPersonal: // nothing of it is kept in memory
	case store.FeedProject:
		s.dir.forget()
		s.cache.drop(f.Env)
	case store.FeedLost: // too much was missed: nothing that is kept can be trusted
		s.dir.forget()
		s.cache.clear()
		s.tellAll()
	default:
		return
	}
	for {
		was := s.heard.Load()
		if was >= f.Seq || s.heard.CompareAndSwap(was, f.Seq) {
			return
		}
	}
}

// Package transit is the encryption service: named keys with versions that encrypt, sign and authenticate for others and never
// leave the server, unless a key says that it may. It is one service for all dialects, so that what was encrypted through one
// opens through another. Ciphertexts and signatures name the version of the key that made them.
package transit

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

const (
	// making bounds how many keys are made at once: a pair of RSA keys takes a core for seconds.
	making = 2
	// rotateEvery is how often the service looks for keys whose time to rotate has come; the shortest period is an hour.
	rotateEvery = time.Minute
	// rotateBatch bounds how many keys one look rotates.
	rotateBatch = 100
	// fieldKey binds an envelope to the table of key versions. Package backup knows it by the same word. It never changes.
	fieldKey = "transit.key"
)

// ErrNoKey is in the error of an operation whose key is not there, told only to those who may do the operation.
var ErrNoKey = errors.New("no such transit key")

// Places finds live projects of the caller's organisation by slug or id.
type Places interface {
	Place(ctx context.Context, project string) (domain.ProjectID, map[domain.Slug]domain.EnvID, error)
}

// Service answers for keys and what they do.
type Service struct {
	db     *store.DB
	door   *guard.Door
	keys   *keys.Service
	ring   *keyring.Ring
	places Places
	held   *held
	making chan struct{}
}

// New builds the service. It takes part in turns of keys from now on, so it must be made before these run.
func New(db *store.DB, door *guard.Door, k *keys.Service, places Places) *Service {
	s := &Service{db: db, door: door, keys: k, ring: k.Ring(), places: places, held: newHeld(), making: make(chan struct{}, making)}
	db.Hear(s.hear)
	k.Hold(s)
	return s
}

// Ref names a key: by its name in a place, or by its id alone.
type Ref struct {
	Project string // slug or id; empty for keys of the organisation itself
	Name    string
	ID      string // when it is set, the others are not looked at
}

// spot is where a key lies or would lie.
type spot struct {
	org     domain.OrgID
	project domain.ProjectID
	name    string
}

func (at spot) op(action policy.Action, what string) guard.Op {
	op := guard.Op{Action: action, Resource: policy.Resource{Org: at.org, Project: at.project, Name: domain.SecretName(at.name)}, Detail: map[string]string{}}
	if at.name != "" {
		op.Detail["key"] = domain.RecordedName(at.name)
	}
	if what != "" {
		op.Detail["what"] = what
	}
	return op
}

// where finds the place of a key, or records the miss and hides it. Whether the key is there is not asked, unless it is named by
// id.
func (s *Service) where(ctx context.Context, action policy.Action, ref Ref) (spot, error) {
	at := spot{org: guard.CallerOf(ctx).Principal.Org, name: ref.Name}
	project := ref.Project
	if ref.ID == "" && ref.Name != "" {
		if _, err := ParseName(ref.Name); err != nil {
			return at, err
		}
	}
	if ref.ID != "" {
		row, err := s.byID(ctx, at.org, ref.ID)
		if err != nil {
			return at, s.door.Miss(ctx, guard.Op{Action: action, Resource: policy.Resource{Org: at.org}, Detail: map[string]string{"key_id": domain.RecordedName(ref.ID)}}, err)
		}
		at.name, project = row.Name, string(row.Project)
	}
	if project == "" {
		return at, nil
	}
	id, _, err := s.places.Place(ctx, project)
	if err != nil {
		return at, s.door.Miss(ctx, guard.Op{Action: action, Resource: policy.Resource{Org: at.org}, Detail: map[string]string{"project": domain.RecordedName(project)}}, err)
	}
	at.project = id
	return at, nil
}

// byID finds a key of an organisation.
func (s *Service) byID(ctx context.Context, org domain.OrgID, id string) (store.TransitKey, error) {
	if k := s.held.byID(id); k != nil && k.row.Org == org {
		return k.row, nil
	}
	if !domain.IsID(id) {
		return store.TransitKey{}, fault.New(fault.NotFound, "no such key")
	}
	row, err := s.db.TransitKey(ctx, id)
	if err == nil && row.Org != org {
		err = fault.New(fault.NotFound, "no such key")
	}
	return row, err
}

// use lets somebody use a key: decided, loaded, done and recorded, with one entry.
func (s *Service) use(ctx context.Context, action policy.Action, ref Ref, what string, work func(guard.Permit, *key) error) error {
	at, err := s.where(ctx, action, ref)
	if err != nil {
		return err
	}
	return s.door.Read(ctx, at.op(action, what), func(p guard.Permit) error {
		k, err := s.load(ctx, at)
		if err != nil {
			return err
		}
		if k.row.Disabled && action != policy.TransitRead {
			return fault.New(fault.Conflict, "the key is disabled")
		}
		p.Note("key_id", k.row.ID)
		return work(p, k)
	})
}

// load gives a key as it is now. One that is not there is [fault.NotFound] with [ErrNoKey].
func (s *Service) load(ctx context.Context, at spot) (*key, error) {
	if k := s.held.byName(at); k != nil {
		return k, nil
	}
	return s.reload(ctx, at)
}

// reload reads a key from the database.
func (s *Service) reload(ctx context.Context, at spot) (*key, error) {
	generation := s.held.now()
	row, err := s.db.TransitKeyByName(ctx, at.org, at.project, at.name)
	if err != nil {
		return nil, missing(err)
	}
	versions, err := s.db.TransitVersions(ctx, row.ID)
	if err != nil {
		return nil, err
	}
	k := &key{row: row, versions: make(map[int64]*version, len(versions))}
	for i := range versions {
		k.versions[versions[i].Version] = &version{row: versions[i], kind: Kind(row.Kind)}
		k.size += int64(len(versions[i].Value) + rowSize)
	}
	s.held.keep(at, k, generation)
	return k, nil
}

// missing says in our words that a key is not there.
func missing(err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return fault.Wrap(fault.NotFound, ErrNoKey, "no such key")
	}
	return err
}

// hear forgets what others or this server changed.
func (s *Service) hear(f store.Feed) {
	switch f.Kind {
	case store.FeedTransit:
		s.held.forget(f.Project)
	case store.FeedProject, store.FeedLost:
		s.held.clear()
	}
}

// changed tells all servers that keys of a place are not what they were.
func changed(ctx context.Context, tx *store.Tx, project domain.ProjectID) error {
	return tx.Announce(ctx, store.Feed{Kind: store.FeedTransit, Project: project})
}

// Run rotates keys whose time has come, until the context ends.
func (s *Service) Run(ctx context.Context) {
	every := time.NewTicker(rotateEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if err := s.rotateDue(ctx, time.Now().UnixMilli()); err != nil && ctx.Err() == nil {
				slog.Warn("keys of the encryption service could not be rotated", "error", err)
			}
		}
	}
}

// InNamespace gives the project that a namespace of the Vault dialect means: none for the organisation itself, whose slug may
// stand in front.
func (s *Service) InNamespace(ctx context.Context, namespace string) (project string, err error) {
	namespace = strings.Trim(namespace, "/")
	if namespace == "" {
		return "", nil
	}
	org, err := s.db.Org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return "", err
	}
	first, rest, _ := strings.Cut(namespace, "/")
	if first == string(org.Slug) {
		return rest, nil
	}
	return namespace, nil
}

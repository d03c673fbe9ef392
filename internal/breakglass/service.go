// Package breakglass keeps credentials for emergencies: prepared in quiet times, opened by k of n custodians, loud at every
// step, over after a time. Each is good for one opening. What was read in it must be replaced, and a report says what it was.
package breakglass

import (
	"context"
	"slices"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Bounds.
const (
	minTTL        = time.Second // shorter is a mistake
	maxTTL        = 24 * time.Hour
	sharesWithin  = time.Hour // custodians are called by telephone, at night
	minNeed       = 2         // one alone never opens it
	maxCustodians = 20
	maxReason     = 1000 // bytes
)

// States of a preparation and of an opening.
const (
	ready    = "ready"
	used     = "used"
	replaced = "replaced"

	begun  = "begun"
	open   = "open"
	closed = "closed"
	lapsed = "lapsed"
)

// Places finds projects and environments by name.
type Places interface {
	Place(ctx context.Context, project string) (domain.ProjectID, map[domain.Slug]domain.EnvID, error)
}

// Log tells what was done in an opening.
type Log interface {
	Acts(ctx context.Context, from int64, opening string) ([]api.BreakGlassAct, error)
}

// Service prepares, opens and closes.
type Service struct {
	db     *store.DB
	door   *guard.Door
	places Places
	log    Log
}

// New builds the service.
func New(db *store.DB, door *guard.Door, places Places, log Log) *Service {
	return &Service{db, door, places, log}
}

func resource(b *store.BreakGlass) policy.Resource {
	return policy.Resource{Org: b.Org, Project: b.Project, Env: b.Env}
}

func grantOf(b *store.BreakGlass) domain.Grant {
	return domain.Grant{Project: b.Project, Env: b.Env, Role: b.Role}
}

// Prepare makes a credential with a share for each custodian. An earlier one of the same name is good for nothing then.
func (s *Service) Prepare(ctx context.Context, in api.BreakGlassRequest, ttl time.Duration) (api.BreakGlassMade, error) {
	who := guard.CallerOf(ctx).Principal
	row := store.BreakGlass{ID: domain.NewID[string](), Org: who.Org, TTL: ttl.Milliseconds(), Need: in.Need, State: ready, CreatedID: who.ID, CreatedName: who.Name}
	if err := s.fill(ctx, in, ttl, &row); err != nil {
		return api.BreakGlassMade{}, err
	}
	var out api.BreakGlassMade
	op := guard.Op{Action: policy.BreakPrepare, Resource: resource(&row), Detail: map[string]string{"name": string(row.Name), "role": string(row.Role), "for": ttl.String()}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if !policy.CanGrant(p.Principal(), grantOf(&row)) {
			return fault.New(fault.Denied, "nobody can prepare what he cannot grant")
		}
		before, err := tx.BreakGlassNamed(ctx, row.Org, row.Name)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err == nil {
			if err := s.replace(ctx, tx, p, &before); err != nil {
				return err
			}
		}
		row.CreatedAt = tx.Now()
		shares, err := custodians(ctx, tx, &row, in.Custodians)
		if err != nil {
			return err
		}
		if err := tx.PutBreakGlass(ctx, &row); err != nil {
			return err
		}
		for i := range shares {
			token := domain.NewToken(domain.CustodyShare)
			hash := domain.TokenHash(string(token.Reveal()))
			shares[i].Hash = hash[:]
			out.Shares = append(out.Shares, api.BreakGlassShare{Custodian: shares[i].UserName, Share: string(token.Reveal())})
			if err := tx.PutBreakGlassShares(ctx, &shares[i]); err != nil {
				return err
			}
		}
		out.BreakGlass, err = s.show(ctx, tx.Queries, &row, tx.Now())
		return err
	})
	if err != nil {
		return api.BreakGlassMade{}, err
	}
	return out, nil
}

func (s *Service) fill(ctx context.Context, in api.BreakGlassRequest, ttl time.Duration, row *store.BreakGlass) error {
	var err error
	if row.Name, err = domain.ParseSlug(in.Name); err != nil {
		return err
	}
	if row.Role, err = domain.ParseRole(in.Role); err != nil {
		return err
	}
	switch {
	case row.Role == domain.None:
		return fault.New(fault.Invalid, "a credential that may do nothing helps nobody").WithField("/role", "want admin, developer or viewer")
	case ttl < minTTL || ttl > maxTTL:
		return fault.New(fault.Invalid, "an opening lasts between %v and %v", minTTL, maxTTL).WithField("/for", "out of range")
	case in.Need < minNeed || in.Need > int64(len(in.Custodians)):
		return fault.New(fault.Invalid, "it takes at least %d custodians, and no more than there are", minNeed).WithField("/need", "out of range")
	case len(in.Custodians) > maxCustodians:
		return fault.New(fault.Invalid, "too many custodians: at most %d", maxCustodians).WithField("/custodians", "too many")
	case in.Project == "" && in.Env != "":
		return fault.New(fault.Invalid, "an environment needs its project").WithField("/project", "missing")
	}
	if in.Project == "" {
		return nil
	}
	id, envs, err := s.places.Place(ctx, in.Project)
	if err == nil && in.Env != "" {
		if row.Env = envs[domain.Slug(in.Env)]; row.Env == "" {
			err = fault.New(fault.NotFound, "no such environment")
		}
	}
	if row.Project = id; err != nil {
		return s.door.Miss(ctx, guard.Op{Action: policy.BreakPrepare, Detail: map[string]string{"project": domain.RecordedName(in.Project)}}, err)
	}
	return nil
}

// replace makes an earlier preparation useless. One that is open must be closed first, so that its report is filed.
func (s *Service) replace(ctx context.Context, tx *store.Tx, p guard.Permit, b *store.BreakGlass) error {
	if !policy.CanGrant(p.Principal(), grantOf(b)) {
		return fault.New(fault.Exists, "another credential has this name").WithHint("choose another name")
	}
	o, err := tx.BreakGlassOpening(ctx, b.ID)
	switch {
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return err
	case err == nil && o.State == open:
		return fault.New(fault.Conflict, "it is open now").WithHint("close it first: keyturn breakglass close %s", b.Name)
	case err == nil && o.State == begun:
		o.State, o.ClosedAt = lapsed, tx.Now()
		if err := tx.PutBreakGlassOpening(ctx, &o); err != nil {
			return err
		}
	}
	if b.State == ready {
		b.State = replaced
		return tx.PutBreakGlass(ctx, b)
	}
	return nil
}

// custodians finds who they are: distinct people of the organisation who can log in.
func custodians(ctx context.Context, tx *store.Tx, row *store.BreakGlass, names []string) ([]store.BreakGlassShare, error) {
	var out []store.BreakGlassShare
	for _, name := range names {
		var u store.Person
		var err error
		if domain.IsID(name) {
			u, err = tx.Person(ctx, domain.UserID(name))
		} else {
			var email domain.Email
			if email, err = domain.ParseEmail(name); err != nil {
				return nil, err
			}
			u, err = tx.PersonByEmail(ctx, email)
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, err
		}
		if err != nil || u.Org != row.Org || u.Disabled {
			return nil, fault.New(fault.NotFound, "a custodian is not there or disabled").WithField("/custodians", "unknown")
		}
		if slices.ContainsFunc(out, func(s store.BreakGlassShare) bool { return s.User == u.ID }) {
			return nil, fault.New(fault.Invalid, "a custodian stands there twice").WithField("/custodians", "want each once")
		}
		out = append(out, store.BreakGlassShare{ID: domain.NewID[string](), BreakGlass: row.ID, User: u.ID, UserName: string(u.Email)})
	}
	return out, nil
}

// show makes what people see of a preparation.
func (s *Service) show(ctx context.Context, q store.Queries, b *store.BreakGlass, now int64) (api.BreakGlass, error) {
	out := api.BreakGlass{Name: string(b.Name), Role: string(b.Role), ProjectID: string(b.Project), EnvID: string(b.Env), For: (time.Duration(b.TTL) * time.Millisecond).String(),
		Need: b.Need, State: b.State, CreatedAt: at(b.CreatedAt), CreatedBy: b.CreatedName, Custodians: []string{}}
	shares, err := q.BreakGlassShares(ctx, b.ID)
	if err != nil {
		return out, err
	}
	for _, x := range shares {
		out.Custodians = append(out.Custodians, x.UserName)
	}
	o, err := q.BreakGlassOpening(ctx, b.ID)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	shown, err := s.showOpening(ctx, q, &o, now)
	out.Opening = &shown
	if shown.State == begun || shown.State == open {
		out.State = shown.State
	}
	return out, err
}

func (s *Service) showOpening(ctx context.Context, q store.Queries, o *store.BreakGlassOpening, now int64) (api.BreakGlassOpening, error) {
	out := api.BreakGlassOpening{ID: o.ID, Opener: o.OpenerName, Reason: o.Reason, State: o.State, BegunAt: at(o.BegunAt), ExpiresAt: at(o.ExpiresAt), OpenedAt: maybe(o.OpenedAt),
		ClosedAt: maybe(o.ClosedAt), Entered: []string{}}
	if o.State == begun && o.ExpiresAt <= now {
		out.State = lapsed
	}
	entries, err := q.BreakGlassEntries(ctx, o.ID)
	for _, e := range entries {
		out.Entered = append(out.Entered, e.UserName)
	}
	return out, err
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func maybe(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := at(ms)
	return &t
}

// concerns tells whether somebody has to do with a credential: as custodian, as opener, or because he could grant it.
func (s *Service) concerns(ctx context.Context, q store.Queries, who *domain.Principal, b *store.BreakGlass) (custodian, any bool, err error) {
	shares, err := q.BreakGlassShares(ctx, b.ID)
	if err != nil {
		return false, false, err
	}
	custodian = who.Kind == domain.User && who.Scopes == nil && slices.ContainsFunc(shares, func(x store.BreakGlassShare) bool { return string(x.User) == who.ID })
	return custodian, custodian || policy.CanGrant(who, grantOf(b)), nil
}

// List shows the credentials that one has to do with.
func (s *Service) List(ctx context.Context) (api.BreakGlassList, error) {
	who := guard.CallerOf(ctx).Principal
	out := api.BreakGlassList{BreakGlass: []api.BreakGlass{}}
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "breakglass"}}
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		rows, err := s.db.BreakGlasses(ctx, p.Org())
		if err != nil {
			return err
		}
		seen := map[domain.Slug]bool{}
		for i := range rows {
			if seen[rows[i].Name] {
				continue // an older preparation
			}
			seen[rows[i].Name] = true
			_, concerned, err := s.concerns(ctx, s.db.Queries, who, &rows[i])
			if err != nil {
				return err
			}
			if !concerned {
				continue
			}
			b, err := s.show(ctx, s.db.Queries, &rows[i], time.Now().UnixMilli())
			if err != nil {
				return err
			}
			out.BreakGlass = append(out.BreakGlass, b)
		}
		return nil
	})
	return out, err
}

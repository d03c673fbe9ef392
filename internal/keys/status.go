package keys

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// maxHistory bounds one list of turns.
const maxHistory = 1000

func now() int64 { return time.Now().UnixMilli() }

// read lets a question about keys through the door.
func (s *Service) read(ctx context.Context, what string, work func(guard.Permit) error) error {
	who := guard.CallerOf(ctx).Principal
	return s.door.Read(ctx, guard.Op{Action: policy.InstanceRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"keys": what}}, work)
}

// Status tells how keys, slots and turns stand.
func (s *Service) Status(ctx context.Context) (api.KeysStatus, error) {
	var out api.KeysStatus
	err := s.read(ctx, "status", func(guard.Permit) (err error) {
		out, err = s.Report(ctx)
		return err
	})
	return out, err
}

// Report is [Service.Status] for the server itself, whose caller was asked at the door already.
func (s *Service) Report(ctx context.Context) (api.KeysStatus, error) {
	out := api.KeysStatus{Keys: s.Keys(), Slots: []api.KeySlot{}}
	i, err := s.db.Instance(ctx)
	if err != nil {
		return out, err
	}
	out.Epoch = i.Epoch
	slots, err := s.slots(ctx)
	if err != nil {
		return out, err
	}
	for _, slot := range slots {
		out.Slots = append(out.Slots, s.slot(slot))
	}
	turns, err := s.db.RunningKeyTurns(ctx)
	if err != nil {
		return out, err
	}
	if out.Running, err = s.turns(ctx, turns); err != nil {
		return out, err
	}
	out.Schedule = s.schedules(slots)
	return out, nil
}

// Keys lists every generation of every key that this server knows.
func (s *Service) Keys() []api.Key {
	out := []api.Key{}
	for _, k := range s.ring.Rows() {
		out = append(out, api.Key{ID: k.ID.String(), Layer: string(k.Layer), ProjectID: k.Project, Generation: k.Generation, State: string(k.State),
			CreatedAt: at(k.CreatedMS), Seals: k.SealsReserved})
	}
	return out
}

// History lists turns, newest first.
func (s *Service) History(ctx context.Context, limit int64) (api.KeyTurns, error) {
	out := api.KeyTurns{Turns: []api.KeyTurn{}}
	err := s.read(ctx, "history", func(guard.Permit) error {
		if limit <= 0 || limit > maxHistory {
			limit = maxHistory
		}
		turns, err := s.db.KeyTurns(ctx, limit)
		if err != nil {
			return err
		}
		out.Turns, err = s.turns(ctx, turns)
		return err
	})
	return out, err
}

// Turn shows one turn.
func (s *Service) Turn(ctx context.Context, id string) (api.KeyTurn, error) {
	var out api.KeyTurn
	err := s.read(ctx, "turn", func(guard.Permit) error {
		turn, err := s.db.KeyTurn(ctx, id)
		out, err = s.told(ctx, turn, err)
		return err
	})
	return out, err
}

// told gives a turn as callers see it, after a change of it.
func (s *Service) told(ctx context.Context, row store.KeyTurn, err error) (api.KeyTurn, error) {
	if err != nil {
		return api.KeyTurn{}, err
	}
	all, err := s.turns(ctx, []store.KeyTurn{row})
	if err != nil {
		return api.KeyTurn{}, err
	}
	return all[0], nil
}

func (s *Service) turns(ctx context.Context, rows []store.KeyTurn) ([]api.KeyTurn, error) {
	slugs := map[domain.ProjectID]string{}
	out := make([]api.KeyTurn, 0, len(rows))
	for _, t := range rows {
		if _, known := slugs[t.Project]; t.Project != "" && !known {
			p, err := s.db.Project(ctx, t.Project)
			if err != nil {
				return nil, err
			}
			slugs[t.Project] = string(p.Slug)
		}
		out = append(out, api.KeyTurn{ID: t.ID, Layer: t.Layer, ProjectID: string(t.Project), Project: slugs[t.Project], Old: t.Old, New: t.New, Stage: t.Stage,
			Cause: t.Cause, By: t.ActorName, StartedAt: at(t.StartedAt), DueAt: at(t.DueAt), EndedAt: at(t.EndedAt), Paused: t.Paused, Rate: t.Rate,
			Done: t.Done, Total: max(t.Total, t.Done), PerSecond: s.speed.perSecond(t.ID), Problem: t.Problem, Census: t.Census})
	}
	return out, nil
}

// assumedRate is what a plan reckons with before anything was measured, in envelopes a second.
const assumedRate = 50_000

// Rotate begins the turns that a request asks for, or tells what they would do.
func (s *Service) Rotate(ctx context.Context, r api.KeyRotation) (api.KeyRotated, error) {
	o := Order{KeepOld: r.KeepOld, Rate: r.Rate}
	if r.Overlap != "" {
		d, err := parsePeriod(r.Overlap)
		if err != nil {
			return api.KeyRotated{}, fault.New(fault.Invalid, "the overlap is not valid: want for example 30d or 720h, at least a minute")
		}
		o.Overlap = d
	}
	if o.Rate < 0 {
		return api.KeyRotated{}, fault.New(fault.Invalid, "the rate is a number of envelopes a second")
	}
	scopes, err := s.scopes(ctx, r)
	if err != nil {
		return api.KeyRotated{}, err
	}
	out := api.KeyRotated{Turns: []api.KeyTurn{}}
	if r.DryRun {
		out.Plans, err = s.plan(ctx, scopes)
		return out, err
	}
	var rows []store.KeyTurn
	for _, sc := range scopes {
		turn, err := s.Begin(ctx, sc, o)
		if errors.Is(err, fault.Conflict) && len(scopes) > 1 { // of many, those that turn already are told as they are
			turn, err = s.running(ctx, sc)
		}
		if err != nil {
			return out, err
		}
		rows = append(rows, turn)
	}
	out.Turns, err = s.turns(ctx, rows)
	return out, err
}

// running finds the turn of a key that runs.
func (s *Service) running(ctx context.Context, sc Scope) (store.KeyTurn, error) {
	all, err := s.db.RunningKeyTurns(ctx)
	for _, t := range all {
		if t.Layer == string(sc.Layer) && t.Project == sc.Project {
			return t, nil
		}
	}
	return store.KeyTurn{}, errors.Join(err, fault.New(fault.Conflict, "%s turned a moment ago", sc).WithHint("try again"))
}

// scopes says which keys a request means, in the order in which they should turn: the instance key last, so that it wraps what
// the others have made.
func (s *Service) scopes(ctx context.Context, r api.KeyRotation) ([]Scope, error) {
	services := []Scope{{Layer: keyring.LayerTokens}, {Layer: keyring.LayerLog}, {Layer: keyring.LayerIndex}}
	switch layer := keyring.Layer(r.Layer); {
	case layer == keyring.LayerProject || r.Layer == "all":
		projects, err := s.projects(ctx, r.Project)
		if err != nil || layer == keyring.LayerProject {
			return projects, err
		}
		return append(append(services, projects...), Scope{Layer: keyring.LayerInstance}), nil
	case r.Project != "":
		return nil, fault.New(fault.Invalid, "only the layer project takes a project")
	case layer == keyring.LayerInstance || slices.Contains(services, Scope{Layer: layer}):
		return []Scope{{Layer: layer}}, nil
	case layer == LayerRoot:
		return nil, fault.New(fault.Invalid, "the root key turns by a new slot that replaces another").WithHint("use: keyturn keys rotate root")
	}
	return nil, fault.New(fault.Invalid, "there is no such layer").WithHint("layers are root, instance, project, index, log, tokens and all")
}

// projects finds the projects whose keys shall turn: one by slug or id, or all of the caller's organisation.
func (s *Service) projects(ctx context.Context, name string) ([]Scope, error) {
	org := guard.CallerOf(ctx).Principal.Org
	all, err := s.db.Projects(ctx, org)
	if err != nil {
		return nil, err
	}
	var out []Scope
	for _, p := range all {
		if name == "" && p.PurgedAt == 0 || name == string(p.ID) || name == string(p.Slug) && p.DeletedAt == 0 {
			out = append(out, Scope{keyring.LayerProject, p.ID})
		}
	}
	if len(out) == 0 && name != "" {
		return nil, guard.Missing()
	}
	return out, nil
}

func (s *Service) plan(ctx context.Context, scopes []Scope) ([]api.KeyPlan, error) {
	var out []api.KeyPlan
	err := s.read(ctx, "plan", func(guard.Permit) error {
		running, err := s.db.RunningKeyTurns(ctx)
		if err != nil {
			return err
		}
		for _, sc := range scopes {
			id, ok := s.ring.Primary(sc.Layer, string(sc.Project))
			if !ok {
				return fault.New(fault.NotFound, "%s is not there", sc)
			}
			plan := api.KeyPlan{Layer: string(sc.Layer), ProjectID: string(sc.Project), Old: id.String(), Generation: s.generation(id) + 1}
			if sc.Project != "" {
				p, err := s.db.Project(ctx, sc.Project)
				if err != nil {
					return err
				}
				plan.Project = string(p.Slug)
			}
			if plan.Envelopes, err = s.db.CountUnder(ctx, s.under(sc.Layer, id)); err != nil {
				return err
			}
			plan.Seconds = float64(plan.Envelopes) / assumedRate
			for _, t := range running {
				if t.Layer == string(sc.Layer) && t.Project == sc.Project {
					plan.Conflict = t.ID
				}
			}
			out = append(out, plan)
		}
		return nil
	})
	return out, err
}

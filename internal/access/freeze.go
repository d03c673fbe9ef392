package access

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// freezePlace finds what is to be frozen: a project, or everything when it is "".
func (s *Service) freezePlace(ctx context.Context, places Places, project string) (guard.Op, error) {
	op := guard.Op{Action: policy.InstanceFreeze, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org}}
	if project == "" {
		return op, nil
	}
	op.Action = policy.ProjectFreeze
	id, _, err := places.Place(ctx, project)
	if err != nil {
		return op, s.door.Miss(ctx, op, err)
	}
	op.Resource.Project = id
	return op, nil
}

func placeName(p domain.ProjectID) string {
	if p == "" {
		return store.WholeInstance
	}
	return string(p)
}

// Freeze stops every change of a project, or of everything when project is ""; with kill also every read of its secrets. It
// takes hold at once on this server, and on others within the interval of the feed.
func (s *Service) Freeze(ctx context.Context, places Places, project string, kill bool, reason string) (store.Freeze, error) {
	if _, err := domain.ParseLabel(reason); err != nil {
		return store.Freeze{}, fault.New(fault.Invalid, "a freeze needs a reason that others can read: 1 to 200 printable characters").WithField("/reason", "missing, too long or not printable")
	}
	op, err := s.freezePlace(ctx, places, project)
	if err != nil {
		return store.Freeze{}, err
	}
	op.Detail = map[string]string{"change": "freeze", "reason": reason}
	if kill {
		op.Detail["change"] = "kill"
	}
	var row store.Freeze
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		who := p.Principal()
		row = store.Freeze{Place: placeName(op.Resource.Project), Org: p.Org(), Project: op.Resource.Project, Kill: kill, ActorKind: who.Kind, ActorID: who.ID, ActorName: who.Name,
			Reason: reason, At: tx.Now()}
		if err := tx.PutFreeze(ctx, &row); err != nil {
			return err
		}
		return tx.Announce(ctx, store.Feed{Kind: store.FeedFreeze, Project: row.Project})
	})
	return row, err
}

// Thaw lifts a freeze or a kill switch.
func (s *Service) Thaw(ctx context.Context, places Places, project string) error {
	op, err := s.freezePlace(ctx, places, project)
	if err != nil {
		return err
	}
	op.Detail = map[string]string{"change": "thaw"}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		all, err := tx.Freezes(ctx)
		if err != nil {
			return err
		}
		for _, row := range all {
			if row.Place == placeName(op.Resource.Project) {
				if err := tx.RemoveFreeze(ctx, &row); err != nil {
					return err
				}
				return tx.Announce(ctx, store.Feed{Kind: store.FeedFreeze, Project: row.Project})
			}
		}
		return fault.New(fault.NotFound, "nothing is frozen there")
	})
}

// Freezes lists what is frozen, as far as the caller may see it.
func (s *Service) Freezes(ctx context.Context) ([]store.Freeze, error) {
	var out []store.Freeze
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "freezes"}}
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		rows, err := s.db.Freezes(ctx)
		for _, row := range rows {
			if row.Org == p.Org() && (row.Project == "" || p.Can(policy.ProjectRead, policy.Resource{Org: row.Org, Project: row.Project})) {
				out = append(out, row)
			}
		}
		return err
	})
	return out, err
}

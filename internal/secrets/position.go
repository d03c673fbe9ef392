package secrets

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// MoveEnv gives an environment another place in the order of its project: position counts the live ones from 1, and past the last
// is the end. The others keep their order.
func (s *Service) MoveEnv(ctx context.Context, ref EnvRef, position int64) error {
	if position < 1 {
		return fault.New(fault.Invalid, "positions count from 1").WithField("/position", "want 1 or more")
	}
	pl, err := s.where(ctx, policy.ProjectUpdate, ref)
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.ProjectUpdate, Resource: pl.resource("")}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		all, err := tx.Environments(ctx, pl.env.Project)
		if err != nil {
			return err
		}
		live := slices.DeleteFunc(all, func(e store.Environment) bool { return e.DeletedAt != 0 })
		at := slices.IndexFunc(live, func(e store.Environment) bool { return e.ID == pl.env.ID })
		if at < 0 {
			return guard.Missing()
		}
		moved := live[at]
		live = slices.Insert(slices.Delete(live, at, at+1), int(min(position-1, int64(len(live)-1))), moved)
		for i := range live {
			if live[i].Position == int64(i) {
				continue
			}
			live[i].Position = int64(i)
			if err := tx.PutEnvironment(ctx, &live[i]); err != nil {
				return err
			}
		}
		return s.projectChanged(ctx, tx, pl.env.Project, "")
	})
}

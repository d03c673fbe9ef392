package breakglass

import (
	"context"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// task shows a task. It is done when somebody said so, or when the value was replaced after the
// credential closed: a new one that was set in the same session is known to its holder.
func (s *Service) task(ctx context.Context, t *store.BreakGlassTask, name string) (api.BreakGlassTask, error) {
	out := api.BreakGlassTask{ID: t.ID, Cause: "break-glass " + name, ProjectID: string(t.Project), EnvID: string(t.Env), Path: string(t.Path), Name: string(t.Name), SecretID: string(t.Secret),
		ReadAt: at(t.ReadAt), DueAt: at(t.DueAt), DoneAt: maybe(t.DoneAt), DoneBy: t.DoneBy}
	if t.DoneAt != 0 || t.Secret == "" {
		return out, nil
	}
	row, err := s.db.Secret(ctx, t.Secret)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return out, nil
	}
	if err == nil && row.Attrs.RotatedAt > t.DueAt {
		out.DoneAt, out.DoneBy = maybe(row.Attrs.RotatedAt), "a new value"
	}
	return out, err
}

// taskResource names the secret of a task, with the tags that it has now, as rules may ask for them.
func (s *Service) taskResource(ctx context.Context, t *store.BreakGlassTask) policy.Resource {
	r := policy.Resource{Org: t.Org, Project: t.Project, Env: t.Env, Path: t.Path, Name: t.Name}
	if env, err := s.db.Environment(ctx, t.Env); err == nil { // without a slug no allow for some environments holds
		r.EnvSlug = env.Slug
	}
	if row, err := s.db.Secret(ctx, t.Secret); err == nil {
		r.Tags = row.Attrs.Tags
	}
	return r
}

// Tasks lists what is to be replaced where one sees the names.
func (s *Service) Tasks(ctx context.Context) (api.BreakGlassTasks, error) {
	who := guard.CallerOf(ctx).Principal
	out := api.BreakGlassTasks{Tasks: []api.BreakGlassTask{}}
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "tasks"}}
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		rows, err := s.db.OpenBreakGlassTasks(ctx, p.Org())
		if err != nil {
			return err
		}
		names := map[string]domain.Slug{}
		for i := range rows {
			if !p.Can(policy.SecretList, s.taskResource(ctx, &rows[i])) {
				continue
			}
			name, known := names[rows[i].Opening]
			if !known {
				o, err := s.db.BreakGlassOpeningByID(ctx, rows[i].Opening)
				if err != nil {
					return err
				}
				name = o.Name
				names[rows[i].Opening] = name
			}
			t, err := s.task(ctx, &rows[i], string(name))
			if err != nil {
				return err
			}
			if t.DoneAt == nil {
				out.Tasks = append(out.Tasks, t)
			}
		}
		return nil
	})
	return out, err
}

// Done marks a task as done: whoever may write the value says that it is of no use to who read it.
func (s *Service) Done(ctx context.Context, id string) error {
	who := guard.CallerOf(ctx).Principal
	row, err := s.db.BreakGlassTask(ctx, id)
	if err == nil && row.Org != who.Org {
		err = fault.New(fault.NotFound, "no such task")
	}
	if err != nil {
		return s.door.Miss(ctx, guard.Op{Action: policy.SecretWrite, Detail: map[string]string{"task": domain.RecordedName(id)}}, err)
	}
	op := guard.Op{Action: policy.SecretWrite, Resource: s.taskResource(ctx, &row), Keys: []string{row.Path.Key(row.Name)}, Detail: map[string]string{"task": row.ID, "done": "true"}}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		fresh, err := tx.BreakGlassTask(ctx, id)
		if err != nil || fresh.DoneAt != 0 {
			return err
		}
		if p.Principal().Method == domain.BreakGlassMethod {
			return fault.New(fault.Denied, "not in a break-glass session")
		}
		fresh.DoneAt, fresh.DoneBy = tx.Now(), p.Principal().Name
		return tx.PutBreakGlassTasks(ctx, &fresh)
	})
}

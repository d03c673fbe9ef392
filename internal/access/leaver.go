package access

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// How a task ended.
const (
	TaskRotated   = "rotated"
	TaskGone      = "gone" // the secret was deleted
	TaskDismissed = "dismissed"
)

// Task is one secret that a leaver had read and that has had no other value since. What the reader of the list may not know is
// left out: name, and the people who are not his business.
type Task struct {
	Row    store.LeaverTask
	Leaver string // address
	Place  string // PROJECT/ENV
	Key    string // full name, "" for those who may not see it
}

// makeTasks writes down what somebody has read and what has not been rotated since, in place of what was written before; what
// was dismissed stays so.
func (s *Service) makeTasks(ctx context.Context, tx *store.Tx, user domain.UserID, org domain.OrgID, read map[domain.SecretID]wasRead) error {
	old, err := tx.LeaverTasks(ctx, org, user, true)
	if err != nil {
		return err
	}
	known := map[domain.SecretID]store.LeaverTask{}
	for _, t := range old {
		known[t.Secret] = t
	}
	var rows []*store.LeaverTask
	for id, r := range read {
		t, there := known[id]
		if r.row.Version > r.version || r.row.Attrs.Public || there && (t.ClosedAt != 0 && t.Version >= r.version) {
			continue
		}
		if !there {
			t = store.LeaverTask{ID: domain.NewID[string](), Org: org, User: user, Secret: id, Project: r.row.Project, Env: r.row.Env, CreatedAt: tx.Now()}
		}
		t.Version, t.ReadAt, t.Owner, t.ClosedAt, t.Outcome, t.Reason, t.ClosedBy = r.version, r.at, r.row.Attrs.Owner, 0, "", "", ""
		rows = append(rows, &t)
	}
	if len(rows) == 0 {
		return nil
	}
	return tx.PutLeaverTasks(ctx, rows...)
}

// Tasks lists what is to be rotated after people have left, open ones only unless closed is set: those whose owner is the caller
// or one of his groups, or with all everybody's. Tasks whose secret has another value by now, or is gone, are closed on the way.
func (s *Service) Tasks(ctx context.Context, all, closed bool) ([]Task, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "tasks"}}
	if all {
		op.Action = policy.AccessRead
	}
	return s.tasks(ctx, op, "", closed, func(t store.LeaverTask, mine []string) bool { return all || owned(t, mine) })
}

// LeaverTasks lists what one person had read, for who may see all access.
func (s *Service) LeaverTasks(ctx context.Context, user domain.UserID, closed bool) ([]Task, error) {
	who := guard.CallerOf(ctx).Principal
	op := guard.Op{Action: policy.AccessRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "tasks", "user": domain.RecordedName(string(user))}}
	return s.tasks(ctx, op, user, closed, func(store.LeaverTask, []string) bool { return true })
}

// owned tells whether a task belongs to one of the names.
func owned(t store.LeaverTask, mine []string) bool {
	return t.Owner != "" && slices.ContainsFunc(mine, func(name string) bool { return strings.EqualFold(name, t.Owner) })
}

func (s *Service) tasks(ctx context.Context, op guard.Op, user domain.UserID, closed bool, want func(store.LeaverTask, []string) bool) ([]Task, error) {
	var out []Task
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		rows, err := tx.LeaverTasks(ctx, p.Org(), user, closed)
		if err != nil {
			return err
		}
		mine, err := s.ownerNames(ctx, tx, p.Principal())
		if err != nil {
			return err
		}
		names := newNames(tx.Queries)
		for i := range rows {
			if !want(rows[i], mine) {
				continue
			}
			if err := closeDone(ctx, tx, &rows[i]); err != nil {
				return err
			}
			if rows[i].ClosedAt != 0 && !closed {
				continue
			}
			t, err := names.task(ctx, p, rows[i])
			if err != nil {
				return err
			}
			out = append(out, t)
		}
		return nil
	})
	return out, err
}

// ownerNames are what the owner of a secret may be called who is this principal.
func (s *Service) ownerNames(ctx context.Context, tx *store.Tx, p *domain.Principal) ([]string, error) {
	mine := []string{p.Name}
	if p.Kind == domain.User {
		me, err := tx.Person(ctx, domain.UserID(p.ID))
		if err != nil {
			return nil, err
		}
		mine = append(mine, string(me.Name), string(me.Email))
	}
	for _, id := range p.Groups {
		g, err := tx.Group(ctx, id)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return nil, err
		}
		mine = append(mine, g.Name)
	}
	return mine, nil
}

// closeDone ends a task whose secret has moved on.
func closeDone(ctx context.Context, tx *store.Tx, t *store.LeaverTask) error {
	if t.ClosedAt != 0 {
		return nil
	}
	row, err := tx.Secret(ctx, t.Secret)
	switch {
	case err != nil && fault.KindOf(err) != fault.NotFound:
		return err
	case err != nil || row.Deleted != 0:
		t.Outcome = TaskGone
	case row.Version > t.Version:
		t.Outcome = TaskRotated
	default:
		return nil
	}
	t.ClosedAt = tx.Now()
	return tx.PutLeaverTasks(ctx, t)
}

// DismissTask ends a task without a rotation, for a reason that stays in the log.
func (s *Service) DismissTask(ctx context.Context, id, reason string) error {
	if _, err := domain.ParseLabel(reason); err != nil {
		return fault.New(fault.Invalid, "a task is dismissed for a reason").WithField("/reason", "want 1 to 200 printable characters")
	}
	t, err := s.db.LeaverTask(ctx, id)
	who := guard.CallerOf(ctx).Principal
	if err == nil && t.Org != who.Org {
		err = guard.Missing()
	}
	if err != nil {
		return s.door.Miss(ctx, guard.Op{Action: policy.AccessManage, Resource: policy.Resource{Org: who.Org}}, err)
	}
	return unseen(s.inPlace(ctx, aim{grant: domain.Grant{Project: t.Project}}, map[string]string{"task": "dismiss", "reason": domain.RecordedLabel(reason)}, func(tx *store.Tx, p guard.Permit) error {
		t, err := tx.LeaverTask(ctx, id)
		if err != nil {
			return err
		}
		if t.ClosedAt != 0 {
			return fault.New(fault.Conflict, "the task is closed already")
		}
		t.ClosedAt, t.Outcome, t.Reason, t.ClosedBy = tx.Now(), TaskDismissed, reason, p.Principal().ID
		return tx.PutLeaverTasks(ctx, &t)
	}))
}

// names finds what ids are called, once for each.
type names struct {
	q       store.Queries
	people  map[domain.UserID]string
	places  map[domain.EnvID]string
	folders map[domain.FolderID]domain.Path
}

func newNames(q store.Queries) *names {
	return &names{q, map[domain.UserID]string{}, map[domain.EnvID]string{}, map[domain.FolderID]domain.Path{}}
}

// task names a task, as far as the reader of the list may know.
func (n *names) task(ctx context.Context, p guard.Permit, row store.LeaverTask) (Task, error) {
	out := Task{Row: row}
	var err error
	if out.Leaver, err = remembered(n.people, row.User, func() (string, error) {
		person, err := n.q.Person(ctx, row.User)
		return string(person.Email), err
	}); err != nil {
		return out, err
	}
	if !p.Can(policy.ProjectRead, policy.Resource{Org: row.Org, Project: row.Project, Env: row.Env}) {
		return out, nil
	}
	if out.Place, err = remembered(n.places, row.Env, func() (string, error) {
		project, err := n.q.Project(ctx, row.Project)
		if err != nil {
			return "", err
		}
		env, err := n.q.Environment(ctx, row.Env)
		return string(project.Slug) + "/" + string(env.Slug), err
	}); err != nil {
		return out, err
	}
	secret, err := n.q.Secret(ctx, row.Secret)
	if err != nil {
		return out, hiddenGone(err)
	}
	path, err := remembered(n.folders, secret.Folder, func() (domain.Path, error) {
		folder, err := n.q.Folder(ctx, secret.Folder)
		return folder.Path, err
	})
	_, slug, _ := strings.Cut(out.Place, "/")
	r := policy.Resource{Org: row.Org, Project: row.Project, Env: row.Env, EnvSlug: domain.Slug(slug), Path: path, Name: secret.Name, Tags: secret.Attrs.Tags}
	if err == nil && p.Can(policy.SecretList, r) {
		out.Key = path.Key(secret.Name)
	}
	return out, err
}

func remembered[K comparable, V any](in map[K]V, key K, find func() (V, error)) (V, error) {
	if v, ok := in[key]; ok {
		return v, nil
	}
	v, err := find()
	if err = hiddenGone(err); err == nil {
		in[key] = v
	}
	return v, err
}

// hiddenGone takes what was removed for good as having no name.
func hiddenGone(err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil
	}
	return err
}

package secrets

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Commit applies changes to one environment, all or nothing, and gives it its next revision. Where the environment needs the
// approval of others, the changes are kept and the error is a [Waits].
func (s *Service) Commit(ctx context.Context, ref EnvRef, c Commit) (Committed, error) {
	if err := c.check(); err != nil {
		return Committed{}, err
	}
	return s.commit(ctx, ref, &request{Commit: &c})
}

// commit does a commit or a rollback.
func (s *Service) commit(ctx context.Context, ref EnvRef, r *request) (Committed, error) {
	pl, err := s.where(ctx, policy.SecretWrite, ref)
	if err != nil {
		return Committed{}, err
	}
	var changes []Change
	if r.Commit != nil {
		changes = r.Commit.Changes
	}
	action := policy.SecretWrite
	if len(changes) > 0 && !slices.ContainsFunc(changes, func(ch Change) bool {
		return ch.Verb != Delete && ch.Verb != Restore && ch.Verb != FolderDelete && ch.Verb != FolderRestore
	}) {
		action = policy.SecretDelete
	}
	op := guard.Op{Action: action, Resource: pl.resource(""), Somewhere: true}
	for i := range changes {
		if ch := &changes[i]; ch.Name != "" {
			op.Keys = append(op.Keys, ch.Path.Key(ch.Name))
		} else {
			op.Keys = append(op.Keys, string(ch.Path)+"/")
		}
	}
	return s.commitAs(ctx, op, pl, r)
}

// commitAs does a commit whose question for the door is known.
func (s *Service) commitAs(ctx context.Context, op guard.Op, pl place, r *request) (Committed, error) {
	var out Committed
	var waits *Waits
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) (err error) {
		out, waits, err = s.settle(ctx, tx, p, pl, r)
		return err
	})
	if err == nil && waits != nil {
		return out, waits
	}
	return out, err
}

// save seals new values and writes everything, one commit row for each environment that changed.
func (d *draft) save(ctx context.Context, c *Commit) (id domain.CommitID, revision int64, err error) {
	revision = d.home.place.env.Revision
	who := d.p.Principal()
	for _, e := range d.envs {
		if len(e.order) == 0 && len(e.forders) == 0 {
			continue
		}
		if e != d.home { // references follow into another environment, which a freeze may keep as it is
			if err := d.p.Standing(policy.SecretWrite, e.place.resource("")); err != nil {
				return "", 0, err
			}
		}
		if err := d.saveEnv(ctx, e); err != nil {
			return "", 0, err
		}
		row := store.Commit{ID: domain.NewID[domain.CommitID](), Org: e.place.env.Org, Project: e.place.env.Project, Env: e.place.env.ID,
			Revision: e.place.env.Revision, AuthorKind: who.Kind, AuthorID: who.ID, AuthorName: who.Name, At: d.tx.Now(),
			Message: c.Message, Cause: c.Cause, Changes: int64(len(e.order) + len(e.forders))}
		if e == d.home {
			id, revision = row.ID, row.Revision
		} else {
			row.Cause = "references follow " + d.home.place.String()
		}
		if err := d.tx.PutCommit(ctx, &row); err != nil {
			return "", 0, err
		}
		if err := d.tx.Announce(ctx, store.Feed{Kind: store.FeedCommit, Project: row.Project, Env: row.Env, Revision: row.Revision}); err != nil {
			return "", 0, err
		}
	}
	for from, targets := range d.refs {
		if err := d.saveRefs(ctx, from, targets); err != nil {
			return "", 0, err
		}
	}
	for _, step := range d.then {
		if err := step(ctx); err != nil {
			return "", 0, err
		}
	}
	return id, revision, d.s.keys.Reserve(ctx, d.tx)
}

func (d *draft) saveEnv(ctx context.Context, e *envDraft) error {
	e.place.env.Revision++
	e.saving = true
	var folders, oldFolders []*store.Folder
	for _, f := range e.forders {
		folders = append(folders, &f.row)
		if f.old != nil {
			oldFolders = append(oldFolders, f.old)
		}
	}
	var rows, old []*store.Secret
	for _, s := range e.order {
		if s.value != nil {
			s.row.Version++
			var err error
			if s.row.Value, err = d.s.ring.Seal(valuePlace(&s.row), *s.value); err != nil {
				return err
			}
			s.row.Digest = d.s.ring.Digest(*s.value)
		}
		rows = append(rows, &s.row)
		if s.old != nil {
			old = append(old, s.old)
		}
	}
	if err := d.tx.PutEnvironment(ctx, &e.place.env); err != nil {
		return err
	}
	now, later := folderOrder(oldFolders, folders)
	if err := d.tx.PutFolders(ctx, oldFolders, now); err != nil {
		return err
	}
	if err := d.tx.PutFolders(ctx, nil, later); err != nil {
		return err
	}
	first, last := secretOrder(old, rows)
	if err := d.tx.PutSecrets(ctx, old, first); err != nil {
		return err
	}
	if err := d.tx.PutSecrets(ctx, nil, last); err != nil {
		return err
	}
	docs, err := d.number(ctx, e)
	if err != nil {
		return err
	}
	e.made = docs
	env, revision := e.place.env.ID, e.place.env.Revision
	d.tx.After(func() { d.s.cache.committed(env, revision, folders, rows, old, docs) })
	return nil
}

func (d *draft) saveRefs(ctx context.Context, from domain.SecretID, targets []domain.SecretID) error {
	e, s, err := d.byID(ctx, from)
	if err != nil {
		return err
	}
	if s.old == nil && len(targets) == 0 {
		return nil
	}
	rows := make([]*store.Reference, 0, len(targets))
	for _, to := range targets {
		rows = append(rows, &store.Reference{From: from, To: to, Org: e.place.env.Org, Project: e.place.env.Project})
	}
	return d.tx.SetReferences(ctx, from, rows)
}

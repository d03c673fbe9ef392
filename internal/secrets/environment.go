package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// CreateEnv adds an environment to a project.
func (s *Service) CreateEnv(ctx context.Context, project string, slug domain.Slug, name domain.Label) (store.Environment, error) {
	return s.MakeEnv(ctx, project, NewEnv{Slug: slug, Name: name})
}

// MakeEnv is CreateEnv for callers who bring an id along; what [NewProject] says of it holds here too.
func (s *Service) MakeEnv(ctx context.Context, project string, n NewEnv) (store.Environment, error) {
	var out store.Environment
	err := s.inProject(ctx, policy.ProjectUpdate, project, func(op guard.Op, row store.Project) error {
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			all, err := tx.Environments(ctx, row.ID)
			if err != nil {
				return err
			}
			live, last := 0, int64(-1)
			for _, e := range all {
				last = max(last, e.Position)
				if e.DeletedAt == 0 {
					live++
					if e.Slug == n.Slug {
						return fault.New(fault.Exists, "environment %s exists already", n.Slug)
					}
				}
			}
			if live >= maxEnvs {
				return fault.New(fault.Exhausted, "too many environments: at most %d", maxEnvs)
			}
			if err := unusedID(ctx, tx, string(n.ID)); err != nil {
				return err
			}
			if out, err = putEnv(ctx, tx, row, n, last+1); err != nil {
				return err
			}
			p.Place(row.ID, out.ID)
			return s.projectChanged(ctx, tx, row.ID, out.ID)
		})
	})
	return out, err
}

// changeEnv does something to a live environment as a whole, or keeps it as a change set.
func (s *Service) changeEnv(ctx context.Context, action policy.Action, ref EnvRef, r *request) error {
	pl, err := s.where(ctx, action, ref)
	if err != nil {
		return err
	}
	return s.doOrKeep(ctx, guard.Op{Action: action, Resource: pl.resource("")}, pl, r)
}

func (s *Service) doOrKeep(ctx context.Context, op guard.Op, pl place, r *request) error {
	var waits *Waits
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) (err error) {
		p.Place(pl.env.Project, pl.env.ID)
		_, waits, err = s.settle(ctx, tx, p, pl, r)
		return err
	})
	if err == nil && waits != nil {
		return waits
	}
	return err
}

// Env shows one environment.
func (s *Service) Env(ctx context.Context, ref EnvRef) (store.Environment, error) {
	pl, err := s.where(ctx, policy.ProjectRead, ref)
	if err != nil {
		return store.Environment{}, err
	}
	var out store.Environment
	err = s.door.Read(ctx, guard.Op{Action: policy.ProjectRead, Resource: pl.resource("")}, func(guard.Permit) (err error) {
		out, err = s.db.Environment(ctx, pl.env.ID)
		return err
	})
	return out, err
}

// RenameEnv changes slug and name; references that spell the slug follow in the same transaction.
func (s *Service) RenameEnv(ctx context.Context, ref EnvRef, slug domain.Slug, name domain.Label) (store.Environment, error) {
	pl, err := s.where(ctx, policy.ProjectUpdate, ref)
	if err != nil {
		return store.Environment{}, err
	}
	r := &request{Env: &envRequest{Verb: envRename, Slug: slug, Name: name}}
	if err := s.doOrKeep(ctx, guard.Op{Action: policy.ProjectUpdate, Resource: pl.resource("")}, pl, r); err != nil {
		return store.Environment{}, err
	}
	return s.Env(ctx, EnvRef{ref.Project, string(pl.env.ID)})
}

// DeleteEnv hides an environment; nothing is destroyed, and its slug is free again.
func (s *Service) DeleteEnv(ctx context.Context, ref EnvRef) error {
	return s.changeEnv(ctx, policy.ProjectDelete, ref, &request{Env: &envRequest{Verb: envDelete}})
}

// prepareEnv makes ready what is done to an environment as a whole.
func (s *Service) prepareEnv(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, r *envRequest) (*plan, error) {
	row, err := tx.Environment(ctx, pl.env.ID)
	if err != nil {
		return nil, err
	}
	if deleted := r.Verb == envRestore || r.Verb == envPurge; deleted != (row.DeletedAt != 0) || row.PurgedAt != 0 {
		return nil, fault.New(fault.Conflict, "the environment was deleted, restored or purged meanwhile")
	}
	out := &plan{items: []store.ChangeItem{{Path: domain.Root, Outcome: "environment " + string(r.Verb)}}}
	if out.trace, err = json.Marshal(row); err != nil { // with its revision: what is deleted or purged is what was looked at
		return nil, err
	}
	old := row.Slug
	switch r.Verb {
	case envRename:
		if r.Slug != "" {
			row.Slug = r.Slug
		}
		if r.Name != "" {
			row.Name = r.Name
		}
		out.items[0].Outcome += " to " + string(row.Slug)
		err = freeSlug(ctx, tx, row)
	case envDelete:
		row.DeletedAt = tx.Now()
		err = s.refuseReferenced(ctx, tx, p, row, false)
	case envRestore:
		row.DeletedAt = 0
		err = freeSlug(ctx, tx, row)
	case envPurge:
		row.PurgedAt = tx.Now()
	default:
		err = fault.New(fault.Internal, "no such change of an environment")
	}
	if err != nil {
		return nil, err
	}
	out.save = func(string) (domain.CommitID, int64, error) {
		return "", 0, errors.Join(s.saveEnv(ctx, tx, p, place{pl.project, row}, r.Verb, row.Slug != old), s.projectChanged(ctx, tx, row.Project, row.ID))
	}
	return out, nil
}

func freeSlug(ctx context.Context, tx *store.Tx, row store.Environment) error {
	taken, err := tx.EnvironmentBySlug(ctx, row.Project, row.Slug)
	if missing(err) || err == nil && taken.ID == row.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return fault.New(fault.Exists, "another environment is called %s", row.Slug).WithHint("rename that one first")
}

func (s *Service) saveEnv(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, verb envVerb, respelled bool) error {
	switch {
	case verb == envRename && respelled:
		return s.followEnv(ctx, tx, p, pl)
	case verb == envPurge:
		if err := s.purgeEnv(ctx, tx, pl.env); err != nil {
			return err
		}
	}
	return tx.PutEnvironment(ctx, &pl.env)
}

// purgeEnv destroys every value of an environment, those in changes that wait as well.
func (s *Service) purgeEnv(ctx context.Context, tx *store.Tx, env store.Environment) error {
	waiting, err := tx.ChangeSets(ctx, env.Org, true, maxListedChanges)
	if err != nil {
		return err
	}
	for i := range waiting {
		if waiting[i].Env == env.ID {
			if err := s.endChange(ctx, tx, &waiting[i], ChangeExpired); err != nil {
				return err
			}
		}
	}
	return tx.PurgeEnvironment(ctx, env.ID)
}

// refuseGuarded refuses to do to a project what its environments could not suffer without the approval of others.
func refuseGuarded(ctx context.Context, tx *store.Tx, p guard.Permit, project domain.ProjectID, concerns func(store.Environment) bool) error {
	envs, err := tx.Environments(ctx, project)
	if err != nil {
		return err
	}
	for _, e := range envs {
		r, err := rule(ctx, tx.Queries, e.ID)
		if err != nil {
			return err
		}
		if r.waits(p) && concerns(e) {
			return fault.New(fault.Conflict, "changes of environment %s need the approval of others, so its project cannot go without it", e.Slug).
				WithHint("do the same to that environment first; it waits for approval")
		}
	}
	return nil
}

// refuseReferenced refuses to delete an environment, or with its whole project, while live values elsewhere point into it.
func (s *Service) refuseReferenced(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Environment, project bool) error {
	edges, err := tx.ReferencesInto(ctx, row.ID)
	if err != nil {
		return err
	}
	d, err := s.newDraft(ctx, tx, p, place{env: row})
	if missing(err) {
		return nil // deleted before
	}
	if err != nil {
		return err
	}
	for _, edge := range edges {
		e, from, err := d.byID(ctx, edge.From)
		if missing(err) {
			continue // in an environment that is deleted itself
		}
		if err != nil {
			return err
		}
		if from.row.Deleted == 0 && e != d.home && !(project && e.place.project.ID == row.Project) {
			return fault.New(fault.Conflict, "secrets of environment %s are referenced from elsewhere, first by %s", row.Slug, d.key(e, from)).
				WithHint("change those values first")
		}
	}
	return nil
}

// onDeletedEnv does something to the environment of that name or id that was deleted last.
func (s *Service) onDeletedEnv(ctx context.Context, action policy.Action, ref EnvRef, r *request) error {
	return s.inProject(ctx, action, ref.Project, func(op guard.Op, project store.Project) error {
		var waits *Waits
		err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			rows, err := tx.Environments(ctx, project.ID)
			if err != nil {
				return err
			}
			var found store.Environment
			for _, row := range rows {
				if row.DeletedAt > found.DeletedAt && row.PurgedAt == 0 && (string(row.ID) == ref.Env || string(row.Slug) == ref.Env) {
					found = row
				}
			}
			if found.ID == "" {
				return fault.New(fault.NotFound, "no deleted environment of that name")
			}
			p.Place(project.ID, found.ID)
			_, waits, err = s.settle(ctx, tx, p, place{project, found}, r)
			return err
		})
		if err == nil && waits != nil {
			return waits
		}
		return err
	})
}

// RestoreEnv brings a deleted environment back under its slug.
func (s *Service) RestoreEnv(ctx context.Context, ref EnvRef) error {
	return s.onDeletedEnv(ctx, policy.ProjectDelete, ref, &request{Env: &envRequest{Verb: envRestore}})
}

// PurgeEnv destroys the values of a deleted environment for good.
func (s *Service) PurgeEnv(ctx context.Context, ref EnvRef) error {
	return s.onDeletedEnv(ctx, policy.ProjectPurge, ref, &request{Env: &envRequest{Verb: envPurge}})
}

// Purge destroys the values of a deleted secret, every version of it, for good.
func (s *Service) Purge(ctx context.Context, ref EnvRef, path domain.Path, name domain.SecretName) error {
	pl, err := s.where(ctx, policy.SecretPurge, ref)
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.SecretPurge, Resource: pl.secret(path, name, nil), Within: true, Keys: []string{path.Key(name)}}
	return s.doOrKeep(ctx, op, pl, &request{Purge: &purgeRequest{path, name}})
}

func (s *Service) preparePurge(ctx context.Context, tx *store.Tx, p guard.Permit, pl place, r *purgeRequest) (*plan, error) {
	gone, err := tx.DeletedSecrets(ctx, pl.env.ID)
	if err != nil {
		return nil, err
	}
	folders, err := tx.AllFolders(ctx, pl.env.ID)
	if err != nil {
		return nil, err
	}
	paths := map[domain.FolderID]domain.Path{}
	for _, f := range folders {
		paths[f.ID] = f.Path
	}
	var found []domain.SecretID
	for _, row := range gone {
		if row.Name == r.Name && paths[row.Folder] == r.Path {
			if !p.Can(policy.SecretPurge, pl.row(r.Path, &row)) {
				return nil, guard.Missing()
			}
			found = append(found, row.ID)
		}
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "no deleted secret %s", r.Path.Key(r.Name)).WithHint("delete it first; purging is a separate act")
	}
	slices.Sort(found)
	out := &plan{items: []store.ChangeItem{{Path: r.Path, Name: r.Name, Outcome: "purged"}}}
	if out.trace, err = json.Marshal(found); err != nil {
		return nil, err
	}
	out.save = func(string) (domain.CommitID, int64, error) {
		for _, id := range found {
			if err := tx.PurgeSecret(ctx, id); err != nil {
				return "", 0, err
			}
		}
		return "", 0, nil
	}
	return out, nil
}

// followProject stores a project under its new slug and spells references to its secrets anew.
func (s *Service) followProject(ctx context.Context, tx *store.Tx, p guard.Permit, row store.Project) error {
	envs, err := tx.Environments(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, e := range envs {
		if e.DeletedAt != 0 {
			continue
		}
		return s.follow(ctx, tx, p, e.ID, func() error { return tx.PutProject(ctx, &row) }, envs)
	}
	return tx.PutProject(ctx, &row)
}

// followEnv does the same for an environment.
func (s *Service) followEnv(ctx context.Context, tx *store.Tx, p guard.Permit, pl place) error {
	return s.follow(ctx, tx, p, pl.env.ID, func() error { return tx.PutEnvironment(ctx, &pl.env) }, []store.Environment{pl.env})
}

// follow binds every reference into the environments, lets rename happen, and writes those anew that lost their aim.
func (s *Service) follow(ctx context.Context, tx *store.Tx, p guard.Permit, home domain.EnvID, rename func() error, envs []store.Environment) error {
	before, err := s.newDraft(ctx, tx, p, place{env: store.Environment{ID: home}})
	if err != nil {
		return err
	}
	for _, e := range envs {
		edges, err := tx.ReferencesInto(ctx, e.ID)
		if err != nil {
			return err
		}
		for _, edge := range edges {
			if err := before.bindReferrers(ctx, edge.To); err != nil {
				return err
			}
		}
	}
	if err := rename(); err != nil {
		return err
	}
	after, err := s.newDraft(ctx, tx, p, place{env: store.Environment{ID: home}})
	if err != nil {
		return err
	}
	after.bindings = before.bindings
	if err := after.respell(ctx); err != nil {
		return err
	}
	if err := after.connect(ctx); err != nil {
		return err
	}
	_, _, err = after.save(ctx, &Commit{Cause: "rename", Message: "references follow a rename"})
	return err
}

package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// CreateEnv adds an environment to a project.
func (s *Service) CreateEnv(ctx context.Context, project string, slug domain.Slug, name domain.Label) (store.Environment, error) {
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
					if e.Slug == slug {
						return fault.New(fault.Exists, "environment %s exists already", slug)
					}
				}
			}
			if live >= maxEnvs {
				return fault.New(fault.Exhausted, "too many environments: at most %d", maxEnvs)
			}
			if name == "" {
				name = domain.Label(slug)
			}
			if out, err = putEnv(ctx, tx, row, slug, name, last+1); err != nil {
				return err
			}
			p.Place(row.ID, out.ID)
			return s.projectChanged(ctx, tx, row.ID, out.ID)
		})
	})
	return out, err
}

// onEnv runs a change on a live environment.
func (s *Service) onEnv(ctx context.Context, action policy.Action, ref EnvRef, work func(*store.Tx, guard.Permit, store.Project, store.Environment) error) error {
	pl, err := s.where(ctx, action, ref)
	if err != nil {
		return err
	}
	return s.door.Do(ctx, guard.Op{Action: action, Resource: pl.resource("")}, func(tx *store.Tx, p guard.Permit) error {
		row, err := tx.Environment(ctx, pl.env.ID)
		if err != nil {
			return err
		}
		if err := work(tx, p, pl.project, row); err != nil {
			return err
		}
		return s.projectChanged(ctx, tx, row.Project, row.ID)
	})
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
	var id domain.EnvID
	err := s.onEnv(ctx, policy.ProjectUpdate, ref, func(tx *store.Tx, p guard.Permit, project store.Project, row store.Environment) error {
		id = row.ID
		old := row.Slug
		if slug != "" {
			row.Slug = slug
		}
		if name != "" {
			row.Name = name
		}
		if taken, err := tx.EnvironmentBySlug(ctx, row.Project, row.Slug); err == nil && taken.ID != row.ID {
			return fault.New(fault.Exists, "environment %s exists already", row.Slug)
		} else if err != nil && !missing(err) {
			return err
		}
		if row.Slug == old {
			return tx.PutEnvironment(ctx, &row)
		}
		return s.followEnv(ctx, tx, p, place{project, row})
	})
	if err != nil {
		return store.Environment{}, err
	}
	return s.Env(ctx, EnvRef{ref.Project, string(id)})
}

// DeleteEnv hides an environment; nothing is destroyed, and its slug is free again.
func (s *Service) DeleteEnv(ctx context.Context, ref EnvRef) error {
	return s.onEnv(ctx, policy.ProjectDelete, ref, func(tx *store.Tx, p guard.Permit, _ store.Project, row store.Environment) error {
		if err := s.refuseReferenced(ctx, tx, p, row, false); err != nil {
			return err
		}
		row.DeletedAt = tx.Now()
		return tx.PutEnvironment(ctx, &row)
	})
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

func (s *Service) onDeletedEnv(ctx context.Context, action policy.Action, ref EnvRef, work func(*store.Tx, store.Environment) error) error {
	return s.inProject(ctx, action, ref.Project, func(op guard.Op, project store.Project) error {
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
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
			if err := work(tx, found); err != nil {
				return err
			}
			return s.projectChanged(ctx, tx, project.ID, found.ID)
		})
	})
}

// RestoreEnv brings a deleted environment back under its slug.
func (s *Service) RestoreEnv(ctx context.Context, ref EnvRef) error {
	return s.onDeletedEnv(ctx, policy.ProjectDelete, ref, func(tx *store.Tx, row store.Environment) error {
		if _, err := tx.EnvironmentBySlug(ctx, row.Project, row.Slug); err == nil {
			return fault.New(fault.Exists, "another environment is called %s now", row.Slug).WithHint("rename that one first")
		} else if !missing(err) {
			return err
		}
		row.DeletedAt = 0
		return tx.PutEnvironment(ctx, &row)
	})
}

// PurgeEnv destroys the values of a deleted environment for good.
func (s *Service) PurgeEnv(ctx context.Context, ref EnvRef) error {
	return s.onDeletedEnv(ctx, policy.ProjectPurge, ref, func(tx *store.Tx, row store.Environment) error {
		if err := tx.PurgeEnvironment(ctx, row.ID); err != nil {
			return err
		}
		row.PurgedAt = tx.Now()
		return tx.PutEnvironment(ctx, &row)
	})
}

// Purge destroys the values of a deleted secret, every version of it, for good.
func (s *Service) Purge(ctx context.Context, ref EnvRef, path domain.Path, name domain.SecretName) error {
	pl, err := s.where(ctx, policy.SecretPurge, ref)
	if err != nil {
		return err
	}
	op := guard.Op{Action: policy.SecretPurge, Resource: pl.secret(path, name, nil), Within: true, Keys: []string{path.Key(name)}}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		gone, err := tx.DeletedSecrets(ctx, pl.env.ID)
		if err != nil {
			return err
		}
		folders, err := tx.AllFolders(ctx, pl.env.ID)
		if err != nil {
			return err
		}
		paths := map[domain.FolderID]domain.Path{}
		for _, f := range folders {
			paths[f.ID] = f.Path
		}
		found := false
		for _, row := range gone {
			if row.Name == name && paths[row.Folder] == path {
				if !p.Can(policy.SecretPurge, pl.row(path, &row)) {
					return guard.Missing()
				}
				found = true
				if err := tx.PurgeSecret(ctx, row.ID); err != nil {
					return err
				}
			}
		}
		if !found {
			return fault.New(fault.NotFound, "no deleted secret %s", path.Key(name)).WithHint("delete it first; purging is a separate act")
		}
		return nil
	})
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

package secrets

import (
	"context"
	"log/slog"
	"slices"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/keyring"
	"github.com/keyturn/keyturn/internal/keys"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// Project is a project with its live environments.
type Project struct {
	store.Project
	Envs []store.Environment
}

// DefaultEnvs is what a project starts with when nothing else is asked for.
var DefaultEnvs = []domain.Slug{"dev", "staging", "prod"}

const (
	maxEnvs = 50 // environments of a project
)

// CreateProject makes a project with environments, each with its root folder, and its own key.
func (s *Service) CreateProject(ctx context.Context, slug domain.Slug, name domain.Label, envs []domain.Slug) (Project, error) {
	if len(envs) == 0 {
		envs = DefaultEnvs
	}
	return s.ProvisionProject(ctx, ProjectInput{Slug: slug, Name: name, Envs: envs})
}

// ProjectInput is a new project.
type ProjectInput struct {
	Slug        domain.Slug
	Name        domain.Label
	Description string
	Protected   bool          // it is not deleted before that is lifted
	Envs        []domain.Slug // may be none
	// Names are what the environments are called; one without is called as its slug.
	Names map[domain.Slug]domain.Label
}

// ProvisionProject makes a project with all that is known of it.
func (s *Service) ProvisionProject(ctx context.Context, in ProjectInput) (Project, error) {
	slug, envs := in.Slug, in.Envs
	if err := checkDescription(in.Description); err != nil {
		return Project{}, err
	}
	if len(envs) > maxEnvs {
		return Project{}, fault.New(fault.Invalid, "too many environments: at most %d", maxEnvs)
	}
	for i, slug := range envs {
		if slices.Contains(envs[:i], slug) {
			return Project{}, fault.New(fault.Invalid, "environment %s stands there twice", slug).WithField("/envs", "want each once")
		}
	}
	who := guard.CallerOf(ctx).Principal
	var out Project
	op := guard.Op{Action: policy.ProjectCreate, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"slug": string(slug)}}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if _, err := tx.ProjectBySlug(ctx, p.Org(), slug); err == nil {
			return fault.New(fault.Exists, "project %s exists already", slug)
		} else if !missing(err) {
			return err
		}
		if err := slugFree(ctx, tx, p.Org(), slug); err != nil {
			return err
		}
		out.Project = store.Project{ID: domain.NewID[domain.ProjectID](), Org: p.Org(), Slug: slug, Name: in.Name, CreatedAt: tx.Now(), Description: in.Description, Protected: in.Protected}
		p.Place(out.Project.ID, "")
		if err := tx.PutProject(ctx, &out.Project); err != nil {
			return err
		}
		key, err := s.ring.NewProjectKey(string(out.Project.ID), tx.Now())
		if err != nil {
			return err
		}
		if err := keys.Save(ctx, tx, keyring.Rows{Keys: []keyring.KeyRow{key}}); err != nil {
			return err
		}
		if err := s.keys.Reserve(ctx, tx); err != nil {
			return err
		}
		for i, slug := range envs {
			name := in.Names[slug]
			if name == "" {
				name = domain.Label(slug)
			}
			env, err := putEnv(ctx, tx, out.Project, slug, name, int64(i))
			if err != nil {
				return err
			}
			out.Envs = append(out.Envs, env)
		}
		tx.After(func() {
			if err := s.ring.Add(key); err != nil { // it was made by this ring a moment ago
				slog.Error("a new project key cannot be used", "project", out.Project.ID, "error", err)
			}
		})
		return s.projectChanged(ctx, tx, out.Project.ID, "")
	})
	return out, err
}

func putEnv(ctx context.Context, tx *store.Tx, project store.Project, slug domain.Slug, name domain.Label, position int64) (store.Environment, error) {
	env := store.Environment{ID: domain.NewID[domain.EnvID](), Org: project.Org, Project: project.ID, Slug: slug, Name: name, Position: position, CreatedAt: tx.Now()}
	if err := tx.PutEnvironment(ctx, &env); err != nil {
		return env, err
	}
	root := store.Folder{ID: domain.NewID[domain.FolderID](), Org: env.Org, Project: env.Project, Env: env.ID, Path: domain.Root}
	return env, tx.PutFolders(ctx, nil, []*store.Folder{&root})
}

func (s *Service) projectChanged(ctx context.Context, tx *store.Tx, project domain.ProjectID, env domain.EnvID) error {
	return tx.Announce(ctx, store.Feed{Kind: store.FeedProject, Project: project, Env: env})
}

// Projects lists what the caller may know of.
func (s *Service) Projects(ctx context.Context, deleted bool) ([]Project, error) {
	who := guard.CallerOf(ctx).Principal
	var out []Project
	err := s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: who.Org}, Detail: map[string]string{"list": "projects"}}, func(p guard.Permit) error {
		rows, err := s.db.Projects(ctx, p.Org())
		if err != nil {
			return err
		}
		for _, row := range rows {
			r := policy.Resource{Org: row.Org, Project: row.ID}
			if (row.DeletedAt != 0) != deleted || row.PurgedAt != 0 || deleted && !p.Can(policy.ProjectDelete, r) {
				continue
			}
			project, err := s.visibleEnvs(ctx, p, row)
			if err != nil {
				return err
			}
			if p.Can(policy.ProjectRead, r) || len(project.Envs) > 0 {
				out = append(out, project)
			}
		}
		return nil
	})
	return out, err
}

// visibleEnvs leaves out environments that the caller has no right in.
func (s *Service) visibleEnvs(ctx context.Context, p guard.Permit, row store.Project) (Project, error) {
	out := Project{Project: row}
	envs, err := s.db.Environments(ctx, row.ID)
	if err != nil {
		return out, err
	}
	for _, e := range envs {
		if e.DeletedAt == 0 && p.Can(policy.ProjectRead, policy.Resource{Org: row.Org, Project: row.ID, Env: e.ID, EnvSlug: e.Slug}) {
			out.Envs = append(out.Envs, e)
		}
	}
	return out, nil
}

// Project shows one by slug or id.
func (s *Service) Project(ctx context.Context, name string) (Project, error) {
	var out Project
	err := s.inProject(ctx, policy.ProjectRead, name, func(op guard.Op, row store.Project) error {
		return s.door.Read(ctx, op, func(p guard.Permit) (err error) {
			out, err = s.visibleEnvs(ctx, p, row)
			return err
		})
	})
	return out, err
}

// inProject finds a live project and makes the question for the door.
func (s *Service) inProject(ctx context.Context, action policy.Action, name string, work func(guard.Op, store.Project) error) error {
	found, err := s.dir.project(ctx, guard.CallerOf(ctx).Principal.Org, name)
	if err != nil {
		return s.door.Miss(ctx, guard.Op{Action: action, Detail: map[string]string{"project": clip(name)}}, err)
	}
	return work(guard.Op{Action: action, Resource: policy.Resource{Org: found.row.Org, Project: found.row.ID}}, found.row)
}

// RenameProject changes slug and name; references that spell the slug follow in the same transaction.
func (s *Service) RenameProject(ctx context.Context, name string, slug domain.Slug, label domain.Label) (Project, error) {
	return s.ChangeProject(ctx, name, ProjectChange{Slug: slug, Name: label})
}

// ProjectChange is what shall be different; zero and nil leave as it is.
type ProjectChange struct {
	Slug        domain.Slug
	Name        domain.Label
	Description *string
	Protected   *bool
}

// ChangeProject changes what is known of a project. References in the environments of others follow a new slug.
func (s *Service) ChangeProject(ctx context.Context, name string, in ProjectChange) (Project, error) {
	if in.Description != nil {
		if err := checkDescription(*in.Description); err != nil {
			return Project{}, err
		}
	}
	slug, label := in.Slug, in.Name
	err := s.inProject(ctx, policy.ProjectUpdate, name, func(op guard.Op, row store.Project) error {
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			row, err := tx.Project(ctx, row.ID)
			if err != nil {
				return err
			}
			old := row.Slug
			if slug != "" {
				row.Slug = slug
			}
			if label != "" {
				row.Name = label
			}
			if in.Description != nil {
				row.Description = *in.Description
			}
			if in.Protected != nil {
				row.Protected = *in.Protected
			}
			if taken, err := tx.ProjectBySlug(ctx, p.Org(), row.Slug); err == nil && taken.ID != row.ID {
				return fault.New(fault.Exists, "project %s exists already", row.Slug)
			} else if err != nil && !missing(err) {
				return err
			}
			if row.Slug != old {
				if err := slugFree(ctx, tx, p.Org(), row.Slug); err != nil {
					return err
				}
				if err := s.followProject(ctx, tx, p, row); err != nil {
					return err
				}
			} else if err := tx.PutProject(ctx, &row); err != nil {
				return err
			}
			return s.projectChanged(ctx, tx, row.ID, "")
		})
	})
	if err != nil {
		return Project{}, err
	}
	if slug != "" {
		name = string(slug)
	}
	return s.Project(ctx, name)
}

// DeleteProject hides a project; nothing is destroyed, and its slug is free again.
func (s *Service) DeleteProject(ctx context.Context, name string) error {
	return s.inProject(ctx, policy.ProjectDelete, name, func(op guard.Op, row store.Project) error {
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			row, err := tx.Project(ctx, row.ID)
			if err != nil {
				return err
			}
			if row.Protected {
				return fault.New(fault.Conflict, "project %s is protected from being deleted", row.Slug).WithHint("lift its delete protection first")
			}
			if err := refuseGuarded(ctx, tx, p, row.ID, func(e store.Environment) bool { return e.DeletedAt == 0 }); err != nil {
				return err
			}
			envs, err := tx.Environments(ctx, row.ID)
			if err != nil {
				return err
			}
			for _, env := range envs {
				if err := s.refuseReferenced(ctx, tx, p, env, true); err != nil {
					return err
				}
			}
			row.DeletedAt = tx.Now()
			if err := tx.PutProject(ctx, &row); err != nil {
				return err
			}
			return s.projectChanged(ctx, tx, row.ID, "")
		})
	})
}

// deletedProject finds a deleted project by id, or by slug: the one that was deleted last.
func deletedProject(ctx context.Context, q store.Queries, org domain.OrgID, name string) (store.Project, error) {
	rows, err := q.Projects(ctx, org)
	if err != nil {
		return store.Project{}, err
	}
	var found store.Project
	for _, row := range rows {
		if row.DeletedAt > found.DeletedAt && row.PurgedAt == 0 && (string(row.ID) == name || string(row.Slug) == name) {
			found = row
		}
	}
	if found.ID == "" {
		return found, fault.New(fault.NotFound, "no deleted project of that name")
	}
	return found, nil
}

// onDeletedProject runs a change on a deleted project.
func (s *Service) onDeletedProject(ctx context.Context, action policy.Action, name string, work func(*store.Tx, guard.Permit, store.Project) error) error {
	org := guard.CallerOf(ctx).Principal.Org
	row, err := deletedProject(ctx, s.db.Queries, org, name)
	if err != nil {
		return s.door.Miss(ctx, guard.Op{Action: action, Detail: map[string]string{"project": clip(name)}}, err)
	}
	op := guard.Op{Action: action, Resource: policy.Resource{Org: row.Org, Project: row.ID}}
	return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		row, err := deletedProject(ctx, tx.Queries, org, string(row.ID))
		if err != nil {
			return err
		}
		if err := work(tx, p, row); err != nil {
			return err
		}
		return s.projectChanged(ctx, tx, row.ID, "")
	})
}

// RestoreProject brings a deleted project back under its slug.
func (s *Service) RestoreProject(ctx context.Context, name string) error {
	return s.onDeletedProject(ctx, policy.ProjectDelete, name, func(tx *store.Tx, p guard.Permit, row store.Project) error {
		if _, err := tx.ProjectBySlug(ctx, row.Org, row.Slug); err == nil {
			return fault.New(fault.Exists, "another project is called %s now", row.Slug).WithHint("rename that one first")
		} else if !missing(err) {
			return err
		}
		if err := slugFree(ctx, tx, row.Org, row.Slug); err != nil {
			return err
		}
		row.DeletedAt = 0
		return tx.PutProject(ctx, &row)
	})
}

// PurgeProject destroys the values of a deleted project for good. The log keeps who did it and when.
func (s *Service) PurgeProject(ctx context.Context, name string) error {
	return s.onDeletedProject(ctx, policy.ProjectPurge, name, func(tx *store.Tx, p guard.Permit, row store.Project) error {
		if err := refuseGuarded(ctx, tx, p, row.ID, func(e store.Environment) bool { return e.PurgedAt == 0 }); err != nil {
			return err
		}
		envs, err := tx.Environments(ctx, row.ID)
		if err != nil {
			return err
		}
		for _, e := range envs {
			if err := s.purgeEnv(ctx, tx, e); err != nil {
				return err
			}
		}
		row.PurgedAt = tx.Now()
		return tx.PutProject(ctx, &row)
	})
}

package secrets

import (
	"context"
	"log/slog"

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

// NewEnv is an environment that is to be made. An empty id asks for a fresh one, an empty name for the slug.
type NewEnv struct {
	ID   domain.EnvID
	Slug domain.Slug
	Name domain.Label
}

// NewProject is a project that is to be made. An empty id asks for a fresh one, an empty list of environments for [DefaultEnvs].
//
// Applications carry the ids of the system that they came from, so whoever moves in may bring them. Such an id must never have
// been used here, by whatever organisation, and also not by something that was deleted or purged: values are bound to ids.
type NewProject struct {
	ID   domain.ProjectID
	Slug domain.Slug
	Name domain.Label
	Envs []NewEnv
	// NoEnvs leaves an empty list of environments empty.
	NoEnvs      bool
	Description string
	Protected   bool // it is not deleted before that is lifted
}

func (n *NewProject) check() error {
	if err := checkDescription(n.Description); err != nil {
		return err
	}
	if len(n.Envs) == 0 && !n.NoEnvs {
		for _, slug := range DefaultEnvs {
			n.Envs = append(n.Envs, NewEnv{Slug: slug})
		}
	}
	if len(n.Envs) > maxEnvs {
		return fault.New(fault.Invalid, "too many environments: at most %d", maxEnvs)
	}
	for i, env := range n.Envs {
		for _, other := range n.Envs[:i] {
			if env.Slug == other.Slug {
				return fault.New(fault.Invalid, "environment %s stands there twice", env.Slug).WithField("/envs", "want each once")
			}
			if env.ID != "" && env.ID == other.ID {
				return fault.New(fault.Invalid, "two environments have one id").WithField("/env_ids", "want each id once")
			}
		}
		if env.ID != "" && string(env.ID) == string(n.ID) {
			return fault.New(fault.Invalid, "the project and one of its environments have one id").WithField("/env_ids", "want each id once")
		}
	}
	return nil
}

// CreateProject makes a project with environments, each with its root folder, and its own key.
func (s *Service) CreateProject(ctx context.Context, slug domain.Slug, name domain.Label, envs []domain.Slug) (Project, error) {
	n := NewProject{Slug: slug, Name: name}
	for _, e := range envs {
		n.Envs = append(n.Envs, NewEnv{Slug: e})
	}
	return s.MakeProject(ctx, n)
}

// MakeProject is CreateProject for callers who bring ids and names along.
func (s *Service) MakeProject(ctx context.Context, n NewProject) (Project, error) {
	if err := n.check(); err != nil {
		return Project{}, err
	}
	who := guard.CallerOf(ctx).Principal
	var out Project
	detail := map[string]string{"slug": string(n.Slug)}
	if n.ID != "" {
		detail["id"] = string(n.ID)
	}
	op := guard.Op{Action: policy.ProjectCreate, Resource: policy.Resource{Org: who.Org}, Detail: detail}
	err := s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		if _, err := tx.ProjectBySlug(ctx, p.Org(), n.Slug); err == nil {
			return fault.New(fault.Exists, "project %s exists already", n.Slug)
		} else if !missing(err) {
			return err
		}
		if err := slugFree(ctx, tx, p.Org(), n.Slug); err != nil {
			return err
		}
		if err := unusedID(ctx, tx, string(n.ID)); err != nil {
			return err
		}
		if n.ID == "" {
			n.ID = domain.NewID[domain.ProjectID]()
		}
		out.Project = store.Project{ID: n.ID, Org: p.Org(), Slug: n.Slug, Name: n.Name, CreatedAt: tx.Now(), Description: n.Description, Protected: n.Protected}
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
		for i, e := range n.Envs {
			if err := unusedID(ctx, tx, string(e.ID)); err != nil {
				return err
			}
			env, err := putEnv(ctx, tx, out.Project, e, int64(i))
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

// unusedID refuses an id that a project or an environment has or had, in this organisation or another. The answer is the same
// for all of them, so that it tells no more than that somebody holds this very id.
func unusedID(ctx context.Context, tx *store.Tx, id string) error {
	if id == "" {
		return nil
	}
	_, err := tx.Project(ctx, domain.ProjectID(id))
	if missing(err) {
		_, err = tx.Environment(ctx, domain.EnvID(id))
	}
	switch {
	case missing(err):
		return nil
	case err != nil:
		return err
	}
	return fault.New(fault.Exists, "the id is used already, or was").WithHint("leave the id away, and a fresh one is made")
}

func putEnv(ctx context.Context, tx *store.Tx, project store.Project, n NewEnv, position int64) (store.Environment, error) {
	if n.ID == "" {
		n.ID = domain.NewID[domain.EnvID]()
	}
	if n.Name == "" {
		n.Name = domain.Label(n.Slug)
	}
	env := store.Environment{ID: n.ID, Org: project.Org, Project: project.ID, Slug: n.Slug, Name: n.Name, Position: position, CreatedAt: tx.Now()}
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
		if err := tx.PurgeTransitKeys(ctx, row.Org, row.ID); err != nil {
			return err
		}
		row.PurgedAt = tx.Now()
		return tx.PutProject(ctx, &row)
	})
}

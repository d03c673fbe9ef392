package secrets

import (
	"context"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
)

// A client of Vault makes a mount and knows of no project. The mount gets one: it cannot have the name of the mount, since each
// project is a mount of its own under its slug, whose paths go on with an environment.
const (
	mountProjectPrefix = "kv-"
	// mountEnv is the one environment of such a project.
	mountEnv domain.Slug = "main"
)

// MountNew lays a mount over a project that is made for it: kv-PATH, with the one environment main. One that is there already, of
// a mount that was deleted, is taken again, with what it holds.
func (s *Service) MountNew(ctx context.Context, r MountRequest) (Mount, error) {
	path, err := ParseMountPath(r.Path)
	if err != nil {
		return Mount{}, err
	}
	o, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return Mount{}, err
	}
	if m, _, taken := o.find(path); taken {
		return Mount{}, fault.New(fault.Exists, "path is already in use at %s/", m.Path)
	}
	slug := domain.Slugify(mountProjectPrefix + path)
	found := o.projects[string(slug)]
	if found == nil {
		if _, err := s.CreateProject(ctx, slug, domain.Label(path), []domain.Slug{mountEnv}); err != nil {
			return Mount{}, err
		}
	} else if _, ok := found.envs[string(mountEnv)]; !ok {
		return Mount{}, fault.New(fault.Invalid, "there is a project %s that has no environment %s", slug, mountEnv).
			WithHint("say what the mount shall lie over: options project, env and path, or keyturn mount create")
	}
	r.Project, r.Env, r.Folder = string(slug), string(mountEnv), domain.Root
	return s.CreateMount(ctx, r)
}

package secrets

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// ParseMountPath gives the canonical path of a mount: one or more segments of letters, digits, '-', '_' and '.', joined by slashes.
func ParseMountPath(s string) (string, error) {
	s = strings.Trim(s, "/")
	bad := fault.New(fault.Invalid, "not a path of a mount: want at most %d bytes of letters, digits, '-', '_', '.' and slashes", maxMountPath)
	if s == "" || len(s) > maxMountPath {
		return "", bad
	}
	for segment := range strings.SplitSeq(s, "/") {
		if _, err := domain.ParseSecretName(segment); err != nil { // the same characters
			return "", bad
		}
	}
	if first, _, _ := strings.Cut(s, "/"); slices.Contains(reservedMounts, first) {
		return "", fault.New(fault.Invalid, "a mount cannot begin with %s: that belongs to the view itself", first)
	}
	return s, nil
}

func checkDescription(s string) error {
	if s == "" {
		return nil
	}
	if _, err := domain.ParseLabel(s); err != nil && (len(s) > maxDescription || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })) {
		return fault.New(fault.Invalid, "not a description: want at most %d bytes of printable text", maxDescription)
	}
	return nil
}

// mountTaken refuses a path that another mount or a project has, or that lies above or below one. The names are shared by the
// whole organisation, so this tells what the caller may not see: that something is there.
func mountTaken(ctx context.Context, tx *store.Tx, org domain.OrgID, path string) error {
	rows, err := tx.Mounts(ctx, org)
	if err != nil {
		return err
	}
	if len(rows) >= maxMounts {
		return fault.New(fault.Exhausted, "too many mounts: at most %d", maxMounts)
	}
	for _, row := range rows {
		if row.Path == "" {
			continue
		}
		_, in := below(row.Path, path)
		_, around := below(path, row.Path)
		if in || around {
			return fault.New(fault.Exists, "path is already in use at %s/", row.Path)
		}
	}
	first, _, _ := strings.Cut(path, "/")
	if _, err := tx.ProjectBySlug(ctx, org, domain.Slug(first)); err == nil {
		return fault.New(fault.Exists, "path is already in use at %s/", first).WithHint("every project is a mount under its slug")
	} else if !missing(err) {
		return err
	}
	return nil
}

// slugFree refuses a slug for a project under which there is a mount.
func slugFree(ctx context.Context, tx *store.Tx, org domain.OrgID, slug domain.Slug) error {
	rows, err := tx.Mounts(ctx, org)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, ok := below(string(slug), row.Path); ok && row.Path != "" {
			return fault.New(fault.Exists, "there is a mount %s: a project cannot have that name", row.Path).
				WithHint("delete the mount or take another slug: keyturn mount list")
		}
	}
	return nil
}

// CreateMount lays a path over a project, an environment or a folder. It takes the right to change the project and, since names
// are shared, the right to make projects. What the mount shows is not touched.
func (s *Service) CreateMount(ctx context.Context, r MountRequest) (Mount, error) {
	path, err := ParseMountPath(r.Path)
	if err != nil {
		return Mount{}, err
	}
	settings, err := r.Settings.row()
	if err == nil {
		err = checkDescription(r.Description)
	}
	if err != nil {
		return Mount{}, err
	}
	r.Version, r.Folder = cmp.Or(r.Version, 2), cmp.Or(r.Folder, domain.Root)
	if r.Version != 1 && r.Version != 2 {
		return Mount{}, fault.New(fault.Invalid, "the version of the engine is 1 or 2")
	}
	if r.Env == "" && r.Folder != domain.Root {
		return Mount{}, fault.New(fault.Invalid, "a folder needs its environment: without one, each environment has folders of its own")
	}
	row := store.Mount{ID: domain.NewID[string](), Path: path, Kind: string(MountKV), Version: int64(r.Version), Folder: r.Folder, Description: r.Description, Settings: settings}
	err = s.inProject(ctx, policy.ProjectUpdate, r.Project, func(op guard.Op, project store.Project) error {
		op.Detail = map[string]string{"mount": path}
		return s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
			if !p.Can(policy.ProjectCreate, policy.Resource{Org: project.Org}) {
				return fault.New(fault.Denied, "names of mounts are shared by the organisation: whoever makes one must be allowed to make projects").
					WithHint("use the mount that the project is by itself: %s", project.Slug)
			}
			row.Org, row.Project, row.CreatedAt = project.Org, project.ID, tx.Now()
			if r.Env != "" {
				env, err := envNamed(ctx, tx, project.ID, r.Env)
				if err != nil {
					return err
				}
				row.Env = env.ID
			}
			if err := mountTaken(ctx, tx, project.Org, path); err != nil {
				return err
			}
			if err := tx.PutMount(ctx, &row); err != nil {
				return err
			}
			return s.projectChanged(ctx, tx, project.ID, "")
		})
	})
	if err != nil {
		return Mount{}, err
	}
	return s.made(ctx, &row)
}

func envNamed(ctx context.Context, tx *store.Tx, project domain.ProjectID, name string) (env store.Environment, err error) {
	if domain.IsID(name) {
		env, err = tx.Environment(ctx, domain.EnvID(name))
	} else {
		env, err = tx.EnvironmentBySlug(ctx, project, domain.Slug(name))
	}
	if err == nil && (env.Project != project || env.DeletedAt != 0) || missing(err) {
		return env, fault.New(fault.NotFound, "no such environment in the project")
	}
	return env, err
}

// made shows a mount after a change of it, for which the caller was let in a moment ago.
func (s *Service) made(ctx context.Context, row *store.Mount) (Mount, error) {
	o, err := s.dir.org(ctx, row.Org)
	if err != nil {
		return Mount{}, err
	}
	if row.Path == "" {
		if p := o.projects[string(row.Project)]; p != nil {
			return p.mount(), nil
		}
	}
	m, ok := o.mount(row)
	if !ok {
		return Mount{}, guard.Missing()
	}
	return m, nil
}

// onMount changes the row of a mount. The mount of a project gets one when it has none yet.
func (s *Service) onMount(ctx context.Context, path string, change func(*store.Tx, *store.Mount) error) (store.Mount, error) {
	m, rest, err := s.ResolveMount(ctx, path)
	if err != nil {
		return store.Mount{}, err
	}
	org := guard.CallerOf(ctx).Principal.Org
	if rest != "" {
		return store.Mount{}, s.door.Miss(ctx, guard.Op{Action: policy.ProjectUpdate, Resource: policy.Resource{Org: org, Project: m.Project}}, fault.New(fault.NotFound, "no such mount"))
	}
	if m.Kind != MountKV {
		return store.Mount{}, fault.New(fault.Invalid, "%s/ is the same everywhere and cannot be changed", m.Path)
	}
	var row store.Mount
	op := guard.Op{Action: policy.ProjectUpdate, Resource: policy.Resource{Org: org, Project: m.Project}, Detail: map[string]string{"mount": m.Path}}
	err = s.door.Do(ctx, op, func(tx *store.Tx, p guard.Permit) error {
		var err error
		if m.Implicit {
			if row, err = tx.OwnMount(ctx, m.Project); missing(err) {
				row, err = store.Mount{ID: domain.NewID[string](), Org: org, Project: m.Project, Folder: domain.Root, Kind: string(MountKV), Version: 2, CreatedAt: tx.Now()}, nil
			}
		} else {
			row, err = tx.Mount(ctx, m.ID)
		}
		if err != nil {
			return err
		}
		if err := change(tx, &row); err != nil {
			return err
		}
		return s.projectChanged(ctx, tx, m.Project, "")
	})
	return row, err
}

// TuneMount changes a mount. The mount that a project is by itself keeps settings too, and is always of version 2.
func (s *Service) TuneMount(ctx context.Context, path string, t MountTune) (Mount, error) {
	if t.Version != nil && *t.Version != 1 && *t.Version != 2 {
		return Mount{}, fault.New(fault.Invalid, "the version of the engine is 1 or 2")
	}
	if t.Description != nil {
		if err := checkDescription(*t.Description); err != nil {
			return Mount{}, err
		}
	}
	row, err := s.onMount(ctx, path, func(tx *store.Tx, row *store.Mount) error {
		settings := mountSettings(row.Settings)
		assign(&settings.MaxVersions, t.MaxVersions)
		assign(&settings.CASRequired, t.CASRequired)
		assign(&settings.DeleteVersionAfter, t.DeleteVersionAfter)
		assign(&row.Description, t.Description)
		if t.Version != nil && int64(*t.Version) != row.Version {
			if row.Path == "" {
				return fault.New(fault.Invalid, "the mount of a project is of version 2").WithHint("lay a mount of version 1 over it: keyturn mount create PATH --project P --kv 1")
			}
			row.Version = int64(*t.Version)
		}
		var err error
		if row.Settings, err = settings.row(); err != nil {
			return err
		}
		return tx.PutMount(ctx, row)
	})
	if err != nil {
		return Mount{}, err
	}
	return s.made(ctx, &row)
}

// DeleteMount takes a mount away. What it showed stays as it is.
func (s *Service) DeleteMount(ctx context.Context, path string) error {
	_, err := s.onMount(ctx, path, func(tx *store.Tx, row *store.Mount) error {
		if row.Path == "" {
			return fault.New(fault.Invalid, "the mount of a project is there as long as the project is")
		}
		return tx.RemoveMount(ctx, row)
	})
	return err
}

package secrets

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
	"github.com/keyturn/keyturn/internal/store"
)

// MountKind says which engine answers below a mount.
type MountKind string

// The kinds of mounts.
const (
	MountKV      MountKind = "kv"
	MountTransit MountKind = "transit"
)

// Bounds of mounts.
const (
	maxMountPath   = 128 // bytes: it stands in every path below it
	maxMounts      = 500 // of an organisation: all are looked through for each request
	maxDescription = 500 // bytes
	maxVersions    = 1 << 20
	// maxDeleteAfter is a century, as for other spans that people write.
	maxDeleteAfter = 100 * 365 * 24 * time.Hour
)

// reservedMounts are first segments that belong to the Vault view itself. A project of such a name is not shown there.
var reservedMounts = []string{"sys", "auth", "cubbyhole", "identity", string(MountTransit)}

// MountSettings are what documents below a mount have when they say nothing themselves.
type MountSettings struct {
	MaxVersions        int64 // of a document that are shown; 0 leaves it to the document
	CASRequired        bool  // writes must say which version they replace
	DeleteVersionAfter time.Duration
}

// Mount is one path of the Vault view and what lies below it.
type Mount struct {
	ID          string // of an explicit mount its own, of a project's mount the project's
	Path        string // without slashes at the ends
	Kind        MountKind
	Version     int              // of the KV engine: 1 or 2; 0 for other kinds
	Project     domain.ProjectID // "" for kinds other than KV
	ProjectSlug domain.Slug
	Env         domain.EnvID // "" when the next segment of a path names it
	EnvSlug     domain.Slug
	Folder      domain.Path
	Description string
	Settings    MountSettings
	// Implicit is true for mounts that are there without having been made: projects, and transit.
	Implicit  bool
	CreatedAt int64 // unix milliseconds
}

// MountRequest asks for a mount.
type MountRequest struct {
	Path        string
	Project     string // slug or id
	Env         string // slug or id; "" when the next segment names it
	Folder      domain.Path
	Version     int // 1 or 2; 0 is 2
	Description string
	Settings    MountSettings
}

// MountTune changes a mount. Pointers that are nil leave the thing as it is.
type MountTune struct {
	Description        *string
	Version            *int
	MaxVersions        *int64
	CASRequired        *bool
	DeleteVersionAfter *time.Duration
}

// transitMount is where the encryption service is, in every organisation.
var transitMount = Mount{ID: string(MountTransit), Path: string(MountTransit), Kind: MountTransit, Description: "encryption as a service", Implicit: true}

func (o *orgDirectory) mount(row *store.Mount) (Mount, bool) {
	p := o.projects[string(row.Project)]
	if p == nil {
		return Mount{}, false // its project was deleted
	}
	m := Mount{ID: row.ID, Path: row.Path, Kind: MountKind(row.Kind), Version: int(row.Version), Project: row.Project, ProjectSlug: p.row.Slug,
		Folder: row.Folder, Description: row.Description, Settings: mountSettings(row.Settings), CreatedAt: row.CreatedAt}
	if row.Env != "" {
		e, ok := p.envs[string(row.Env)]
		if !ok {
			return Mount{}, false // its environment was deleted
		}
		m.Env, m.EnvSlug = e.ID, e.Slug
	}
	return m, true
}

// own gives the mount that a project is by itself.
func (p *projectDirectory) mount() Mount {
	m := Mount{ID: string(p.row.ID), Path: string(p.row.Slug), Kind: MountKV, Version: 2, Project: p.row.ID, ProjectSlug: p.row.Slug, Folder: domain.Root,
		Description: string(p.row.Name), Implicit: true, CreatedAt: p.row.CreatedAt}
	if p.own != nil {
		m.Settings = mountSettings(p.own.Settings)
		m.Description = cmp.Or(p.own.Description, m.Description)
	}
	return m
}

func mountSettings(s store.MountSettings) MountSettings {
	return MountSettings{MaxVersions: s.MaxVersions, CASRequired: s.CASRequired, DeleteVersionAfter: time.Duration(s.DeleteAfter) * time.Millisecond}
}

func (s MountSettings) row() (store.MountSettings, error) {
	out := store.MountSettings{MaxVersions: s.MaxVersions, CASRequired: s.CASRequired, DeleteAfter: s.DeleteVersionAfter.Milliseconds()}
	switch {
	case s.MaxVersions < 0 || s.MaxVersions > maxVersions:
		return out, fault.New(fault.Invalid, "the number of versions must be 0 to %d", maxVersions)
	case s.DeleteVersionAfter > maxDeleteAfter:
		return out, fault.New(fault.Invalid, "versions cannot be kept for longer than %d days and be deleted then", int(maxDeleteAfter/(24*time.Hour)))
	}
	return out, nil
}

// find gives the mount that a path lies below, and the rest of the path.
func (o *orgDirectory) find(path string) (Mount, string, bool) {
	path = strings.Trim(path, "/")
	for i := range o.mounts { // none is a prefix of another, so at most one fits
		if rest, ok := below(o.mounts[i].Path, path); ok {
			m, ok := o.mount(&o.mounts[i])
			return m, rest, ok
		}
	}
	first, rest, _ := strings.Cut(path, "/")
	if first == transitMount.Path {
		return transitMount, rest, true
	}
	p := o.projects[first]
	if p == nil || string(p.row.Slug) != first || slices.Contains(reservedMounts, first) {
		return Mount{}, "", false
	}
	return p.mount(), rest, true
}

// below gives what follows a mount's path in a path; false when the path does not lie there.
func below(mount, path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, mount)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// showsMount tells whether somebody who is asked for by may sees anything below a mount.
func (o *orgDirectory) showsMount(org domain.OrgID, m Mount, can, reaches func(policy.Action, policy.Resource) bool) bool {
	if m.Project == "" {
		return true // whoever has a token knows the engines that everybody has
	}
	r := policy.Resource{Org: org, Project: m.Project}
	if m.Env == "" && can(policy.ProjectRead, r) {
		return true
	}
	for _, e := range o.projects[string(m.Project)].list {
		if m.Env != "" && e.ID != m.Env {
			continue
		}
		r.Env, r.EnvSlug = e.ID, e.Slug
		if can(policy.ProjectRead, r) || reaches(policy.SecretList, r) || reaches(policy.SecretRead, r) {
			return true
		}
	}
	return false
}

// ResolveMount finds the mount that a path of the Vault view lies below, and the rest of the path, without slashes at the ends.
// What the caller may see nothing of is as if it were not there: fault.NotFound, which is recorded. Finding one is not, since
// what is done there is.
func (s *Service) ResolveMount(ctx context.Context, path string) (Mount, string, error) {
	org := guard.CallerOf(ctx).Principal.Org
	o, err := s.dir.org(ctx, org)
	if err != nil {
		return Mount{}, "", err
	}
	m, rest, ok := o.find(path)
	if ok && s.seesMount(ctx, o, m) {
		return m, rest, nil
	}
	first, _, _ := strings.Cut(strings.Trim(path, "/"), "/")
	return Mount{}, "", s.door.Miss(ctx, guard.Op{Action: policy.SecretRead, Detail: map[string]string{"mount": clip(first)}}, fault.New(fault.NotFound, "no such mount"))
}

func (s *Service) seesMount(ctx context.Context, o *orgDirectory, m Mount) bool {
	check := func(a policy.Action, r policy.Resource) bool { return s.door.Check(ctx, a, r) }
	reach := func(a policy.Action, r policy.Resource) bool { return s.door.Reaches(ctx, a, r) }
	return o.showsMount(guard.CallerOf(ctx).Principal.Org, m, check, reach)
}

// Mounts lists what the caller may know of, by path.
func (s *Service) Mounts(ctx context.Context) ([]Mount, error) {
	org := guard.CallerOf(ctx).Principal.Org
	var out []Mount
	op := guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: org}, Detail: map[string]string{"list": "mounts"}}
	err := s.door.Read(ctx, op, func(p guard.Permit) error {
		o, err := s.dir.org(ctx, org)
		if err != nil {
			return err
		}
		all := []Mount{transitMount}
		for i := range o.mounts {
			if m, ok := o.mount(&o.mounts[i]); ok {
				all = append(all, m)
			}
		}
		for i := range o.list {
			if !slices.Contains(reservedMounts, string(o.list[i].Slug)) {
				all = append(all, o.projects[string(o.list[i].ID)].mount())
			}
		}
		out = slices.DeleteFunc(all, func(m Mount) bool { return !o.showsMount(org, m, p.Can, p.Reaches) })
		slices.SortFunc(out, func(a, b Mount) int { return strings.Compare(a.Path, b.Path) })
		return nil
	})
	return out, err
}

// Mount shows one by its path, which may have slashes at the ends. Missing and hidden ones are fault.NotFound.
func (s *Service) Mount(ctx context.Context, path string) (Mount, error) {
	m, rest, err := s.ResolveMount(ctx, path)
	if err != nil {
		return Mount{}, err
	}
	err = s.door.Read(ctx, guard.Op{Action: policy.SelfRead, Resource: policy.Resource{Org: guard.CallerOf(ctx).Principal.Org, Project: m.Project, Env: m.Env},
		Detail: map[string]string{"mount": m.Path}}, func(guard.Permit) error {
		if rest != "" {
			return guard.Missing()
		}
		return nil
	})
	return m, err
}

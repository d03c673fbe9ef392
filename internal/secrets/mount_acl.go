package secrets

import (
	"context"
	"slices"

	"github.com/keyturn/keyturn/internal/guard"
	"github.com/keyturn/keyturn/internal/policy"
)

// ACLMounts gives every mount of the caller's organisation as policies need it, also those that he may not see.
func (s *Service) ACLMounts(ctx context.Context) ([]policy.ACLMount, error) {
	o, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return nil, err
	}
	out := []policy.ACLMount{aclMount(transitMount)}
	for i := range o.mounts {
		if m, ok := o.mount(&o.mounts[i]); ok {
			out = append(out, aclMount(m))
		}
	}
	for i := range o.list {
		if !slices.Contains(reservedMounts, string(o.list[i].Slug)) {
			out = append(out, aclMount(o.projects[string(o.list[i].ID)].mount()))
		}
	}
	return out, nil
}

func aclMount(m Mount) policy.ACLMount {
	return policy.ACLMount{Path: m.Path, Kind: string(m.Kind), Version: m.Version, Project: m.Project, Env: m.EnvSlug, Folder: m.Folder}
}

// usesKeys tells whether the caller may do something with some key of the encryption service that a project has.
func (s *Service) usesKeys(ctx context.Context, o *orgDirectory, project string) bool {
	p := o.projects[project]
	if p == nil {
		return false
	}
	for _, a := range policy.Actions {
		if policy.Keyed(a.Action) && s.door.Reaches(ctx, a.Action, policy.Resource{Org: p.row.Org, Project: p.row.ID}) {
			return true
		}
	}
	return false
}

// SeesMountBelow tells whether the caller may know of a mount that has the path or lies below it, or use keys of
// the project of that slug. It is not recorded: what is done
// there is.
func (s *Service) SeesMountBelow(ctx context.Context, path string) (bool, error) {
	o, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return false, err
	}
	if m, rest, ok := o.find(path); ok && rest == "" && s.seesMount(ctx, o, m) {
		return true, nil
	}
	if s.usesKeys(ctx, o, path) {
		return true, nil
	}
	for i := range o.mounts {
		if _, ok := below(path, o.mounts[i].Path); !ok || o.mounts[i].Path == "" {
			continue
		}
		if m, ok := o.mount(&o.mounts[i]); ok && s.seesMount(ctx, o, m) {
			return true, nil
		}
	}
	return false, nil
}

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

// SeesMountBelow tells whether the caller may know of a mount that has the path or lies below it. It is not recorded: what is done
// there is.
func (s *Service) SeesMountBelow(ctx context.Context, path string) (bool, error) {
	o, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return false, err
	}
	if m, rest, ok := o.find(path); ok && rest == "" && s.seesMount(ctx, o, m) {
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

package secrets

import (
	"context"
	"slices"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
)

// MountedAt is one path of the Vault view under which a document is.
type MountedAt struct {
	Mount Mount
	Rest  string // below the mount, without slashes at the ends; never empty
}

// MountedAt tells under which paths the document is that a folder makes, as far as the caller of ctx sees those mounts.
func (s *Service) MountedAt(ctx context.Context, h *Happening) ([]MountedAt, error) {
	o, err := s.dir.org(ctx, guard.CallerOf(ctx).Principal.Org)
	if err != nil {
		return nil, err
	}
	var all []Mount
	for i := range o.mounts {
		if m, ok := o.mount(&o.mounts[i]); ok {
			all = append(all, m)
		}
	}
	if p := o.projects[string(h.Project.ID)]; p != nil && !slices.Contains(reservedMounts, string(p.row.Slug)) {
		all = append(all, p.mount())
	}
	var out []MountedAt
	for _, m := range all {
		if m.Project != h.Project.ID || m.Env != "" && m.Env != h.Env.ID || !m.Folder.Contains(h.Path) || !s.seesMount(ctx, o, m) {
			continue
		}
		rest := strings.Trim(string(h.Path.Rebase(m.Folder, domain.Root)), "/")
		if m.Env == "" {
			rest = strings.Trim(string(h.Env.Slug)+"/"+rest, "/")
		}
		if rest != "" { // a mount itself is no document
			out = append(out, MountedAt{m, rest})
		}
	}
	return out, nil
}

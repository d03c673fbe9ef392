package httpapi

import (
	"net/http"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/secrets"
)

type mountParam struct {
	Path string `query:"path" doc:"of the mount, for example secret or team/kv"`
}

func mountRoutes() []Route {
	return []Route{
		with(Route{Method: "GET", Path: "/mounts", Auth: Token, Action: "self.read", Summary: "List the paths of the Vault view.", Example: api.Mounts{}},
			func(c *call, _ *none, _ *none) (api.Mounts, error) {
				all, err := c.secrets.Mounts(c.ctx)
				out := api.Mounts{Mounts: make([]api.Mount, 0, len(all))}
				for i := range all {
					out.Mounts = append(out.Mounts, mountOf(&all[i]))
				}
				return out, err
			}),
		with(Route{Method: "POST", Path: "/mounts", Auth: Token, Action: "project.update", Summary: "Lay a path of the Vault view over a project, an environment or a folder.", MaxBody: smallBody, Status: http.StatusCreated,
			Example: api.MountRequest{Path: "secret", Project: "shop", Env: "prod", Folder: "/"}},
			func(c *call, _ *none, b *api.MountRequest) (api.Mount, error) {
				folder, err := domain.ParsePath(b.Folder)
				if err != nil {
					return api.Mount{}, err
				}
				after, err := parseDuration("/delete_version_after", b.DeleteVersionAfter)
				if err != nil {
					return api.Mount{}, err
				}
				m, err := c.secrets.CreateMount(c.ctx, secrets.MountRequest{Path: b.Path, Project: b.Project, Env: b.Env, Folder: folder, Version: b.Version, Description: b.Description,
					Settings: secrets.MountSettings{MaxVersions: b.MaxVersions, CASRequired: b.CASRequired, DeleteVersionAfter: after}})
				return mountOf(&m), err
			}),
		with(Route{Method: "GET", Path: "/mount", Auth: Token, Action: "self.read", Summary: "Show a mount and its settings.", Example: api.Mount{}},
			func(c *call, p *mountParam, _ *none) (api.Mount, error) {
				m, err := c.secrets.Mount(c.ctx, p.Path)
				return mountOf(&m), err
			}),
		with(Route{Method: "PATCH", Path: "/mount", Auth: Token, Action: "project.update", Summary: "Change a mount; that of a project has settings too.", MaxBody: smallBody, Example: api.MountTune{}},
			func(c *call, p *mountParam, b *api.MountTune) (api.Mount, error) {
				t := secrets.MountTune{Description: b.Description, Version: b.Version, MaxVersions: b.MaxVersions, CASRequired: b.CASRequired}
				if b.DeleteVersionAfter != nil {
					after, err := parseDuration("/delete_version_after", *b.DeleteVersionAfter)
					if err != nil {
						return api.Mount{}, err
					}
					t.DeleteVersionAfter = &after
				}
				m, err := c.secrets.TuneMount(c.ctx, p.Path, t)
				return mountOf(&m), err
			}),
		with(Route{Method: "DELETE", Path: "/mount", Auth: Token, Action: "project.update", Summary: "Take a mount away; what it showed stays.", Example: api.Done{}},
			func(c *call, p *mountParam, _ *none) (api.Done, error) {
				return api.Done{Done: true}, c.secrets.DeleteMount(c.ctx, p.Path)
			}),
	}
}

func mountOf(m *secrets.Mount) api.Mount {
	return api.Mount{ID: m.ID, Path: m.Path, Kind: string(m.Kind), Version: m.Version, ProjectID: string(m.Project), Project: string(m.ProjectSlug), EnvID: string(m.Env),
		Env: string(m.EnvSlug), Folder: string(m.Folder), Description: m.Description, MaxVersions: m.Settings.MaxVersions, CASRequired: m.Settings.CASRequired,
		DeleteVersionAfter: m.Settings.DeleteVersionAfter.String(), Implicit: m.Implicit, CreatedAt: maybe(m.CreatedAt)}
}

// mountSamples are answers about mounts.
func mountSamples() []any {
	m := api.Mount{ID: sampleGrant, Path: "secret", Kind: "kv", Version: 2, ProjectID: sampleProject, Project: "shop", EnvID: sampleEnv, Env: "prod", Folder: "/", DeleteVersionAfter: "0s"}
	return []any{m, api.Mounts{Mounts: []api.Mount{m}}}
}

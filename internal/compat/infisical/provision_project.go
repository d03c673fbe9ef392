package infisical

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/secrets"
)

func (s *Surface) provisionProjectRoutes() []route {
	return []route{
		{"POST /v1/projects", withToken, s.createProject},
		{"POST /v2/workspace", withToken, s.createProject},
		{"GET /v1/projects", withToken, s.provisionedProjects},
		{"PATCH /v1/projects/{project}", withToken, s.changeProject},
		{"PATCH /v1/workspace/{project}", withToken, s.changeProject},
		{"PATCH /v2/workspace/{project}", withToken, s.changeProject},
		{"DELETE /v1/projects/{project}", withToken, s.deleteProject},
		{"DELETE /v1/workspace/{project}", withToken, s.deleteProject},
		{"DELETE /v2/workspace/{project}", withToken, s.deleteProject},
	}
}

// unheld refuses parts of a request that nothing here could hold: a change that is not kept would be a lie.
func (c *call) unheld(reason string, names ...string) error {
	for _, name := range names {
		if _, there := c.raw(name); there {
			return fault.New(fault.Unsupported, "%s", reason).WithHint("leave %s out", name)
		}
	}
	return nil
}

// optional gives a text that may be absent.
func (c *call) optional(name string) (*string, error) {
	if _, there := c.raw(name); !there {
		return nil, nil
	}
	text, err := c.text(name)
	return &text, err
}

// optionalFlag gives a truth that may be absent.
func (c *call) optionalFlag(name string) (*bool, error) {
	if _, there := c.raw(name); !there {
		return nil, nil
	}
	b, err := c.flag(name, false)
	return &b, err
}

// defaultEnvNames are what new projects call their environments.
var defaultEnvNames = map[domain.Slug]domain.Label{"dev": "Development", "staging": "Staging", "prod": "Production"}

// projectSettings reads what creation and change have in common.
func (c *call) projectSettings() (description *string, protected *bool, err error) {
	if err = c.unheld("projects are sealed under keys of their own here, which this server makes", "kmsKeyId"); err != nil {
		return nil, nil, err
	}
	capital, err := c.flag("autoCapitalization", false)
	if err == nil && capital {
		err = fault.New(fault.Unsupported, "names of secrets are kept as they are written").WithHint("leave autoCapitalization out")
	}
	if err != nil {
		return nil, nil, err
	}
	if err := c.unheld("versions and the log are kept by the rules of the whole server", "auditLogsRetentionDays", "pitVersionLimit"); err != nil {
		return nil, nil, err
	}
	if description, err = c.optional("projectDescription"); err == nil && description == nil {
		description, err = c.optional("description")
	}
	if err == nil {
		protected, err = c.optionalFlag("hasDeleteProtection")
	}
	return description, protected, err
}

// maxSlugTries bounds how often a slug is looked for that nobody has.
const maxSlugTries = 4

func (s *Surface) createProject(ctx context.Context, c *call) (*answer, error) {
	name, err := c.must("projectName")
	if err != nil {
		return nil, err
	}
	in := secrets.NewProject{NoEnvs: true}
	if in.Name, err = domain.ParseLabel(name); err != nil {
		return nil, fault.As(err).WithField("/projectName", "not a name")
	}
	for field, only := range map[string]string{"type": "secret-manager", "template": "default"} {
		got, err := c.text(field)
		if err == nil && got != "" && got != only {
			err = fault.New(fault.Unsupported, "projects have the %s %s only", field, only)
		}
		if err != nil {
			return nil, err
		}
	}
	description, protected, err := c.projectSettings()
	if err != nil {
		return nil, err
	}
	if description != nil {
		in.Description = *description
	}
	in.Protected = protected != nil && *protected
	withEnvs, err := c.flag("shouldCreateDefaultEnvs", true)
	if err != nil {
		return nil, err
	}
	if withEnvs {
		for _, env := range secrets.DefaultEnvs {
			in.Envs = append(in.Envs, secrets.NewEnv{Slug: env, Name: defaultEnvNames[env]})
		}
	}
	slug, err := c.text("slug")
	if err != nil {
		return nil, err
	}
	if slug != "" {
		if in.Slug, err = domain.ParseSlug(slug); err != nil {
			return nil, fault.As(err).WithField("/slug", "not a slug")
		}
		return projectAnswer(s.Secrets.MakeProject(ctx, in))
	}
	base := domain.Slugify(name)
	if base == "" {
		base = "project"
	}
	in.Slug = base
	for range maxSlugTries {
		out, err := s.Secrets.MakeProject(ctx, in)
		if fault.KindOf(err) != fault.Exists || err == nil {
			return projectAnswer(out, err)
		}
		in.Slug = domain.Slug(strings.TrimSuffix(string(base[:min(len(base), 58)]), "-") + "-" + strings.ToLower(rand.Text()[:5]))
	}
	return projectAnswer(s.Secrets.MakeProject(ctx, in))
}

func projectAnswer(p secrets.Project, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return with(object{"project": provisioned(p)}), nil
}

// provisioned is a project as clients read it.
func provisioned(p secrets.Project) object {
	envs := []object{}
	for i, e := range p.Envs {
		envs = append(envs, environmentOf(e, int64(i+1)))
	}
	out := object{"id": p.ID, "_id": p.ID, "name": p.Name, "slug": p.Slug, "description": nil, "type": "secret-manager", "defaultProduct": "secret-manager", "orgId": p.Org, "version": 3,
		"createdAt": stamp(p.CreatedAt), "updatedAt": stamp(p.CreatedAt), "environments": envs, "autoCapitalization": false, "hasDeleteProtection": p.Protected,
		"auditLogsRetentionDays": nil, "upgradeStatus": nil}
	if p.Description != "" {
		out["description"] = p.Description
	}
	if p.Name == "" {
		out["name"] = p.Slug
	}
	return out
}

func (s *Surface) provisionedProjects(ctx context.Context, c *call) (*answer, error) {
	all, err := s.Secrets.Projects(ctx, false)
	if err != nil {
		return nil, err
	}
	out := []object{}
	for _, p := range all {
		out = append(out, provisioned(p))
	}
	return with(object{"projects": out}), nil
}

func (s *Surface) changeProject(ctx context.Context, c *call) (*answer, error) {
	var in secrets.ProjectChange
	description, protected, err := c.projectSettings()
	if err != nil {
		return nil, err
	}
	in.Description, in.Protected = description, protected
	name, err := c.text("name")
	if err != nil {
		return nil, err
	}
	if name != "" {
		if in.Name, err = domain.ParseLabel(name); err != nil {
			return nil, fault.As(err).WithField("/name", "not a name")
		}
	}
	// The older route repeats the slug of its path in the body.
	if slug, err := c.text("slug"); err != nil {
		return nil, err
	} else if slug != "" && slug != c.http.PathValue("project") {
		if in.Slug, err = domain.ParseSlug(slug); err != nil {
			return nil, fault.As(err).WithField("/slug", "not a slug")
		}
	}
	p, err := s.Secrets.ChangeProject(ctx, c.http.PathValue("project"), in)
	if err != nil {
		return nil, err
	}
	return bothWays(provisioned(p)), nil
}

// bothWays answers with a project bare and wrapped: clients of the different routes read the one or the other.
func bothWays(p object) *answer {
	out := object{"project": p, "workspace": p}
	for name, value := range p {
		out[name] = value
	}
	return with(out)
}

func (s *Surface) deleteProject(ctx context.Context, c *call) (*answer, error) {
	p, err := s.Secrets.Project(ctx, c.http.PathValue("project"))
	if err != nil {
		return nil, err
	}
	if err := s.Secrets.DeleteProject(ctx, string(p.ID)); err != nil {
		return nil, err
	}
	return bothWays(provisioned(p)), nil
}

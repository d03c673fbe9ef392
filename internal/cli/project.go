package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) projectCommand() *cobra.Command {
	return groupCommand("project", "Make and change projects",
		a.projectCreate(), a.projectList(), a.projectShow(), a.projectRename(), a.projectDelete(), a.projectRestore(), a.projectPurge())
}

func (a *app) projectCreate() *cobra.Command {
	var r api.ProjectRequest
	c := &cobra.Command{
		Use:     "create SLUG",
		Short:   "Make a project with environments and a key of its own",
		Example: "  keyturn project create shop --name Shop --envs dev,staging,prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			r.Slug = args[0]
			p, err := c.CreateProject(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(p, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Project %s made, with %s.\n", p.Slug, strings.Join(envSlugs(p.Envs), ", "))
				a.info("  next: keyturn init --project %s --env %s, then keyturn set NAME=VALUE", p.Slug, first(append(envSlugs(p.Envs), "dev")...))
			})
		},
	}
	c.Flags().StringVar(&r.Name, "name", "", "display name; default the slug")
	c.Flags().StringSliceVar(&r.Envs, "envs", nil, "environments, separated by commas; default dev,staging,prod")
	return c
}

func envSlugs(envs []api.Env) []string {
	var out []string
	for _, e := range envs {
		out = append(out, e.Slug)
	}
	return out
}

func (a *app) projectList() *cobra.Command {
	var deleted bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List projects",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Projects(cmd.Context(), deleted)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				headings := []string{"SLUG", "NAME", "ENVIRONMENTS", "MADE"}
				if deleted {
					headings = []string{"SLUG", "NAME", "ID", "DELETED"}
				}
				t := term.NewTable(headings...)
				for _, p := range all.Projects {
					if deleted {
						t.Row(p.Slug, p.Name, p.ID, whenMaybe(p.DeletedAt))
					} else {
						t.Row(p.Slug, p.Name, strings.Join(envSlugs(p.Envs), ", "), when(p.CreatedAt))
					}
				}
				a.table(w, t)
				if t.Len() == 0 && !deleted {
					a.info("There is no project that you may see.\n  next: keyturn project create NAME")
				}
			})
		},
	}
	c.Flags().BoolVar(&deleted, "deleted", false, "the deleted ones instead")
	return c
}

// named gives the project of a command's argument, or else the one that flags, environment and files name.
func (a *app) named(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], checkSegment("project", args[0])
	}
	return a.project()
}

func (a *app) projectShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show [SLUG]",
		Short:             "Show a project and its environments",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeProjects),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := a.named(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			p, err := c.Project(cmd.Context(), project)
			if err != nil {
				return err
			}
			return a.print(p, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s  %s\nid    %s\nmade  %s\n\n", p.Slug, term.Clean(p.Name), p.ID, when(p.CreatedAt))
				a.envTable(w, p.Envs)
			})
		},
	}
}

func (a *app) projectRename() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:               "rename SLUG [NEW-SLUG]",
		Short:             "Rename a project; references follow",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: oneOf(a.completeProjects),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := renameRequest(cmd, args[1:], name)
			if err != nil {
				return err
			}
			project, err := a.named(args[:1])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			p, err := c.RenameProject(cmd.Context(), project, r)
			if err != nil {
				return err
			}
			return a.print(p, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Project %s is now %s (%s).\n", project, p.Slug, term.Clean(p.Name))
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "new display name")
	return c
}

func renameRequest(cmd *cobra.Command, slugs []string, name string) (api.RenameRequest, error) {
	r := api.RenameRequest{Name: name}
	if len(slugs) > 0 {
		r.Slug = slugs[0]
	}
	if r.Slug == "" && r.Name == "" {
		return r, &usageError{text: "say the new slug or the new --name", command: cmd.CommandPath()}
	}
	return r, nil
}

func (a *app) projectDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete SLUG",
		Short:             "Delete a project; nothing is destroyed",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeProjects),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := a.named(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			p, err := c.Project(cmd.Context(), project)
			if err != nil {
				return err
			}
			if err := a.confirm(fmt.Sprintf("Delete project %s with %s? It can be restored.", p.Slug, strings.Join(envSlugs(p.Envs), ", "))); err != nil {
				return err
			}
			if err := c.DeleteProject(cmd.Context(), p.ID); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Project %s deleted.\n", p.Slug)
				a.info("  back: keyturn project restore %s", p.Slug)
			})
		},
	}
}

func (a *app) projectRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore SLUG",
		Short: "Bring a deleted project back",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := a.named(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.RestoreProject(cmd.Context(), project); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Project %s is back.\n", project) })
		},
	}
}

func (a *app) projectPurge() *cobra.Command {
	return &cobra.Command{
		Use:   "purge SLUG",
		Short: "Destroy the values of a deleted project for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := a.named(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm(fmt.Sprintf("Destroy every value that project %s ever had? Nobody can bring them back.", project)); err != nil {
				return err
			}
			if err := c.PurgeProject(cmd.Context(), project); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Project %s purged.\n", project) })
		},
	}
}

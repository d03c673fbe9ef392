package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) envCommand() *cobra.Command {
	return groupCommand("env", "Make and change environments",
		a.envCreate(), a.envList(), a.envShow(), a.envRename(), a.envApproval(), a.envDelete(), a.envRestore(), a.envPurge())
}

func (a *app) envTable(w io.Writer, envs []api.Env) {
	t := term.NewTable("ENVIRONMENT", "NAME", "REVISION", "ID")
	for _, e := range envs {
		t.Row(e.Slug, e.Name, fmt.Sprint(e.Revision), e.ID)
	}
	a.table(w, t)
}

// inProject gives a client and the project that flags, environment and files name.
func (a *app) inProject() (*client.Client, string, error) {
	project, err := a.project()
	if err != nil {
		return nil, "", err
	}
	c, err := a.client()
	return c, project, err
}

// envPlace gives the environment of a command's argument, or else the one that flags, environment and files name.
func (a *app) envPlace(args []string) (client.Place, error) {
	if len(args) == 0 {
		return a.place()
	}
	project, err := a.project()
	if err != nil {
		return client.Place{}, err
	}
	return client.Place{Project: project, Env: args[0], Path: "/"}, checkSegment("environment", args[0])
}

func (a *app) envCreate() *cobra.Command {
	var r api.EnvRequest
	c := &cobra.Command{
		Use:     "create SLUG",
		Short:   "Add an environment",
		Example: "  keyturn env create preview --project shop",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.inProject()
			if err != nil {
				return err
			}
			r.Slug = args[0]
			e, err := c.CreateEnv(cmd.Context(), project, r)
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Environment %s added to %s.\n", e.Slug, project) })
		},
	}
	c.Flags().StringVar(&r.Name, "name", "", "display name; default the slug")
	return c
}

// environments is what env list --json prints.
type environments struct {
	Envs []api.Env `json:"envs"`
}

func (a *app) envList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the environments of a project",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := a.inProject()
			if err != nil {
				return err
			}
			p, err := c.Project(cmd.Context(), project)
			if err != nil {
				return err
			}
			return a.print(environments{p.Envs}, func(w io.Writer) { a.envTable(w, p.Envs) })
		},
	}
}

func (a *app) envShow() *cobra.Command {
	return &cobra.Command{
		Use:               "show [SLUG]",
		Short:             "Show an environment and its revision",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeEnvs),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := a.envPlace(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			e, err := c.Env(cmd.Context(), place)
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) { a.envTable(w, []api.Env{e}) })
		},
	}
}

func (a *app) envRename() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:               "rename SLUG [NEW-SLUG]",
		Short:             "Rename an environment; references follow",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: oneOf(a.completeEnvs),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := renameRequest(cmd, args[1:], name)
			if err != nil {
				return err
			}
			place, err := a.envPlace(args[:1])
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			e, err := c.RenameEnv(cmd.Context(), place, r)
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Environment %s is now %s (%s).\n", place.Env, e.Slug, term.Clean(e.Name))
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "new display name")
	return c
}

func (a *app) envDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete SLUG",
		Short:             "Delete an environment; nothing is destroyed",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeEnvs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onEnv(args, "Delete environment %s of project %s with all that is in it? It can be restored.", "Environment %s of %s deleted.",
				func(c *client.Client, place client.Place) error {
					e, err := c.Env(cmd.Context(), place)
					if err != nil {
						return err
					}
					place.Env = e.ID // what was confirmed, whatever it is called by now
					return c.DeleteEnv(cmd.Context(), place)
				})
		},
	}
}

func (a *app) envRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore SLUG",
		Short: "Bring a deleted environment back",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onEnv(args, "", "Environment %s of %s is back.", func(c *client.Client, place client.Place) error { return c.RestoreEnv(cmd.Context(), place) })
		},
	}
}

func (a *app) envPurge() *cobra.Command {
	return &cobra.Command{
		Use:   "purge SLUG",
		Short: "Destroy the values of a deleted environment for good",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.onEnv(args, "Destroy every value that environment %s of project %s ever had? Nobody can bring them back.", "Environment %s of %s purged.",
				func(c *client.Client, place client.Place) error { return c.PurgeEnv(cmd.Context(), place) })
		},
	}
}

// onEnv asks when there is a question, does something to the environment that is named, and tells it.
func (a *app) onEnv(args []string, question, done string, work func(*client.Client, client.Place) error) error {
	place, err := a.envPlace(args)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if question != "" {
		if err := a.confirm(fmt.Sprintf(question, place.Env, place.Project)); err != nil {
			return err
		}
	}
	if err := work(c, place); err != nil {
		return err
	}
	return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, done+"\n", place.Env, place.Project) })
}

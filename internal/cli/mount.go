package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) mountCommand() *cobra.Command {
	c := groupCommand("mount", "Paths under which clients of Vault find secrets",
		a.mountCreate(), a.mountList(), a.mountShow(), a.mountTune(), a.mountDelete())
	c.Long = `Clients of HashiCorp Vault and OpenBao read secrets below mounts. Every project is one under its slug: the first segment below is an
environment, the rest are folders. More can be laid over a project, an environment or a folder, so that the paths that an application
has in its configuration stay as they are.`
	return c
}

func (a *app) mountCreate() *cobra.Command {
	var r api.MountRequest
	c := &cobra.Command{
		Use:   "create PATH",
		Short: "Lay a path over a project, an environment or a folder",
		Example: `  keyturn mount create secret --project shop --env prod        secret/data/backend is the folder /backend of prod
  keyturn mount create team/kv --project shop                  team/kv/data/prod/backend
  keyturn mount create legacy --project shop --env prod --kv 1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.inProject()
			if err != nil {
				return err
			}
			// Environment and folder come from flags alone: a mount without them is another one than that of this folder's settings.
			r.Path, r.Project, r.Env, r.Folder = args[0], project, a.flags.env, a.flags.path
			m, err := c.CreateMount(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(m, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Mount %s/ shows %s.\n", term.Clean(m.Path), mountPlace(m))
				below := m.Path + "/"
				if m.Version == 2 {
					below += "data/"
				}
				if m.Env == "" {
					below += "ENVIRONMENT/"
				}
				a.info("  next: point a client at the server and read %sFOLDER", below)
			})
		},
	}
	c.Flags().IntVar(&r.Version, "kv", 0, "version of the engine, 1 or 2; default 2")
	c.Flags().StringVar(&r.Description, "description", "", "what it is for")
	c.Flags().Int64Var(&r.MaxVersions, "max-versions", 0, "versions of a document that are shown; default 10")
	c.Flags().BoolVar(&r.CASRequired, "cas-required", false, "refuse writes that do not say which version they replace")
	c.Flags().StringVar(&r.DeleteVersionAfter, "delete-version-after", "", "how long a version stays, for example 90d; default for ever")
	return c
}

// mountPlace says what lies below a mount.
func mountPlace(m api.Mount) string {
	switch {
	case m.Project == "":
		return m.Description
	case m.Env == "":
		return m.Project
	}
	return m.Project + "/" + m.Env + ":" + m.Folder
}

func mountKind(m api.Mount) string {
	if m.Version == 0 {
		return m.Kind
	}
	return fmt.Sprintf("%s v%d", m.Kind, m.Version)
}

func (a *app) mountList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List mounts; every project is one", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Mounts(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("PATH", "KIND", "SHOWS", "MADE")
				for _, m := range all.Mounts {
					made := "by itself"
					if !m.Implicit {
						made = whenMaybe(m.CreatedAt)
					}
					t.Row(m.Path+"/", mountKind(m), mountPlace(m), made)
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) mountShow() *cobra.Command {
	return &cobra.Command{
		Use: "show PATH", Short: "Show a mount and its settings", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeMounts),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			m, err := c.Mount(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printMount(m)
		},
	}
}

func (a *app) printMount(m api.Mount) error {
	return a.print(m, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s/\nkind   %s\nshows  %s\n", term.Clean(m.Path), mountKind(m), term.Clean(mountPlace(m)))
		if m.Project == "" {
			return
		}
		if m.Description != "" {
			_, _ = fmt.Fprintf(w, "about  %s\n", term.Clean(m.Description))
		}
		_, _ = fmt.Fprintln(w)
		t := term.NewTable("SETTING", "VALUE")
		t.Row("max-versions", first(noZero(m.MaxVersions), "10, unless a document says otherwise"))
		t.Row("cas-required", fmt.Sprint(m.CASRequired))
		t.Row("delete-version-after", m.DeleteVersionAfter)
		a.table(w, t)
	})
}

func noZero(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (a *app) mountTune() *cobra.Command {
	var version int
	var versions int64
	var cas bool
	var description, after string
	c := &cobra.Command{
		Use: "tune PATH", Short: "Change the settings of a mount", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeMounts),
		Example: "  keyturn mount tune secret --max-versions 20",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var r api.MountTune
			given := cmd.Flags().Changed
			if given("kv") {
				r.Version = &version
			}
			if given("description") {
				r.Description = &description
			}
			if given("max-versions") {
				r.MaxVersions = &versions
			}
			if given("cas-required") {
				r.CASRequired = &cas
			}
			if given("delete-version-after") {
				r.DeleteVersionAfter = &after
			}
			if r == (api.MountTune{}) {
				return &usageError{text: "say what to change", command: cmd.CommandPath()}
			}
			m, err := c.TuneMount(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			return a.printMount(m)
		},
	}
	c.Flags().IntVar(&version, "kv", 0, "version of the engine, 1 or 2")
	c.Flags().StringVar(&description, "description", "", "what it is for")
	c.Flags().Int64Var(&versions, "max-versions", 0, "versions of a document that are shown; 0 leaves it to the document")
	c.Flags().BoolVar(&cas, "cas-required", false, "refuse writes that do not say which version they replace")
	c.Flags().StringVar(&after, "delete-version-after", "", "how long a version stays, for example 90d; 0s leaves it to the document")
	return c
}

func (a *app) mountDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete PATH", Short: "Take a mount away; what it shows stays", Args: cobra.ExactArgs(1), ValidArgsFunction: oneOf(a.completeMounts),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirm("Take the mount " + term.Clean(args[0]) + " away? Clients that use it find nothing there any more."); err != nil {
				return err
			}
			if err := c.DeleteMount(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "The mount %s is gone. Its secrets stay where they are.\n", term.Clean(args[0]))
			})
		},
	}
}

func (a *app) completeMounts(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Mounts(ctx)
		var out []string
		for _, m := range all.Mounts {
			out = append(out, m.Path)
		}
		return out, err
	})(cmd, args, toComplete)
}

package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

// grantCommand makes the command that gives roles to principals of a kind: user or identity.
func (a *app) grantCommand(kind string, complete completer) *cobra.Command {
	r := api.GrantRequest{Kind: kind}
	var everywhere bool
	c := &cobra.Command{
		Use:   "grant NAME --role ROLE",
		Short: "Give a role, in place of the one held in the same place",
		Long: `Give a role: admin, developer, viewer (names without values) or none. It holds in the project that --project and the like
name; with --env on the command line in that environment only; with --organization everywhere. Roles add up: one in an
environment gives more, never less, than one in its project; only none takes away, and it wins over all.`,
		Example:           "  keyturn " + kind + " grant backend --role developer --project shop --env prod",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(complete),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Principal = args[0]
			// Only the flag narrows to an environment: what a file says about daily work must not decide about rights.
			r.Env = a.flags.env
			if everywhere {
				if a.flags.project != "" || a.flags.env != "" {
					return &usageError{text: "--organization and --project or --env exclude each other", command: cmd.CommandPath()}
				}
			} else {
				project, err := a.project()
				if err != nil {
					return err
				}
				r.Project = project
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			g, err := c.Grant(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(g, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s has role %s in %s.\n", term.Clean(r.Principal), g.Role, roleWhere(r.Project, r.Env))
			})
		},
	}
	c.Flags().StringVar(&r.Role, "role", "", "admin, developer, viewer or none")
	c.Flags().BoolVar(&everywhere, "organization", false, "in every project")
	_ = c.MarkFlagRequired("role") // fails only for flags that are not there
	_ = c.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]cobra.Completion{"admin", "developer", "viewer", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) grantsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "grants",
		Short: "List who was given which role where",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Grants(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("ID", "WHO", "ROLE", "WHERE", "GIVEN")
				for _, g := range all.Grants {
					t.Row(g.ID, g.PrincipalKind+" "+g.PrincipalID, g.Role, roleWhere(g.ProjectID, g.EnvID), when(g.CreatedAt))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) ungrantCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ungrant ID",
		Short: "Take a role away; keyturn user grants lists the ids",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.Ungrant(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Grant %s taken away.\n", args[0]) })
		},
	}
}

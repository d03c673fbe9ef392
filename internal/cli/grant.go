package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

// grantFlags are what every command that gives a role takes.
type grantFlags struct {
	role, ttl, reason string
	everywhere        bool
}

func (f *grantFlags) add(a *app, c *cobra.Command) {
	c.Flags().StringVar(&f.role, "role", "", "admin, developer, viewer, none, or a role of your own")
	c.Flags().StringVar(&f.ttl, "for", "", "how long it holds: 2h, 14d; default for good")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for whoever reads the list of grants")
	c.Flags().BoolVar(&f.everywhere, "organization", false, "in every project")
	_ = c.MarkFlagRequired("role") // fails only for flags that are not there
	_ = c.RegisterFlagCompletionFunc("role", a.completeRoles)
}

// request reads where the role is to hold.
func (f *grantFlags) request(a *app, cmd *cobra.Command, kind, principal string) (api.GrantRequest, error) {
	// Only the flags narrow to an environment and to folders: what a file says about daily work must not decide about rights.
	r := api.GrantRequest{Kind: kind, Principal: principal, Role: f.role, TTL: f.ttl, Reason: f.reason, Env: a.flags.env, Path: a.flags.path}
	if f.everywhere {
		if a.flags.project != "" || a.flags.env != "" {
			return r, &usageError{text: "--organization and --project or --env exclude each other", command: cmd.CommandPath()}
		}
		return r, nil
	}
	var err error
	r.Project, err = a.project()
	return r, err
}

const grantHelp = `Give a role: admin, developer, viewer (names without values), none, or one of your own (keyturn role list). It holds in the
project that --project and the like name; with --env on the command line in that environment only; with --path in those
folders and below; with --organization everywhere. With --for it ends by itself. Roles add up: one in an environment gives
more, never less, than one in its project; only what denies takes away, and it wins over all. A built-in role for good takes
the place of the built-in one for good that was held in the same place. Nobody can give what he does not have.`

// grantCommand makes the command that gives roles to principals of a kind: user, identity or group.
func (a *app) grantCommand(kind string, complete completer) *cobra.Command {
	var f grantFlags
	c := &cobra.Command{
		Use:               "grant NAME --role ROLE",
		Short:             "Give a role, for good or for a time",
		Long:              grantHelp,
		Example:           "  keyturn " + kind + " grant backend --role developer --project shop --env prod",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(complete),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.grant(cmd, &f, kind, args[0]) },
	}
	f.add(a, c)
	return c
}

// anyGrantCommand gives roles to principals of every kind.
func (a *app) anyGrantCommand() *cobra.Command {
	var f grantFlags
	var group string
	c := &cobra.Command{
		Use:   "grant [PRINCIPAL] --role ROLE",
		Short: "Give a role to a user, a machine or a group",
		Long:  grantHelp,
		Example: "  keyturn grant dev@example.com --role developer --project shop --env prod --path /backend --for 2h --reason \"ticket 7\"\n" +
			"  keyturn grant --group operators --role viewer --organization",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completePrincipals),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case (len(args) == 1) == (group != ""):
				return &usageError{text: "name one principal, or --group", command: cmd.CommandPath()}
			case group != "":
				return a.grant(cmd, &f, "group", group)
			}
			kind, name := principalText(args[0])
			return a.grant(cmd, &f, kind, name)
		},
	}
	f.add(a, c)
	c.Flags().StringVar(&group, "group", "", "give it to a group")
	_ = c.RegisterFlagCompletionFunc("group", a.completeGroups)
	return c
}

// principalText reads user:ADDRESS, identity:NAME or group:NAME; without a kind an address is a user.
func principalText(s string) (kind, name string) {
	if kind, name, ok := strings.Cut(s, ":"); ok {
		return kind, name
	}
	if strings.Contains(s, "@") {
		return "user", s
	}
	return "identity", s
}

func (a *app) grant(cmd *cobra.Command, f *grantFlags, kind, principal string) error {
	r, err := f.request(a, cmd, kind, principal)
	if err != nil {
		return err
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
		until := ""
		if g.ExpiresAt != nil {
			until = " until " + when(*g.ExpiresAt)
		}
		_, _ = fmt.Fprintf(w, "%s has role %s in %s%s.\n", term.Clean(r.Principal), r.Role, grantWhere(r.Project, r.Env, g.Path), until)
	})
}

func grantWhere(project, env, path string) string {
	if path == "" {
		return roleWhere(project, env)
	}
	return roleWhere(project, env) + ", folders " + path
}

func (a *app) completeRoles(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Roles(ctx)
		out := []string{}
		for _, r := range all.Roles {
			out = append(out, r.Name)
		}
		if err != nil { // the list is not for everybody; the built-in ones are known without it
			return []string{"admin", "developer", "viewer", "none"}, nil
		}
		return out, nil
	})(cmd, args, toComplete)
}

func (a *app) completePrincipals(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		users, err := c.Users(ctx)
		if err != nil {
			return nil, err
		}
		var out []string
		for _, u := range users.Users {
			out = append(out, u.Email)
		}
		machines, err := c.Identities(ctx)
		for _, i := range machines.Identities {
			out = append(out, i.Name)
		}
		return out, err
	})(cmd, args, toComplete)
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
				t := term.NewTable("ID", "WHO", "ROLE", "WHERE", "GIVEN", "ENDS")
				for _, g := range all.Grants {
					t.Row(g.ID, g.PrincipalKind+" "+g.PrincipalID, g.Role, grantWhere(g.ProjectID, g.EnvID, g.Path), when(g.CreatedAt), whenMaybe(g.ExpiresAt))
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

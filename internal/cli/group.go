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

func (a *app) groupsCommand() *cobra.Command {
	return groupCommand("group", "Make groups of users, machines and groups, and give them roles",
		a.groupCreate(), a.groupList(), a.groupDelete(), a.groupMember("add", "Put somebody into a group", "%s is in group %s now.\n"),
		a.groupMember("remove", "Take somebody out of a group", "%s is not in group %s any more.\n"), a.groupMembers(), a.grantCommand("group", a.completeGroups))
}

func (a *app) completeGroups(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Groups(ctx)
		var out []string
		for _, g := range all.Groups {
			out = append(out, g.Name)
		}
		return out, err
	})(cmd, args, toComplete)
}

func (a *app) groupCreate() *cobra.Command {
	return &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a group; what it is given, its members have",
		Example: "  keyturn group create operators",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateGroup(cmd.Context(), api.GroupRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Group %s made.\n", term.Clean(made.Name))
				a.info("  next: keyturn group add %[1]s MEMBER, then keyturn grant --group %[1]s --role ROLE --project P", made.Name)
			})
		},
	}
}

func (a *app) groupList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List groups",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Groups(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("NAME", "ID", "DIRECTORY", "MADE")
				for _, g := range all.Groups {
					t.Row(g.Name, g.ID, g.ExternalID, when(g.CreatedAt))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) groupDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a group; its members lose what it was given",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeGroups),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm("Delete group " + args[0] + " and all that it was given?"); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.DeleteGroup(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Group %s deleted.\n", args[0]) })
		},
	}
}

func (a *app) groupMember(verb, short, said string) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " GROUP MEMBER",
		Short:   short + ": an address, the name of a machine, or group:NAME",
		Example: "  keyturn group " + verb + " operators dev@example.com",
		Args:    cobra.ExactArgs(2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				return a.completeGroups(cmd, args, toComplete)
			case 1:
				return a.completePrincipals(cmd, args, toComplete)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			kind, name := principalText(args[1])
			if verb == "add" {
				err = c.AddMember(cmd.Context(), args[0], api.MemberRequest{Kind: kind, Member: name})
			} else {
				err = c.RemoveMember(cmd.Context(), args[0], kind, name)
			}
			if err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, said, term.Clean(name), term.Clean(args[0])) })
		},
	}
}

func (a *app) groupMembers() *cobra.Command {
	return &cobra.Command{
		Use:               "members NAME",
		Short:             "List who is in a group directly",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeGroups),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Members(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("KIND", "NAME", "ID", "BY")
				for _, m := range all.Members {
					t.Row(m.Kind, m.Name, m.ID, m.Cause)
				}
				a.table(w, t)
			})
		},
	}
}

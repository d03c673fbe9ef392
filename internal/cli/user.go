package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) userCommand() *cobra.Command {
	return groupCommand("user", "Invite people, give them roles, and end their access",
		a.userInvite(), a.userInvites(), a.userUninvite(), a.userCreate(), a.userList(), a.userShow(), a.userAddress(), a.userResetPassword(), a.userResetFactors(),
		a.userDeactivate(), a.userErase(), a.userSwitch("disable", "Switch a person off; all of his tokens end at once", true),
		a.userSwitch("enable", "Switch a person on again", false), a.grantCommand("user", a.completeUsers), a.grantsCommand(), a.ungrantCommand())
}

func (a *app) completeUsers(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Users(ctx)
		var out []string
		for _, u := range all.Users {
			out = append(out, u.Email)
		}
		return out, err
	})(cmd, args, toComplete)
}

func (a *app) userCreate() *cobra.Command {
	var r api.UserRequest
	var file string
	c := &cobra.Command{
		Use:     "create EMAIL",
		Short:   "Make an account with a first password; it may do nothing yet",
		Example: "  keyturn user create dev@example.com --password-file first-password",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			r.Email = args[0]
			if r.Password, err = a.password(file, "First password (at least 12 characters):", true); err != nil {
				return err
			}
			made, err := c.CreateUser(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "User %s made.\n", term.Clean(made.Email))
				a.info("  next: keyturn user grant %s --role developer --project P", made.Email)
			})
		},
	}
	c.Flags().StringVar(&r.Name, "name", "", "name of the person")
	c.Flags().StringVar(&file, "password-file", "", "file with the password, - for standard input; asked for otherwise")
	return c
}

func (a *app) userList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List people's accounts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Users(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("E-MAIL", "NAME", "ID", "STATE", "MADE")
				for _, u := range all.Users {
					t.Row(u.Email, u.Name, u.ID, enabledText(u.Disabled), when(u.CreatedAt))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) userSwitch(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " EMAIL|ID",
		Short:             short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeUsers),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			id, err := userID(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.DisableUser(cmd.Context(), id, disabled); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "User %s is %s.\n", args[0], enabledText(disabled)) })
		},
	}
}

// userID finds the id of an address; ids are left as they are.
func userID(ctx context.Context, c *client.Client, who string) (string, error) {
	if !strings.Contains(who, "@") {
		return who, nil
	}
	all, err := c.Users(ctx)
	if err != nil {
		return "", err
	}
	for _, u := range all.Users {
		if strings.EqualFold(u.Email, who) {
			return u.ID, nil
		}
	}
	return "", fault.New(fault.NotFound, "no such user").WithHint("keyturn user list")
}

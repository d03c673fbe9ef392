package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) profileCommand() *cobra.Command {
	return groupCommand("profile", "Your own account", a.profileShow(), a.profileSet(), a.profilePassword())
}

func (a *app) profileShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show name, address and groups",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			p, err := c.Profile(cmd.Context())
			if err != nil {
				return err
			}
			return a.printProfile(p)
		},
	}
}

func (a *app) printProfile(p api.Profile) error {
	return a.print(p, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "name      %s\naddress   %s\nid        %s\nstate     %s\nmade      %s\npassword  %s\n", term.Clean(p.Name), term.Clean(p.Email), p.ID, enabledText(p.Disabled), when(p.CreatedAt), whenMaybe(p.PasswordAt))
		var groups []string
		for _, g := range p.Groups {
			groups = append(groups, term.Clean(g.Name))
		}
		_, _ = fmt.Fprintf(w, "groups    %s\n", strings.Join(groups, ", "))
	})
}

func (a *app) profileSet() *cobra.Command {
	var name, email string
	c := &cobra.Command{
		Use:     "set",
		Short:   "Change your name, or your address: a link is sent to the new one",
		Example: "  keyturn profile set --name 'A Developer'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" && email == "" {
				return fault.New(fault.Invalid, "nothing is to be changed").WithHint("add --name or --email")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if name != "" {
				err = c.Rename(cmd.Context(), name)
			}
			if err == nil && email != "" {
				err = c.ChangeAddress(cmd.Context(), email)
			}
			if err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) {
				if email != "" {
					_, _ = fmt.Fprintf(w, "A link was sent to %s: it is your address once you use it.\n", term.Clean(email))
				} else {
					_, _ = fmt.Fprintln(w, "Changed.")
				}
			})
		},
	}
	c.Flags().StringVar(&name, "name", "", "your name")
	c.Flags().StringVar(&email, "email", "", "your new address")
	return c
}

func (a *app) profilePassword() *cobra.Command {
	var old, fresh string
	var r api.PasswordRequest
	c := &cobra.Command{
		Use:   "password",
		Short: "Change your password; your other sessions end",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if r.Old, err = a.password(old, "Present password:", false); err != nil {
				return err
			}
			if r.Password, err = a.password(fresh, "New password (at least 12 characters):", true); err != nil {
				return err
			}
			if err := c.ChangePassword(cmd.Context(), r); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, "The password is changed, and your other sessions have ended.")
			})
		},
	}
	c.Flags().StringVar(&old, "old-file", "", "file with the present password, - for standard input; asked for otherwise")
	c.Flags().StringVar(&fresh, "password-file", "", "file with the new password; asked for otherwise")
	c.Flags().BoolVar(&r.EndTokens, "end-tokens", false, "end the tokens too that you made for programs")
	return c
}

func (a *app) sessionCommand() *cobra.Command {
	return groupCommand("session", "What you or others are logged in with", a.sessionList(), a.sessionEnd())
}

func (a *app) sessionList() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "list",
		Short: "List sessions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if user != "" {
				if user, err = userID(cmd.Context(), c, user); err != nil {
					return err
				}
			}
			all, err := c.Sessions(cmd.Context(), user)
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("ID", "BY", "FROM", "CLIENT", "MADE", "LAST USED", "ENDS", "")
				for _, s := range all.Sessions {
					here := ""
					if s.Current {
						here = "this one"
					}
					t.Row(s.ID, s.Method, s.Address, s.Agent, when(s.CreatedAt), when(s.LastUsedAt), when(s.ExpiresAt), here)
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "another person's, by address or id")
	return c
}

func (a *app) sessionEnd() *cobra.Command {
	var user string
	var others bool
	c := &cobra.Command{
		Use:   "end [ID]",
		Short: "End one session, with --others all but this one, or with --user all of a person",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 == (others || user != "") {
				return fault.New(fault.Invalid, "say which sessions: ID, --others or --user").WithHint("keyturn session list")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			switch {
			case len(args) == 1:
				err = c.RevokeToken(cmd.Context(), args[0])
			case user != "":
				var id string
				if id, err = userID(cmd.Context(), c, user); err == nil {
					err = c.EndSessions(cmd.Context(), id)
				}
			default:
				err = c.EndSessions(cmd.Context(), "")
			}
			if err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Ended.") })
		},
	}
	c.Flags().BoolVar(&others, "others", false, "all of yours but this one")
	c.Flags().StringVar(&user, "user", "", "all of a person, by address or id")
	c.MarkFlagsMutuallyExclusive("others", "user")
	return c
}

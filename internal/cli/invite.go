package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

// linkAt is a link as a person hands it over. What is behind the # no browser sends.
func linkAt(server string, made api.NewInvite) string {
	if made.Link != "" {
		return made.Link
	}
	return server + "/join#" + made.Token
}

func (a *app) userInvite() *cobra.Command {
	var r api.InviteRequest
	c := &cobra.Command{
		Use:   "invite EMAIL",
		Short: "Invite somebody, who makes his own account with a link",
		Long: `Invite somebody: he makes his own account with the link, which works once and ends after three days. Hand it over where only he
reads it; with --mail the server sends it. Nobody invites into what he lacks.`,
		Example: `  keyturn user invite dev@example.com --role developer --project shop
  keyturn user invite ops@example.com --group operators --mail`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			r.Email, r.Project, r.Env = args[0], a.flags.project, a.flags.env
			made, err := c.Invite(cmd.Context(), r)
			if err != nil {
				return err
			}
			made.Link = linkAt(c.Server(), made)
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, made.Link)
				a.info("It works once, until %s. With it: keyturn join LINK", when(made.ExpiresAt))
				if made.Mailed {
					a.info("It was mailed to %s.", term.Clean(made.Email))
				}
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Name, "name", "", "name of the person")
	f.StringSliceVar(&r.Groups, "group", nil, "group that he will be in; may be given several times")
	f.StringVar(&r.Role, "role", "", "admin, developer, viewer or none; in --project, or with none in the organisation")
	f.StringVar(&r.TTL, "ttl", "", "how long the link works, up to 30d (default 72h)")
	f.BoolVar(&r.Mail, "mail", false, "let the server send it")
	return c
}

func (a *app) userInvites() *cobra.Command {
	return &cobra.Command{
		Use:   "invites",
		Short: "List invitations",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Invites(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("E-MAIL", "ID", "MADE", "ENDS", "STATE")
				for _, i := range all.Invites {
					state := "open"
					switch {
					case i.UsedAt != nil:
						state = "used " + when(*i.UsedAt)
					case i.RevokedAt != nil:
						state = "taken back"
					}
					t.Row(i.Email, i.ID, when(i.CreatedAt), when(i.ExpiresAt), state)
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) userUninvite() *cobra.Command {
	return &cobra.Command{
		Use:   "uninvite ID|EMAIL",
		Short: "Take an invitation back",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			id := args[0]
			if strings.Contains(id, "@") {
				all, err := c.Invites(cmd.Context())
				if err != nil {
					return err
				}
				id = ""
				for _, i := range all.Invites {
					if strings.EqualFold(i.Email, args[0]) && i.UsedAt == nil && i.RevokedAt == nil {
						id = i.ID
					}
				}
				if id == "" {
					return fault.New(fault.NotFound, "no open invitation of this address").WithHint("keyturn user invites")
				}
			}
			if err := c.Uninvite(cmd.Context(), id); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Taken back.") })
		},
	}
}

func (a *app) userResetPassword() *cobra.Command {
	return &cobra.Command{
		Use:               "reset-password EMAIL|ID",
		Short:             "Make a link with which a person sets a new password",
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
			made, err := c.PasswordLink(cmd.Context(), id)
			if err != nil {
				return err
			}
			made.Link = linkAt(c.Server(), made)
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, made.Link)
				a.info("It works once, until %s. With it: keyturn join LINK\nBe sure to whom you give it: it opens the account, except for a second factor.", when(made.ExpiresAt))
			})
		},
	}
}

// joinFlags are what somebody answers who was invited.
type joinFlags struct{ name, passwordFile string }

func (a *app) joinCommand() *cobra.Command {
	var f joinFlags
	c := &cobra.Command{
		Use:   "join LINK",
		Short: "Use an invitation, or a link for a new password or address",
		Long: `Use a link that somebody gave you: an invitation makes your account and logs you in, others set a new password or prove an
address. It asks for what is needed.`,
		Example: "  keyturn join https://keyturn.example.com/join#kti_...",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, token, err := a.splitLink(args[0])
			if err != nil {
				return err
			}
			return a.join(cmd.Context(), server, token, f)
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "your name, instead of the one that the invitation has")
	c.Flags().StringVar(&f.passwordFile, "password-file", "", "file with the password, - for standard input; asked for otherwise")
	return c
}

// splitLink gives server and token of a link. A bare token goes to the server that is configured.
func (a *app) splitLink(link string) (server, token string, err error) {
	bad := fault.New(fault.Invalid, "this is not a link of Keyturn").WithHint("want the whole of it, with what stands behind the #")
	if strings.HasPrefix(link, "kti_") {
		at, err := a.server()
		return at.address, link, err
	}
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "/join" || !strings.HasPrefix(u.Fragment, "kti_") {
		return "", "", bad
	}
	return u.Scheme + "://" + u.Host, u.Fragment, nil
}

func (a *app) join(ctx context.Context, server, token string, f joinFlags) error {
	c, err := a.dial(server, "")
	if err != nil {
		return err
	}
	link, err := c.ShowLink(ctx, token)
	if err != nil {
		return err
	}
	done := func(format string, args ...any) error {
		return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, format+"\n", args...) })
	}
	if link.Purpose == "address" {
		if err := c.ConfirmAddress(ctx, token); err != nil {
			return err
		}
		return done("%s is the address of your account now.", term.Clean(link.Email))
	}
	password, err := a.password(f.passwordFile, fmt.Sprintf("New password of %s at %s (at least 12 characters):", term.Clean(link.Email), server), true)
	if err != nil {
		return err
	}
	if link.Purpose == "password" {
		if err := c.ResetPassword(ctx, api.PasswordResetRequest{Token: token, Password: password}); err != nil {
			return err
		}
		return done("The password is set, and everything that was logged in with the old one has ended.")
	}
	session, err := c.AcceptInvite(ctx, api.AcceptRequest{Token: token, Name: f.name, Password: password})
	if err != nil {
		return err
	}
	if err := a.remember(server, credential{session.Token, session.Name, &session.ExpiresAt}); err != nil {
		return err
	}
	return a.print(loggedIn{server, session.ID, session.Name, session.ExpiresAt}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Welcome to %s. You are logged in to %s as %s until %s.\n", term.Clean(link.Organization), server, term.Clean(session.Name), when(session.ExpiresAt))
	})
}

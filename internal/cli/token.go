package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) tokenCommand() *cobra.Command {
	return groupCommand("token", "Make, list and revoke tokens", a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

func (a *app) tokenCreate() *cobra.Command {
	var r api.TokenRequest
	c := &cobra.Command{
		Use:   "create --scope ENV:PATH:ACTIONS --ttl TIME",
		Short: "Make a token that acts as you, narrowed to scopes; it is shown this once",
		Long: `Make a token that acts as you in one project, and there only within its scopes. A scope is ENV:PATH:ACTIONS; ENV may be *
for every environment, PATH covers the folder and all below, ACTIONS are read, list, write, delete, separated by commas.
Several scopes are separated by semicolons. The token is printed this once and stored nowhere.`,
		Example: "  keyturn token create --project shop --scope 'prod:/backend:read,list' --ttl 90d --name ci",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := a.inProject()
			if err != nil {
				return err
			}
			r.Project = project
			made, err := c.CreateToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, made.Token)
				a.info("Token %s ends %s. It is not shown again; revoke it with: keyturn token revoke %s", made.ID, when(made.ExpiresAt), made.ID)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Scopes, "scope", "", "what it may do: ENV:PATH:ACTIONS[;...]")
	f.StringVar(&r.TTL, "ttl", "", "how long it lives: 30m, 12h, 90d")
	f.StringVar(&r.Name, "name", "", "what it is for")
	for _, name := range []string{"scope", "ttl"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

func (a *app) tokenList() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List your tokens, or with --all everybody's",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			list, err := c.Tokens(cmd.Context(), all)
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				t := term.NewTable("ID", "NAME", "KIND", "OF", "SCOPES", "ENDS", "STATE")
				for _, x := range list.Tokens {
					var scopes []string
					for _, s := range x.Scopes {
						scopes = append(scopes, scopeText(s))
					}
					t.Row(x.ID, x.Name, x.Kind, x.PrincipalKind+" "+x.PrincipalID, strings.Join(scopes, "; "), when(x.ExpiresAt),
						tokenState(x.RevokedAt, &x.ExpiresAt, time.Now()))
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "everybody's")
	return c
}

// tokenState tells whether something that ends is still good.
func tokenState(revoked, expires *time.Time, now time.Time) string {
	switch {
	case revoked != nil:
		return "revoked"
	case expires != nil && !expires.After(now):
		return "expired"
	}
	return "valid"
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a token at once, on every server",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return a.complete(tokenIDs)(cmd, args, toComplete)
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := refuseToken(args[0]); err != nil {
				return err
			}
			if err := c.RevokeToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Token %s revoked.\n", args[0]) })
		},
	}
}

func tokenIDs(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := c.Tokens(ctx, false)
	var out []string
	for _, t := range list.Tokens {
		if t.RevokedAt == nil {
			out = append(out, t.ID)
		}
	}
	return out, err
}

// refuseToken keeps a token that somebody pasted in place of its id out of URLs, and so out of logs on the way.
func refuseToken(id string) error {
	if looksSecret(id) {
		return fault.New(fault.Invalid, "this is a token; its id is wanted").WithHint("keyturn token list")
	}
	return nil
}

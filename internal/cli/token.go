package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) tokenCommand() *cobra.Command {
	return groupCommand("token", "Make, list, renew and revoke tokens", a.tokenCreate(), a.tokenList(), a.tokenRevoke(), a.tokenRenew(), a.tokenJWT())
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
	var all, byUse bool
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
			if byUse {
				slices.SortStableFunc(list.Tokens, func(x, y api.TokenInfo) int { return orLongAgo(y.LastUsedAt).Compare(orLongAgo(x.LastUsedAt)) })
			}
			return a.print(list, func(w io.Writer) {
				t := term.NewTable("ID", "NAME", "KIND", "OF", "SCOPES", "LAST USED", "ENDS", "STATE")
				for _, x := range list.Tokens {
					var scopes []string
					for _, s := range x.Scopes {
						scopes = append(scopes, scopeText(s))
					}
					t.Row(x.ID, x.Name, x.Kind, x.PrincipalKind+" "+x.PrincipalID, strings.Join(scopes, "; "), first(whenMaybe(x.LastUsedAt), "never"), when(x.ExpiresAt),
						tokenState(x.RevokedAt, &x.ExpiresAt, time.Now()))
				}
				a.table(w, t)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "everybody's")
	c.Flags().BoolVar(&byUse, "by-use", false, "that which was used last first")
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

// orLongAgo puts what was never used at the end.
func orLongAgo(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (a *app) tokenRenew() *cobra.Command {
	var r api.RenewRequest
	c := &cobra.Command{
		Use:   "renew",
		Short: "Give your token a later end, as far as its login allowed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			out, err := c.RenewToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { _, _ = fmt.Fprintf(w, "The token ends %s.\n", when(out.ExpiresAt)) })
		},
	}
	c.Flags().StringVar(&r.TTL, "ttl", "", "from now; default as long as the machine's tokens live")
	return c
}

func (a *app) tokenJWT() *cobra.Command {
	var r api.IdentityTokenRequest
	c := &cobra.Command{
		Use:     "jwt --audience NAME",
		Short:   "Print a JWT by which another system can tell who you are",
		Long:    "Print a JWT by which another system can tell who you are. It verifies the token with the keys at /.well-known/jwks.json of this server.",
		Example: "  keyturn token jwt --audience https://billing.example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			out, err := c.IdentityToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { _, _ = fmt.Fprintln(w, out.Token) })
		},
	}
	c.Flags().StringVar(&r.Audience, "audience", "", "the system that it is for")
	c.Flags().StringVar(&r.TTL, "ttl", "", "how long it lives; default 10m, at most 24h")
	_ = c.MarkFlagRequired("audience")
	return c
}

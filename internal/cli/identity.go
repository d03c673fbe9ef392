package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) identityCommand() *cobra.Command {
	return groupCommand("identity", "Make machine identities, give them roles and client secrets",
		a.identityCreate(), a.identityList(), a.identitySwitch("disable", "Switch a machine off; all of its tokens end at once", true),
		a.identitySwitch("enable", "Switch a machine on again", false), a.identityRevoke(), a.methodCommand(), a.grantCommand("identity", a.completeIdentities),
		groupCommand("secret", "Make, list and revoke client secrets", a.clientSecretCreate(), a.clientSecretList(), a.clientSecretRevoke()))
}

func (a *app) completeIdentities(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.complete(func(ctx context.Context, c *client.Client) ([]string, error) {
		all, err := c.Identities(ctx)
		var out []string
		for _, i := range all.Identities {
			out = append(out, i.Name)
		}
		return out, err
	})(cmd, args, toComplete)
}

func (a *app) identityCreate() *cobra.Command {
	var r api.IdentityRequest
	c := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a machine identity; it may do nothing yet",
		Example: "  keyturn identity create backend --token-ttl 1h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			r.Name = args[0]
			made, err := c.CreateIdentity(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "Identity %s made, client id %s.\n", term.Clean(made.Name), made.ID)
				a.info("  next: keyturn identity grant %[1]s --role developer --project P --env E, then keyturn identity secret create %[1]s", made.Name)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.TokenTTL, "token-ttl", "", "how long its access tokens live; default 1h")
	f.StringVar(&r.MaxTokenTTL, "max-token-ttl", "", "how far a token of a client secret can be renewed; default not at all")
	f.Int64Var(&r.TokenUses, "token-uses", 0, "how often one token of a client secret may be used; default any number")
	f.StringSliceVar(&r.Networks, "network", nil, "where client secrets and their tokens may come from, CIDR; default anywhere")
	return c
}

func (a *app) identityList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List machine identities and their roles",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Identities(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("NAME", "CLIENT ID", "TOKENS LIVE", "STATE", "MADE")
				for _, i := range all.Identities {
					t.Row(i.Name, i.ID, i.TokenTTL, enabledText(i.Disabled), when(i.CreatedAt))
				}
				a.table(w, t)
			})
		},
	}
}

func enabledText(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func (a *app) identitySwitch(verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME",
		Short:             short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.DisableIdentity(cmd.Context(), args[0], disabled); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Identity %s is %s.\n", args[0], enabledText(disabled)) })
		},
	}
}

func (a *app) identityRevoke() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke-tokens NAME",
		Short:             "End every token of a machine, API keys too; it can log in again",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			out, err := c.RevokeTokensOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d tokens of %s ended.\n", out.Revoked, args[0]) })
		},
	}
}

func (a *app) clientSecretCreate() *cobra.Command {
	var r api.ClientSecretRequest
	c := &cobra.Command{
		Use:               "create NAME",
		Short:             "Make a client secret; it is shown this once",
		Example:           "  keyturn identity secret create backend --name first --ttl 90d",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateClientSecret(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				if made.WrapToken != "" {
					_, _ = fmt.Fprintln(w, made.WrapToken)
					a.info("Client secret %s of %s (client id %s) is wrapped: the token opens it once, within %s, with: keyturn unwrap", made.ID, args[0], made.ClientID, r.Wrap)
					return
				}
				_, _ = fmt.Fprintln(w, made.Secret)
				a.info("Client secret %s of %s (client id %s). It is not shown again.", made.ID, args[0], made.ClientID)
			})
		},
	}
	c.Flags().StringVar(&r.Name, "name", "", "what it is for")
	c.Flags().StringVar(&r.TTL, "ttl", "", "how long it lives: 12h, 90d; default until revoked")
	c.Flags().Int64Var(&r.Uses, "uses", 0, "how often it may log in; default any number")
	c.Flags().StringVar(&r.Wrap, "wrap", "", "print a token instead, which opens the secret once within this time: 10m")
	return c
}

func (a *app) clientSecretList() *cobra.Command {
	return &cobra.Command{
		Use:               "list NAME",
		Short:             "List the client secrets of a machine, without the secrets",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.ClientSecrets(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("ID", "NAME", "MADE", "ENDS", "USED", "LAST", "STATE")
				for _, s := range all.ClientSecrets {
					used := fmt.Sprint(s.Used)
					if s.Uses > 0 {
						used = fmt.Sprintf("%d of %d", s.Used, s.Uses)
					}
					t.Row(s.ID, s.Name, when(s.CreatedAt), first(whenMaybe(s.ExpiresAt), "never"), used, first(whenMaybe(s.LastUsedAt), "never"), tokenState(s.RevokedAt, s.ExpiresAt, time.Now()))
				}
				a.table(w, t)
			})
		},
	}
}

func (a *app) clientSecretRevoke() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke NAME ID",
		Short:             "Revoke a client secret",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := refuseToken(args[1]); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.RevokeClientSecret(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Client secret %s of %s revoked.\n", args[1], args[0]) })
		},
	}
}

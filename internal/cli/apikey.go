package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) apiKeyCommand() *cobra.Command {
	return groupCommand("apikey", "Make, list and revoke API keys of applications", a.apiKeyCreate(), a.apiKeyList(), a.apiKeyRevoke())
}

func (a *app) apiKeyCreate() *cobra.Command {
	var r api.APIKeyRequest
	c := &cobra.Command{
		Use:   "create IDENTITY --name NAME --scope ENV:PATH:ACTIONS --ttl TIME",
		Short: "Make an API key: a long-lived token of a machine, narrowed to scopes; it is shown this once",
		Long: `Make an API key for an application: a long-lived token that acts as a machine, within its scopes. Somebody answers for it: you, or
the person of --owner. Revoking it ends it on every server within a second.`,
		Example:           "  keyturn apikey create billing --name invoices --project shop --scope 'prod:/billing:read' --ttl 90d",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := a.inProject()
			if err != nil {
				return err
			}
			r.Identity, r.Project = args[0], project
			made, err := c.CreateAPIKey(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, made.Token)
				a.info("API key %s of %s ends %s. It is not shown again; revoke it with: keyturn apikey revoke %s", made.ID, term.Clean(args[0]), when(made.ExpiresAt), made.ID)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Name, "name", "", "the application")
	f.StringVar(&r.Scopes, "scope", "", "what it may do: ENV:PATH:ACTIONS[;...]")
	f.StringVar(&r.TTL, "ttl", "", "how long it lives: 12h, 90d")
	f.StringVar(&r.Owner, "owner", "", "id of the person who answers for it; default you")
	f.Int64Var(&r.Uses, "uses", 0, "how often it may be used; default any number")
	f.StringSliceVar(&r.Networks, "network", nil, "where it may come from, CIDR; default anywhere")
	for _, name := range []string{"name", "scope", "ttl"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

func (a *app) apiKeyList() *cobra.Command {
	return &cobra.Command{
		Use:               "list [IDENTITY]",
		Short:             "List API keys, that which was used last first",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			of := ""
			if len(args) > 0 {
				of = args[0]
			}
			list, err := c.APIKeys(cmd.Context(), of)
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				t := term.NewTable("ID", "NAME", "OF", "SCOPES", "OWNER", "LAST USED", "USES", "ENDS", "STATE")
				for _, x := range list.Tokens {
					var scopes []string
					for _, s := range x.Scopes {
						scopes = append(scopes, scopeText(s))
					}
					t.Row(x.ID, x.Name, x.PrincipalID, strings.Join(scopes, "; "), first(x.Owner, "-"), first(whenMaybe(x.LastUsedAt), "never"), usesText(x), when(x.ExpiresAt), tokenState(x.RevokedAt, &x.ExpiresAt, time.Now()))
				}
				a.table(w, t)
			})
		},
	}
}

func usesText(t api.TokenInfo) string {
	if t.Uses == 0 {
		return "any"
	}
	return fmt.Sprintf("%d of %d", t.Used, t.Uses)
}

func (a *app) apiKeyRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke an API key at once, on every server",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := refuseToken(args[0]); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.RevokeAPIKey(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.printDone("API key %s is revoked.", args[0])
		},
	}
}

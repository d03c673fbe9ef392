package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) ssoCommand() *cobra.Command {
	return groupCommand("sso", "Let people log in through an OpenID provider, SAML or a directory",
		groupCommand("create", "Make a connection", a.ssoOIDC(), a.ssoSAML(), a.ssoLDAP()), a.ssoList(), a.ssoTest(), a.ssoDelete(), a.ssoEnforce())
}

// ssoFlags are what all kinds of connections have.
type ssoFlags struct {
	r             api.SSORequest
	secretFile    string
	groups, roles []string
	update        bool
}

func (f *ssoFlags) add(c *cobra.Command, secret string) {
	s := c.Flags()
	if secret != "" {
		s.StringVar(&f.secretFile, "secret-file", "", "file with "+secret+", - for standard input")
	}
	s.StringSliceVar(&f.r.Domains, "domain", nil, "of addresses that the provider may speak for; only in these are accounts found by address")
	s.BoolVar(&f.r.Create, "create", false, "make an account for whoever comes and has none")
	s.StringArrayVar(&f.groups, "group", nil, "VALUE=GROUP: who has this group there is in this group here")
	s.StringArrayVar(&f.roles, "role", nil, "VALUE=ROLE[@PROJECT[/ENV]]: who has this group there has this role here")
	s.BoolVar(&f.r.Disabled, "disabled", false, "keep it switched off")
	s.BoolVar(&f.update, "update", false, "replace the connection that has this name")
}

// mappings reads --group and --role. The last = counts: names of groups elsewhere may hold one.
func (f *ssoFlags) mappings() error {
	for i, text := range append(f.groups, f.roles...) {
		at := strings.LastIndex(text, "=")
		if at < 1 || at == len(text)-1 {
			return fault.New(fault.Invalid, "not a mapping: want VALUE=GROUP for --group, VALUE=ROLE[@PROJECT[/ENV]] for --role")
		}
		g := api.SSOGroup{Value: text[:at]}
		if i < len(f.groups) {
			g.Group = text[at+1:]
		} else {
			role, place, _ := strings.Cut(text[at+1:], "@")
			g.Role = role
			g.Project, g.Env, _ = strings.Cut(place, "/")
		}
		f.r.Groups = append(f.r.Groups, g)
	}
	return nil
}

// send makes or replaces the connection and tells what its provider must know.
func (a *app) sendConnection(ctx context.Context, name string, f *ssoFlags) error {
	if err := f.mappings(); err != nil {
		return err
	}
	f.r.Name = name
	if f.secretFile != "" {
		secret, err := a.passwordFrom(f.secretFile)
		if err != nil {
			return err
		}
		f.r.Secret = secret
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	put := c.CreateSSOConnection
	if f.update {
		put = c.UpdateSSOConnection
	}
	made, err := put(ctx, f.r)
	if err != nil {
		return err
	}
	return a.print(made, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Connection %s is kept.\n", made.Name)
		for _, x := range [][2]string{{"redirect URI", made.RedirectURI}, {"entity id and metadata", made.Metadata}, {"assertion consumer service", made.ACS}} {
			if x[1] != "" {
				_, _ = fmt.Fprintf(w, "  %s: %s\n", x[0], x[1])
			}
		}
		a.info("  next: keyturn sso test %s", made.Name)
	})
}

func (a *app) ssoOIDC() *cobra.Command {
	var f ssoFlags
	var o api.OIDCSettings
	c := &cobra.Command{
		Use:     "oidc NAME --issuer URL --client-id ID",
		Short:   "Through an OpenID provider: authorization code with PKCE",
		Example: "  keyturn sso create oidc corp --issuer https://id.example.com --client-id keyturn --secret-file secret --domain example.com --create --groups-claim groups --role engineering=developer@shop/dev",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.r.OIDC = &o
			return a.sendConnection(cmd.Context(), args[0], &f)
		},
	}
	f.add(c, "the client secret")
	s := c.Flags()
	s.StringVar(&o.Issuer, "issuer", "", "exactly as the provider writes it")
	s.StringVar(&o.ClientID, "client-id", "", "what the provider gave this application")
	s.StringSliceVar(&o.Scopes, "scope", nil, "beside openid; default email, profile")
	s.StringVar(&o.GroupsClaim, "groups-claim", "", "claim with the groups; a path with dots finds inner ones")
	s.StringSliceVar(&o.Algorithms, "algorithm", nil, "of ID tokens; default all that use a key pair")
	s.StringSliceVar(&o.MFAValues, "mfa-value", nil, "of amr or acr that show a second factor; default mfa")
	s.BoolVar(&o.TrustsEmails, "trust-email", false, "the provider verifies all addresses and does not say so")
	for _, name := range []string{"issuer", "client-id"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

func (a *app) ssoSAML() *cobra.Command {
	var f ssoFlags
	var o api.SAMLSettings
	var file string
	c := &cobra.Command{
		Use:     "saml NAME --metadata FILE",
		Short:   "Through a SAML 2.0 identity provider",
		Example: "  keyturn sso create saml corp --metadata idp.xml --groups-attribute groups --domain example.com --create",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return fault.Wrap(fault.Invalid, err, "the metadata cannot be read").WithHint("save the metadata of the identity provider as a file")
			}
			o.Metadata = string(text)
			f.r.SAML = &o
			return a.sendConnection(cmd.Context(), args[0], &f)
		},
	}
	f.add(c, "")
	s := c.Flags()
	s.StringVar(&file, "metadata", "", "file with the metadata of the provider")
	s.StringVar(&o.EmailAttribute, "email-attribute", "", "default: the usual names")
	s.StringVar(&o.NameAttribute, "name-attribute", "", "default: the usual names")
	s.StringVar(&o.GroupsAttribute, "groups-attribute", "", "attribute with the groups")
	s.StringVar(&o.SubjectAttribute, "subject-attribute", "", "attribute that names somebody for good; default the NameID")
	s.StringSliceVar(&o.MFAValues, "mfa-value", nil, "authentication contexts that show a second factor")
	_ = c.MarkFlagRequired("metadata") // fails only for flags that are not there
	return c
}

func (a *app) ssoLDAP() *cobra.Command {
	var f ssoFlags
	var o api.LDAPSettings
	var ca string
	c := &cobra.Command{
		Use:     "ldap NAME --url URL --base-dn DN",
		Short:   "With the password of a directory",
		Example: "  keyturn sso create ldap corp --url ldaps://ldap.example.com --bind-dn cn=keyturn,dc=example,dc=com --secret-file secret --base-dn ou=people,dc=example,dc=com --group-base ou=groups,dc=example,dc=com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if ca != "" {
				text, err := os.ReadFile(ca)
				if err != nil {
					return fault.Wrap(fault.Invalid, err, "the certificates cannot be read")
				}
				o.CA = string(text)
			}
			f.r.LDAP = &o
			return a.sendConnection(cmd.Context(), args[0], &f)
		},
	}
	f.add(c, "the password of bind-dn")
	s := c.Flags()
	s.StringVar(&o.URL, "url", "", "ldaps://HOST, or ldap://HOST which is upgraded by StartTLS")
	s.BoolVar(&o.Plain, "plain", false, "without TLS all the same: passwords cross the network in clear")
	s.StringVar(&ca, "ca", "", "file with the roots of the directory's certificate (PEM)")
	s.StringVar(&o.BindDN, "bind-dn", "", "who searches")
	s.StringVar(&o.BaseDN, "base-dn", "", "below which people are")
	s.StringVar(&o.Filter, "filter", "", "of people, with {account}; default (|(uid={account})(mail={account}))")
	s.StringVar(&o.Subject, "subject", "", "attribute that names somebody for good; default entryUUID or objectGUID")
	s.StringVar(&o.Email, "email-attribute", "", "default mail")
	s.StringVar(&o.Name, "name-attribute", "", "default displayName, then cn")
	s.StringVar(&o.MemberOf, "member-of", "", "attribute with the groups of a person")
	s.StringVar(&o.GroupBase, "group-base", "", "below which groups are")
	s.StringVar(&o.GroupFilter, "group-filter", "", "with {dn} and {account}")
	s.StringVar(&o.GroupName, "group-name", "", "attribute with the name of a group; default cn")
	for _, name := range []string{"url", "base-dn"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

func (a *app) ssoList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List connections, and whether they are the only way in",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			list, err := c.SSOConnections(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(list, func(w io.Writer) {
				t := term.NewTable("NAME", "KIND", "STATE", "DOMAINS", "NEW ACCOUNTS")
				for _, x := range list.Connections {
					t.Row(x.Name, x.Kind, map[bool]string{true: "disabled", false: "enabled"}[x.Disabled], strings.Join(x.Domains, ", "), map[bool]string{true: "made", false: "by invitation"}[x.Create])
				}
				a.table(w, t)
				if list.Enforced {
					_, _ = fmt.Fprintf(w, "People log in through these only, except %s.\n", list.Exempt)
				}
			})
		},
	}
}

func connectionNames(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := c.SSOConnections(ctx)
	var out []string
	for _, x := range list.Connections {
		out = append(out, x.Name)
	}
	return out, err
}

// onConnection is a command about one connection.
func (a *app) onConnection(use, short string, run func(cmd *cobra.Command, c *client.Client, name string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			return a.complete(connectionNames)(cmd, args, toComplete)
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			return run(cmd, c, args[0])
		},
	}
}

func (a *app) ssoTest() *cobra.Command {
	return a.onConnection("test", "Call the provider and tell what it answers", func(cmd *cobra.Command, c *client.Client, name string) error {
		found, err := c.TestSSOConnection(cmd.Context(), name)
		if err != nil {
			return err
		}
		return a.print(found, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Connection %s works: %s.\n", name, term.Clean(found.Found)) })
	})
}

func (a *app) ssoDelete() *cobra.Command {
	return a.onConnection("delete", "Remove a connection with all that it gave; accounts stay", func(cmd *cobra.Command, c *client.Client, name string) error {
		if err := c.DeleteSSOConnection(cmd.Context(), name); err != nil {
			return err
		}
		return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "Connection %s removed.\n", name) })
	})
}

func (a *app) ssoEnforce() *cobra.Command {
	var exempt string
	var off bool
	c := &cobra.Command{
		Use:   "enforce --exempt ADMIN",
		Short: "Let people log in through connections only",
		Long: `Let people log in through connections only. One admin is excepted and may go on using a password, for the day when the
provider is down: keep that password where you keep the recovery kit. Sessions of all others that did not come through a
connection end at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if off == (exempt != "") {
				return fault.New(fault.Invalid, "want either --exempt ADMIN or --off")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if err := c.EnforceSSO(cmd.Context(), api.SSOEnforcement{Enforced: !off, Exempt: exempt}); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, map[bool]string{true: "Passwords are good again.", false: "People log in through connections only."}[off])
			})
		},
	}
	c.Flags().StringVar(&exempt, "exempt", "", "address of the one admin who may go on using a password")
	c.Flags().BoolVar(&off, "off", false, "let passwords be good again")
	return c
}

func (a *app) scimCommand() *cobra.Command {
	var r api.SCIMTokenRequest
	token := &cobra.Command{
		Use:   "token NAME --ttl TIME",
		Short: "Make a token with which a directory keeps people and groups by SCIM; it is shown this once",
		Long: `Make a token with which a directory keeps people and groups here by SCIM 2.0, at /scim/v2 of the server. The token can do
nothing else. A connection of the name is made when there is none; sso delete removes it.`,
		Example: "  keyturn scim token okta --ttl 365d --domain example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			r.Connection = args[0]
			made, err := c.CreateSCIMToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, made.Token)
				a.info("The directory calls %s/scim/v2. The token ends %s and is not shown again.", c.Server(), when(made.ExpiresAt))
			})
		},
	}
	f := token.Flags()
	f.StringVar(&r.TTL, "ttl", "", "how long it lives: 90d, 365d")
	f.StringSliceVar(&r.Domains, "domain", nil, "of a new connection: accounts with such addresses are taken over")
	_ = token.MarkFlagRequired("ttl") // fails only for flags that are not there
	return groupCommand("scim", "Let a directory keep people and groups here", token)
}

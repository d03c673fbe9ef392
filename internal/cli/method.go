package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) methodCommand() *cobra.Command {
	return groupCommand("method", "Say how a machine may log in, beside client secrets",
		a.methodAdd(), a.methodList(), a.methodSwitch("disable", "Switch a login method off", true), a.methodSwitch("enable", "Switch a login method on again", false),
		a.methodSecrets(), a.methodRemove())
}

func (a *app) methodAdd() *cobra.Command {
	var r api.MethodRequest
	var settings string
	var secretFiles []string
	c := &cobra.Command{
		Use:   "add IDENTITY METHOD --kind KIND --settings JSON",
		Short: "Give a machine one more way to log in",
		Long: `Give a machine one more way to log in. The kinds are jwt (shared secret), jwks (published keys), github, gitlab, oidc, kubernetes,
aws, gcp, azure and tls. The settings are a JSON object, given here or with @FILE; the guide to machines shows those of each kind.
Shared secrets of jwt and the reviewer's token of kubernetes come from files, never from the command line.`,
		Example: `  keyturn identity method add deploy ci --kind github --ttl 10m \
    --settings '{"audience":["https://keyturn.example.com"],"bound":{"repository":["acme/shop"],"environment":["prod"]}}'
  keyturn identity method add backend app --kind jwt --settings @supabase.json --secret-file jwt-secret`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.inlineOrFile(settings)
			if err != nil {
				return err
			}
			if !json.Valid(text) {
				return fault.New(fault.Invalid, "the settings are not JSON").WithHint("give an object, or @FILE")
			}
			r.Name, r.Settings = args[1], text
			if r.Secrets, err = a.secretsFrom(secretFiles); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateMethod(cmd.Context(), args[0], r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s may log in with method %s (%s).\n", term.Clean(args[0]), made.Name, made.Kind)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Kind, "kind", "", "jwt, jwks, github, gitlab, oidc, kubernetes, aws, gcp, azure or tls")
	f.StringVar(&settings, "settings", "", "JSON object, or @FILE, @- for standard input")
	f.StringArrayVar(&secretFiles, "secret-file", nil, "file with a secret of the method; twice for two that overlap")
	f.StringVar(&r.TTL, "ttl", "", "how long its access tokens live; default that of the identity")
	f.StringVar(&r.MaxTTL, "max-ttl", "", "how far a token can be renewed; default not at all")
	f.Int64Var(&r.Uses, "uses", 0, "how often one token may be used; default any number")
	f.StringSliceVar(&r.Networks, "network", nil, "where logins and tokens may come from, CIDR; default anywhere")
	for _, name := range []string{"kind", "settings"} {
		_ = c.MarkFlagRequired(name) // fails only for flags that are not there
	}
	return c
}

// maxInline bounds what is read from a file of settings, bytes.
const maxInline = 128 << 10

// inlineOrFile gives a text, or what is in @FILE.
func (a *app) inlineOrFile(text string) ([]byte, error) {
	name, ok := strings.CutPrefix(text, "@")
	if !ok {
		return []byte(text), nil
	}
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the file %s cannot be read", name)
		}
		defer f.Close()
		in = f
	}
	out, err := io.ReadAll(io.LimitReader(in, maxInline+1))
	if err == nil && len(out) > maxInline {
		err = fault.New(fault.Invalid, "the file is longer than %d bytes", maxInline)
	}
	return out, err
}

func (a *app) secretsFrom(files []string) ([]string, error) {
	var out []string
	for _, name := range files {
		s, err := a.passwordFrom(name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (a *app) methodList() *cobra.Command {
	return &cobra.Command{
		Use:               "list IDENTITY",
		Short:             "List the ways in which a machine may log in",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			all, err := c.Methods(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(all, func(w io.Writer) {
				t := term.NewTable("METHOD", "KIND", "TOKENS LIVE", "AT MOST", "USES", "FROM", "STATE", "SETTINGS")
				for _, m := range all.Methods {
					t.Row(m.Name, m.Kind, first(m.TTL, "as the identity's"), first(m.MaxTTL, "-"), orAny(m.Uses), first(strings.Join(m.Networks, ", "), "anywhere"), enabledText(m.Disabled), string(m.Settings))
				}
				a.table(w, t)
			})
		},
	}
}

func orAny(n int64) string {
	if n == 0 {
		return "any"
	}
	return fmt.Sprint(n)
}

func (a *app) methodSwitch(verb, short string, disabled bool) *cobra.Command {
	return a.onMethod(verb, short, func(cmd *cobra.Command, args []string) (string, error) {
		c, err := a.client()
		if err != nil {
			return "", err
		}
		return "Login method %s of %s is " + enabledText(disabled) + ".", c.ChangeMethod(cmd.Context(), args[0], args[1], api.MethodChange{Disabled: &disabled})
	})
}

func (a *app) methodRemove() *cobra.Command {
	return a.onMethod("remove", "Take a way to log in away", func(cmd *cobra.Command, args []string) (string, error) {
		c, err := a.client()
		if err != nil {
			return "", err
		}
		return "Login method %s of %s is removed.", c.DeleteMethod(cmd.Context(), args[0], args[1])
	})
}

func (a *app) methodSecrets() *cobra.Command {
	var files []string
	c := a.onMethod("secrets", "Replace the secrets of a login method: the new beside the old, later the new alone", func(cmd *cobra.Command, args []string) (string, error) {
		secrets, err := a.secretsFrom(files)
		if err != nil {
			return "", err
		}
		c, err := a.client()
		if err != nil {
			return "", err
		}
		return "Login method %s of %s has its new secrets.", c.ChangeMethod(cmd.Context(), args[0], args[1], api.MethodChange{Secrets: secrets})
	})
	c.Example = "  keyturn identity method secrets backend app --secret-file new --secret-file old"
	c.Flags().StringArrayVar(&files, "secret-file", nil, "file with a secret; twice for two that overlap")
	_ = c.MarkFlagRequired("secret-file")
	return c
}

func (a *app) onMethod(verb, short string, do func(*cobra.Command, []string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " IDENTITY METHOD",
		Short:             short,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: oneOf(a.completeIdentities),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := do(cmd, args)
			if err != nil {
				return err
			}
			return a.printDone(text, term.Clean(args[1]), term.Clean(args[0]))
		},
	}
}

package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) wrapCommand() *cobra.Command {
	r := api.WrapRequest{TTL: "10m"}
	var file string
	c := &cobra.Command{
		Use:     "wrap --what TEXT [--from FILE]",
		Short:   "Seal a value and print a token that opens it once",
		Long:    "Seal a value and print a token that opens it once. Whoever opens it second is told that somebody did before, when and from where.",
		Example: "  keyturn wrap --what 'first database password' --from password.txt --ttl 30m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			value, err := a.password(file, "Value to wrap:", false)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			r.Value = value
			made, err := c.Wrap(cmd.Context(), r)
			if err != nil {
				return err
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, made.Token)
				a.info("It opens once, until %s, with: keyturn unwrap", when(made.ExpiresAt))
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.What, "what", "", "what it is, for the log and for whoever opens it")
	f.StringVar(&file, "from", "", "file with the value, - for standard input; asked for otherwise")
	f.StringVar(&r.TTL, "ttl", r.TTL, "until when it can be opened, at most 7d")
	_ = c.MarkFlagRequired("what")
	return c
}

func (a *app) unwrapCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "unwrap [--from FILE]",
		Short:   "Open a wrapped value, once, and print it",
		Example: "  KEYTURN_WRAP_TOKEN=ktw_... keyturn unwrap",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.trusted()
			if err != nil {
				return err
			}
			token := a.getenv("KEYTURN_WRAP_TOKEN")
			if token == "" || file != "" {
				if token, err = a.password(file, "Wrap token:", false); err != nil {
					return err
				}
			}
			c, err := a.dial(server, "")
			if err != nil {
				return err
			}
			out, err := c.Unwrap(cmd.Context(), token)
			if err != nil {
				return err
			}
			return a.print(out, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, out.Value)
				a.info("This was %s, wrapped by %s at %s. Nobody opened it before, and nobody can again.", term.Clean(out.What), term.Clean(out.CreatedBy), when(out.CreatedAt))
			})
		},
	}
	c.Flags().StringVar(&file, "from", "", "file with the token, - for standard input (else KEYTURN_WRAP_TOKEN)")
	return c
}

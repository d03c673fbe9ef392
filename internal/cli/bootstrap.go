package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
)

func (a *app) bootstrapCommand() *cobra.Command {
	var r api.SetupRequest
	var file string
	c := &cobra.Command{
		Use:   "bootstrap",
		Short: "Create the first admin of a fresh server",
		Long: `Create the first admin of a fresh server, once. The server prints a set-up token when it starts; from the same machine in
development mode none is needed. You are logged in afterwards; with --json nothing is stored and the token is printed.`,
		Example: "  keyturn bootstrap --email you@example.com",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.trusted()
			if err != nil {
				return err
			}
			if r.Email, err = a.ask(r.Email, "E-mail of the first admin:", "email"); err != nil {
				return err
			}
			if r.Password, err = a.password(file, "Password (at least 12 characters):", true); err != nil {
				return err
			}
			c, err := a.dial(server, "")
			if err != nil {
				return err
			}
			made, err := c.Setup(cmd.Context(), r)
			if err != nil {
				return err
			}
			if !a.flags.json {
				if err := a.remember(server, credential{Token: made.Token, Name: r.Email}); err != nil {
					return err
				}
			}
			return a.print(made, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s is the first admin of %s and is logged in here.\n", r.Email, server)
				a.info("  next: keyturn project create NAME, or keyturn project list")
			})
		},
	}
	f := c.Flags()
	f.StringVar(&r.Email, "email", "", "address of the first admin")
	f.StringVar(&file, "password-file", "", "file with the password, - for standard input; asked for otherwise")
	f.StringVar(&r.SetupToken, "setup-token", "", "token that the server printed when it started")
	f.StringVar(&r.Organization, "organization", "", "name of the organisation")
	f.StringVar(&r.Name, "name", "", "name of the person")
	return c
}

package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) mfaCommand() *cobra.Command {
	return groupCommand("mfa", "Your second factors and recovery codes", a.mfaEnroll(), a.mfaConfirm(), a.mfaDisable(), a.mfaRecovery(), a.mfaStatus())
}

// enrolled is what was begun or, after a code, put in force.
type enrolled struct {
	api.NewFactor
	RecoveryCodes []string `json:"recovery_codes,omitzero"`
}

func (a *app) mfaEnroll() *cobra.Command {
	var r api.FactorRequest
	c := &cobra.Command{
		Use:   "enroll",
		Short: "Begin a second factor: time-based codes of an authenticator app",
		Long: `Begin a second factor of time-based codes (RFC 6238), as every authenticator app makes them. The secret is shown this once:
enter it in the app, or make a QR code of the address. On a terminal it asks for a code of the app right away; otherwise put it
in force with keyturn mfa confirm.`,
		Example: "  keyturn mfa enroll --name phone",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			f, err := c.CreateFactor(cmd.Context(), r)
			if err != nil {
				return err
			}
			out := enrolled{NewFactor: f}
			console, err := a.console()
			if err == nil && !a.flags.json {
				defer console.Close()
				_, _ = fmt.Fprintf(a.err, "Enter this in your authenticator app: %s\n  or: %s\n", f.Secret, f.URL)
				code, err := console.Ask("Code that the app shows:")
				if err != nil {
					return fmt.Errorf("read the code: %w", err)
				}
				codes, err := c.ConfirmFactor(cmd.Context(), f.ID, code)
				if err != nil {
					return err
				}
				return a.printRecovery(codes.RecoveryCodes)
			}
			return a.print(out, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "id      %s\nsecret  %s\naddress %s\n", f.ID, f.Secret, f.URL)
				a.info("It is not in force yet.\n  next: keyturn mfa confirm %s CODE", f.ID)
			})
		},
	}
	c.Flags().StringVar(&r.Name, "name", "", "name of the device")
	return c
}

func (a *app) printRecovery(codes []string) error {
	return a.print(api.RecoveryCodes{RecoveryCodes: codes}, func(w io.Writer) {
		for _, code := range codes {
			_, _ = fmt.Fprintln(w, code)
		}
		if len(codes) > 0 {
			a.info("In force. Each of these recovery codes stands in once for a lost phone. They are shown this once: print them, or keep\nthem where you keep your passwords, not on the phone.")
		} else {
			a.info("In force. Your recovery codes are as before.")
		}
	})
}

func (a *app) mfaConfirm() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm ID CODE",
		Short: "Put a second factor in force by a code of it; prints the recovery codes of the first",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			codes, err := c.ConfirmFactor(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return a.printRecovery(codes.RecoveryCodes)
		},
	}
}

func (a *app) mfaDisable() *cobra.Command {
	return &cobra.Command{
		Use:   "disable ID|NAME",
		Short: "Take one of your second factors out of force",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			id, err := factorID(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteFactor(cmd.Context(), id); err != nil {
				return err
			}
			return a.print(api.Done{Done: true}, func(w io.Writer) { _, _ = fmt.Fprintln(w, "Out of force.") })
		},
	}
}

func factorID(ctx context.Context, c *client.Client, name string) (string, error) {
	st, err := c.Factors(ctx)
	if err != nil {
		return "", err
	}
	found := ""
	for _, f := range st.Factors {
		if f.ID == name {
			return name, nil
		}
		if f.Name == name {
			if found != "" {
				return "", fault.New(fault.Conflict, "there are several second factors of this name").WithHint("take the id: keyturn mfa status")
			}
			found = f.ID
		}
	}
	if found == "" {
		return "", fault.New(fault.NotFound, "no such second factor").WithHint("keyturn mfa status")
	}
	return found, nil
}

func (a *app) mfaRecovery() *cobra.Command {
	return &cobra.Command{
		Use:   "recovery-codes",
		Short: "Make new recovery codes; the old ones are good for nothing from then on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			codes, err := c.RenewRecoveryCodes(cmd.Context())
			if err != nil {
				return err
			}
			return a.printRecovery(codes.RecoveryCodes)
		},
	}
}

func (a *app) mfaStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show your second factors and how many recovery codes are left",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			st, err := c.Factors(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(st, func(w io.Writer) {
				t := term.NewTable("NAME", "KIND", "ID", "STATE", "MADE")
				for _, f := range st.Factors {
					state := "in force"
					if f.ConfirmedAt == nil {
						state = "not confirmed"
					}
					t.Row(f.Name, f.Kind, f.ID, state, when(f.CreatedAt))
				}
				a.table(w, t)
				_, _ = fmt.Fprintf(w, "%d recovery codes left\n", st.RecoveryCodes)
				if st.EnrolBy != nil {
					_, _ = fmt.Fprintf(w, "the organisation asks for a second factor from %s\n", when(*st.EnrolBy))
				}
			})
		},
	}
}

package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
)

func (a *app) orgCommand() *cobra.Command {
	return groupCommand("org", "What the organisation asks of its people", a.orgSettings(), a.orgSet())
}

func (a *app) orgSettings() *cobra.Command {
	return &cobra.Command{
		Use:   "settings",
		Short: "Show what was decided about second factors and sessions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s, err := c.Settings(cmd.Context())
			if err != nil {
				return err
			}
			return a.printSettings(s)
		},
	}
}

func (a *app) printSettings(s api.Settings) error {
	return a.print(s, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "second factor     %s\n  grace           %s\nfresh proof for   %s\nsession idle      %s\nsession at most   %s\n", s.MFA, s.MFAGrace, s.ReauthAfter, s.SessionIdle, s.SessionMax)
	})
}

func (a *app) orgSet() *cobra.Command {
	var s api.Settings
	c := &cobra.Command{
		Use:   "set",
		Short: "Decide about second factors and sessions; what is not named stays",
		Example: `  keyturn org set --mfa required --mfa-grace 7d
  keyturn org set --reauth 15m --session-idle 12h --session-max 7d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			now, err := c.ChangeSettings(cmd.Context(), s)
			if err != nil {
				return err
			}
			return a.printSettings(now)
		},
	}
	f := c.Flags()
	f.StringVar(&s.MFA, "mfa", "", "optional or required: who has no second factor may do nothing but enrol one, and his tokens nothing")
	f.StringVar(&s.MFAGrace, "mfa-grace", "", "how long somebody without a second factor may go on: 7d")
	f.StringVar(&s.ReauthAfter, "reauth", "", "how old a proof of who sits there may be for dangerous acts, 1m to 24h")
	f.StringVar(&s.SessionIdle, "session-idle", "", "a session ends that was not used for so long")
	f.StringVar(&s.SessionMax, "session-max", "", "every session ends then")
	return c
}

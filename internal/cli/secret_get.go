package cli

import (
	"github.com/spf13/cobra"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/fault"
	"github.com/keyturn/keyturn/internal/term"
)

func (a *app) getCommand() *cobra.Command {
	var o client.GetOptions
	version, at := counted{least: 1}, counted{least: 1}
	c := &cobra.Command{
		Use:   "get NAME",
		Short: "Print one value and nothing else",
		Long: `Print one value and nothing else, byte for byte; only on a terminal a line break follows. With --json all that is known
of the secret comes with it. References such as ${OTHER} are filled in, and what an import shows is found too.`,
		Example: `  keyturn get DATABASE_URL
  keyturn get /backend/DATABASE_URL --env prod --version 3
  keyturn get DATABASE_URL --at 12        # as it was at revision 12 of the environment
  keyturn get DATABASE_URL --raw          # ${...} as written`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: oneOf(a.completeNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if version.given && at.given {
				return &usageError{text: "--version and --at exclude each other", command: cmd.CommandPath()}
			}
			c, place, key, err := a.reachOne(args[0])
			if err != nil {
				return err
			}
			o.Version, o.At = version.n, at.n
			s, err := c.Get(cmd.Context(), place, string(key.name), o)
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.print(s, nil)
			}
			return a.writeValue(key, s.Value)
		},
	}
	f := c.Flags()
	f.Var(&version, "version", "`NUMBER` of an older version")
	f.Var(&at, "at", "as it was at this `REVISION` of the environment")
	f.BoolVar(&o.Raw, "raw", false, "leave references as they are written")
	f.BoolVar(&o.Personal, "personal", false, "your own value, where you have one")
	return c
}

// writeValue writes the bytes of a value. On a terminal a line break follows, so that the next prompt has its own line.
func (a *app) writeValue(key secretKey, v *api.Value) error {
	if v == nil {
		return fault.New(fault.NotFound, "the value of %s is gone: it was purged", key)
	}
	b, err := v.Bytes()
	if err != nil {
		return err
	}
	if term.IsTerminal(a.out) {
		b = append(b, '\n')
	}
	_, err = a.out.Write(b)
	return err
}
